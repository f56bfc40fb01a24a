"""Driving the runner for a slice of time, where several processes share the work.

A slice ends when there is nothing more to do, or when it is over: then it queues again what still waits for its turn,
calls the next driver and speaks what it has begun to its end. Somebody who waits is served until then. While it holds
anything it renews the leases of it, and looks every second whether that is still wanted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.db import DatabaseError
from django.db.models import QuerySet

from providers.database import in_database
from providers.engine import Engine
from studio import drivers, events, housekeeping
from studio.models import leases
from studio.runner import Runner, close_runner, open_leased_runner

logger = logging.getLogger(__name__)

SLICE_SECONDS = 15.0
# With nothing to do.
IDLE_SECONDS = 1.0
# In which what was begun, and what somebody waits for, comes to its end. Exports have all the time that they take.
LONGEST_SECONDS = 900.0
# The same where the process is asked to end.
GRACE_SECONDS = 10.0
LOOK_SECONDS = 0.1
WATCH_SECONDS = 1.0
RENEW_SECONDS = 4.0


async def drive(engine: Engine, stopping: Callable[[], bool]) -> None:
    """Speak, make exports and read texts for a slice of time; until `stopping` says that the process ends."""
    runner = open_leased_runner(engine, leases.LEASE)
    try:
        await _Slice(runner, stopping).run()
    finally:
        await close_runner()


class _Slice:
    def __init__(self, runner: Runner, stopping: Callable[[], bool]) -> None:
        self._runner, self._stopping = runner, stopping
        self._watch = asyncio.Event()
        self._time = asyncio.get_running_loop().time
        self._renewed = self._time()

    async def run(self) -> None:
        beside = [
            asyncio.create_task(self._keep()),
            asyncio.create_task(events.hear(events.SPEAKERS, self._heard, self._runner.wake)),
        ]
        try:
            if await self._until_over():
                await self._leave()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _until_over(self) -> bool:
        """False where there was nothing more to do before."""
        end, busy_at = self._time() + SLICE_SECONDS, self._time()
        while self._time() < end and not self._stopping():
            if self._runner.busy:
                busy_at = self._time()
            elif self._time() - busy_at >= IDLE_SECONDS:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    async def _leave(self) -> None:
        self._runner.leave()
        await self._runner.lay_down(batch_only=True)
        await self._call_next()
        end = self._time() + LONGEST_SECONDS
        while self._runner.busy and not self._stopping() and (self._time() < end or self._runner.exporting):
            await asyncio.sleep(LOOK_SECONDS)
        await self._end()
        # What ended meanwhile may have left something.
        await self._call_next()

    async def _end(self) -> None:
        """Begin with nothing any more, not even for somebody who waits."""
        self._runner.leave(wholly=True)
        await self._runner.lay_down()
        end = self._time() + GRACE_SECONDS
        while self._runner.busy and self._time() < end:
            await asyncio.sleep(LOOK_SECONDS)

    async def _call_next(self) -> None:
        try:
            if await in_database(housekeeping.any_waiting):
                await asyncio.to_thread(drivers.call)
        except DatabaseError:
            logger.exception("It is not known whether more is to be done; the sweeper looks later.")

    def _heard(self, message: Any) -> None:
        self._runner.wake()
        self._watch.set()

    # What is held.

    async def _keep(self) -> None:
        while True:
            self._watch.clear()
            try:
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._watch.wait()
            except TimeoutError:
                pass
            try:
                await self._look()
            except DatabaseError:
                logger.exception("Leases could not be renewed.")

    async def _look(self) -> None:
        renewing = self._time() - self._renewed >= RENEW_SECONDS
        if renewing:
            self._renewed = self._time()
        for rows, holder in self._runner.holders():
            if held := holder.held():
                lost = await in_database(_looked_after, rows, held, renewing=renewing)
                now = holder.held()
                holder.give_up([pk for pk in lost if now.get(pk) == held[pk]])
        self._runner.looked()


def _looked_after(rows: QuerySet[Any], held: Mapping[int, str], *, renewing: bool) -> set[int]:
    """Those that count no more."""
    if renewing:
        leases.renew(rows, held, leases.LEASE)
    return leases.lost(rows, held)
