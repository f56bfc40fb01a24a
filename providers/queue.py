"""The shared queue: nobody speaks through a provider without a slot of it.

`SharedQueue` is what callers depend on: `SpeechQueue` is in memory, for one event loop; redis_queue.py is shared by
several processes. First come, first served within a priority; interactive before batch, but after
`BATCH_TURN` interactive starts in a row a waiting batch request has its turn. Whoever is first waits for a place, for
the provider's minute to have room, and for its pauses to end; nobody overtakes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Protocol

from providers.clock import Clock
from providers.errors import ProviderError, QueueError, SpeechError, UpstreamBusy
from providers.lane import Lane
from providers.limits import NOTHING, Cost, StoredUsage
from providers.speech import ProviderConfig
from providers.tickets import (
    RECENT_TICKETS,
    Priority,
    QueueRules,
    Reason,
    Ticket,
    Waiting,
    budget_spent,
    cancelled,
    queue_full,
    refuse_over_a_day,
    resting,
    too_late,
)

__all__ = [
    "NOTHING",
    "Cost",
    "Priority",
    "QueueRules",
    "QueueSnapshot",
    "Reason",
    "SharedQueue",
    "SpeechQueue",
    "Ticket",
    "UsageLedger",
    "Waiting",
]


@dataclass(frozen=True, slots=True)
class Resting:
    """A provider that is left alone for so many seconds: after repeated failures (`cooling`), or as it asked."""

    provider: ProviderConfig
    seconds: float
    cooling: bool


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    running: tuple[Ticket, ...]
    waiting: tuple[Waiting, ...]
    recent: tuple[Ticket, ...]
    resting: tuple[Resting, ...] = ()


class UsageLedger(Protocol):
    """Remembers what was used, beyond the life of this process."""

    async def load(self, provider: ProviderConfig) -> StoredUsage: ...

    def note(self, provider: ProviderConfig, cost: Cost, at: datetime) -> None: ...


class SharedQueue(Protocol):
    @property
    def clock(self) -> Clock: ...

    @property
    def changes(self) -> int:
        """Grows whenever somebody enters, starts or ends."""
        ...

    @property
    def busy(self) -> bool:
        """Whether anybody runs, waits or rests."""
        ...

    def slot(
        self,
        provider: ProviderConfig,
        cost: Cost,
        *,
        priority: Priority = Priority.INTERACTIVE,
        source: str = "",
        rules: QueueRules | None = None,
        day: Cost | None = None,
        user_id: int | None = None,
        stop: Callable[[], object] | None = None,
        made_for: str = "",
    ) -> AbstractAsyncContextManager[Ticket]:
        """Wait for a place at the provider and hold it. Raises OverDailyBudget or a QueueError instead of a place.

        `day` is charged to the day's budget, where that is not the `cost`: the first piece of a long text pays for all
        of it, so that no text stops in the middle; `give_back` returns what was not used after all.
        How the block ends is what the provider did: a ProviderError that may pass counts towards its cooling down.
        """
        ...

    def give_back(self, provider: ProviderConfig, cost: Cost) -> None:
        """Return what was charged to the day's budget and not used."""
        ...

    async def cancel(self, ticket_id: int) -> bool:
        """End the wait of a ticket, or stop what runs under it. False when there is nothing to end under this id."""
        ...

    async def snapshot(self) -> QueueSnapshot: ...

    async def close(self) -> None:
        """Give back what is held; for when nothing waits any more."""
        ...


class SpeechQueue:
    def __init__(self, clock: Clock | None = None, ledger: UsageLedger | None = None) -> None:
        self.clock = clock or Clock()
        self.changes = 0
        self._ledger = ledger
        self._lanes: dict[int, Lane] = {}
        self._loading: dict[int, asyncio.Task[StoredUsage]] = {}
        self._ids = count(1)
        self._recent: deque[Ticket] = deque(maxlen=RECENT_TICKETS)

    @asynccontextmanager
    async def slot(
        self,
        provider: ProviderConfig,
        cost: Cost,
        *,
        priority: Priority = Priority.INTERACTIVE,
        source: str = "",
        rules: QueueRules | None = None,
        day: Cost | None = None,
        user_id: int | None = None,
        stop: Callable[[], object] | None = None,
        made_for: str = "",
    ) -> AsyncIterator[Ticket]:
        lane = self._lanes.get(provider.id) or await self._open_lane(provider)
        lane.configure(provider)
        rules = rules or QueueRules()
        ticket = Ticket(
            next(self._ids),
            provider,
            cost,
            priority,
            source,
            queued_at=self.clock.monotonic(),
            asked_at=self.clock.now(),
            day=day or cost,
            begun=rules.begun,
            user_id=user_id,
            stop=stop,
            made_for=made_for,
        )
        try:
            await self._take_turn(lane, ticket, rules)
            yield ticket
            self._end(lane, ticket, "done")
        except SpeechError as error:
            self._end(lane, ticket, error.code, error.message, error)
            raise
        except BaseException:
            self._end(lane, ticket, "left")
            raise

    def give_back(self, provider: ProviderConfig, cost: Cost) -> None:
        if lane := self._lanes.get(provider.id):
            lane.give_back(cost)

    async def cancel(self, ticket_id: int) -> bool:
        for lane in self._lanes.values():
            if running := lane.running.get(ticket_id):
                return _stop(running)
            for ticket in lane.waiting():
                if ticket.id == ticket_id:
                    return lane.refuse(ticket, cancelled())
        return False

    @property
    def busy(self) -> bool:
        return any(lane.running or lane.waiting_count() or lane.rest() for lane in self._lanes.values())

    async def snapshot(self) -> QueueSnapshot:
        lanes = self._lanes.values()
        running = [ticket for lane in lanes for ticket in lane.running.values()]
        waiting = [one for lane in lanes for one in lane.expectations()]
        resting = [Resting(lane.provider, lane.rest(), lane.cooling()) for lane in lanes if lane.rest()]
        return QueueSnapshot(tuple(running), tuple(waiting), tuple(self._recent), tuple(resting))

    async def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()

    async def _open_lane(self, provider: ProviderConfig) -> Lane:
        """The provider's lane with what was used before this process began; callers keep their order."""
        stored = None
        if self._ledger is not None:
            loading = self._loading.get(provider.id)
            if loading is None:
                loading = asyncio.ensure_future(self._ledger.load(provider))
                self._loading[provider.id] = loading
            try:
                stored = await asyncio.shield(loading)
            finally:
                if loading.done():
                    self._loading.pop(provider.id, None)
        return self._lanes.setdefault(provider.id, Lane(provider, self.clock, stored))

    async def _take_turn(self, lane: Lane, ticket: Ticket, rules: QueueRules) -> None:
        self._refuse_hopeless(lane, ticket, rules)
        self.changes += 1
        if lane.may_start_at_once(ticket):
            lane.start(ticket)
        else:
            await self._wait(lane, ticket, rules)
            self.changes += 1
        if self._ledger is not None:
            self._ledger.note(ticket.provider, ticket.cost, self.clock.now())

    def _refuse_hopeless(self, lane: Lane, ticket: Ticket, rules: QueueRules) -> None:
        provider = ticket.provider
        refuse_over_a_day(ticket)
        if ticket.priority is Priority.INTERACTIVE and not lane.day_allows(ticket):
            raise budget_spent(provider)
        rest = lane.rest()
        impatient = ticket.priority is Priority.INTERACTIVE and not ticket.begun
        if impatient and (lane.cooling() or rest > (rules.deadline or float("inf"))):
            raise resting(provider, rest)
        if lane.waiting_count() >= rules.max_waiting:
            raise queue_full(provider, rules)

    async def _wait(self, lane: Lane, ticket: Ticket, rules: QueueRules) -> None:
        ticket.turn = asyncio.get_running_loop().create_future()
        lane.enter(ticket)
        deadline = None
        if rules.deadline is not None:
            late = too_late(ticket.provider, rules.deadline)
            deadline = self.clock.call_later(rules.deadline, lambda: lane.refuse(ticket, late))
        try:
            await ticket.turn
        finally:
            if deadline is not None:
                deadline.cancel()

    def _end(
        self, lane: Lane, ticket: Ticket, outcome: str, message: str = "", error: SpeechError | None = None
    ) -> None:
        ticket.outcome, ticket.message, ticket.ended_at = outcome, message, self.clock.monotonic()
        self._recent.append(ticket)
        self.changes += 1
        started = ticket.id in lane.running
        lane.leave(ticket)
        if started and not isinstance(error, QueueError):
            self._judge(lane, ticket, error)
        lane.advance()

    def _judge(self, lane: Lane, ticket: Ticket, error: SpeechError | None) -> None:
        """What the end of a call says about the provider."""
        if ticket.outcome == "done":
            lane.breaker.succeeded()
        elif isinstance(error, ProviderError) and not error.permanent:
            if isinstance(error, UpstreamBusy) and error.retry_after:
                lane.breaker.pause(error.retry_after, self.clock.monotonic())
            if lane.breaker.failed(self.clock.monotonic()):
                lane.refuse_interactive(resting(ticket.provider, lane.rest()))


def _stop(ticket: Ticket) -> bool:
    if ticket.stop is None:
        return False
    ticket.stop()
    return True
