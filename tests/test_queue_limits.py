"""The queue's rules of time, on a clock that the tests hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import (
    DailyBudgetSpent,
    OverDailyBudget,
    ProviderResting,
    QueueTimeout,
    SpeechError,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamUnauthorized,
)
from providers.limits import COOL_SECONDS, FAILURES_TO_COOL, MINUTE, NOTHING, Cost, StoredUsage
from providers.queue import Priority, QueueRules, Reason, SharedQueue
from providers.speech import ProviderConfig
from tests.fake_clock import FakeClock
from tests.queues import Queues

BASE = ProviderConfig(id=1, name="One", kind="embedded", max_concurrency=64)
PATIENT = QueueRules(deadline=None)
BEGUN = QueueRules(deadline=None, begun=True)


class Desk:
    """Calls that end at once, or are held until `finish`; `starts` are (name, seconds since the test began)."""

    def __init__(self, provider: ProviderConfig, queue: SharedQueue, clock: FakeClock) -> None:
        self.queue, self.clock, self.provider = queue, clock, provider
        self.starts: list[tuple[str, float]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._began = self.clock.seconds

    async def ask(self, name: str, tokens: int = 0, *, batch: bool = False, **call: Any) -> None:
        priority = Priority.BATCH if batch else Priority.INTERACTIVE
        self.tasks[name] = asyncio.create_task(self._call(name, Cost(tokens=tokens), priority, **call))
        await self.clock.settle()

    async def _call(
        self,
        name: str,
        cost: Cost,
        priority: Priority,
        rules: QueueRules = PATIENT,
        error: SpeechError | None = None,
        hold: asyncio.Event | None = None,
        day: Cost | None = None,
    ) -> None:
        async with self.queue.slot(self.provider, cost, priority=priority, source=name, rules=rules, day=day):
            self.starts.append((name, self.clock.seconds - self._began))
            if hold is not None:
                await hold.wait()
            if error is not None:
                raise error

    def error(self, name: str) -> BaseException | None:
        return self.tasks[name].exception() if self.tasks[name].done() else None

    @property
    def order(self) -> str:
        return "".join(name for name, _ in self.starts)


@asynccontextmanager
async def desk(queues: Queues, ledger: Any = None, **limits: Any) -> AsyncIterator[Desk]:
    async with queues.open(ledger) as (queue, clock):
        made = Desk(replace(BASE, **limits), queue, clock)
        yield made
        for task in made.tasks.values():
            task.cancel()
        await asyncio.gather(*made.tasks.values(), return_exceptions=True)
        snapshot = await queue.snapshot()
        assert not snapshot.running and not snapshot.waiting


async def test_requests_per_minute_slide(queues: Queues) -> None:
    async with desk(queues, requests_per_minute=2) as calls:
        await calls.ask("a")
        await calls.clock.advance(20)
        for name in "bcd":
            await calls.ask(name)
        assert calls.order == "ab"
        await calls.clock.advance(120)
        assert calls.starts == [("a", 0), ("b", 20), ("c", MINUTE), ("d", MINUTE + 20)]


async def test_tokens_per_minute_slide(queues: Queues) -> None:
    async with desk(queues, tokens_per_minute=100) as calls:
        await calls.ask("a", 60)
        await calls.ask("b", 40)
        await calls.ask("c", 1)
        await calls.clock.advance(59)
        assert calls.order == "ab"
        await calls.clock.advance(1.5)
        assert calls.order == "abc"


async def test_nobody_overtakes_a_large_request(queues: Queues) -> None:
    async with desk(queues, tokens_per_minute=100) as calls:
        await calls.ask("a", 60)
        await calls.ask("L", 90)
        await calls.ask("s", 5)
        assert calls.order == "a"
        await calls.clock.advance(MINUTE)
        assert calls.order == "aLs"


async def test_a_request_over_a_minutes_tokens_runs_alone(queues: Queues) -> None:
    async with desk(queues, tokens_per_minute=100) as calls:
        await calls.ask("a", 10)
        await calls.ask("L", 500)
        await calls.ask("b", 10)
        await calls.clock.advance(MINUTE - 1)
        assert calls.order == "a"
        await calls.clock.advance(1)
        assert calls.order == "aL"
        await calls.clock.advance(MINUTE - 1)
        assert calls.order == "aL"
        await calls.clock.advance(1)
        assert calls.order == "aLb"


async def test_a_text_over_the_days_tokens_is_refused_with_the_reason(queues: Queues) -> None:
    async with desk(queues, tokens_per_day=100) as calls:
        for batch in (False, True):
            await calls.ask("x", 101, batch=batch)
            error = calls.error("x")
            assert isinstance(error, OverDailyBudget) and "100" in error.message and error.status == 400


@pytest.mark.parametrize("limits", [{"requests_per_day": 2}, {"tokens_per_day": 10}])
async def test_a_spent_day_refuses_people_and_keeps_batches_for_tomorrow(
    queues: Queues, limits: dict[str, Any]
) -> None:
    async with desk(queues, **limits) as calls:
        await calls.ask("a", 5)
        await calls.ask("b", 5, batch=True)
        await calls.ask("p", 5)
        error = calls.error("p")
        assert isinstance(error, DailyBudgetSpent) and error.status == 429 and error.permanent
        await calls.ask("c", 5, batch=True)
        (waiting,) = (await calls.queue.snapshot()).waiting
        assert waiting.expected == pytest.approx(12 * 3600, abs=60)
        await calls.clock.advance(12 * 3600 - 1)
        assert calls.order == "ab"
        await calls.clock.advance(2)
        assert calls.order == "abc"


async def test_a_waiting_batch_of_tomorrow_does_not_block_a_small_request_of_today(queues: Queues) -> None:
    async with desk(queues, tokens_per_day=10) as calls:
        await calls.ask("a", 5)
        await calls.ask("B", 9, batch=True)
        await calls.ask("p", 3)
        assert calls.order == "ap"


async def test_people_who_wait_when_the_day_is_spent_hear_it(queues: Queues) -> None:
    async with desk(queues, requests_per_day=1, max_concurrency=1) as calls:
        door = asyncio.Event()
        await calls.ask("batch", batch=True, hold=door)
        calls.provider = replace(calls.provider, requests_per_day=1)
        await calls.ask("p")
        assert isinstance(calls.error("p"), DailyBudgetSpent)


async def test_a_long_text_pays_for_its_day_at_the_start(queues: Queues) -> None:
    async with desk(queues, requests_per_day=4) as calls:
        await calls.ask("first", day=Cost(requests=3))
        await calls.ask("p", day=Cost(requests=2))
        assert isinstance(calls.error("p"), DailyBudgetSpent), "only one is left"
        await calls.ask("q")
        await calls.ask("second", day=NOTHING, rules=BEGUN)
        await calls.ask("third", day=NOTHING, rules=BEGUN)
        assert calls.order == "firstqsecondthird"


async def test_what_a_text_did_not_use_of_its_day_comes_back(queues: Queues) -> None:
    async with desk(queues, requests_per_day=3) as calls:
        await calls.ask("first", day=Cost(requests=3))
        await calls.ask("b", batch=True)
        assert calls.order == "first"
        calls.queue.give_back(calls.provider, Cost(requests=2))
        await calls.clock.settle()
        assert calls.order == "firstb"


async def test_more_pieces_than_a_days_requests_are_refused_with_the_reason(queues: Queues) -> None:
    async with desk(queues, requests_per_day=4) as calls:
        await calls.ask("x", day=Cost(requests=5))
        error = calls.error("x")
        assert isinstance(error, OverDailyBudget) and "5 requests" in error.message and "4 a day" in error.message


async def test_speech_that_has_begun_waits_until_its_provider_has_rested(queues: Queues) -> None:
    async with desk(queues) as calls:
        await fail_until_cool(calls)
        await calls.ask("next", rules=BEGUN)
        assert calls.error("next") is None and calls.order == ""
        await calls.clock.advance(COOL_SECONDS)
        assert calls.order == "next"


async def test_speech_that_has_begun_stays_when_its_provider_starts_cooling(queues: Queues) -> None:
    async with desk(queues, max_concurrency=1) as calls:
        for number in range(FAILURES_TO_COOL - 1):
            await calls.ask(f"x{number}", error=UpstreamFailed("oops"))
        door = asyncio.Event()
        await calls.ask("last", error=UpstreamFailed("oops"), hold=door)
        await calls.ask("next", rules=BEGUN)
        door.set()
        await calls.clock.settle()
        assert calls.error("next") is None
        await calls.clock.advance(COOL_SECONDS)
        assert calls.order.endswith("next")


async def test_the_snapshot_tells_who_rests_and_why(queues: Queues) -> None:
    async with desk(queues) as calls:
        await calls.ask("x", error=UpstreamBusy("slow down", retry_after=20))
        (resting,) = (await calls.queue.snapshot()).resting
        assert (resting.provider.name, resting.seconds, resting.cooling) == ("One", 20, False)
        await calls.clock.advance(20)
        assert (await calls.queue.snapshot()).resting == ()
        await fail_until_cool(calls)
        (resting,) = (await calls.queue.snapshot()).resting
        assert (resting.seconds, resting.cooling) == (COOL_SECONDS, True)


async def test_days_are_those_of_the_providers_zone(queues: Queues) -> None:
    async with desk(queues, requests_per_day=1, time_zone="America/Los_Angeles") as calls:
        calls.clock.start = datetime(2026, 3, 1, 7, 59, 30, tzinfo=UTC)
        await calls.ask("a")
        await calls.ask("b", batch=True)
        await calls.clock.advance(25)
        assert calls.order == "a"
        await calls.clock.advance(10)
        assert calls.order == "ab"


class Shelf:
    """A ledger in memory."""

    def __init__(self, stored: StoredUsage) -> None:
        self.stored = stored
        self.noted: list[Cost] = []

    async def load(self, provider: ProviderConfig) -> StoredUsage:
        await asyncio.sleep(0)
        return self.stored

    def note(self, provider: ProviderConfig, cost: Cost, at: datetime) -> None:
        self.noted.append(cost)


async def test_usage_survives_a_restart(queues: Queues) -> None:
    stored = StoredUsage(datetime(2026, 3, 1, tzinfo=UTC).date(), requests=8, recent=((50.0, Cost()), (10.0, Cost())))
    shelf = Shelf(stored)
    async with desk(queues, shelf, requests_per_day=10, requests_per_minute=3) as calls:
        for name in "abc":
            await calls.ask(name)
        await calls.clock.advance(11)
        assert calls.starts == [("a", 0), ("b", MINUTE - 50)]
        assert isinstance(calls.error("c"), DailyBudgetSpent)
        assert shelf.noted == [Cost(), Cost()]


async def test_callers_keep_their_order_while_the_ledger_is_read(queues: Queues) -> None:
    stored = StoredUsage(datetime(2026, 3, 1, tzinfo=UTC).date())
    async with desk(queues, Shelf(stored), max_concurrency=1) as calls:
        for name in "abc":
            calls.tasks[name] = asyncio.create_task(calls._call(name, Cost(), Priority.INTERACTIVE))
        await calls.clock.settle()
        assert calls.order == "abc"


async def test_a_pause_that_the_provider_asks_for_holds_for_all(queues: Queues) -> None:
    async with desk(queues) as calls:
        await calls.ask("x", error=UpstreamBusy("slow down", retry_after=10))
        await calls.ask("a")
        await calls.ask("b", batch=True)
        assert calls.order == "x"
        await calls.clock.advance(10)
        assert calls.starts[1:] == [("a", 10), ("b", 10)]


async def test_a_pause_over_the_deadline_is_told_at_once(queues: Queues) -> None:
    async with desk(queues) as calls:
        await calls.ask("x", error=UpstreamBusy("slow down", retry_after=40))
        await calls.ask("p", rules=QueueRules(deadline=25))
        error = calls.error("p")
        assert isinstance(error, ProviderResting) and error.status == 503 and error.retry_after == pytest.approx(40)
        await calls.ask("b", batch=True, rules=PATIENT)
        await calls.clock.advance(41)
        assert calls.order == "xb"


async def fail_until_cool(calls: Desk) -> None:
    for number in range(FAILURES_TO_COOL):
        await calls.ask(f"x{number}", error=UpstreamFailed("oops"))
    calls.starts.clear()


async def test_repeated_failures_cool_the_provider_down(queues: Queues) -> None:
    async with desk(queues) as calls:
        await fail_until_cool(calls)
        await calls.ask("p")
        assert isinstance(calls.error("p"), ProviderResting)
        await calls.ask("b", batch=True)
        await calls.clock.advance(COOL_SECONDS - 1)
        assert calls.order == ""
        await calls.clock.advance(1)
        assert calls.order == "b"
        await calls.ask("q")
        assert calls.order == "bq"


async def test_those_who_wait_when_it_starts_cooling_get_a_clear_answer(queues: Queues) -> None:
    async with desk(queues, max_concurrency=1) as calls:
        for number in range(FAILURES_TO_COOL - 1):
            await calls.ask(f"x{number}", error=UpstreamFailed("oops"))
        door = asyncio.Event()
        await calls.ask("last", error=UpstreamFailed("oops"), hold=door)
        await calls.ask("p")
        await calls.ask("b", batch=True)
        door.set()
        await calls.clock.settle()
        assert isinstance(calls.error("p"), ProviderResting)
        assert calls.error("b") is None, "a batch waits"
        await calls.clock.advance(COOL_SECONDS)
        assert calls.order.endswith("b")


async def test_one_probe_at_a_time_after_cooling(queues: Queues) -> None:
    async with desk(queues) as calls:
        await fail_until_cool(calls)
        door = asyncio.Event()
        await calls.clock.advance(COOL_SECONDS)
        await calls.ask("a", hold=door)
        await calls.ask("b")
        assert calls.order == "a"
        door.set()
        await calls.clock.settle()
        assert calls.order == "ab"
        await calls.ask("c", hold=asyncio.Event())
        await calls.ask("d", hold=asyncio.Event())
        assert calls.order == "abcd", "after a success all places are open"


async def test_a_failed_probe_cools_twice_as_long(queues: Queues) -> None:
    async with desk(queues) as calls:
        await fail_until_cool(calls)
        await calls.clock.advance(COOL_SECONDS)
        await calls.ask("probe", error=UpstreamFailed("still"))
        calls.starts.clear()
        await calls.ask("b", batch=True)
        await calls.clock.advance(2 * COOL_SECONDS - 1)
        assert calls.order == ""
        await calls.clock.advance(1)
        assert calls.order == "b"


async def test_permanent_failures_and_departures_do_not_cool(queues: Queues) -> None:
    async with desk(queues) as calls:
        for number in range(3 * FAILURES_TO_COOL):
            await calls.ask(f"x{number}", error=UpstreamUnauthorized("key"))
        for number in range(3 * FAILURES_TO_COOL):
            await calls.ask(f"y{number}", hold=asyncio.Event())
            calls.tasks[f"y{number}"].cancel()
            await calls.clock.settle()
        calls.starts.clear()
        await calls.ask("p")
        assert calls.order == "p"


async def test_a_new_address_is_a_new_chance(queues: Queues) -> None:
    async with desk(queues, base_url="http://old") as calls:
        await fail_until_cool(calls)
        calls.provider = replace(calls.provider, base_url="http://new")
        await calls.ask("p")
        assert calls.order == "p"


async def test_the_deadline_is_of_the_clock(queues: Queues) -> None:
    async with desk(queues, max_concurrency=1) as calls:
        await calls.ask("a", hold=asyncio.Event())
        await calls.ask("p", rules=QueueRules(deadline=25))
        await calls.clock.advance(24)
        assert calls.error("p") is None
        await calls.clock.advance(1)
        assert isinstance(calls.error("p"), QueueTimeout)


async def test_the_snapshot_tells_who_runs_waits_and_was(queues: Queues) -> None:
    async with desk(queues, requests_per_minute=1) as calls:
        await calls.ask("a", hold=asyncio.Event())
        await calls.ask("b")
        await calls.clock.advance(10)
        snapshot = await calls.queue.snapshot()
        assert [ticket.source for ticket in snapshot.running] == ["a"]
        assert [waiting.ticket.source for waiting in snapshot.waiting] == ["b"]
        assert snapshot.waiting[0].expected == pytest.approx(MINUTE - 10)
        await calls.ask("x", error=UpstreamFailed("oops"))
        calls.tasks["a"].cancel()
        await calls.clock.advance(120)
        recent = {ticket.source: (ticket.outcome, ticket.message) for ticket in (await calls.queue.snapshot()).recent}
        assert recent == {"a": ("left", ""), "b": ("done", ""), "x": ("upstream_failed", "oops")}


@pytest.mark.parametrize(
    ("limits", "tokens", "reason", "expected"),
    [
        ({"max_concurrency": 1}, (1, 1), Reason.PLACE, 2),
        ({"requests_per_minute": 1}, (1, 1), Reason.REQUESTS, MINUTE),
        ({"tokens_per_minute": 10}, (8, 8), Reason.TOKENS, MINUTE),
        ({"requests_per_minute": 9, "tokens_per_minute": 10}, (8, 8), Reason.TOKENS, MINUTE),
        ({"requests_per_minute": 1, "tokens_per_minute": 100}, (8, 8), Reason.REQUESTS, MINUTE),
        ({"requests_per_day": 1}, (1, 1), Reason.DAY, 12 * 3600),
        ({"tokens_per_day": 10, "requests_per_minute": 1}, (8, 8), Reason.DAY, 12 * 3600),
    ],
)
async def test_a_wait_says_what_it_is_for(
    queues: Queues, limits: dict[str, Any], tokens: tuple[int, int], reason: Reason, expected: float
) -> None:
    async with desk(queues, **limits) as calls:
        await calls.ask("a", tokens[0], batch=True, hold=asyncio.Event())
        await calls.ask("b", tokens[1], batch=True)
        (waiting,) = (await calls.queue.snapshot()).waiting
        assert waiting.reason is reason
        assert waiting.expected == pytest.approx(expected, abs=5)


async def test_a_wait_for_a_resting_provider_says_so(queues: Queues) -> None:
    async with desk(queues) as calls:
        await calls.ask("a", error=UpstreamBusy("Slow down.", retry_after=30))
        await calls.ask("b", batch=True)
        (waiting,) = (await calls.queue.snapshot()).waiting
        assert waiting.reason is Reason.REST and waiting.expected >= 30


LIMITS = st.fixed_dictionaries(
    {
        "max_concurrency": st.integers(1, 4),
        "requests_per_minute": st.integers(0, 6),
        "tokens_per_minute": st.integers(0, 60),
        "requests_per_day": st.integers(0, 25),
        "tokens_per_day": st.integers(0, 200),
    }
)
ASKS = st.lists(
    st.tuples(st.integers(0, 40), st.booleans(), st.integers(0, 30), st.sampled_from(["ok", "fail", "leave"])),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(LIMITS, ASKS)
def test_no_window_is_ever_exceeded_and_nobody_overtakes(
    limits: dict[str, int], asks: list[tuple[int, bool, int, str]]
) -> None:
    asyncio.run(_check(Queues(), limits, asks))


@settings(max_examples=20, deadline=None)
@given(LIMITS, ASKS)
def test_no_window_is_ever_exceeded_in_redis(
    redis_url: str, limits: dict[str, int], asks: list[tuple[int, bool, int, str]]
) -> None:
    asyncio.run(_check(Queues(redis_url), limits, asks))


async def _check(queues: Queues, limits: dict[str, Any], asks: list[tuple[int, bool, int, str]]) -> None:
    async with queues.open() as (queue, clock):
        await _check_windows(queue, clock, limits, asks)


async def _check_windows(
    queue: SharedQueue, clock: FakeClock, limits: dict[str, Any], asks: list[tuple[int, bool, int, str]]
) -> None:
    running = 0
    started: list[tuple[float, int, bool, int]] = []
    provider = replace(BASE, **limits)

    async def call(number: int, tokens: int, batch: bool, seconds: int, end: str) -> None:
        nonlocal running
        priority = Priority.BATCH if batch else Priority.INTERACTIVE
        async with queue.slot(provider, Cost(tokens=tokens), priority=priority, rules=PATIENT):
            running += 1
            assert running <= provider.max_concurrency
            started.append((clock.seconds, tokens, batch, number))
            try:
                done = asyncio.Event()
                clock.call_later(seconds, done.set)
                await done.wait()
                if end == "fail":
                    raise UpstreamUnauthorized("no")
            finally:
                running -= 1

    tasks = []
    for number, (tokens, batch, seconds, end) in enumerate(asks):
        tasks.append(asyncio.create_task(call(number, tokens, batch, seconds, end)))
        await clock.settle()
        if end == "leave":
            tasks[-1].cancel()
        await clock.advance(round(seconds / 3, 3))
    await clock.advance(3600)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    snapshot = await queue.snapshot()
    assert not snapshot.running and not snapshot.waiting
    _assert_windows(provider, started)


def _assert_windows(provider: ProviderConfig, started: list[tuple[float, int, bool, int]]) -> None:
    for at, *_ in started:
        window = [call for call in started if at - 60 + 1e-6 < call[0] <= at]
        if provider.requests_per_minute:
            assert len(window) <= provider.requests_per_minute
        if provider.tokens_per_minute:
            used = sum(call[1] for call in window)
            alone = [call for call in window if call[1]]
            assert used <= provider.tokens_per_minute or len(alone) == 1
    if provider.requests_per_day:
        assert len(started) <= provider.requests_per_day
    if provider.tokens_per_day:
        assert sum(call[1] for call in started) <= provider.tokens_per_day
    for batch in (False, True):
        numbers = [call[3] for call in started if call[2] is batch]
        assert numbers == sorted(numbers)


async def test_a_call_with_older_values_does_not_bring_them_back(queues: Queues) -> None:
    async with desk(queues, max_concurrency=8) as calls:
        old, calls.provider = calls.provider, replace(calls.provider, max_concurrency=1, version=2)
        await calls.ask("a", hold=asyncio.Event())
        await calls.ask("b", hold=asyncio.Event())
        calls.provider = old
        await calls.ask("c", hold=asyncio.Event())
        assert calls.order == "a"


async def test_a_clock_set_back_gives_no_second_budget(queues: Queues) -> None:
    async with desk(queues, requests_per_day=1) as calls:
        await calls.ask("a")
        calls.clock.start -= timedelta(days=1)
        await calls.ask("p")
        assert isinstance(calls.error("p"), DailyBudgetSpent)
