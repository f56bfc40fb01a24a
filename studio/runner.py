"""Speaks takes on the server's loop, and clears away what nobody wants any more.

A take's row is the record; the runner holds in memory only what it speaks right now. What it did not speak to the end
because the server stopped is found at the next start and fails, saying so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError
from django.utils import timezone

from banks.delivery import Speech
from banks.roster import Speaker
from banks.speak import Wish, speak
from providers import adapters
from providers.database import in_database
from providers.engine import Engine, ask_engine
from providers.errors import BadAudio, ProviderUnavailable, SpeechError
from providers.models import Provider
from providers.queue import QueueRules
from providers.speech import AudioFormat, ProviderConfig
from studio import files
from studio.frozen import FrozenVoice
from studio.models import StudioSettings, Take

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 3600.0
# Between a take's row and its start in the runner lies less than this.
START_SECONDS = 60.0
STOP_SECONDS = 10.0
MAX_BYTES = 256 * 1024 * 1024
# Whoever waits in front of a page sees it and can cancel.
PATIENT = QueueRules(deadline=None)


class TakeBroken(SpeechError):
    code = "internal_error"


@dataclass(eq=False, slots=True)
class Job:
    """A take that is being spoken. `stopped` tells somebody's wish from the server's end."""

    pk: int
    stopped: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def stop(self) -> None:
        self.stopped = True
        if self.task is not None:
            self.task.cancel()


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a running take is. `seconds`: until it may expect its place in the queue, or since it has it."""

    waiting: bool
    seconds: float


class Runner:
    """Belongs to one event loop; `close` ends what it speaks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: dict[int, Job] = {}
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep(timezone.now()))

    def start(self, pk: int) -> None:
        """Speak a queued take."""
        if pk in self._jobs:
            return
        job = self._jobs[pk] = Job(pk)
        job.task = asyncio.get_running_loop().create_task(self._run(job))
        job.task.add_done_callback(lambda _: self._jobs.pop(pk, None))

    async def stop(self, pks: Iterable[int]) -> None:
        """End the jobs of these takes and wait until they are at their end."""
        jobs = [self._jobs[pk] for pk in pks if pk in self._jobs]
        for job in jobs:
            job.stop()
        if tasks := [job.task for job in jobs if job.task is not None]:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)

    def stages(self) -> dict[int, Stage]:
        """By the take's primary key. What has no place in the queue, and waits for none, is not among them."""
        queue, found = self._engine.queue, dict[int, Stage]()
        snapshot, now = queue.snapshot(), queue.clock.monotonic()
        jobs: dict[Callable[[], object] | None, int] = {job.stop: pk for pk, job in self._jobs.items()}
        for waiting in snapshot.waiting:
            if pk := jobs.get(waiting.ticket.stop):
                found[pk] = Stage(True, waiting.expected)
        for ticket in snapshot.running:
            if pk := jobs.get(ticket.stop):
                found[pk] = Stage(False, now - (ticket.started_at or now))
        return found

    async def close(self) -> None:
        tasks = [self._sweeping, *(job.task for job in self._jobs.values() if job.task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        try:
            await self._speak(job)
        except asyncio.CancelledError:
            if not job.stopped:
                raise
            await in_database(Take.objects.filter(pk=job.pk).cancel)

    async def _speak(self, job: Job) -> None:
        take = await in_database(Take.objects.claim, job.pk)
        if take is None:
            return
        try:
            speaker = await in_database(speaker_of, take)
            speech, spoken = await self._heard(take, speaker, job)
            made = await self._engine.in_thread(files.finished, spoken, AudioFormat(take.format))
            await in_database(take.complete, made, **_figures(speech))
        except SpeechError as error:
            await in_database(take.fail, error)
        except Exception:
            logger.exception("Take %d failed.", take.pk)
            broken = TakeBroken("Neiroha itself failed; the server's log says how.")
            await in_database(take.fail, broken)

    async def _heard(self, take: Take, speaker: Speaker, job: Job) -> tuple[Speech, bytes]:
        wish = Wish(
            text=take.text,
            format=files.carrier(AudioFormat(take.format)),
            speed=take.made_with.speed,
            instructions=take.made_with.instruction,
            source=take.owner.get_username(),
            user_id=take.owner_id,
            stop=job.stop,
            rules=PATIENT,
        )
        spoken = bytearray()
        async with aclosing(await speak(speaker, wish, self._engine)) as speech:
            async for chunk in speech:
                spoken += chunk
                if len(spoken) > MAX_BYTES:
                    raise BadAudio(f"The sound has more than {MAX_BYTES >> 20} MB: speak a shorter text.")
        return speech, bytes(spoken)

    async def _sweep(self, begun: datetime) -> None:
        await _swept(partial(recover, begun))
        while True:
            await _swept(partial(sweep, tuple(self._jobs)))
            await asyncio.sleep(SWEEP_SECONDS)


def _figures(speech: Speech) -> dict[str, Any]:
    inference = speech.inference_seconds
    return {
        "queue_ms": round(speech.queue_seconds * 1000),
        "inference_ms": None if inference is None else round(inference * 1000),
        "spoken_by": speech.speaker.name if speech.fallback_for else "",
    }


def speaker_of(take: Take) -> Speaker:
    """As it was frozen, with its provider as it is now. ProviderUnavailable."""
    voice = take.made_with.voice
    speaker = voice.speaker(_config)
    if speaker is None:
        raise ProviderUnavailable(f"Provider “{voice.provider}” is switched off or was removed: choose another voice.")
    return speaker


def _config(voice: FrozenVoice) -> ProviderConfig | None:
    usable = Provider.objects.present().filter(enabled=True, kind__in=list(adapters.kinds()))
    provider = usable.filter(pk=voice.provider_id).first()
    return provider.config() if provider else None


# Clearing away.


async def _swept(work: partial[None]) -> None:
    try:
        await in_database(work)
    except (DatabaseError, OSError):
        logger.exception("Takes could not be cleared away; the next try is in an hour.")


def recover(begun: datetime) -> None:
    """What a server left that was killed: takes in the middle, and files that were being written."""
    if interrupted := Take.objects.filter(created_at__lt=begun).interrupt():
        logger.warning("%d takes were interrupted when the server stopped.", interrupted)
    files.remove_parts()


def sweep(spoken_now: Collection[int]) -> None:
    """Discard what is past its days, fail what nobody speaks, remove files that no take names."""
    started = timezone.now() - timedelta(seconds=START_SECONDS)
    Take.objects.filter(created_at__lt=started).exclude(pk__in=spoken_now).interrupt()
    expired = Take.objects.expired(StudioSettings.load().retention_days)
    while batch := list(expired.values_list("pk", flat=True)[:200]):
        Take.objects.filter(pk__in=batch).delete()
    files.remove_orphans(lambda names: Take.objects.filter(file__in=names).values_list("file", flat=True))


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


def start(take: Take) -> None:
    """Let the server speak a queued take. Without one it waits, until the next server says that it was interrupted."""

    async def work(engine: Engine) -> None:
        if runner := current_runner():
            runner.start(take.pk)

    ask_engine(work)


def cancel(pks: Collection[int]) -> int:
    """Cancel what is open of these takes; how many were."""

    async def work(engine: Engine) -> None:
        if runner := current_runner():
            await runner.stop(pks)

    before = Take.objects.filter(pk__in=pks).open().count()
    ask_engine(work)
    Take.objects.filter(pk__in=pks).cancel()
    return before


def stages() -> dict[int, Stage]:
    async def work(engine: Engine) -> dict[int, Stage]:
        runner = current_runner()
        return runner.stages() if runner else {}

    return ask_engine(work)
