"""Where finished speech is kept for banks that keep it: a file for each, in a folder of its speaker and its bank."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from providers.whole_files import PART, whole_file

logger = logging.getLogger(__name__)

# The first line of each file says how it is written; what was written in another way is spoken anew.
_MARK = b"neiroha speech 1 "
_HEAD_BYTES = 4096
# A full store is brought down to this share at once, so that not every new file makes room by itself.
_TRIMMED_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished answer. `whole`: its header states its true sizes."""

    audio: bytes
    whole: bool = False
    sample_rate: int | None = None
    audio_seconds: float | None = None
    model_preset: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a bank has kept."""

    files: int = 0
    bytes: int = 0


class SpeechStore:
    """Files of this machine. For threads, never for the event loop; several processes may share the folder.

    A name is "bank/speaker/digest". What can't be read, or is not what was written, counts as not there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or settings.DATA_DIR / "speech-cache"

    def identity(self) -> str:
        """The same for all processes that share the folder, and for no others; empty while it is not known. OSError."""
        path = self.folder.with_name(f"{self.folder.name}.id")
        with suppress(FileExistsError), path.open("x") as file:
            file.write(secrets.token_hex(16))
        return path.read_text()

    def read(self, name: str) -> Kept | None:
        path = self.folder / name
        try:
            written = path.read_bytes()
        except OSError:
            return None
        kept = _unpacked(written)
        with suppress(OSError):
            # The time of change is the time of last use: by it the least recently used are found.
            os.utime(path) if kept else path.unlink()
        return kept

    def write(self, name: str, kept: Kept) -> int:
        """The size of the file. OSError when there is no room for it."""
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        packed = _packed(kept)
        with whole_file(path) as file:
            file.write(packed)
        return len(packed)

    def usage(self, bank: int) -> Usage:
        sizes = [status.st_size for _path, status in _files(self.folder / str(bank))]
        return Usage(len(sizes), sum(sizes))

    def forget(self, bank: int) -> None:
        shutil.rmtree(self.folder / str(bank), ignore_errors=True)

    def keep_only(self, speakers: Collection[str]) -> None:
        """Remove what belongs to none of these, each a "bank/speaker"."""
        for bank in _folders(self.folder):
            for speaker in _folders(bank):
                if f"{bank.name}/{speaker.name}" not in speakers:
                    shutil.rmtree(speaker, ignore_errors=True)
            with suppress(OSError):
                bank.rmdir()  # goes only if it is empty

    def trim(self, most_bytes: int) -> int:
        """Remove the least recently used beyond so many bytes; the bytes that are left."""
        files = sorted(_files(self.folder), key=lambda one: one[1].st_mtime)
        size = sum(status.st_size for _path, status in files)
        if size <= most_bytes:
            return size
        for path, status in files:
            if size <= most_bytes * _TRIMMED_SHARE:
                break
            with suppress(OSError):
                path.unlink()
                size -= status.st_size
        return size


def speaker_folder(bank: int, speaker: str) -> str:
    """Of a speaker's id, which is no name for a file as it is."""
    return f"{bank}/{hashlib.sha256(speaker.encode()).hexdigest()[:32]}"


def _packed(kept: Kept) -> bytes:
    known = asdict(kept) | {"audio": hashlib.sha256(kept.audio).hexdigest()}
    return _MARK + json.dumps(known).encode() + b"\n" + kept.audio


def _unpacked(written: bytes) -> Kept | None:
    end = written.find(b"\n", 0, _HEAD_BYTES)
    if end < 0 or not written.startswith(_MARK):
        return None
    try:
        known: dict[str, Any] = json.loads(written[len(_MARK) : end])
        audio = written[end + 1 :]
        if known["audio"] != hashlib.sha256(audio).hexdigest():
            return None
        return Kept(**known | {"audio": audio})
    except (ValueError, TypeError, KeyError):
        return None


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for place, _folders, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            # Another process may have removed it meanwhile; half-written files are their writer's.
            with suppress(OSError):
                if path.suffix != PART:
                    yield path, path.stat()
