"""Places in the shared queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from providers.errors import DailyBudgetSpent, ProviderResting
from providers.limits import Cost
from providers.speech import ProviderConfig


class Priority(IntEnum):
    INTERACTIVE = 0
    BATCH = 1


class Reason(StrEnum):
    """What somebody waits for longest."""

    PLACE = "place"
    REQUESTS = "requests_per_minute"
    TOKENS = "tokens_per_minute"
    DAY = "day"
    REST = "rest"
    """The provider asked for a pause, or cools down."""


@dataclass(eq=False, slots=True)
class Ticket:
    """One place in the queue. Times are of the queue's clock; `started_at` is None while waiting.

    `source` names who asked, for people; `user_id` is the user behind it, and `stop` ends what already runs for it.
    `day` is what it takes of the day's budget. Whose speech has `begun` waits where others are refused.
    `outcome` is empty until the end, then "done", "left" (whoever asked went away) or an error's code, which `message`
    explains.
    """

    id: int
    provider: ProviderConfig
    cost: Cost
    priority: Priority
    source: str
    queued_at: float
    asked_at: datetime
    day: Cost
    begun: bool = False
    user_id: int | None = None
    stop: Callable[[], object] | None = field(default=None, repr=False)
    started_at: float | None = None
    ended_at: float | None = None
    outcome: str = ""
    message: str = ""
    turn: asyncio.Future[None] | None = field(default=None, repr=False)

    @property
    def waited(self) -> float:
        return (self.started_at or self.queued_at) - self.queued_at


@dataclass(frozen=True, slots=True)
class Waiting:
    """A waiting ticket, the seconds in which it may expect to start, and what it waits for."""

    ticket: Ticket
    expected: float
    reason: Reason = Reason.PLACE


def budget_spent(provider: ProviderConfig) -> DailyBudgetSpent:
    return DailyBudgetSpent(
        f"Today's budget of “{provider.name}” is spent; it starts anew at midnight ({provider.time_zone}).",
        retry_after=60,
    )


def resting(provider: ProviderConfig, seconds: float) -> ProviderResting:
    return ProviderResting(
        f"“{provider.name}” is not asked for another {max(round(seconds), 1)} seconds, after it failed or asked for"
        " a pause.",
        retry_after=max(seconds, 1),
    )
