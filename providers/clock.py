"""Time for the queue, so that tests can hold it in their hands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock:
    """The system's clocks and the running event loop's timers."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)

    def today(self, zone: tzinfo) -> date:
        return self.now().astimezone(zone).date()

    def seconds_until_tomorrow(self, zone: tzinfo) -> float:
        """Until the date changes in the zone; at least a second."""
        now = self.now().astimezone(zone)
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), zone)
        return max((midnight.astimezone(UTC) - now.astimezone(UTC)).total_seconds(), 1.0)


class RemoteClock(Clock):
    """Another machine's clock, as its answers tell it; this one's until the first."""

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()
        self._known = False

    def learn(self, milliseconds: float) -> None:
        """What its clock showed on the way of an answer, which is no more than it shows now."""
        ahead = milliseconds / 1000 - time.monotonic()
        # The shortest way tells it best; a jump is a clock that was set.
        if not self._known or ahead > self._ahead or ahead < self._ahead - 1:
            self._ahead, self._known = ahead, True

    def stamp(self) -> str:
        """The time in milliseconds for whoever has no better clock; empty: the other machine is to take its own."""
        return ""

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.monotonic(), UTC)
