"""One provider's line in the shared queue: who runs, who waits, and who is next."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from providers.clock import Clock, Timer
from providers.errors import QueueError
from providers.expectations import Standing, expectations
from providers.limits import Breaker, Cost, DayBudget, MinuteWindow, StoredUsage
from providers.speech import ProviderConfig
from providers.tickets import Ticket, Waiting, budget_spent

BATCH_TURN = 4
# A guess until the first call has ended.
TYPICAL_SECONDS = 2.0


class Lane:
    def __init__(self, provider: ProviderConfig, clock: Clock, stored: StoredUsage | None = None) -> None:
        self.running: dict[int, Ticket] = {}
        self.breaker = Breaker()
        self._clock = clock
        self.provider = provider
        self._interactive: dict[int, Ticket] = {}
        self._batch: dict[int, Ticket] = {}
        self._interactive_in_a_row = 0
        self._minute = MinuteWindow()
        self._day = DayBudget(stored)
        self._typical = TYPICAL_SECONDS
        self._timer: Timer | None = None
        for seconds_ago, cost in stored.recent if stored else ():
            self._minute.add(cost, clock.monotonic() - seconds_ago)

    def configure(self, provider: ProviderConfig) -> None:
        """The limits as they are now; another address or key is another chance. A call that began with older values
        does not bring them back."""
        if provider.version < self.provider.version:
            return
        old, self.provider = self.provider, provider
        if (old.kind, old.base_url, old.key) != (provider.kind, provider.base_url, provider.key):
            self.breaker = Breaker()
        if old != provider:
            self.advance()

    def waiting_count(self) -> int:
        return len(self._interactive) + len(self._batch)

    def waiting(self) -> Iterator[Ticket]:
        yield from self._interactive.values()
        yield from self._batch.values()

    def rest(self) -> float:
        return self.breaker.wait(self._clock.monotonic())

    def cooling(self) -> bool:
        return self.breaker.cooling(self._clock.monotonic()) > 0

    def day_allows(self, ticket: Ticket) -> bool:
        return self._day.allows(ticket.day, self.provider, self._clock.today(self._zone))

    def may_start_at_once(self, ticket: Ticket) -> bool:
        return not self.waiting_count() and self._has_room() and self.day_allows(ticket) and not self._wait_for(ticket)

    def start(self, ticket: Ticket) -> None:
        now = self._clock.monotonic()
        ticket.started_at = now
        self.running[ticket.id] = ticket
        self._minute.add(ticket.cost, now)
        self._day.add(ticket.day, self._clock.today(self._zone))
        self._interactive_in_a_row = 0 if ticket.priority else self._interactive_in_a_row + 1

    def give_back(self, cost: Cost) -> None:
        """Return an unused share of the day's budget."""
        self._day.give_back(cost, self._clock.today(self._zone))
        self.advance()

    def enter(self, ticket: Ticket) -> None:
        self._line(ticket)[ticket.id] = ticket
        self.advance()

    def leave(self, ticket: Ticket) -> None:
        if self.running.pop(ticket.id, None) and ticket.outcome == "done":
            seconds = self._clock.monotonic() - (ticket.started_at or 0.0)
            self._typical += 0.2 * (seconds - self._typical)
        self._line(ticket).pop(ticket.id, None)

    def refuse(self, ticket: Ticket, error: QueueError) -> bool:
        """End a wait; False when it is over already."""
        self._line(ticket).pop(ticket.id, None)
        if ticket.turn is None or ticket.turn.done():
            return False
        ticket.turn.set_exception(error)
        return True

    def refuse_interactive(self, error: QueueError) -> None:
        for ticket in [ticket for ticket in self._interactive.values() if not ticket.begun]:
            self.refuse(ticket, type(error)(error.message, retry_after=error.retry_after))

    def advance(self) -> None:
        """Start whoever may start now; set the timer for who may start later."""
        self.close()
        while self._has_room() and (ticket := self._next()) is not None:
            if seconds := self._wait_for(ticket):
                self._timer = self._clock.call_later(seconds, self.advance)
                return
            self._line(ticket).pop(ticket.id)
            if ticket.turn is not None and not ticket.turn.done():
                ticket.turn.set_result(None)
                self.start(ticket)
        if self._batch and self._has_room():
            # Only a new day helps those that are left.
            self._timer = self._clock.call_later(self._clock.seconds_until_tomorrow(self._zone), self.advance)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def expectations(self) -> Iterator[Waiting]:
        """Who waits, in the order of their turns."""
        standing = Standing(self.provider, self._minute, self._day, self.rest(), self._at_once, self._typical)
        return expectations(self.waiting(), standing, self._clock)

    @property
    def _at_once(self) -> int:
        return 1 if self.breaker.probing else self.provider.max_concurrency

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.provider.time_zone)

    def _line(self, ticket: Ticket) -> dict[int, Ticket]:
        return self._batch if ticket.priority else self._interactive

    def _has_room(self) -> bool:
        return len(self.running) < self._at_once

    def _wait_for(self, ticket: Ticket) -> float:
        now = self._clock.monotonic()
        return max(self.breaker.wait(now), self._minute.wait(ticket.cost, self.provider, now))

    def _next(self) -> Ticket | None:
        """Whose turn it is. Batch waits for the next day once this one's budget is spent; interactive is refused."""
        while self._interactive and not self.day_allows(head := next(iter(self._interactive.values()))):
            self.refuse(head, budget_spent(self.provider))
        interactive = next(iter(self._interactive.values()), None)
        batch = next(iter(self._batch.values()), None)
        if batch is not None and not self.day_allows(batch):
            batch = None
        if batch is not None and (interactive is None or self._interactive_in_a_row >= BATCH_TURN):
            return batch
        return interactive
