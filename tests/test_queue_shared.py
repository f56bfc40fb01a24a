"""Several queues on one Redis, as several processes have them; each on a clock that the test holds, so that one of them
can stand still while the others go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import pytest
from redis.asyncio import Redis

from providers.errors import (
    OverDailyBudget,
    PlaceLost,
    ProviderResting,
    QueueCancelled,
    QueueFull,
    QueueUnreachable,
    SpeechError,
    UpstreamBusy,
    UpstreamFailed,
)
from providers.limits import COOL_SECONDS, FAILURES_TO_COOL, MINUTE, Cost, StoredUsage
from providers.queue import Priority, QueueRules, UsageLedger
from providers.redis_queue import RedisQueue
from providers.speech import ProviderConfig
from providers.tickets import Ticket
from tests.queues import FOR_EVER, HeldRedisClock, joined
from tests.test_queue_limits import Shelf

ONE = ProviderConfig(id=1, name="One", kind="embedded", max_concurrency=1, key="sk-very-secret")
WIDE = replace(ONE, max_concurrency=64)
PATIENT = QueueRules(deadline=None)
LEASE = 15.0


class Process:
    """One queue and those who use it; `started` and `ended` are shared by all processes of a test."""

    def __init__(self, queue: RedisQueue, clock: HeldRedisClock, started: list[str], ended: dict[str, Any]) -> None:
        self.queue, self.clock, self.started, self.ended = queue, clock, started, ended
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.tickets: dict[str, Ticket] = {}
        self._doors: dict[str, asyncio.Event] = {}

    async def enter(self, name: str, provider: ProviderConfig = ONE, **call: Any) -> None:
        self._doors[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._hold(name, provider, **call))
        await self.clock.settle()

    async def _hold(
        self,
        name: str,
        provider: ProviderConfig,
        cost: Cost | None = None,
        error: SpeechError | None = None,
        rules: QueueRules = PATIENT,
        **call: Any,
    ) -> None:
        try:
            async with self.queue.slot(provider, cost or Cost(), source=name, rules=rules, **call) as ticket:
                self.started.append(name)
                self.tickets[name] = ticket
                if error is not None:
                    raise error
                await self._doors[name].wait()
        except SpeechError as raised:
            self.ended[name] = raised

    async def leave(self, name: str) -> None:
        self._doors[name].set()
        await self.tasks[name]
        await self.clock.settle()

    async def running(self) -> list[str]:
        return [ticket.source for ticket in (await self.queue.snapshot()).running]

    async def waiting(self) -> list[str]:
        return [one.ticket.source for one in (await self.queue.snapshot()).waiting]


class Stage:
    """Opens processes on one Redis, under keys of their own."""

    def __init__(self, url: str, redis: Redis, stack: AsyncExitStack) -> None:
        self.url, self.redis, self._stack = url, redis, stack
        self.prefix = f"test-{token_hex(6)}"
        self.started: list[str] = []
        self.ended: dict[str, Any] = {}
        self.processes: list[Process] = []

    async def open(self, lease: float = FOR_EVER, ledger: UsageLedger | None = None) -> Process:
        clock = HeldRedisClock(self.redis)
        if self.processes:
            clock.seconds = self.processes[0].clock.seconds
        queue = await self._stack.enter_async_context(joined(self.url, self.prefix, clock, ledger, lease))
        self.processes.append(Process(queue, clock, self.started, self.ended))
        return self.processes[-1]

    async def advance(self, seconds: float, *standing: Process) -> None:
        """Let time pass for all processes but these, as little at once as no lease ends by it."""
        while seconds > 0:
            step = min(seconds, LEASE / 5)
            for process in self.processes:
                if process not in standing:
                    await process.clock.advance(step)
            seconds -= step

    async def thaw(self, process: Process) -> None:
        """It stood still, and finds that it is as late as it is for the others."""
        process.clock.seconds = max(each.clock.seconds for each in self.processes)
        await process.clock.advance(0)

    async def close(self) -> None:
        tasks = [task for process in self.processes for task in process.tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def stage(redis_url: str) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(redis_url, decode_responses=True))
        made = Stage(redis_url, redis, stack)
        yield made
        await made.close()


async def test_processes_share_the_places_and_their_order(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    for process, name in ((a, "1"), (b, "2"), (a, "3"), (b, "4")):
        await process.enter(name)
    assert stage.started == ["1"]
    assert await a.waiting() == await b.waiting() == ["2", "3", "4"]
    await a.leave("1")
    await b.leave("2")
    await a.leave("3")
    assert stage.started == ["1", "2", "3", "4"]


async def test_interactive_of_one_process_goes_before_batches_of_another(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    await a.enter("running")
    await a.enter("batch", priority=Priority.BATCH)
    await b.enter("person")
    await a.leave("running")
    assert stage.started == ["running", "person"]


async def test_the_minute_is_one_for_all(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    limited = replace(WIDE, requests_per_minute=2)
    await a.enter("1", limited)
    await b.enter("2", limited)
    await a.enter("3", limited)
    await b.enter("4", limited)
    assert stage.started == ["1", "2"]
    await stage.advance(MINUTE)
    assert sorted(stage.started) == ["1", "2", "3", "4"]


async def test_whose_turn_is_next_is_looked_after_when_the_process_before_it_dies(stage: Stage) -> None:
    """The timer is that of the first in line; when it goes, the next one's process has to know."""
    a, b = await stage.open(), await stage.open()
    limited = replace(WIDE, requests_per_minute=1)
    await a.enter("1", limited)
    await a.enter("2", limited)
    await b.enter("3", limited)
    a.tasks["2"].cancel()
    await a.clock.settle()
    await stage.advance(MINUTE)
    assert stage.started == ["1", "3"]


async def test_the_day_is_one_for_all(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    limited = replace(WIDE, tokens_per_day=10)
    await a.enter("1", limited, cost=Cost(tokens=6))
    await b.enter("2", limited, cost=Cost(tokens=6))
    assert stage.ended["2"].code == "daily_budget_spent"
    a.queue.give_back(limited, Cost(tokens=2))
    await a.clock.settle()
    await b.enter("3", limited, cost=Cost(tokens=6))
    assert stage.started == ["1", "3"]


async def test_a_pause_and_cooling_down_hold_for_all(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    await a.enter("x", WIDE, error=UpstreamBusy("Slow down.", retry_after=10))
    await b.enter("1", WIDE)
    assert stage.started == ["x"]
    await stage.advance(10)
    assert stage.started == ["x", "1"]
    for number in range(FAILURES_TO_COOL):
        await (a, b)[number % 2].enter(f"f{number}", WIDE, error=UpstreamFailed("Oops."))
    await a.enter("2", WIDE, rules=QueueRules(deadline=None))
    assert isinstance(stage.ended["2"], ProviderResting)
    assert (await b.queue.snapshot()).resting[0].seconds == pytest.approx(COOL_SECONDS)


async def test_a_new_limit_known_to_one_process_is_in_force_in_all(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    await b.enter("0", replace(WIDE, version=7))
    await a.enter("1", replace(WIDE, version=1))
    await a.enter("2", replace(WIDE, max_concurrency=2, version=2))
    # The other process has not heard of it, and counts its versions for itself.
    await b.enter("3", replace(WIDE, version=7))
    assert stage.started == ["0", "1"]
    await a.leave("1")
    assert stage.started == ["0", "1", "2"]


async def test_the_line_is_as_long_as_it_may_be_over_all(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    short = QueueRules(max_waiting=1, deadline=None)
    await a.enter("1", rules=short)
    await a.enter("2", rules=short)
    await b.enter("3", rules=short)
    assert isinstance(stage.ended["3"], QueueFull)


async def test_a_ticket_is_cancelled_from_any_process(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    stopped = asyncio.Event()
    await a.enter("running", stop=stopped.set)
    await a.enter("waiting")
    (waiting,) = (await b.queue.snapshot()).waiting
    assert await b.queue.cancel(waiting.ticket.id)
    await a.clock.settle()
    assert isinstance(stage.ended["waiting"], QueueCancelled)
    assert not await b.queue.cancel(waiting.ticket.id), "cancelled twice"
    (running,) = (await b.queue.snapshot()).running
    assert running.stop is not None and await b.queue.cancel(running.id)
    await a.clock.settle()
    assert stopped.is_set()


async def test_what_can_not_be_stopped_says_so(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    await a.enter("running")
    (running,) = (await b.queue.snapshot()).running
    assert running.stop is None and not await b.queue.cancel(running.id)
    assert not await b.queue.cancel(12345)


async def test_a_snapshot_shows_the_tickets_of_all(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    await a.enter("1", user_id=7, made_for="take:3", cost=Cost(tokens=4, characters=16))
    await b.enter("2", priority=Priority.BATCH)
    await stage.advance(3)
    seen = await b.queue.snapshot()
    (running,) = seen.running
    mine = a.tickets["1"]
    same = ("id", "cost", "priority", "source", "user_id", "made_for", "queued_at", "started_at", "asked_at")
    for name in same:
        assert getattr(running, name) == getattr(mine, name), name
    assert (running.provider.name, running.provider.key) == ("One", "")
    assert b.queue.clock.monotonic() - (running.started_at or 0) == pytest.approx(3)
    assert seen.waiting[0].ticket.source == "2" and seen.waiting[0].ticket.id != running.id
    await a.leave("1")
    await b.enter("x", error=UpstreamFailed("Oops."))
    await b.leave("2")
    recent = [(one.source, one.outcome, one.message, one.user_id) for one in (await a.queue.snapshot()).recent]
    assert recent == [("1", "done", "", 7), ("2", "done", "", None), ("x", "upstream_failed", "Oops.", None)]


async def test_whoever_looks_notices_what_others_do(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    assert not b.queue.busy
    await b.clock.advance(1)
    before = b.queue.changes
    await a.enter("1")
    await b.clock.advance(1)
    assert b.queue.changes > before and b.queue.busy
    before = b.queue.changes
    await b.clock.advance(1)
    assert b.queue.changes == before, "nothing happened"


async def test_what_a_process_leaves_behind_at_its_end_is_free_at_once(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    await a.enter("1")
    await a.enter("2")
    await b.enter("3")
    await a.queue.close()
    await b.clock.settle()
    assert stage.started == ["1", "3"]


async def test_a_process_that_stands_still_loses_its_places(stage: Stage) -> None:
    a, b = await stage.open(LEASE), await stage.open(LEASE)
    await a.enter("1")
    await a.enter("2")
    await b.enter("3")
    await stage.advance(LEASE - 1, a)
    assert stage.started == ["1"], "its lease has not ended"
    await stage.advance(LEASE, a)
    assert stage.started == ["1", "3"] and await b.waiting() == []
    await stage.thaw(a)
    assert isinstance(stage.ended["1"], PlaceLost), "it noticed, and its call was stopped"
    assert await b.waiting() == ["2"], "what waited is in line again"
    await b.leave("3")
    assert stage.started == ["1", "3", "2"]


async def test_a_process_that_stood_still_keeps_a_place_that_nobody_took(stage: Stage) -> None:
    a, b = await stage.open(LEASE), await stage.open(LEASE)
    await a.enter("1")
    await stage.advance(2 * LEASE, a)
    assert await b.running() == []
    await stage.thaw(a)
    assert await b.running() == ["1"] and not stage.ended
    await b.enter("2")
    assert stage.started == ["1"]


async def test_a_redis_that_stood_still_gives_no_place_away(stage: Stage) -> None:
    a, b, dead = await stage.open(LEASE), await stage.open(LEASE), await stage.open(LEASE)
    two = replace(ONE, max_concurrency=2)
    await a.enter("1", two)
    await dead.enter("2", two)
    await b.enter("3", two)
    # No timer runs: nobody could renew his lease.
    for process in stage.processes:
        process.clock.seconds += LEASE + 1
    await b.clock.advance(0)
    assert await b.running() == ["1", "2"]
    await a.clock.advance(0)
    assert await a.running() == ["1", "2"] and not stage.ended
    await stage.advance(LEASE, dead)
    assert stage.started == ["1", "2", "3"], "who is not heard even now is gone"
    assert await a.running() == ["1", "3"]


async def test_another_redis_with_the_keys_of_an_earlier_one_asks_first_what_runs(stage: Stage) -> None:
    a, state = await stage.open(), f"{stage.prefix}:s"
    await a.enter("1")
    before = int(await stage.redis.hget(state, "born") or 0)
    await stage.redis.hset(state, "run", "0123abcd")
    for _ in range(2):
        await a.clock.advance(2)
        await stage.open()
    assert int(await stage.redis.hget(state, "born") or 0) == before + 2000, "once"


async def test_a_turn_that_comes_while_its_process_stands_still_is_not_taken_too_late(stage: Stage) -> None:
    a, b = await stage.open(LEASE), await stage.open(LEASE)
    await b.enter("1")
    await a.enter("2")
    await b.enter("3")
    # Its clock goes on without its timers, as it does for a process that is frozen.
    a.clock.seconds += 2 * LEASE
    await b.leave("1")
    assert stage.started == ["1"], "whether it still has the place is to be asked first"
    await stage.advance(2 * LEASE, a)
    assert stage.started == ["1", "3"]
    await stage.thaw(a)
    assert stage.started == ["1", "3"] and await b.waiting() == ["2"]
    await b.leave("3")
    assert stage.started == ["1", "3", "2"]


async def test_who_left_at_the_moment_of_his_turn_pays_nothing(stage: Stage) -> None:
    a = await stage.open()
    limited = replace(ONE, requests_per_day=2)
    await a.enter("1", limited)
    await a.enter("unlucky", limited)
    a._doors["1"].set()
    await a.tasks["1"]
    while not a.queue._running:
        await asyncio.sleep(0)
    a.tasks["unlucky"].cancel()
    await a.clock.settle()
    await a.enter("2", limited)
    assert stage.started == ["1", "2"]


async def test_a_clock_that_is_set_back_holds_nobody_up(stage: Stage) -> None:
    a = await stage.open()
    limited = replace(WIDE, requests_per_minute=1)
    await a.enter("1", limited)
    await a.enter("x", replace(limited, requests_per_minute=0), error=UpstreamBusy("Slow down.", retry_after=20))
    a.clock.seconds -= 500
    a.clock._timers.clear()
    await a.enter("2", limited)
    await a.clock.advance(59)
    assert stage.started == ["1", "x"]
    await a.clock.advance(2)
    assert stage.started == ["1", "x", "2"]


async def test_every_key_ends_by_itself_and_holds_no_secret(stage: Stage) -> None:
    a = await stage.open()
    limited = replace(ONE, requests_per_minute=5)
    await a.enter("1", limited)
    await a.enter("2", limited)
    await a.enter("3", limited, priority=Priority.BATCH)
    await a.leave("1")
    keys = [key async for key in stage.redis.scan_iter(f"{stage.prefix}*")]
    assert len(keys) >= 8
    assert {key for key in keys if await stage.redis.ttl(key) <= 0} == set()
    held = [await stage.redis.hgetall(f"{stage.prefix}:1"), await stage.redis.hgetall(f"{stage.prefix}:1:t")]
    assert "One" in json.dumps(held) and "secret" not in json.dumps(held)


async def test_a_long_line_moves_on_in_one_call(stage: Stage) -> None:
    a, b = await stage.open(), await stage.open()
    await a.enter("0")
    for number in range(300):
        process = (a, b)[number % 2]
        process._doors[str(number + 1)] = asyncio.Event()
        process.tasks[str(number + 1)] = asyncio.create_task(process._hold(str(number + 1), ONE))
    await a.clock.settle()
    assert len(await a.waiting()) == 300
    await a.enter("wide", WIDE)
    for process in (a, b):
        await process.clock.settle()
    assert len(stage.started) == 64


async def test_only_what_no_day_has_room_for_is_refused_without_asking(stage: Stage) -> None:
    a = await stage.open()
    await a.enter("1", replace(ONE, tokens_per_day=5), cost=Cost(tokens=6))
    assert isinstance(stage.ended["1"], OverDailyBudget)


# A Redis that forgets.


async def test_an_emptied_redis_is_told_again_what_runs_and_waits(stage: Stage) -> None:
    a, b = await stage.open(LEASE), await stage.open(LEASE)
    await a.enter("1")
    await b.enter("2")
    await a.enter("3")
    for key in [key async for key in stage.redis.scan_iter(f"{stage.prefix}*")]:
        await stage.redis.delete(key)
    await stage.advance(LEASE / 3 + 0.1)
    assert await a.running() == ["1"] and sorted(await b.waiting()) == ["2", "3"]
    await b.enter("4")
    assert stage.started == ["1"]
    await a.leave("1")
    assert stage.started == ["1", "2"]


async def test_windows_are_filled_again_from_the_ledger(stage: Stage) -> None:
    day = datetime(2026, 3, 1, tzinfo=UTC).date()
    shelf = Shelf(StoredUsage(day, requests=3, recent=((50.0, Cost()), (20.0, Cost()))))
    a = await stage.open(LEASE, shelf)
    limited = replace(WIDE, requests_per_day=5, requests_per_minute=3)
    await a.enter("1", limited)
    await a.enter("2", limited)
    assert stage.started == ["1"]
    await stage.advance(MINUTE - 50)
    assert stage.started == ["1", "2"]
    await a.enter("3", limited)
    assert stage.ended["3"].code == "daily_budget_spent"
    assert shelf.noted == [Cost(), Cost()]
    shelf.stored = StoredUsage(day, requests=5)
    for key in [key async for key in stage.redis.scan_iter(f"{stage.prefix}*")]:
        await stage.redis.delete(key)
    await a.enter("4", limited)
    assert stage.ended["4"].code == "daily_budget_spent"


async def test_a_ledger_that_can_not_be_read_is_asked_again(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Shelf):
        async def load(self, provider: ProviderConfig) -> StoredUsage:
            if not self.asked.is_set():
                self.asked.set()
                raise OSError("The database restarts.")
            return self.stored

        asked = asyncio.Event()

    a = await stage.open(ledger=Broken(StoredUsage(datetime(2026, 3, 1, tzinfo=UTC).date())))
    task = asyncio.create_task(a._hold("1", ONE))
    while not stage.started:
        await asyncio.sleep(0.01)
    assert "tried again" in caplog.text
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_very_first_call_starts_at_once(redis_url: str) -> None:
    queue = RedisQueue(redis_url, f"test-{token_hex(6)}", lease=6000, grace=0)
    try:
        async with asyncio.timeout(200), queue.slot(ONE, Cost()) as ticket:
            assert ticket.started_at is not None and 0 < ticket.id < 2**53
            assert (await queue.snapshot()).running == (ticket,)
    finally:
        await queue.close()


async def test_without_redis_nobody_starts() -> None:
    queue = RedisQueue("redis://127.0.0.1:9/0", "test")
    try:
        with pytest.raises(QueueUnreachable) as caught:
            async with queue.slot(ONE, Cost()):
                pass
        assert caught.value.status == 503 and caught.value.retry_after and not caught.value.permanent
        snapshot = await queue.snapshot()
        assert (snapshot.running, snapshot.waiting) == ((), ())
        waiting = asyncio.create_task(_take(queue))
        while not (await queue.snapshot()).waiting:
            await asyncio.sleep(0)
        (one,) = (await queue.snapshot()).waiting
        assert await queue.cancel(one.ticket.id)
        with pytest.raises(QueueCancelled):
            await waiting
    finally:
        await queue.close()


async def _take(queue: RedisQueue) -> None:
    async with queue.slot(ONE, Cost(), rules=PATIENT):
        raise AssertionError("it started")
