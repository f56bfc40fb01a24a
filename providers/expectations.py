"""In how many seconds those who wait may expect their turn, and what they wait for longest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from providers.clock import Clock
from providers.limits import DayBudget, MinuteWindow
from providers.speech import ProviderConfig
from providers.tickets import Reason, Ticket, Waiting


@dataclass(frozen=True, slots=True)
class Standing:
    """What a provider still allows now. `rest`: seconds until anything may start; `at_once`: how many may run;
    `typical`: seconds that a call takes."""

    provider: ProviderConfig
    minute: MinuteWindow
    day: DayBudget
    rest: float
    at_once: int
    typical: float


def expectations(waiting: Iterable[Ticket], now: Standing, clock: Clock) -> Iterator[Waiting]:
    """In the order of their turns, in which they are given."""
    provider, rest, zone = now.provider, now.rest, ZoneInfo(now.provider.time_zone)
    minute, seconds = provider.requests_per_minute, clock.monotonic()
    today, tomorrow = clock.today(zone), clock.seconds_until_tomorrow(zone)
    for place, ticket in enumerate(waiting, start=1):
        by_rate = (place - 1) * 60.0 / minute if minute else 0.0
        by_requests, by_tokens = now.minute.waits(ticket.cost, provider, seconds)
        waits = {
            Reason.REST if rest else Reason.PLACE: rest + place * now.typical / now.at_once,
            Reason.REQUESTS: max(by_requests, by_rate),
            Reason.TOKENS: by_tokens,
            Reason.DAY: 0.0 if now.day.allows(ticket.day, provider, today) else tomorrow,
        }
        reason = max(waits, key=waits.__getitem__)
        yield Waiting(ticket, waits[reason], reason)
