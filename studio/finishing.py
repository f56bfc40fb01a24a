"""Writing how takes ended. What ends while a transaction runs is written together by the next one."""

from __future__ import annotations

import asyncio
import logging

from django.db import InterfaceError, OperationalError

from providers import metrics
from providers.database import in_database
from providers.queue import Priority
from studio.models import Take, TakeState
from studio.models.takes import Ending

logger = logging.getLogger(__name__)

# In one transaction.
MOST = 200
# What nobody waits for is written with what ends soon after it: most of a transaction's work is the same for all of it.
LINGER_SECONDS = 0.02
RETRY_SECONDS = 2.0


class Finisher:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Ending, asyncio.Future[TakeState | None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._closing = False

    async def settle(self, ending: Ending) -> TakeState | None:
        """As `Take.objects.settle`."""
        settled: asyncio.Future[TakeState | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ending, settled))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())
        return await settled

    async def close(self) -> None:
        """Once what waits is written; what can't be is found by the next server as it was."""
        self._closing = True
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while self._waiting:
                if all(ending.take.priority == Priority.BATCH for ending, _ in self._waiting):
                    await asyncio.sleep(LINGER_SECONDS)
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._write_one(batch)
        finally:
            self._writing = None

    async def _write_one(self, batch: list[tuple[Ending, asyncio.Future[TakeState | None]]]) -> None:
        try:
            states = await self._settled([ending for ending, _ in batch])
        except Exception as error:
            # Each waits for it.
            for _, settled in batch:
                if not settled.done():
                    settled.set_exception(error)
            return
        for (_, settled), state in zip(batch, states, strict=True):
            if state is not None:
                metrics.counter(metrics.takes_ended, state.value).inc()
            if not settled.done():
                settled.set_result(state)

    async def _settled(self, endings: list[Ending]) -> list[TakeState | None]:
        """A database that can't be written to, since the disk is full or somebody else holds it, is waited for: what
        was spoken is not lost by it."""
        while True:
            try:
                return await in_database(Take.objects.settle, endings)
            except (OperationalError, InterfaceError):
                if self._closing:
                    raise
                logger.exception("How takes ended could not be written; the next try is in %d seconds.", RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
