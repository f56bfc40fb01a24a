"""The shared queue of several processes, in Redis: as providers/queue.py is for one.

The rules are a script there (redis_lane.lua), which each process runs by its courier: once to enter, which starts at
once whoever may, and once to leave. Who waits hears of his turn. A process that does not renew its lease has lost its
places. While Redis is away nothing starts: those in a hurry are told so, the others wait until it is there again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from zoneinfo import ZoneInfo

from providers.clock import RemoteClock, Timer
from providers.errors import QueueError, QueueUnreachable, SpeechError
from providers.limits import Cost
from providers.queue import QueueSnapshot, UsageLedger
from providers.redis_courier import Call, Courier
from providers.redis_link import Link, Reply, script, unreachable
from providers.redis_places import Lane, Place, only_lost, place_lost, refusal, verdict
from providers.redis_records import Reader, config_text, ended, record, usage_text
from providers.speech import ProviderConfig
from providers.tickets import (
    Priority,
    QueueRules,
    Ticket,
    Waiting,
    cancelled,
    refuse_over_a_day,
    too_late,
)

logger = logging.getLogger(__name__)

# A process that does not renew it loses its places: it was killed, or is frozen.
LEASE_SECONDS = 15.0
# For all processes to come back to a Redis that is empty, and for what they used to be in the database.
GRACE_SECONDS = 3.0
# How soon a page sees what other processes did.
WATCH_SECONDS = 0.25
RELOAD_SECONDS = 1.0
# Ids of tickets fit into 53 bits, as JavaScript's numbers do; 31 of them count.
COUNT_BITS = 31
PROCESS_BITS = 22


class RedisQueue:
    def __init__(
        self,
        url: str,
        prefix: str,
        ledger: UsageLedger | None = None,
        *,
        clock: RemoteClock | None = None,
        secret: bytes = b"",
        lease: float = LEASE_SECONDS,
        grace: float = GRACE_SECONDS,
    ) -> None:
        """`prefix` begins all its keys; `secret` hides what providers' keys are; `lease` and `grace` are seconds, and
        the same in all processes."""
        self.clock = clock or RemoteClock()
        self._ledger = ledger
        self._secret = secret
        self._process = secrets.token_hex(8)
        self._ids = count((secrets.randbits(PROCESS_BITS) << COUNT_BITS) + 1)
        self._lanes: dict[int, Lane] = {}
        self._waiting: dict[int, Place] = {}
        self._running: dict[int, Place] = {}
        self._reader = Reader(self.clock)
        self._changes = 0
        self._changes_elsewhere = ""
        self._busy_elsewhere = False
        self._watched = False
        self._watching: Timer | None = None
        link = Link(url, prefix, self._process, script(lease, grace))
        self._courier = Courier(link, self.clock, lease, self)

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
        turn = asyncio.get_running_loop().create_future()
        text = record(ticket, self._process)
        place = Place(ticket, self._lane(provider), rules, turn, text, asyncio.current_task())
        try:
            await self._take_turn(place)
            yield ticket
            self._end(place, "done")
        except asyncio.CancelledError as error:
            if not only_lost(place):
                self._end(place, "left")
                raise
            lost = place_lost(provider)
            self._end(place, lost.code, lost.message, lost)
            raise lost from error
        except SpeechError as error:
            self._end(place, error.code, error.message, error)
            raise
        except BaseException:
            self._end(place, "left")
            raise

    def give_back(self, provider: ProviderConfig, cost: Cost) -> None:
        words = self._lane(provider).words(self.clock)
        self._courier.post(Call(["give", *words, str(cost.requests), str(cost.tokens)]))

    async def cancel(self, ticket_id: int) -> bool:
        try:
            return bool((await self._ask("cancel", str(ticket_id)))[0] == "ok")
        except QueueUnreachable:
            return self._cancel_own(ticket_id)

    @property
    def changes(self) -> int:
        """What other processes do is noticed soon after, while somebody asks."""
        self._watch()
        return self._changes

    @property
    def busy(self) -> bool:
        self._watch()
        return bool(self._running or self._waiting or self._busy_elsewhere)

    async def snapshot(self) -> QueueSnapshot:
        own = self._own()
        try:
            answer = await self._ask("snapshot")
        except QueueUnreachable:
            # What this process knows alone.
            waiting = tuple(Waiting(place.ticket, 0.0) for place in self._waiting.values())
            return QueueSnapshot(tuple(place.ticket for place in self._running.values()), waiting, ())
        return self._reader.snapshot(answer[2], answer[3], own | self._own())

    def _own(self) -> dict[int, Ticket]:
        return {id: place.ticket for places in (self._running, self._waiting) for id, place in places.items()}

    async def close(self) -> None:
        tasks = [lane.loading for lane in self._lanes.values() if lane.loading is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for timer in (self._watching, *(lane.timer for lane in self._lanes.values())):
            if timer is not None:
                timer.cancel()
        await self._courier.close()

    # Turns.

    def _lane(self, provider: ProviderConfig) -> Lane:
        """With the limits as they are now; a call that began with older values does not bring them back."""
        lane = self._lanes.get(provider.id)
        if lane is None:
            config = config_text(provider, self._secret)
            lane = self._lanes[provider.id] = Lane(provider, config, ZoneInfo(provider.time_zone))
        elif lane.provider is not provider and provider.version >= lane.provider.version:
            if lane.provider != provider:
                lane.config, lane.zone = config_text(provider, self._secret), ZoneInfo(provider.time_zone)
            lane.provider = provider
        return lane

    async def _take_turn(self, place: Place) -> None:
        ticket, rules = place.ticket, place.rules
        refuse_over_a_day(ticket)
        if self._courier.down and not place.patient:
            raise unreachable()
        self._changes += 1
        self._waiting[ticket.id] = place
        self._enter(place)
        deadline = None
        if rules.deadline is not None:
            late = too_late(ticket.provider, rules.deadline)
            deadline = self.clock.call_later(rules.deadline, lambda: self._refuse(place, late))
        try:
            await place.turn
        finally:
            if deadline is not None:
                deadline.cancel()
        place.begun = True
        self._changes += 1
        if self._ledger is not None:
            self._ledger.note(ticket.provider, ticket.cost, self.clock.now())

    def _enter(self, place: Place) -> None:
        self._courier.post(self._entering(place))

    def _entering(self, place: Place, *, whole: bool = False) -> Call:
        lane, rules = place.lane, place.rules
        config, whole = lane.config, whole or bool(lane.usage)
        patience = "" if rules.deadline is None else str(round(rules.deadline * 1000))
        words = [str(place.ticket.id), place.record, place.score, str(rules.max_waiting), patience, lane.usage]
        words = ["enter", *lane.words(self.clock, whole=whole), *words]
        place.parked, place.unsure = False, None
        return Call(words, lambda answer: self._entered(place, config, answer))

    def _entered(self, place: Place, config: str, answer: Reply) -> None:
        word, lane = answer[0], place.lane
        if word == "load":
            self._park(place, int(answer[2]) / 1000)
            return
        lane.told, lane.usage = config, ""
        if place.ticket.id not in self._waiting:
            return  # Whoever asked has left, and says so next.
        if word == "refused":
            self._refuse(place, refusal(place, answer[2], int(answer[3])))
            return
        place.score = answer[3]
        if word == "started":
            self._start(place, int(answer[2]))

    def _start(self, place: Place, at: int) -> None:
        if self._courier.overdue:
            # The others may have taken it back by now.
            place.unsure = at
            return
        ticket = place.ticket
        self._running[ticket.id] = self._waiting.pop(ticket.id)
        ticket.started_at = max(at / 1000, ticket.queued_at)
        if not place.turn.done():
            place.turn.set_result(None)

    def _refuse(self, place: Place, error: QueueError) -> None:
        self._waiting.pop(place.ticket.id, None)
        if not place.turn.done():
            place.turn.set_exception(error)

    def _end(self, place: Place, outcome: str, message: str = "", error: SpeechError | None = None) -> None:
        ticket = place.ticket
        ticket.outcome, ticket.message, ticket.ended_at = outcome, message, self.clock.monotonic()
        self._changes += 1
        self._waiting.pop(ticket.id, None)
        ran = self._running.pop(ticket.id, None) is not None
        if self._courier.down and not ran:
            return  # Nobody knows of it but this process.
        said, pause = verdict(outcome, error)
        words = [str(ticket.id), said, str(pause), "" if place.begun else "1", ended(ticket, place.record)]
        self._courier.post(Call(["leave", *place.lane.words(self.clock), *words], lasts=True))

    def _cancel_own(self, ticket_id: int) -> bool:
        if place := self._waiting.get(ticket_id):
            self._refuse(place, cancelled())
            return True
        running = self._running.get(ticket_id)
        return running is not None and _stop(running.ticket)

    # What a Redis that knows nothing has to be told.

    def _park(self, place: Place, wait: float) -> None:
        place.parked = True
        lane = place.lane
        if lane.usage:
            self._unpark(lane)
        elif lane.loading is None:
            lane.loading = asyncio.get_running_loop().create_task(self._load(lane, wait))

    async def _load(self, lane: Lane, wait: float) -> None:
        """Not before `wait` seconds: what other processes used has to be in the database."""
        await asyncio.sleep(wait)
        while not lane.usage:
            try:
                lane.usage = usage_text(await self._ledger.load(lane.provider) if self._ledger else None)
            except Exception:
                logger.exception("What “%s” used could not be read; it is tried again.", lane.provider.name)
                await asyncio.sleep(RELOAD_SECONDS)
        lane.loading = None
        self._unpark(lane)

    def _unpark(self, lane: Lane) -> None:
        for place in list(self._waiting.values()):
            if place.lane is lane and place.parked:
                self._enter(place)

    # For the courier.

    def rejoin(self) -> tuple[list[int], list[Call]]:
        calls = []
        for place in self._running.values():
            lane, started = place.lane, str(round((place.ticket.started_at or 0) * 1000))
            words = [str(place.ticket.id), place.record, started]
            calls.append(Call(["restore", *lane.words(self.clock, whole=True), *words], self._restored(place)))
        calls += [self._entering(place, whole=True) for place in self._waiting.values()]
        return [*self._running, *self._waiting], calls

    def _restored(self, place: Place) -> Callable[[Reply], None]:
        def answered(answer: Reply) -> None:
            if answer[0] == "lost" and self._running.pop(place.ticket.id, None) is not None:
                place.lost = place.task is not None and place.task.cancel()

        return answered

    def renewed(self) -> None:
        for place in [place for place in self._waiting.values() if place.unsure is not None]:
            self._start(place, place.unsure or 0)
        for lane in {place.lane for place in self._waiting.values()}:
            self._look(lane)

    def hear(self, message: str) -> None:
        word, *rest = message.split(" ")
        id = int(rest[0])
        if word == "look":
            self._look_later(id, int(rest[1]) / 1000)
        elif word == "stop":
            if running := self._running.get(id):
                _stop(running.ticket)
        elif place := self._waiting.get(id):
            if word == "started":
                self._start(place, int(rest[1]))
            else:
                self._refuse(place, refusal(place, rest[1], int(rest[2])))

    def broken(self) -> None:
        for place in [place for place in self._waiting.values() if not place.patient]:
            self._refuse(place, unreachable())

    def _look_later(self, lane_id: int, seconds: float) -> None:
        if lane := self._lanes.get(lane_id):
            if lane.timer is not None:
                lane.timer.cancel()
            lane.timer = self.clock.call_later(seconds, lambda: self._look(lane))

    def _look(self, lane: Lane) -> None:
        self._courier.post(Call(["look", *lane.words(self.clock)]))

    async def _ask(self, *words: str) -> Reply:
        if self._courier.down:
            raise unreachable()
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def answered(reply: Reply) -> None:
            if not answer.done():
                answer.set_result(reply)

        def failed(error: QueueUnreachable) -> None:
            if not answer.done():
                answer.set_exception(error)

        self._courier.post(Call(words, answered, failed))
        return await answer

    # What other processes do, for whoever looks.

    def _watch(self) -> None:
        self._watched = True
        if self._watching is None:
            self._watching = self.clock.call_later(WATCH_SECONDS, self._count)

    def _count(self) -> None:
        if self._watched and not self._courier.down:
            self._courier.post(Call(["count"], self._counted))
        self._watching = self.clock.call_later(WATCH_SECONDS, self._count) if self._watched else None
        self._watched = False

    def _counted(self, answer: Reply) -> None:
        if answer[2] != self._changes_elsewhere:
            self._changes_elsewhere = answer[2]
            self._changes += 1
        self._busy_elsewhere = bool(answer[3])


def _stop(ticket: Ticket) -> bool:
    if ticket.stop is None:
        return False
    ticket.stop()
    return True
