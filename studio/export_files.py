"""The files of an export, written from plain values: one recording of all lines, a file for each in a zip, subtitles.

Synchronous and long: call them in a thread. Each is streamed to the disk, and there whole or not at all. Each raises
BadPart, which names the line whose audio can't be read; Cancelled; StorageFull and StorageFailed. What `progress` and
`cancelled` are for is told in `providers.audio.watch`.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from banks.storage import storage_errors
from providers.audio import (
    LOUDNESS,
    BadPart,
    Merged,
    Part,
    Slot,
    Stage,
    Target,
    Watch,
    merge,
    timeline,
    wav_header,
)
from providers.errors import InvalidRequest
from providers.speech import PCM_SAMPLE_RATE, AudioFormat
from providers.whole_files import whole_file
from studio.file_names import safe_name
from studio.subtitles import WRITERS, Cue

GAP, CHAPTER_GAP = 0.4, 1.5
COLUMNS = ("order", "speaker", "text", "file", "start", "duration")
_COPY_BYTES = 1 << 20
_LEAST_DIGITS = 4
# A spreadsheet takes a cell that begins so for a formula; full-width signs too where people type them.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

type Progress = Callable[[float], None]
type IsCancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class ExportLine:
    """`index` is its number in the project, from 1; `chapter` the title of the chapter that begins with it, if one
    does; `sample_rate` that of headerless PCM. `duration` is seconds, as is `end`, that of a line's own time, where it
    has one."""

    index: int
    speaker: str
    text: str
    path: Path
    format: AudioFormat
    duration: float
    chapter: str = ""
    sample_rate: int = PCM_SAMPLE_RATE
    end: float | None = None

    @property
    def name(self) -> str:
        """What a failure calls it."""
        return f"Line {self.index} ({self.speaker})" if self.speaker else f"Line {self.index}"

    @property
    def file_format(self) -> AudioFormat:
        """In a zip: no player knows raw samples, so they get a header."""
        return AudioFormat.WAV if self.format is AudioFormat.PCM else self.format


@dataclass(frozen=True, slots=True)
class Gaps:
    """Seconds of silence between two lines, and before a line that begins a chapter."""

    line: float = GAP
    chapter: float = CHAPTER_GAP


def write_merged(
    lines: Sequence[ExportLine],
    path: Path,
    target: Target,
    *,
    gaps: Gaps,
    progress: Progress,
    cancelled: IsCancelled,
    title: str = "",
    author: str = "",
    cover: bytes = b"",
    loudness: float | None = LOUDNESS,
) -> Merged:
    """All lines one behind the other; `slots` of the answer say where each is heard. `cover` is a JPEG; `loudness` is
    LUFS, None leaves it as it is."""
    with storage_errors():
        return merge(
            parts_of(lines, gaps),
            target,
            path,
            title=title,
            author=author,
            cover=cover,
            loudness=loudness,
            progress=progress,
            cancelled=cancelled,
        )


def slots_of(lines: Sequence[ExportLine], gaps: Gaps, *, progress: Progress, cancelled: IsCancelled) -> list[Slot]:
    """Where each line is heard in what `write_merged` makes of them, measured from the files."""
    return timeline(parts_of(lines, gaps), progress=progress, cancelled=cancelled)


def parts_of(lines: Sequence[ExportLine], gaps: Gaps) -> list[Part]:
    after = [gaps.chapter if following.chapter else gaps.line for _, following in pairwise(lines)]
    return [
        Part(line.path, line.format, line.name, gap, line.chapter, line.sample_rate)
        for line, gap in zip(lines, [*after, 0.0][: len(lines)], strict=True)
    ]


def write_zip(
    lines: Sequence[ExportLine],
    slots: Sequence[Slot],
    path: Path,
    *,
    progress: Progress,
    cancelled: IsCancelled,
    title: str = "",
) -> None:
    """A file for each line, and what they are in `manifest.json` and `manifest.csv`. `slots`: where each would be heard
    if they were merged."""
    if not lines:
        raise InvalidRequest("There is nothing to export: no line has audio.")
    names = file_names(lines)
    stage = Stage(Watch(progress, cancelled))
    with storage_errors(), whole_file(path) as file, ZipFile(file, "w", ZIP_STORED) as archive:
        _write_json(archive, title, lines, names, slots)
        _write_csv(archive, lines, names, slots)
        for number, (line, name) in enumerate(zip(lines, names, strict=True)):
            _store(archive, number, line, name, stage.between(number / len(lines), (number + 1) / len(lines)))
        stage.at(1)


def write_subtitles(
    lines: Sequence[ExportLine], slots: Sequence[Slot], path: Path, format: str, *, speakers: bool = True
) -> None:
    """`format` is one of `studio.subtitles.WRITERS`; `slots`: where each line is heard."""
    if not lines:
        raise InvalidRequest("There is nothing to export: no line has audio.")
    cues = (Cue(slot.start, slot.end, line.speaker, line.text) for line, slot in zip(lines, slots, strict=True))
    text = WRITERS[format](cues, speakers=speakers)
    with storage_errors(), whole_file(path) as file:
        file.write(text.encode())


def file_names(lines: Sequence[ExportLine]) -> list[str]:
    """As `0001 Anna.wav`: in order, wherever they are listed."""
    digits = max(_LEAST_DIGITS, *(len(str(line.index)) for line in lines))
    return [f"{line.index:0{digits}} {safe_name(line.speaker, 'line')}.{line.file_format}" for line in lines]


def _store(archive: ZipFile, number: int, line: ExportLine, name: str, stage: Stage) -> None:
    with _named(number, line):
        source = line.path.open("rb")
        size = line.path.stat().st_size
    header = wav_header(line.sample_rate, size) if line.format is AudioFormat.PCM else b""
    entry = _entry(name, ZIP_STORED)
    entry.file_size = len(header) + size
    with source, archive.open(entry, "w") as target:
        target.write(header)
        copied = 0
        while chunk := _read(source, number, line):
            stage.at(copied / max(size, 1))
            target.write(chunk)
            copied += len(chunk)


def _read(source: IO[bytes], number: int, line: ExportLine) -> bytes:
    with _named(number, line):
        return source.read(_COPY_BYTES)


@contextmanager
def _named(number: int, line: ExportLine) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadPart(number, f"{line.name}: Its file can't be read: {error.strerror}.") from error


def _entry(name: str, compression: int) -> ZipInfo:
    entry = ZipInfo(name, time.localtime()[:6])
    entry.compress_type = compression
    return entry


def _rows(
    lines: Sequence[ExportLine], names: Sequence[str], slots: Sequence[Slot]
) -> Iterator[tuple[int, str, str, str, float, float]]:
    for line, name, slot in zip(lines, names, slots, strict=True):
        yield line.index, line.speaker, line.text, name, round(slot.start, 6), round(slot.end - slot.start, 6)


def _write_json(
    archive: ZipFile, title: str, lines: Sequence[ExportLine], names: Sequence[str], slots: Sequence[Slot]
) -> None:
    with _text_entry(archive, "manifest.json", "utf-8") as file:
        file.write(f'{{"title": {_json(title)}, "lines": [')
        for number, row in enumerate(_rows(lines, names, slots)):
            file.write(("," if number else "") + "\n" + _json(dict(zip(COLUMNS, row, strict=True))))
        file.write("\n]}\n")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write_csv(archive: ZipFile, lines: Sequence[ExportLine], names: Sequence[str], slots: Sequence[Slot]) -> None:
    # Without the mark at the beginning, spreadsheets read another encoding.
    with _text_entry(archive, "manifest.csv", "utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for order, speaker, text, name, start, duration in _rows(lines, names, slots):
            writer.writerow((order, _no_formula(speaker), _no_formula(text), name, start, duration))


def _no_formula(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_SIGNS) else text


@contextmanager
def _text_entry(archive: ZipFile, name: str, encoding: str) -> Iterator[io.TextIOWrapper]:
    entry = _entry(name, ZIP_DEFLATED)
    with archive.open(entry, "w") as file, io.TextIOWrapper(file, encoding, newline="") as text:
        yield text
