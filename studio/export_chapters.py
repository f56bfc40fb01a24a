"""An export of chapters: each merged into a file of its own, in a zip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

from banks.storage import storage_errors
from providers.audio import LOUDNESS, Stage, Target, Watch
from providers.errors import InvalidRequest
from providers.whole_files import whole_file
from studio.export_files import ExportLine, Gaps, IsCancelled, Progress, write_merged
from studio.file_names import safe_name

_LEAST_DIGITS = 2


def write_chapters(
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
) -> float:
    """The zip at `path`; the seconds of what is heard in it. Each chapter is brought to the loudness, in LUFS. Raises
    what `studio.export_files` does."""
    chapters = in_chapters(lines)
    if not chapters:
        raise InvalidRequest("There is nothing to export: no line has audio.")
    stage, seconds = Stage(Watch(progress, cancelled)), 0.0
    part = path.with_name(f"{path.name}.chapter")
    try:
        with storage_errors(), whole_file(path) as file, ZipFile(file, "w", ZIP_STORED) as archive:
            for number, (name, chapter) in enumerate(zip(file_names(chapters, target), chapters, strict=True)):
                within = stage.between(number / len(chapters), (number + 1) / len(chapters))
                merged = write_merged(
                    chapter,
                    part,
                    target,
                    gaps=gaps,
                    progress=within.at,
                    cancelled=cancelled,
                    title=" – ".join(filter(None, (title, chapter[0].chapter))),
                    author=author,
                    cover=cover,
                    loudness=loudness,
                )
                archive.write(part, name)
                seconds += merged.duration
    finally:
        part.unlink(missing_ok=True)
    return seconds


def in_chapters(lines: Sequence[ExportLine]) -> list[list[ExportLine]]:
    """What comes before the first title is a chapter too."""
    found: list[list[ExportLine]] = []
    for line in lines:
        if line.chapter or not found:
            found.append([])
        found[-1].append(line)
    return found


def file_names(chapters: Sequence[Sequence[ExportLine]], target: Target) -> list[str]:
    """As `01 The storm.mp3`: in order, wherever they are listed."""
    digits = max(_LEAST_DIGITS, len(str(len(chapters))))
    return [
        f"{number:0{digits}} {safe_name(chapter[0].chapter, 'chapter')}.{target}"
        for number, chapter in enumerate(chapters, start=1)
    ]
