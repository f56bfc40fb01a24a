"""Speaks takes on the server's loop, as many at once as their providers allow, and has exports made and texts read.

A take's row is the record; the runner holds in memory only what it speaks right now. It claims queued takes: those that
somebody waits for at once, those of batches never more than their provider can start. What a server that died left
running is queued again when the next one starts.

Where several processes share the work each has a runner for slices of time (studio.slices), whose claims are leases,
and servers have none: see studio.workers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet

from banks.delivery import Speech
from banks.roster import Speaker
from banks.storage import StorageError
from providers import context, tracing
from providers.database import in_database, surely
from providers.engine import Engine, ask_engine
from providers.errors import PlaceLost, QueueUnreachable, SpeechError
from providers.speech import AudioFormat
from studio import claims, drivers, events, files, housekeeping
from studio.claims import Claim
from studio.exporter import Exporter
from studio.files import TakeFile
from studio.finishing import Finisher
from studio.models import Export, SuggestionRun, Take, TakeState
from studio.models.leases import Holder
from studio.models.takes import Ending
from studio.speaking import Job, count_sound, figures, heard
from studio.stages import Stage, stages_in
from studio.suggester import Suggester
from studio.workers import Workers

logger = logging.getLogger(__name__)

# How soon takes are noticed that nobody told of, such as those of another process.
POLL_SECONDS = 5.0
# Between two looks at a disk that is full.
FULL_SECONDS = 15.0
STOP_SECONDS = 10.0
# What passes by itself, and is no fault of the take.
OUTAGES = (OperationalError, InterfaceError, QueueUnreachable, PlaceLost)
OUTAGE_SECONDS = 3.0
# New takes are looked for when this share of what a provider has in hand has ended: each look takes as long as several
# takes together. It is what claims.batch begins with, at the least.
ENDED_SHARE = 1 / 8

BROKEN = "Neiroha itself failed; the server's log says how."


class TakeBroken(SpeechError):
    code = "internal_error"


class Runner:
    """Belongs to one event loop; `close` ends what it speaks. With a `lease` it is one of several."""

    def __init__(self, engine: Engine, lease: timedelta | None = None) -> None:
        self._engine, self._lease = engine, lease
        self._jobs: dict[int, Job] = {}
        self._in_hand: Counter[int | None] = Counter()
        """Jobs of batches by their provider, at the last look for new ones; and those that have ended since."""
        self._ended_since: Counter[int | None] = Counter()
        self._awake = asyncio.Event()
        self._publisher = events.open_publisher()
        self._finisher = Finisher()
        self._exporter = Exporter(lease)
        self._suggester = Suggester(engine, lease)
        self._storing: set[asyncio.Task[None]] = set()
        self._claiming: asyncio.Task[None] | None = None
        self._calling: asyncio.Task[bool] | None = None
        self._leaving = self._gone = False
        self.looked()
        self.full = False
        """Whether batches wait for room on the disk."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(each) for each in (self._work(), self._clear_away())]

    @property
    def busy(self) -> bool:
        return bool(self._jobs or self._claiming) or self._exporter.busy or self._suggester.busy

    @property
    def exporting(self) -> bool:
        return self._exporter.busy

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

    def held(self) -> dict[int, str]:
        """The claims of what is spoken, by the take's primary key."""
        return {pk: job.take.claim for pk, job in self._jobs.items()}

    def give_up(self, pks: Collection[int]) -> None:
        """What is not wanted any more, or spoken by somebody else."""
        for pk in pks:
            if job := self._jobs.get(pk):
                job.stop()

    def looked(self) -> None:
        """What is held was just looked at, and its leases are renewed in time."""
        self._looked = asyncio.get_running_loop().time()

    def _require_lease(self) -> None:
        """PlaceLost where this process stood still for so long that others may have spoken what it holds."""
        if self._lease and asyncio.get_running_loop().time() - self._looked > self._lease.total_seconds() / 2:
            raise PlaceLost("This worker stood still: it looks first at what is still its own.", retry_after=1)

    def holders(self) -> tuple[tuple[QuerySet[Any], Holder], ...]:
        """Whoever works at rows, each with those that it may work at."""
        return (
            (Take.objects.all(), self),
            (Export.objects.all(), self._exporter),
            (SuggestionRun.objects.all(), self._suggester),
        )

    def leave(self, *, wholly: bool = False) -> None:
        """Begin only with what somebody waits for from now on; or with nothing."""
        self._leaving, self._gone = True, wholly
        self._exporter.leave()
        self._suggester.leave()

    async def lay_down(self, *, batch_only: bool = False) -> None:
        """Queue again what has not begun to be spoken, for whoever comes next."""
        stages = await self.stages()
        await self._lay_down(
            [
                job
                for pk, job in self._jobs.items()
                if (job.batch or not batch_only)
                and (job.pausing or (not job.begun and (stage := stages.get(pk)) is not None and stage.waiting))
            ],
            begun=False,
        )

    async def rest(self) -> None:
        """Stop whatever is spoken now."""
        await self.stop(list(self._jobs))
        await self._suggester.rest()

    async def stages(self, project_id: int | None = None) -> dict[int, Stage]:
        return await stages_in(self._engine, project_id)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *filter(None, [self._claiming, self._calling]), return_exceptions=True)
        await self._exporter.close()
        await self._suggester.close()
        await self.lay_down()
        await self._lay_down(list(self._jobs.values()), begun=True)
        await self._finisher.close()
        await events.close_publisher()

    async def _lay_down(self, jobs: Collection[Job], *, begun: bool) -> None:
        for job in jobs:
            if job.task is not None:
                job.task.cancel()
        await asyncio.gather(*(job.task for job in jobs if job.task is not None), return_exceptions=True)
        await asyncio.gather(*self._storing, return_exceptions=True)
        if self._lease and jobs:
            claimed = {job.take.pk: job.take.claim for job in jobs}
            await surely(partial(Take.objects.lay_down, claimed, begun=begun))
            for job in jobs:
                self._tell(job.take)

    # Claiming.

    async def _work(self) -> None:
        if self._lease is None:
            await surely(housekeeping.recover)
        self._exporter.open()
        self._suggester.open()
        while True:
            self._awake.clear()
            # To its end even where this is cancelled: what is claimed is somebody's.
            self._claiming = asyncio.get_running_loop().create_task(self._claim_all())
            try:
                await asyncio.shield(self._claiming)
            except Exception:
                # Whatever it was, the takes of everybody else go on.
                logger.exception("Takes could not be claimed; the next try is in %d seconds.", POLL_SECONDS)
            self._claiming = None
            with suppress(TimeoutError):
                async with asyncio.timeout(FULL_SECONDS if self.full else POLL_SECONDS):
                    await self._awake.wait()

    async def _claim_all(self) -> None:
        if self._gone:
            return
        self._in_hand = self._busy()
        self._ended_since.clear()
        self._start(await in_database(claims.interactive, self._lease))
        self.full = not await in_database(files.works_again if self.full else files.has_room)
        if self.full or self._leaving:
            return
        claimed = await in_database(claims.batch, self._busy(), self._lease)
        self._start(claimed)
        self._in_hand = self._busy()
        if self._lease and len(claimed) >= claims.CHUNK:
            # There may be more, for whoever has nothing to do.
            self._calling = asyncio.get_running_loop().create_task(asyncio.to_thread(drivers.call))
            self._awake.set()

    def _busy(self) -> Counter[int | None]:
        return Counter(job.provider_id for job in self._jobs.values() if job.batch)

    def _start(self, claimed: Sequence[Claim]) -> None:
        loop = asyncio.get_running_loop()
        for claim in claimed:
            if was := self._jobs.get(claim.take.pk):
                # This process was frozen for so long that its lease on it lapsed.
                was.stop()
            job = self._jobs[claim.take.pk] = Job(claim.take, claim.take.provider_id)
            job.task = loop.create_task(self._run(job, claim))
            job.task.add_done_callback(partial(self._ended, job))
            self._tell(claim.take)

    def _ended(self, job: Job, task: asyncio.Task[None]) -> None:
        if self._jobs.get(job.take.pk) is job:
            del self._jobs[job.take.pk]
        if not task.cancelled() and (error := task.exception()):
            logger.error("Take %d was spoken, but not written.", job.take.pk, exc_info=error)
        self._ended_since[job.provider_id] += 1
        if self._ended_since[job.provider_id] >= ENDED_SHARE * self._in_hand[job.provider_id]:
            self._awake.set()
        self._tell(job.take)

    def _tell(self, take: Take) -> None:
        if take.project_id is None:
            events.tell([take.pk])
        else:
            self._publisher.note(take.project_id, [] if take.line_id is None else [take.line_id])

    # Speaking.

    async def _run(self, job: Job, claim: Claim) -> None:
        context.work_on(job.take.request_id, job.take.pk)
        with tracing.work_span("take", take=job.take.pk, request_id=job.take.request_id):
            await self._spoken(job, claim)

    async def _spoken(self, job: Job, claim: Claim) -> None:
        try:
            made, figures = await self._made(job, claim)
        except asyncio.CancelledError:
            if job.stopped:
                await self._cancelled(job)
            raise
        except SpeechError as error:
            logger.warning("Take %d failed: %s", job.take.pk, error.code)
            await self._finisher.settle(Ending.failed(job.take, error))
        else:
            await self._stored(job, made, figures)

    async def _made(self, job: Job, claim: Claim) -> tuple[TakeFile, dict[str, Any]]:
        try:
            if claim.speaker is None:
                raise claim.error or TakeBroken(BROKEN)
            speech, spoken = await self._heard(job, claim.speaker)
            in_thread = self._engine.in_spare_thread if job.batch else self._engine.in_thread
            made = await in_thread(files.finished, spoken, AudioFormat(job.take.format))
            count_sound(speech, made.duration)
        except SpeechError:
            raise
        except Exception as error:
            logger.exception("Take %d failed.", job.take.pk)
            raise TakeBroken(BROKEN) from error
        return made, figures(speech)

    async def _stored(self, job: Job, made: TakeFile, figures: dict[str, Any]) -> None:
        """To its end even where the job is stopped meanwhile: then it finds the take cancelled, and leaves no file."""
        storing = asyncio.get_running_loop().create_task(self._store(job.take, made, figures))
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)
        try:
            await asyncio.shield(storing)
        except asyncio.CancelledError:
            if job.stopped:
                await self._cancelled(job)
            raise

    async def _cancelled(self, job: Job) -> None:
        """Unless somebody else has it meanwhile."""
        await in_database(Take.objects.filter(pk=job.take.pk, claim=job.take.claim).cancel)

    async def _store(self, take: Take, made: TakeFile, figures: dict[str, Any]) -> None:
        try:
            name = await asyncio.to_thread(files.write, made)
        except StorageError as error:
            self.full = True
            await self._finisher.settle(Ending.failed(take, error))
            return
        if await self._finisher.settle(Ending.done(take, name, made, **figures)) != TakeState.DONE:
            await asyncio.to_thread(files.remove, name)

    async def _heard(self, job: Job, speaker: Speaker) -> tuple[Speech, bytes]:
        """One of several processes waits until those services answer again that all of them share; and for another
        place in the queue, where it was frozen for so long that it has lost its own."""
        while True:
            try:
                return await heard(job, speaker, self._engine, self._require_lease)
            except OUTAGES as error:
                if self._lease is None:
                    raise
                logger.warning("Take %d is spoken again in %d seconds: %s", job.take.pk, OUTAGE_SECONDS, error)
            job.pausing = True
            await asyncio.sleep(OUTAGE_SECONDS)
            job.pausing = job.begun = False

    async def _clear_away(self) -> None:
        while self._lease is None:
            await surely(housekeeping.sweep)
            await asyncio.sleep(housekeeping.SWEEP_SECONDS)


# The loop's own, and the way to it from pages.


_runners: WeakKeyDictionary[asyncio.AbstractEventLoop, Runner | Workers] = WeakKeyDictionary()


def open_runner(engine: Engine) -> Runner | Workers:
    """For a server: it speaks takes itself, or, where several processes share the work, has workers do it."""
    runner = _runners[asyncio.get_running_loop()] = Workers(engine) if settings.REDIS_URL else Runner(engine)
    return runner


def open_leased_runner(engine: Engine, lease: timedelta) -> Runner:
    """For a slice, in one of several processes."""
    runner = _runners[asyncio.get_running_loop()] = Runner(engine, lease)
    return runner


def current_runner() -> Runner | Workers | None:
    """The running loop's; None where no server runs."""
    return _runners.get(asyncio.get_running_loop())


async def close_runner() -> None:
    runner = _runners.pop(asyncio.get_running_loop(), None)
    if runner is not None:
        await runner.close()


def _running() -> list[tuple[asyncio.AbstractEventLoop, Runner | Workers]]:
    return [(loop, runner) for loop, runner in list(_runners.items()) if loop.is_running()]


def wake() -> None:
    """From a thread: let the server see what was queued. Without one it waits for the next."""
    for loop, runner in _running():
        loop.call_soon_threadsafe(runner.wake)
    if settings.REDIS_URL and not _running():
        drivers.call()


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
