"""The queue alone, without server, provider or log: what a ticket costs while many wait.

`python -m benchmarks.measure_tickets` reads an order as JSON and prints its Trials.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass

from benchmarks.configure import NARROW, WAIT_SECONDS
from benchmarks.figures import Spread, Table
from benchmarks.load import loop_factory
from benchmarks.processes import BenchmarkError, answer_of
from benchmarks.stage import Stage
from providers.queue import Cost, QueueRules, SpeechQueue
from providers.speech import ProviderConfig

PROVIDER = ProviderConfig(id=1, name="narrow", kind="openai", max_concurrency=NARROW)
RULES = QueueRules(max_waiting=1_000_000, deadline=WAIT_SECONDS)
SNAPSHOTS = 5
# Turns enough that the line is made up of others in the end.
MIN_TURNS = 1000
# Of the event loop, in which a caller comes from its start to where it waits.
PASSES = 5
# What is shown of a Trial, and how exactly.
DIGITS = {"enter": 1, "turn": 1, "leave": 1, "give_up": 1, "snapshot": 2}

type Door = Callable[[], AbstractAsyncContextManager[object]]


@dataclass(frozen=True, slots=True)
class Trial:
    """CPU microseconds a ticket: `enter`, until it waits; `turn`, one more comes and the first starts and leaves,
    while all the others wait; `leave`, the start and the end of each, until nobody waits; `give_up`, the end of a
    wait without a turn. Milliseconds: `snapshot`, of the whole queue."""

    enter: float
    turn: float
    leave: float
    give_up: float
    snapshot: float


@dataclass(frozen=True, slots=True)
class Tickets:
    """The rounds with so many waiting, and those of asyncio's semaphore, the least that can hold anybody up."""

    waiting: int
    queue: list[Trial]
    semaphore: list[Trial]

    def rows(self) -> list[list[str]]:
        return [
            [f"{self.waiting}", "queue", *_shown(self.queue, list(DIGITS))],
            [f"{self.waiting}", "semaphore", *_shown(self.semaphore, list(DIGITS)[:-1]), ""],
        ]


def _shown(trials: Sequence[Trial], names: Sequence[str]) -> list[str]:
    return [Spread.of(getattr(trial, name) for trial in trials).shown(DIGITS[name]) for name in names]


def measure(stage: Stage) -> list[Tickets]:
    return [_measure_one(waiting, stage.settings.rounds) for waiting in stage.settings.tickets]


def table(series: Sequence[Tickets]) -> Table:
    return Table(
        "The queue alone",
        ["waiting", "of", "enter µs", "turn µs", "leave µs", "give up µs", "snapshot ms"],
        [row for tickets in series for row in tickets.rows()],
        note="CPU microseconds a ticket, its task's own cost included, beside asyncio's semaphore. enter: until it"
        " waits; turn: one more comes, the first starts and leaves, and the others wait on; leave: start and end of"
        " each until nobody waits; give up: the end of a wait without a turn. Snapshot: CPU milliseconds, all of it.",
    )


def _measure_one(waiting: int, rounds: int) -> Tickets:
    known = answer_of("benchmarks.measure_tickets", {"waiting": waiting, "rounds": rounds})
    return Tickets(waiting, *([Trial(**trial) for trial in known[of]] for of in ("queue", "semaphore")))


class Line:
    """Callers behind a door; whoever is inside stays until it is let out."""

    def __init__(self, door: Door, waiting: int, group: asyncio.TaskGroup) -> None:
        self._door = door
        self._waiting = waiting
        self._group = group
        self._exits = asyncio.Semaphore(0)
        self._callers: deque[asyncio.Task[None]] = deque()

    async def trial(self, look: Callable[[], Awaitable[None]]) -> Trial:
        turns = max(2 * self._waiting, MIN_TURNS)
        await self._come(NARROW)
        enter = await _cpu(self._come(self._waiting)) / self._waiting
        snapshot = await _cpu(_repeated(look)) / SNAPSHOTS
        turn = await _cpu(self._turn(turns)) / turns
        leave = await _cpu(self._leave()) / self._waiting
        await self._come(NARROW + self._waiting)
        give_up = await _cpu(self._give_up()) / self._waiting
        await self._leave()
        return Trial(enter * 1e6, turn * 1e6, leave * 1e6, give_up * 1e6, snapshot * 1e3)

    async def _come(self, callers: int) -> None:
        self._callers.extend(self._group.create_task(self._call()) for _ in range(callers))
        await _come_to_rest()

    async def _call(self) -> None:
        async with self._door():
            await self._exits.acquire()

    async def _turn(self, turns: int) -> None:
        for _ in range(turns):
            self._exits.release()
            await self._come(1)
            await self._callers.popleft()

    async def _leave(self) -> None:
        for _ in self._callers:
            self._exits.release()
        await asyncio.gather(*self._callers)
        self._callers.clear()

    async def _give_up(self) -> None:
        leaving = [self._callers.pop() for _ in range(self._waiting)]
        for caller in leaving:
            caller.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)


async def _come_to_rest() -> None:
    for _ in range(PASSES):
        await asyncio.sleep(0)


async def _cpu(work: Coroutine[None, None, None]) -> float:
    began = time.process_time()
    await work
    return time.process_time() - began


async def _repeated(look: Callable[[], Awaitable[None]]) -> None:
    for _ in range(SNAPSHOTS):
        await look()


async def _try_queue(waiting: int) -> Trial:
    queue = SpeechQueue()

    async def look() -> None:
        if (seen := len((await queue.snapshot()).waiting)) != waiting:
            raise BenchmarkError(f"{seen} wait in the queue instead of {waiting}.")

    async with asyncio.TaskGroup() as group:
        return await Line(lambda: queue.slot(PROVIDER, Cost(), rules=RULES), waiting, group).trial(look)


async def _nothing() -> None:
    """A semaphore shows nothing."""


async def _try_semaphore(waiting: int) -> Trial:
    semaphore = asyncio.Semaphore(NARROW)
    async with asyncio.TaskGroup() as group:
        return await Line(lambda: semaphore, waiting, group).trial(_nothing)


def main() -> None:
    order = json.loads(sys.stdin.readline())
    trials: dict[str, list[dict[str, float]]] = {"queue": [], "semaphore": []}
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        for _ in range(order["rounds"]):
            trials["semaphore"].append(asdict(runner.run(_try_semaphore(order["waiting"]))))
            trials["queue"].append(asdict(runner.run(_try_queue(order["waiting"]))))
    print(json.dumps(trials))


if __name__ == "__main__":
    main()
