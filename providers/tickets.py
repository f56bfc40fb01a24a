"""Places in the shared queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from providers.errors import DailyBudgetSpent, OverDailyBudget, ProviderResting, QueueCancelled, QueueFull, QueueTimeout
from providers.limits import Cost
from providers.speech import ProviderConfig

RECENT_TICKETS = 200


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
    `made_for` is what the speech is for, in the words of whoever asked, so that they know it again.
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
    made_for: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    outcome: str = ""
    message: str = ""
    turn: asyncio.Future[None] | None = field(default=None, repr=False)

    @property
    def waited(self) -> float:
        return (self.started_at or self.queued_at) - self.queued_at


@dataclass(frozen=True, slots=True)
class QueueRules:
    """How long a line may grow and how long (seconds) one may stand in it; None waits for ever.

    Speech that has `begun` waits, rather than being broken off, while its provider rests.
    """

    max_waiting: int = 1000
    deadline: float | None = 25.0
    begun: bool = False


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


def cancelled() -> QueueCancelled:
    return QueueCancelled("This request was cancelled while it waited.")


def queue_full(provider: ProviderConfig, rules: QueueRules) -> QueueFull:
    message = f"The queue of “{provider.name}” is full ({rules.max_waiting} requests wait). Try again soon."
    return QueueFull(message, retry_after=5)


def too_late(provider: ProviderConfig, deadline: float) -> QueueTimeout:
    return QueueTimeout(
        f"“{provider.name}” had no free place within {deadline:g} seconds. Try again soon.", retry_after=5
    )


def refuse_over_a_day(ticket: Ticket) -> None:
    """OverDailyBudget where no day has room for it."""
    provider, day = ticket.provider, ticket.day
    for asked, limit, unit in (
        (day.tokens, provider.tokens_per_day, "tokens"),
        (day.requests, provider.requests_per_day, "requests"),
    ):
        if limit and asked > limit:
            raise OverDailyBudget(
                f"This text takes about {asked} {unit}; “{provider.name}” may use {limit} a day. Send a shorter one.",
                param="input",
            )
