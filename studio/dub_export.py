"""The files of an export whose lines are heard at their own times. Synchronous and long, as those of `export_files`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from django.utils.translation import gettext as _

from banks.storage import private_storage, storage_errors
from providers.audio import (
    Background,
    Cancelled,
    Dub,
    FilmLabel,
    Part,
    Slot,
    Speech,
    probe_footage,
    write_dub,
    write_film,
)
from studio.export_files import ExportLine, IsCancelled, Progress
from studio.export_options import ExportOptions, Track, What
from studio.fitting import Fit
from studio.models import Footage, OriginalSound, Project


def write_in_time(
    project: Project,
    lines: Sequence[ExportLine],
    fits: Sequence[Fit],
    options: ExportOptions,
    path: Path,
    *,
    author: str,
    progress: Progress,
    cancelled: IsCancelled,
) -> float:
    """One file with the lines where they fit, as sound or as a track of the footage; its seconds. BadPart, BadAudio,
    StorageError, Cancelled."""

    def go_on() -> None:
        progress(0.0)
        if cancelled():
            raise Cancelled

    with storage_errors(), _background(project, go_on) as background:
        dub = Dub(_speeches(lines, fits), background, options.loudness, project.name, author)
        if options.what is What.AUDIO:
            return write_dub(dub, options.target, path, progress=progress, cancelled=cancelled).duration
        label = FilmLabel(
            project.name, project.language, replacing=options.track is Track.REPLACE, original=_("Original")
        )
        return write_film(dub, label, path, progress=progress, cancelled=cancelled).duration


def slots_in_time(lines: Sequence[ExportLine], fits: Sequence[Fit]) -> list[Slot]:
    """Where each line is heard."""
    return [Slot(fit.start, fit.end) for _line, fit in zip(lines, fits, strict=True)]


def read_in_time(lines: Sequence[ExportLine], fits: Sequence[Fit]) -> list[Slot]:
    """Where each line is read: for its own time, and for as long as it is heard beyond that, where there is room."""
    return [Slot(fit.start, max(line.end or 0.0, fit.end - fit.over)) for line, fit in zip(lines, fits, strict=True)]


def _speeches(lines: Sequence[ExportLine], fits: Sequence[Fit]) -> list[Speech]:
    return [
        Speech(Part(line.path, line.format, line.name, sample_rate=line.sample_rate), fit.start, fit.stretch)
        for line, fit in zip(lines, fits, strict=True)
    ]


@contextmanager
def _background(project: Project, go_on: Callable[[], None]) -> Iterator[Background | None]:
    footage = Footage.objects.filter(project=project).first()
    if footage is None:
        yield None
        return
    with private_storage().local_copy(footage.file.name or "", go_on) as path:
        yield _used(footage, path)


def _used(footage: Footage, path: Path) -> Background:
    background = Background(path, probe_footage(path))
    match OriginalSound(footage.sound):
        case OriginalSound.OFF:
            return replace(background, gain_db=None)
        case OriginalSound.DUCK:
            return replace(background, gain_db=footage.duck_db)
        case _:
            return background
