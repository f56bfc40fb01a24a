"""Makes the exports that are asked for, one after the other, in a thread."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import DatabaseError

from banks.storage import StoredFile, private_storage, storage_errors
from providers import tracing
from providers.audio import Cancelled
from providers.database import in_database, surely
from providers.errors import SpeechError
from providers.speech import PCM_SAMPLE_RATE, AudioFormat
from studio import files
from studio.dub_export import read_in_time, slots_in_time, write_in_time
from studio.dubbing import fits
from studio.export_chapters import write_chapters
from studio.export_files import ExportLine, Gaps, slots_of, write_merged, write_subtitles, write_zip
from studio.export_options import ExportOptions, What
from studio.exports import quota_beyond
from studio.kinds import kind
from studio.models import Export, Line, Project, TakeState
from studio.projects import cover_of

logger = logging.getLogger(__name__)

# How soon exports are noticed that nobody told of.
POLL_SECONDS = 5.0
# How often a page sees how far it is, and it is seen whether it is still wanted.
NOTE_SECONDS = 1.0
# Of the whole, measuring where each line lies, before a zip or subtitles are written.
_MEASURED = 0.5


class ExportBroken(SpeechError):
    code = "internal_error"


class Exporter:
    """Belongs to one event loop; what `close` interrupts is made anew by the next server."""

    def __init__(self, lease: timedelta | None = None) -> None:
        self._lease = lease
        self._awake = asyncio.Event()
        self._making: Export | None = None
        self._stop = threading.Event()
        """Of what is made."""
        self._leaving = False
        self.busy = False
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work())

    def wake(self) -> None:
        self._awake.set()

    def leave(self) -> None:
        """Begin with none any more."""
        self._leaving = True

    def held(self) -> dict[int, str]:
        """The claim of what is made, by primary key."""
        return {self._making.pk: self._making.claim} if self._making else {}

    def give_up(self, pks: Collection[int]) -> None:
        """What is not wanted any more, or made by somebody else."""
        if self._making and self._making.pk in pks:
            self._stop.set()

    async def close(self) -> None:
        self._leaving = True
        self._stop.set()
        left = self._making
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._lease and left:
            await surely(left.ours().put_back)

    async def _work(self) -> None:
        while True:
            self._awake.clear()
            try:
                while not self._leaving and await self._make_next():
                    continue
            except Exception:
                # Whatever it was, the next export may be made.
                logger.exception("An export could not be made; the next try is in %d seconds.", POLL_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._awake.wait()

    async def _make_next(self) -> bool:
        """Whether there was one."""
        self.busy = True
        try:
            self._making = await in_database(Export.objects.claim_next, self._lease)
            if self._making is None:
                return False
            self._stop = threading.Event()
            with tracing.work_span("export", export=self._making.pk):
                await in_database(make, self._making, self._stop)
            return True
        finally:
            self.busy, self._making = False, None


class _Watch:
    """Notes how far a running export is, and learns from its row whether it is still wanted."""

    def __init__(self, export: Export, closing: threading.Event) -> None:
        self._export, self._closing = export, closing
        self._noted, self._unwanted = time.monotonic(), False

    def progress(self, fraction: float) -> None:
        now = time.monotonic()
        if now - self._noted >= NOTE_SECONDS:
            self._noted = now
            try:
                self._unwanted = self._export.ours().update(progress=min(max(fraction, 0.0), 1.0)) != 1
            except DatabaseError:
                logger.exception("How far export %d is could not be written.", self._export.pk)

    def measuring(self, fraction: float) -> None:
        self.progress(_MEASURED * fraction)

    def writing(self, fraction: float) -> None:
        self.progress(_MEASURED + (1 - _MEASURED) * fraction)

    def cancelled(self) -> bool:
        return self._unwanted or self._closing.is_set()

    def go_on(self) -> None:
        """While files are fetched. Cancelled."""
        self.progress(0.0)
        if self.cancelled():
            raise Cancelled


def make(export: Export, closing: threading.Event) -> None:
    """Make a running export to its end; where the server is `closing`, the next one does it from the beginning."""
    options = ExportOptions.read(export.options_json)
    name = files.new_name(files.EXPORTS, options.format)
    try:
        with storage_errors():
            with private_storage().making(name) as path:
                duration = _written(export, options, path, _Watch(export, closing))
                size = _room_for(export, path, options.what)
            if not export.end(TakeState.DONE, file=name, size=size, duration=duration, progress=1.0):
                files.remove(name)
    except Cancelled:
        # Its row says so already, or it stays as it is for the next server.
        return
    except SpeechError as error:
        export.fail(error)
    except Exception:
        logger.exception("Export %d failed.", export.pk)
        export.fail(ExportBroken("Neiroha itself failed; the server's log says how."))


def _written(export: Export, options: ExportOptions, path: Path, watch: _Watch) -> float | None:
    """Write the file; the seconds of what is heard in it."""
    rows = _chosen(export, options)
    with private_storage().local_copies(_stored(rows), watch.go_on) as paths:
        lines = _export_lines(export.project, rows, paths)
        if kind(export.project.kind).timed:
            return _written_in_time(export, options, path, watch, rows, lines)
        return _written_in_turn(export, options, path, watch, lines)


def _written_in_turn(
    export: Export, options: ExportOptions, path: Path, watch: _Watch, lines: list[ExportLine]
) -> float | None:
    """The same where each line is heard behind the one before."""
    gaps = Gaps(options.gap_ms / 1000, options.chapter_gap_ms / 1000)
    title, cancelled = export.project.name, watch.cancelled
    if options.what in (What.AUDIO, What.CHAPTERS):
        shared: dict[str, Any] = {
            "gaps": gaps,
            "progress": watch.progress,
            "cancelled": cancelled,
            "title": title,
            "author": _author(export.project),
            "cover": cover_of(export.project),
            "loudness": options.loudness,
        }
        if options.what is What.CHAPTERS:
            return write_chapters(lines, path, options.target, **shared)
        return write_merged(lines, path, options.target, **shared).duration
    slots = slots_of(lines, gaps, progress=watch.measuring, cancelled=cancelled)
    if options.what is What.FILES:
        write_zip(lines, slots, path, progress=watch.writing, cancelled=cancelled, title=title)
    else:
        write_subtitles(lines, slots, path, options.format, speakers=options.speaker_prefix)
    return slots[-1].end if slots else None


def _written_in_time(
    export: Export, options: ExportOptions, path: Path, watch: _Watch, rows: list[Line], lines: list[ExportLine]
) -> float | None:
    """The same where each line has a time of its own."""
    project, known = export.project, fits(export.project)
    fitted = [known[row.pk] for row in rows]
    match options.what:
        case What.FILES:
            slots = slots_in_time(lines, fitted)
            write_zip(lines, slots, path, progress=watch.progress, cancelled=watch.cancelled, title=project.name)
            return max((slot.end for slot in slots), default=None)
        case What.SUBTITLES:
            slots = read_in_time(lines, fitted)
            write_subtitles(lines, slots, path, options.format, speakers=options.speaker_prefix)
            return max((slot.end for slot in slots), default=None)
        case _:
            return write_in_time(
                project,
                lines,
                fitted,
                options,
                path,
                author=_author(project),
                progress=watch.progress,
                cancelled=watch.cancelled,
            )


def _author(project: Project) -> str:
    return project.author or project.owner.get_full_name() or project.owner.get_username()


def _chosen(export: Export, options: ExportOptions) -> list[Line]:
    """As they are now, in order. InvalidRequest."""
    chosen = options.chosen(export.project.lines.all(), timed=kind(export.project.kind).timed)
    return list(chosen.select_related("take", "character").defer("take__waveform", "take__made_with_json"))


def _stored(lines: Iterable[Line]) -> list[StoredFile]:
    # Two lines may share a take.
    takes: dict[str, Any] = {str(line.take.file.name): line.take for line in lines if line.take}
    return [StoredFile(name, take.size) for name, take in takes.items()]


def _export_lines(project: Project, lines: Iterable[Line], paths: dict[str, Path]) -> list[ExportLine]:
    """Each with its number in the project."""
    numbers = {pk: number for number, pk in enumerate(project.lines.values_list("pk", flat=True), start=1)}
    return [_export_line(numbers[line.pk], line, paths) for line in lines]


def _export_line(number: int, line: Line, paths: dict[str, Path]) -> ExportLine:
    take: Any = line.take
    return ExportLine(
        index=number,
        speaker=line.character.name if line.character else line.speaker,
        text=take.text,
        path=paths[take.file.name],
        format=AudioFormat(take.format),
        duration=take.duration or 0.0,
        chapter=line.chapter,
        sample_rate=PCM_SAMPLE_RATE,
        end=None if line.end_ms is None else line.end_ms / 1000,
    )


def _room_for(export: Export, path: Path, what: What) -> int:
    """The bytes of the file, for which its owner's quota has room. QuotaSpent."""
    size = path.stat().st_size
    if spent := quota_beyond(export.owner, size, what):
        raise spent
    return size
