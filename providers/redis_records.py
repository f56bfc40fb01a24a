"""What stands in Redis of tickets and providers, and what is read from it again.

A ticket is a JSON list, since the script (redis_lane.lua) reads its first part: process, requests, tokens, day's
requests, day's tokens, batch, begun, stops; then come characters, source, user, what it is made for, and the times (in
seconds of the queue's clock, and as an ISO date) at which it was asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from providers.clock import Clock
from providers.expectations import Standing, expectations
from providers.limits import FAILURES_TO_COOL, Cost, DayBudget, MinuteWindow, StoredUsage
from providers.queue import QueueSnapshot, Resting
from providers.speech import ProviderConfig
from providers.tickets import Priority, Ticket, Waiting

# The script finds a process's tickets by how they begin, so there are no blanks.
_encoded = json.JSONEncoder(separators=(",", ":")).encode


def stops_elsewhere() -> None:
    """The `stop` of a ticket of another process; `cancel` reaches it there."""


def config_text(provider: ProviderConfig, secret: bytes) -> str:
    """Its limits and what it is called. The address with its key is told as a keyed hash: only whether it changed
    matters."""
    address = json.dumps([provider.kind, provider.base_url, provider.key]).encode()
    limits = (
        provider.max_concurrency,
        provider.requests_per_minute,
        provider.tokens_per_minute,
        provider.requests_per_day,
        provider.tokens_per_day,
    )
    digest = hashlib.blake2b(address, key=secret[:64], digest_size=16).hexdigest()
    return json.dumps([digest, *limits, provider.name, provider.kind, provider.time_zone])


def provider_of(lane_id: str, config: str) -> ProviderConfig:
    _, places, minute, minute_tokens, day, day_tokens, name, kind, zone = json.loads(config)
    return ProviderConfig(
        id=int(lane_id),
        name=name,
        kind=kind,
        max_concurrency=places,
        requests_per_minute=minute,
        tokens_per_minute=minute_tokens,
        requests_per_day=day,
        tokens_per_day=day_tokens,
        time_zone=zone,
    )


def usage_text(stored: StoredUsage | None) -> str:
    """As the script's `load_usage` reads it."""
    if stored is None:
        return "[]"
    calls = [[round(ago * 1000), cost.requests, cost.tokens] for ago, cost in sorted(stored.recent, key=_oldest)]
    return json.dumps([stored.day.toordinal(), stored.requests, stored.tokens, calls])


def _oldest(call: tuple[float, Cost]) -> float:
    return -call[0]


def record(ticket: Ticket, process: str) -> str:
    cost, day = ticket.cost, ticket.day
    head = [process, cost.requests, cost.tokens, day.requests, day.tokens, int(ticket.priority), int(ticket.begun)]
    stops = int(ticket.stop is not None)
    who = [ticket.source, ticket.user_id, ticket.made_for]
    return _encoded([*head, stops, cost.characters, *who, ticket.queued_at, ticket.asked_at.isoformat()])


def ended(ticket: Ticket, record: str) -> str:
    provider = ticket.provider
    what = [ticket.id, provider.id, provider.name, provider.kind, record]
    return _encoded([*what, ticket.started_at, ticket.ended_at, ticket.outcome, ticket.message])


def _ticket(id: str, provider: ProviderConfig, text: str) -> Ticket:
    said = json.loads(text)
    requests, tokens, day_requests, day_tokens, batch, begun, stops, characters = said[1:9]
    return Ticket(
        int(id),
        provider,
        Cost(requests, tokens, characters),
        Priority(batch),
        said[9],
        queued_at=said[12],
        asked_at=datetime.fromisoformat(said[13]),
        day=Cost(day_requests, day_tokens),
        begun=bool(begun),
        user_id=said[10],
        stop=stops_elsewhere if stops else None,
        made_for=said[11],
    )


def _ended_ticket(text: str) -> Ticket:
    id, provider_id, name, kind, said, started_at, ended_at, outcome, message = json.loads(text)
    ticket = _ticket(id, ProviderConfig(id=provider_id, name=name, kind=kind), said)
    ticket.started_at, ticket.ended_at, ticket.outcome, ticket.message = started_at, ended_at, outcome, message
    return ticket


class Reader:
    """Reads snapshots; what it read before it knows again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[str, Ticket]] = {}
        self._ended: dict[str, Ticket] = {}

    def snapshot(
        self, lanes: Sequence[Sequence[Any]], recent: Sequence[str], own: Mapping[int, Ticket]
    ) -> QueueSnapshot:
        """From an answer of the script. `own`: the tickets of this process."""
        known, self._known = self._known, {}
        running: list[Ticket] = []
        waiting: list[Waiting] = []
        resting: list[Resting] = []
        for lane in sorted(lanes, key=lambda lane: int(lane[0])):
            provider, rest, cooling = provider_of(lane[0], lane[1]), int(lane[5]) / 1000, int(lane[6]) > 0
            tickets = dict(self._tickets(provider, _pairs(lane[12]), known, own))
            running += _started(tickets, _pairs(lane[9]))
            in_line = [tickets[id] for line in (lane[10], lane[11]) for id, _ in _pairs(line) if id in tickets]
            waiting += expectations(in_line, _standing(provider, lane, rest), self._clock)
            if rest:
                resting.append(Resting(provider, rest, cooling))
        self._ended = {text: self._ended.get(text) or _ended_ticket(text) for text in recent}
        return QueueSnapshot(tuple(running), tuple(waiting), tuple(reversed(self._ended.values())), tuple(resting))

    def _tickets(
        self,
        provider: ProviderConfig,
        records: Iterable[tuple[str, str]],
        known: Mapping[str, tuple[str, Ticket]],
        own: Mapping[int, Ticket],
    ) -> Iterator[tuple[str, Ticket]]:
        for id, text in records:
            ticket = own.get(int(id))
            if ticket is None:
                before = known.get(id)
                ticket = before[1] if before and before[0] == text else _ticket(id, provider, text)
                ticket.provider = provider
                self._known[id] = (text, ticket)
            yield id, ticket


def _standing(provider: ProviderConfig, lane: Sequence[Any], rest: float) -> Standing:
    minute = MinuteWindow()
    for call in lane[13]:
        at, requests, tokens = call.split()
        minute.add(Cost(int(requests), int(tokens)), int(at) / 1000)
    day = DayBudget(StoredUsage(date.fromordinal(max(int(lane[2]), 1)), int(lane[3]), int(lane[4])))
    at_once = 1 if int(lane[7]) >= FAILURES_TO_COOL else provider.max_concurrency
    return Standing(provider, minute, day, rest, at_once, float(lane[8]))


def _started(tickets: dict[str, Ticket], running: Iterable[tuple[str, str]]) -> Iterator[Ticket]:
    for id, started in sorted(running, key=lambda one: int(one[1])):
        if ticket := tickets.get(id):
            ticket.started_at = int(started) / 1000
            yield ticket


def _pairs(flat: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(flat[::2], flat[1::2], strict=True)
