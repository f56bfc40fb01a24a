"""Databases of the desktop application, as its versions made them, with an audio folder."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from providers.audio import encode
from providers.speech import AudioFormat
from tests.sounds import spoken, tone, wav_file

SCHEMAS = Path(__file__).parent / "desktop_schemas"
VERSIONS = {1: ("1", "1-rows"), 13: ("13", "13-rows"), 27: ("13", "13-rows", "27", "27-rows")}
NEWEST = 27

FOX = "The quick brown fox jumps over the lazy dog."
NOBODY = "Nobody in the village was surprised at all."
HOUSE = "She sold her house near the river last winter."
DOCTOR = "We waited for hours, but the doctor never came."
TRAIN = "The train to the mountains leaves in the morning."
# Where its audio lies below the folder, and what is said in it.
SPOKEN = {
    "dialog_tts/The visit/line_0.wav": FOX,
    "dialog_tts/The visit/line_1.wav": NOBODY,
    "phase_tts/Narration/seg_0.mp3": HOUSE,
    "novel_reader/A book/c.wav": DOCTOR,
    "quick_tts/Bella/quick.wav": TRAIN,
}


def database(folder: Path, version: int = NEWEST, *more: str) -> Path:
    """A file of this version, changed by `more`."""
    path = folder / "neiroha.db"
    path.unlink(missing_ok=True)
    scripts = [(SCHEMAS / f"{name}.sql").read_text() for name in VERSIONS[version]]
    return changed(path, *scripts, *more)


def changed(path: Path, *scripts: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        for script in scripts:
            connection.executescript(script)
        connection.commit()
    return path


def recordings() -> dict[str, bytes]:
    """The files of the audio folder; one of them is no audio."""
    return dict(_recordings())


@functools.cache
def _recordings() -> dict[str, bytes]:
    made = {}
    for name, text in SPOKEN.items():
        pcm = spoken(text)
        made[name] = wav_file(pcm, 24_000) if name.endswith("wav") else encode(pcm, 24_000, AudioFormat.MP3)
    made["voice_character_ref/man.wav"] = wav_file(tone(16_000, 2.0), 16_000)
    made["voice_character_ref/reader.wav"] = wav_file(tone(16_000, 3.0), 16_000)
    made["phase_tts/Narration/seg_1.mp3"] = b"<html>Not found</html>"
    return made


def audio_folder(place: Path, files: Iterable[tuple[str, bytes]] | None = None) -> Path:
    folder = place / "voice_asset"
    for name, content in recordings().items() if files is None else files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def zipped(folder: Path) -> Path:
    """With its own name at the top, as systems make them."""
    path = folder.with_suffix(".zip")
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path
