from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from providers.clock import Clock, Timer


class _Timer:
    def __init__(self, at: float, callback: Callable[[], object]) -> None:
        self.at = at
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


class FakeClock(Clock):
    """Time that passes only in `advance`, which fires the timers on its way."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.start = start
        self.seconds = 1000.0
        self._timers: list[_Timer] = []

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds - 1000.0)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        timer = _Timer(self.seconds + seconds, callback)
        self._timers.append(timer)
        return timer

    async def settle(self) -> None:
        await settle()

    async def advance(self, seconds: float) -> None:
        end = self.seconds + seconds
        await self.settle()
        while timers := [timer for timer in self._timers if not timer.cancelled and timer.at <= end]:
            timer = min(timers, key=lambda timer: timer.at)
            self._timers.remove(timer)
            self.seconds = max(self.seconds, timer.at)
            timer.callback()
            await self.settle()
        self._timers = [timer for timer in self._timers if not timer.cancelled]
        self.seconds = end
        await self.settle()
