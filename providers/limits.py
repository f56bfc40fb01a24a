"""What a provider's limits still allow: sliding minutes, calendar days, pauses and cooling down.

Pure bookkeeping on given times; standard library only. `now` is a monotonic clock's, in seconds; days are told apart by
the calendar date in the provider's time zone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import date

from providers.speech import ProviderConfig

# Providers count what reaches them, each call a little later than it began here, and not all by as much.
MARGIN = 0.5
MINUTE = 60.0 + MARGIN
# So many failures in a row, each of a kind that may pass, close a provider for a while.
FAILURES_TO_COOL = 5
COOL_SECONDS, MAX_COOL_SECONDS = 15.0, 300.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one provider call uses of its limits; the characters of its text are only counted."""

    requests: int = 1
    tokens: int = 0
    characters: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.requests + other.requests, self.tokens + other.tokens, self.characters + other.characters)


NOTHING = Cost(requests=0)


@dataclass(frozen=True, slots=True)
class StoredUsage:
    """What was used before this process began: today's sums, and the last minute as (seconds ago, cost)."""

    day: date
    requests: int = 0
    tokens: int = 0
    recent: tuple[tuple[float, Cost], ...] = ()


class MinuteWindow:
    """The calls of the last minute."""

    def __init__(self) -> None:
        self._calls: deque[tuple[float, Cost]] = deque()
        self.requests = 0
        self.tokens = 0

    def add(self, cost: Cost, at: float) -> None:
        self._calls.append((at, cost))
        self.requests += cost.requests
        self.tokens += cost.tokens

    def wait(self, cost: Cost, limits: ProviderConfig, now: float) -> float:
        """Seconds until a call of this cost fits. One that is over the tokens of a whole minute waits to be alone."""
        return max(self.waits(cost, limits, now))

    def waits(self, cost: Cost, limits: ProviderConfig, now: float) -> tuple[float, float]:
        """As `wait`, for the requests and for the tokens alone."""
        self._forget(now)
        spare_requests = self._spare(limits.requests_per_minute, self.requests, cost.requests)
        spare_tokens = self._spare(limits.tokens_per_minute, self.tokens, cost.tokens)
        for_requests = for_tokens = 0.0
        for at, call in self._calls:
            if spare_requests >= 0 and spare_tokens >= 0:
                break
            gone = at + MINUTE - now
            for_requests = gone if spare_requests < 0 else for_requests
            for_tokens = gone if spare_tokens < 0 else for_tokens
            spare_requests += call.requests
            spare_tokens += call.tokens
        return for_requests, for_tokens

    @staticmethod
    def _spare(limit: int, used: int, asked: int) -> float:
        return limit - used - min(asked, limit) if limit else float("inf")

    def _forget(self, now: float) -> None:
        while self._calls and self._calls[0][0] <= now - MINUTE:
            _, call = self._calls.popleft()
            self.requests -= call.requests
            self.tokens -= call.tokens


class DayBudget:
    """The sums of one calendar day."""

    def __init__(self, stored: StoredUsage | None = None) -> None:
        self._day = stored.day if stored else date.min
        self.requests = stored.requests if stored else 0
        self.tokens = stored.tokens if stored else 0

    def add(self, cost: Cost, today: date) -> None:
        self._turn(today)
        self.requests += cost.requests
        self.tokens += cost.tokens

    def give_back(self, cost: Cost, today: date) -> None:
        self._turn(today)
        self.requests = max(self.requests - cost.requests, 0)
        self.tokens = max(self.tokens - cost.tokens, 0)

    def allows(self, cost: Cost, limits: ProviderConfig, today: date) -> bool:
        if cost == NOTHING:
            return True
        self._turn(today)
        requests_fit = not limits.requests_per_day or self.requests + cost.requests <= limits.requests_per_day
        tokens_fit = not limits.tokens_per_day or self.tokens + cost.tokens <= limits.tokens_per_day
        return requests_fit and tokens_fit

    def _turn(self, today: date) -> None:
        # Never back: a clock that is set back over midnight gives no second budget.
        if today > self._day:
            self._day, self.requests, self.tokens = today, 0, 0


class Breaker:
    """Closes a provider while it asked to be left alone, and after repeated failures until a probe succeeds."""

    def __init__(self) -> None:
        self._paused_until = 0.0
        self._cool_until = 0.0
        self._cool_seconds = COOL_SECONDS
        self._failures = 0

    def wait(self, now: float) -> float:
        """Seconds until anything may start."""
        return max(self._paused_until - now, self._cool_until - now, 0.0)

    def cooling(self, now: float) -> float:
        """Seconds that it still cools down; 0.0 when it does not."""
        return max(self._cool_until - now, 0.0)

    @property
    def probing(self) -> bool:
        """After cooling down, one call at a time, until one succeeds."""
        return self._failures >= FAILURES_TO_COOL

    def pause(self, seconds: float, now: float) -> None:
        self._paused_until = max(self._paused_until, now + seconds)

    def succeeded(self) -> None:
        self._failures, self._cool_seconds = 0, COOL_SECONDS

    def failed(self, now: float) -> bool:
        """Note a failure; True when the provider cools down from now on."""
        self._failures += 1
        if self._failures < FAILURES_TO_COOL or self.cooling(now):
            return False
        self._cool_until = now + self._cool_seconds
        self._cool_seconds = min(self._cool_seconds * 2, MAX_COOL_SECONDS)
        return True
