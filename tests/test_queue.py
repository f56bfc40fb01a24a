from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import QueueCancelled, QueueFull, QueueTimeout
from providers.lane import BATCH_TURN
from providers.queue import Cost, Priority, QueueRules, SharedQueue
from providers.speech import ProviderConfig
from tests.fake_clock import FakeClock
from tests.queues import Queues

ONE = ProviderConfig(id=1, name="One", kind="embedded", max_concurrency=1)
THREE = ProviderConfig(id=3, name="Three", kind="embedded", max_concurrency=3)


class Crowd:
    """Callers of one queue, each held in its slot until released; `started` tells the order of their turns."""

    def __init__(self, queue: SharedQueue, clock: FakeClock, provider: ProviderConfig) -> None:
        self.queue, self.clock = queue, clock
        self.provider = provider
        self.started: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._doors: dict[str, asyncio.Event] = {}

    def enter(self, name: str, priority: Priority = Priority.INTERACTIVE, rules: QueueRules | None = None) -> None:
        self._doors[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._hold(name, priority, rules or QueueRules(deadline=None)))

    async def _hold(self, name: str, priority: Priority, rules: QueueRules) -> None:
        async with self.queue.slot(self.provider, Cost(), priority=priority, source=name, rules=rules):
            self.started.append(name)
            await self._doors[name].wait()

    async def leave(self, name: str) -> None:
        self._doors[name].set()
        await self.tasks[name]
        await self.clock.settle()


@asynccontextmanager
async def crowd(queues: Queues, provider: ProviderConfig) -> AsyncIterator[Crowd]:
    async with queues.open() as (queue, clock):
        made = Crowd(queue, clock, provider)
        yield made
        for task in made.tasks.values():
            task.cancel()
        await asyncio.gather(*made.tasks.values(), return_exceptions=True)
        snapshot = await made.queue.snapshot()
        assert not snapshot.running and not snapshot.waiting, "a slot was not given back"


async def test_first_come_first_served(queues: Queues) -> None:
    async with crowd(queues, ONE) as callers:
        for name in "abcd":
            callers.enter(name)
            await callers.clock.settle()
        for name in "abc":
            await callers.leave(name)
        assert callers.started == ["a", "b", "c", "d"]


async def test_as_many_run_at_once_as_the_provider_allows(queues: Queues) -> None:
    async with crowd(queues, THREE) as callers:
        for name in "abcde":
            callers.enter(name)
        await callers.clock.settle()
        assert callers.started == ["a", "b", "c"]
        snapshot = await callers.queue.snapshot()
        assert [waiting.ticket.source for waiting in snapshot.waiting] == ["d", "e"]
        await callers.leave("b")
        assert callers.started[3:] == ["d"]


async def test_providers_do_not_wait_for_each_other(queues: Queues) -> None:
    async with (
        queues.open() as (queue, _clock),
        queue.slot(ONE, Cost()),
        asyncio.timeout(60),
        queue.slot(THREE, Cost()) as other,
    ):
        assert other.provider.name == "Three"


async def test_interactive_goes_before_batch(queues: Queues) -> None:
    async with crowd(queues, ONE) as callers:
        callers.enter("running")
        await callers.clock.settle()
        callers.enter("batch", Priority.BATCH)
        await callers.clock.settle()
        callers.enter("person")
        await callers.clock.settle()
        await callers.leave("running")
        assert callers.started == ["running", "person"]


async def test_a_waiting_batch_line_is_not_starved(queues: Queues) -> None:
    async with crowd(queues, ONE) as callers:
        callers.enter("p0")
        await callers.clock.settle()
        callers.enter("batch", Priority.BATCH)
        for number in range(1, 2 * BATCH_TURN):
            callers.enter(f"p{number}")
        await callers.clock.settle()
        for number in range(BATCH_TURN):
            await callers.leave(f"p{number}")
        assert callers.started == [f"p{number}" for number in range(BATCH_TURN)] + ["batch"]


async def test_a_full_queue_refuses_at_once(queues: Queues) -> None:
    async with crowd(queues, ONE) as callers:
        rules = QueueRules(max_waiting=1, deadline=None)
        callers.enter("running", rules=rules)
        callers.enter("waiting", rules=rules)
        await callers.clock.settle()
        with pytest.raises(QueueFull, match="One") as caught:
            async with callers.queue.slot(ONE, Cost(), rules=rules):
                pass
        assert caught.value.retry_after


async def test_the_deadline_ends_a_wait_and_gives_the_place_up(queues: Queues) -> None:
    async with crowd(queues, ONE) as callers:
        callers.enter("running")
        await callers.clock.settle()
        callers.enter("late", rules=QueueRules(deadline=0.01))
        await callers.clock.advance(0.02)
        with pytest.raises(QueueTimeout):
            await callers.tasks["late"]
        assert not (await callers.queue.snapshot()).waiting


async def test_cancel_by_id_ends_a_wait(queues: Queues) -> None:
    async with crowd(queues, ONE) as callers:
        callers.enter("running")
        callers.enter("waiting")
        await callers.clock.settle()
        ticket = (await callers.queue.snapshot()).waiting[0].ticket
        assert await callers.queue.cancel(ticket.id)
        with pytest.raises(QueueCancelled):
            await callers.tasks["waiting"]
        assert not await callers.queue.cancel(ticket.id), "cancelled twice"


async def test_a_failing_caller_gives_its_slot_back(queues: Queues) -> None:
    async with queues.open() as (queue, _clock):
        with pytest.raises(ZeroDivisionError):
            async with queue.slot(ONE, Cost()):
                raise ZeroDivisionError
        assert not (await queue.snapshot()).running


async def test_a_caller_cancelled_at_the_moment_of_its_turn_gives_the_slot_on(queues: Queues) -> None:
    async with crowd(queues, ONE) as callers:
        callers.enter("running")
        callers.enter("unlucky")
        callers.enter("next")
        await callers.clock.settle()
        callers._doors["running"].set()
        while not callers.tasks["running"].done():
            await asyncio.sleep(0)
        callers.tasks["unlucky"].cancel()
        await callers.clock.settle()
        assert callers.started[-1] == "next"


async def test_a_raised_limit_lets_the_waiting_in(queues: Queues) -> None:
    async with crowd(queues, ONE) as callers:
        for name in "abc":
            callers.enter(name)
        await callers.clock.settle()
        callers.provider = ProviderConfig(id=1, name="One", kind="embedded", max_concurrency=4)
        callers.enter("d")
        await callers.clock.settle()
        assert sorted(callers.started) == ["a", "b", "c", "d"]


async def test_times_are_of_the_given_clock(queues: Queues) -> None:
    async with queues.open() as (queue, clock), queue.slot(ONE, Cost()) as ticket:
        await clock.advance(7.5)
        assert ticket.waited == 0
        assert ticket.started_at == clock.seconds - 7.5


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 40))
def test_never_above_the_limit_and_nothing_leaks(queues: Queues, seed: int, limit: int, callers: int) -> None:
    async def come_and_go() -> None:
        async with queues.open() as (queue, _clock):
            await _random_crowd(queue, random.Random(seed), limit, callers)

    asyncio.run(come_and_go())


async def _random_crowd(queue: SharedQueue, dice: random.Random, limit: int, callers: int) -> None:
    """Callers that come, fail, are cancelled and finish at random."""
    provider = ProviderConfig(id=9, name="Nine", kind="embedded", max_concurrency=limit)
    running = peak = 0

    async def call() -> None:
        nonlocal running, peak
        priority = dice.choice(list(Priority))
        async with queue.slot(provider, Cost(), priority=priority, rules=QueueRules(deadline=None)):
            running += 1
            peak = max(peak, running)
            try:
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
                if dice.random() < 0.2:
                    raise ZeroDivisionError
            finally:
                running -= 1

    tasks = [asyncio.create_task(call()) for _ in range(callers)]
    for task in dice.sample(tasks, len(tasks) // 3):
        await asyncio.sleep(0)
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, ZeroDivisionError):
            await task
    snapshot = await queue.snapshot()
    assert peak <= limit
    assert not snapshot.running and not snapshot.waiting
