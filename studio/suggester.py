"""Has projects read by the chat model, a few of them at a time, on the server's loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from functools import partial

from django.utils.translation import gettext as _

from providers import chat_calls, tracing
from providers.database import in_database, surely
from providers.engine import Engine
from providers.errors import SpeechError
from providers.wording import PAUSES as PAUSES_TOLD
from providers.wording import duration
from studio.models import SuggestionRun, TakeState
from studio.readings import Reading, next_reading, store
from studio.speaker_prompt import Proposal, proposals

logger = logging.getLogger(__name__)

# How soon runs are noticed that nobody told of.
POLL_SECONDS = 5.0
AT_ONCE = 4
# Before each further try of a request that failed in a way that may pass.
PAUSES = (1.0, 5.0, 20.0)


class SuggestionsBroken(SpeechError):
    code = "internal_error"


class Suggester:
    """Belongs to one event loop; what `close` interrupts, the next server goes on with."""

    def __init__(self, engine: Engine, lease: timedelta | None = None) -> None:
        self._engine, self._lease = engine, lease
        self._runs: dict[int, SuggestionRun] = {}
        self._leaving = self._looking = False
        self._awake = asyncio.Event()
        self._readers: dict[int, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work())

    def wake(self) -> None:
        """There is something new, or something is not wanted any more."""
        self._awake.set()

    @property
    def busy(self) -> bool:
        return self._looking or bool(self._readers)

    def leave(self) -> None:
        """Send no further request; what is asked already is read."""
        self._leaving = True

    def held(self) -> dict[int, str]:
        """The claims of what is read, by primary key."""
        return {pk: run.claim for pk, run in self._runs.items()}

    def give_up(self, pks: Collection[int]) -> None:
        """What is not wanted any more, or read by somebody else."""
        for pk in pks:
            if reader := self._readers.get(pk):
                reader.cancel()

    async def rest(self) -> None:
        """Stop whatever is read now."""
        readers = list(self._readers.values())
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        left = list(self._runs.values())
        await self.rest()
        for run in left if self._lease else ():
            await surely(run.ours().put_back)

    async def _work(self) -> None:
        while True:
            self._awake.clear()
            self._looking = True
            try:
                await self._look()
            except Exception:
                # Whatever it was, the next look may be better.
                logger.exception("Suggestions could not be begun; the next try is in %d seconds.", POLL_SECONDS)
            finally:
                self._looking = False
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._awake.wait()

    async def _look(self) -> None:
        if self._readers:
            wanted = await in_database(_still_running, list(self._readers))
            self.give_up(self._readers.keys() - wanted)
        while not self._leaving and len(self._readers) < AT_ONCE:
            run = await in_database(SuggestionRun.objects.claim_next, self._lease)
            if run is None:
                return
            self._runs[run.pk] = run
            reader = self._readers[run.pk] = asyncio.get_running_loop().create_task(self._traced(run))
            reader.add_done_callback(partial(self._ended, run.pk))

    def _ended(self, pk: int, reader: asyncio.Task[None]) -> None:
        del self._readers[pk], self._runs[pk]
        if not reader.cancelled() and (error := reader.exception()):
            logger.error("Suggestions %d ended, but that was not written.", pk, exc_info=error)
        self._awake.set()

    async def _traced(self, run: SuggestionRun) -> None:
        with tracing.work_span("suggest speakers", run=run.pk):
            await self._read(run)

    async def _read(self, run: SuggestionRun) -> None:
        try:
            while (reading := await in_database(next_reading, run)) is not None:
                if self._leaving:
                    await in_database(run.ours().put_back)
                    return
                found = await self._answered(run, reading)
                if not await in_database(store, run, reading, found):
                    return
        except SpeechError as error:
            await in_database(run.fail, error)
        except Exception:
            logger.exception("Suggestions %d failed.", run.pk)
            await in_database(run.fail, SuggestionsBroken("Neiroha itself failed; the server's log says how."))
        else:
            await in_database(run.end, TakeState.DONE)

    async def _answered(self, run: SuggestionRun, reading: Reading) -> dict[int, Proposal]:
        for pause in PAUSES:
            try:
                return await self._once(run, reading)
            except SpeechError as error:
                if error.permanent:
                    raise
            await asyncio.sleep(pause)
        return await self._once(run, reading)

    async def _once(self, run: SuggestionRun, reading: Reading) -> dict[int, Proposal]:
        answer = await chat_calls.call(
            self._engine,
            run.sent_to,
            reading.request,
            source=run.owner.get_username(),
            user_id=run.owner_id,
            made_for=str(run.pk),
        )
        return await self._engine.in_thread(proposals, answer, reading.numbers)


def waits(run: SuggestionRun) -> str:
    """Why its next request is not sent yet, where that is more than its turn; from a thread."""
    waiting = chat_calls.waiting_for(str(run.pk)) if run.state == TakeState.RUNNING else None
    if waiting is None or waiting.reason not in PAUSES_TOLD:
        return ""
    values = {"time": duration(waiting.expected), "reason": PAUSES_TOLD[waiting.reason]}
    return _("The chat model waits %(time)s: %(reason)s") % values


def _still_running(pks: Collection[int]) -> set[int]:
    return set(SuggestionRun.objects.filter(pk__in=pks, state=TakeState.RUNNING).values_list("pk", flat=True))
