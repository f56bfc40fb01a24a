"""What a process holds of the queue in Redis: its tickets on their way, and what it knows of their providers."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from providers.clock import RemoteClock, Timer
from providers.errors import PlaceLost, ProviderError, QueueError, SpeechError, UpstreamBusy
from providers.speech import ProviderConfig
from providers.tickets import QueueRules, Ticket, budget_spent, cancelled, queue_full, resting


@dataclass(eq=False, slots=True)
class Lane:
    """What this process knows of a provider. `told`: what the others know of its configuration through it; `usage` is
    what it read of the ledger for a Redis that knows nothing."""

    provider: ProviderConfig
    config: str
    zone: ZoneInfo
    told: str = ""
    usage: str = ""
    loading: asyncio.Task[None] | None = None
    timer: Timer | None = None

    def words(self, clock: RemoteClock, *, whole: bool = False) -> list[str]:
        """As every operation on a lane begins: see `visit` in the script."""
        news = self.config != self.told
        midnight = clock.monotonic() + clock.seconds_until_tomorrow(self.zone)
        today = str(clock.today(self.zone).toordinal())
        config = self.config if news or whole else ""
        return [str(self.provider.id), config, "1" if news else "", today, str(math.ceil(midnight * 1000))]


@dataclass(eq=False, slots=True)
class Place:
    """A ticket on its way. `score` is its place in line; `parked`: while the ledger is read; `unsure`: when its turn
    came (ms), where the lease of this process had ended; `begun`: whoever asked knows that it started; `lost`: others
    have its place."""

    ticket: Ticket
    lane: Lane
    rules: QueueRules
    turn: asyncio.Future[None]
    record: str
    task: asyncio.Task[object] | None
    score: str = ""
    parked: bool = False
    unsure: int | None = None
    begun: bool = False
    lost: bool = False

    @property
    def patient(self) -> bool:
        return self.rules.deadline is None


def only_lost(place: Place) -> bool:
    """Whether nobody but the queue itself ended what holds this place; then that end goes no further."""
    task = asyncio.current_task()
    return place.lost and task is not None and task is place.task and task.uncancel() == 0


def verdict(outcome: str, error: SpeechError | None) -> tuple[str, int]:
    """What the end of a call says about the provider, and for how many ms it asked to be left alone."""
    if outcome == "done":
        return "done", 0
    if not isinstance(error, ProviderError) or error.permanent:
        return "", 0
    return "failed", round((error.retry_after or 0) * 1000) if isinstance(error, UpstreamBusy) else 0


def refusal(place: Place, code: str, milliseconds: int) -> QueueError:
    provider = place.ticket.provider
    if code == "cancelled":
        return cancelled()
    if code == "full":
        return queue_full(provider, place.rules)
    return budget_spent(provider) if code == "budget" else resting(provider, milliseconds / 1000)


def place_lost(provider: ProviderConfig) -> PlaceLost:
    return PlaceLost(
        f"This server was out of touch so long that its place at “{provider.name}” was given to others. Try again.",
        retry_after=1,
    )
