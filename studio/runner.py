"""Speaks takes on the server's loop, as many at once as their providers allow, and has exports made and texts read.

A take's row is the record; the runner holds in memory only what it speaks right now. It claims queued takes: those that
somebody waits for at once, those of batches never more than their provider can start. What a server that died left
running is queued again when the next one starts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError

from banks.delivery import Speech
from banks.roster import Speaker
from banks.speak import Wish, speak
from banks.storage import private_storage
from providers.database import in_database
from providers.engine import Engine, ask_engine
from providers.errors import BadAudio, PlaceLost, SpeechError
from providers.queue import Priority, QueueRules, Reason
from providers.speech import AudioFormat
from studio import claims, events, files, housekeeping
from studio.claims import Claim
from studio.exporter import Exporter
from studio.files import TakeFile
from studio.finishing import Finisher
from studio.models import Take, TakeState
from studio.models.takes import Ending
from studio.suggester import Suggester
from studio.tickets import made_for

logger = logging.getLogger(__name__)

# How soon takes are noticed that nobody told of, such as those of another process.
POLL_SECONDS = 5.0
# Between two looks at a disk that is full.
FULL_SECONDS = 15.0
STOP_SECONDS = 10.0
MAX_BYTES = 256 * 1024 * 1024
# Whoever waits in front of a page sees it and can cancel; a batch has all the time in the world.
PATIENT = QueueRules(max_waiting=1_000_000, deadline=None)
# A sentence that a listener waits for stays in the queue while its provider rests, like the batch that it is part of.
STEADY = replace(PATIENT, begun=True)

BROKEN = "Neiroha itself failed; the server's log says how."


class TakeBroken(SpeechError):
    code = "internal_error"


@dataclass(eq=False, slots=True)
class Job:
    """A take that is being spoken. `stopped` tells somebody's wish from the server's end."""

    take: Take
    provider_id: int | None
    stopped: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def batch(self) -> bool:
        return self.take.priority == Priority.BATCH

    def stop(self) -> None:
        self.stopped = True
        if self.task is not None:
            self.task.cancel()


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a running take is. `seconds`: until it may expect its place in the queue, or since it has it."""

    waiting: bool
    seconds: float
    provider: str = ""
    reason: Reason = Reason.PLACE
    """What it waits for."""


class Runner:
    """Belongs to one event loop; `close` ends what it speaks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: dict[int, Job] = {}
        self._awake = asyncio.Event()
        self._publisher = events.open_publisher()
        self._finisher = Finisher()
        self._exporter = Exporter()
        self._suggester = Suggester(engine)
        self._storing: set[asyncio.Task[None]] = set()
        self.full = False
        """Whether batches wait for room on the disk."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(each) for each in (self._work(), self._clear_away())]

    def wake(self) -> None:
        """There is something new to do."""
        self._awake.set()
        self._exporter.wake()
        self._suggester.wake()

    async def stop(self, pks: Iterable[int]) -> None:
        """End the jobs of these takes and wait until they are at their end."""
        jobs = [self._jobs[pk] for pk in pks if pk in self._jobs]
        for job in jobs:
            job.stop()
        if tasks := [job.task for job in jobs if job.task is not None]:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)

    async def rest(self) -> None:
        """Stop whatever is spoken now."""
        await self.stop(list(self._jobs))
        await self._suggester.rest()

    async def stages(self, project_id: int | None = None) -> dict[int, Stage]:
        """By the take's primary key, of all or of a project's. What has no place in the queue, and waits for none, is
        not among them."""
        queue, found = self._engine.queue, dict[int, Stage]()
        snapshot, now = await queue.snapshot(), queue.clock.monotonic()
        asked = [job for job in self._jobs.values() if project_id in (None, job.take.project_id)]
        jobs: dict[Callable[[], object] | None, int] = {job.stop: job.take.pk for job in asked}
        for waiting in snapshot.waiting:
            if pk := jobs.get(waiting.ticket.stop):
                found[pk] = Stage(True, waiting.expected, waiting.ticket.provider.name, waiting.reason)
        for ticket in snapshot.running:
            if pk := jobs.get(ticket.stop):
                found[pk] = Stage(False, now - (ticket.started_at or now), ticket.provider.name)
        return found

    async def close(self) -> None:
        tasks = [*self._tasks, *(job.task for job in self._jobs.values() if job.task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._storing, return_exceptions=True)
        await self._exporter.close()
        await self._suggester.close()
        await self._finisher.close()
        await events.close_publisher()

    # Claiming.

    async def _work(self) -> None:
        await _surely(housekeeping.recover)
        self._exporter.open()
        self._suggester.open()
        while True:
            self._awake.clear()
            try:
                await self._claim_all()
            except Exception:
                # Whatever it was, the takes of everybody else go on.
                logger.exception("Takes could not be claimed; the next try is in %d seconds.", POLL_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(FULL_SECONDS if self.full else POLL_SECONDS):
                    await self._awake.wait()

    async def _claim_all(self) -> None:
        self._start(await in_database(claims.interactive))
        self.full = not await in_database(files.has_room)
        if self.full:
            return
        busy = Counter(job.provider_id for job in self._jobs.values() if job.batch)
        self._start(await in_database(claims.batch, busy))

    def _start(self, claimed: Sequence[Claim]) -> None:
        loop = asyncio.get_running_loop()
        for claim in claimed:
            job = self._jobs[claim.take.pk] = Job(claim.take, claim.take.provider_id)
            job.task = loop.create_task(self._run(job, claim))
            job.task.add_done_callback(partial(self._ended, job))
            self._tell(claim.take)

    def _ended(self, job: Job, task: asyncio.Task[None]) -> None:
        del self._jobs[job.take.pk]
        if not task.cancelled() and (error := task.exception()):
            logger.error("Take %d was spoken, but not written.", job.take.pk, exc_info=error)
        self._awake.set()
        self._tell(job.take)

    def _tell(self, take: Take) -> None:
        if take.project_id is None:
            events.tell([take.pk])
        else:
            self._publisher.note(take.project_id, [] if take.line_id is None else [take.line_id])

    # Speaking.

    async def _run(self, job: Job, claim: Claim) -> None:
        try:
            made, figures = await self._made(job, claim)
        except asyncio.CancelledError:
            if job.stopped:
                await in_database(Take.objects.filter(pk=job.take.pk).cancel)
            raise
        except SpeechError as error:
            await self._finisher.settle(Ending.failed(job.take, error))
        else:
            await self._stored(job, made, figures)

    async def _made(self, job: Job, claim: Claim) -> tuple[TakeFile, dict[str, Any]]:
        try:
            if claim.speaker is None:
                raise claim.error or TakeBroken(BROKEN)
            speech, spoken = await self._heard_at_last(job, claim.speaker)
            made = await self._engine.in_thread(files.finished, spoken, AudioFormat(job.take.format))
        except SpeechError:
            raise
        except Exception as error:
            logger.exception("Take %d failed.", job.take.pk)
            raise TakeBroken(BROKEN) from error
        return made, _figures(speech)

    async def _stored(self, job: Job, made: TakeFile, figures: dict[str, Any]) -> None:
        """To its end even where the job is stopped meanwhile: then it finds the take cancelled, and leaves no file."""
        storing = asyncio.get_running_loop().create_task(self._store(job.take, made, figures))
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)
        try:
            await asyncio.shield(storing)
        except asyncio.CancelledError:
            if job.stopped:
                await in_database(Take.objects.filter(pk=job.take.pk).cancel)
            raise

    async def _store(self, take: Take, made: TakeFile, figures: dict[str, Any]) -> None:
        try:
            name = await asyncio.to_thread(files.write, made)
        except files.StorageError as error:
            self.full = self.full or isinstance(error, files.StorageFull)
            await self._finisher.settle(Ending.failed(take, error))
            return
        if await self._finisher.settle(Ending.done(take, name, made, **figures)) != TakeState.DONE:
            await asyncio.to_thread(private_storage().delete, name)

    async def _heard_at_last(self, job: Job, speaker: Speaker) -> tuple[Speech, bytes]:
        """A place that this process lost while it was frozen is no fault of the take's."""
        while True:
            try:
                return await self._heard(job, speaker)
            except PlaceLost:
                logger.warning("Take %d lost its place in the queue; it is spoken again.", job.take.pk)

    async def _heard(self, job: Job, speaker: Speaker) -> tuple[Speech, bytes]:
        take = job.take
        wish = Wish(
            text=take.spoken or take.text,
            pronounced=True,
            format=files.carrier(AudioFormat(take.format)),
            speed=take.made_with.speed,
            instructions=take.made_with.instruction,
            priority=Priority(take.priority),
            source=take.owner.get_username(),
            user_id=take.owner_id,
            stop=job.stop,
            made_for=made_for(take.pk),
            rules=PATIENT if take.project_id is None else STEADY,
        )
        spoken = bytearray()
        async with aclosing(await speak(speaker, wish, self._engine)) as speech:
            async for chunk in speech:
                spoken += chunk
                if len(spoken) > MAX_BYTES:
                    raise BadAudio(f"The sound has more than {MAX_BYTES >> 20} MB: speak a shorter text.")
        return speech, bytes(spoken)

    async def _clear_away(self) -> None:
        while True:
            await _surely(housekeeping.sweep)
            await asyncio.sleep(housekeeping.SWEEP_SECONDS)


async def _surely(work: Callable[[], object]) -> None:
    try:
        await in_database(work)
    except (DatabaseError, OSError):
        logger.exception("Takes could not be looked after.")


def _figures(speech: Speech) -> dict[str, Any]:
    inference = speech.inference_seconds
    return {
        "queue_ms": round(speech.queue_seconds * 1000),
        "inference_ms": None if inference is None else round(inference * 1000),
        "spoken_by": speech.speaker.name if speech.fallback_for else "",
    }


# The loop's own, and the way to it from pages.


_runners: WeakKeyDictionary[asyncio.AbstractEventLoop, Runner] = WeakKeyDictionary()


def open_runner(engine: Engine) -> Runner:
    runner = _runners[asyncio.get_running_loop()] = Runner(engine)
    return runner


def current_runner() -> Runner | None:
    """The running loop's; None where no server runs."""
    return _runners.get(asyncio.get_running_loop())


async def close_runner() -> None:
    runner = _runners.pop(asyncio.get_running_loop(), None)
    if runner is not None:
        await runner.close()


def _running() -> list[tuple[asyncio.AbstractEventLoop, Runner]]:
    return [(loop, runner) for loop, runner in list(_runners.items()) if loop.is_running()]


def wake() -> None:
    """From a thread: let the server see what was queued. Without one it waits for the next."""
    for loop, runner in _running():
        loop.call_soon_threadsafe(runner.wake)


def cancel(pks: Collection[int]) -> int:
    """From a thread: cancel what is open of these takes; how many were."""
    chosen = Take.objects.filter(pk__in=pks)
    # What waits first, so that nobody begins with it meanwhile.
    count = chosen.queued().cancel()
    running = list(chosen.open().values_list("pk", flat=True))
    for loop, runner in _running() if running else ():
        asyncio.run_coroutine_threadsafe(runner.stop(running), loop).result()
    chosen.cancel()
    events.announce_takes(pks)
    return count + len(running)


def stages(project_id: int | None = None) -> dict[int, Stage]:
    async def work(engine: Engine) -> dict[int, Stage]:
        runner = current_runner()
        return await runner.stages(project_id) if runner else {}

    return ask_engine(work)
