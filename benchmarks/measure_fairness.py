"""Who gets how much of one provider: ten interactive callers, alone and beside a batch that never ends.

The API asks for interactive speech only, so the callers stand before the queue itself; a sleep is the provider.
`python -m benchmarks.measure_fairness` reads a Scenario as JSON and prints the waits of each source.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.figures import Spread, Table, percentile
from benchmarks.load import loop_factory
from benchmarks.processes import answer_of
from benchmarks.stage import Stage
from providers.queue import Cost, Priority, QueueRules, SpeechQueue
from providers.speech import ProviderConfig

CONCURRENCY = 4
UPSTREAM_SECONDS = 0.02
CALLERS = 10
PAUSE_SECONDS = 0.1
GREEDY = 20
BATCH_WAITING = 64
RULES = QueueRules(deadline=None)
PROVIDER = ProviderConfig(id=1, name="shared", kind="openai", max_concurrency=CONCURRENCY)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Ten interactive callers, each with one request at a time and a mean `pause` (seconds) between two; the first has
    `at_once`. Beside them `batch` requests of one source wait at any time. It ends with so many `answers`."""

    name: str
    answers: int
    pause: float = 0.0
    at_once: int = 1
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Shares:
    """The seconds that each answered request waited, caller by caller, and of the batch."""

    scenario: Scenario
    callers: list[list[float]]
    batch: list[float]

    @property
    def jain(self) -> float:
        """Jain's index of what the callers were answered: 1 when all got as much, 0.1 when one of ten got all."""
        answered = [len(waits) for waits in self.callers]
        return sum(answered) ** 2 / (len(answered) * sum(one * one for one in answered))

    def rows(self) -> list[list[str]]:
        answered = Spread.of(len(waits) for waits in self.callers).shown(0)
        rows = [self._row("each caller", answered, self.callers) + [f"{self.jain:.3f}"]]
        if self.batch:
            rows.append(self._row("batch", f"{len(self.batch)}", [self.batch]) + [""])
        return rows

    def _row(self, who: str, answered: str, sources: Sequence[Sequence[float]]) -> list[str]:
        share = sum(map(len, sources)) / self.scenario.answers
        return [self.scenario.name, who, answered, f"{share:.0%}", _waited(sources, 0.5), _waited(sources, 0.99)]


def _waited(sources: Sequence[Sequence[float]], share: float) -> str:
    milliseconds = [percentile(waits, share) * 1000 for waits in sources if waits]
    return Spread.of(milliseconds).shown(0) if len(milliseconds) > 1 else f"{milliseconds[0]:.0f}"


def scenarios(answers: int) -> list[Scenario]:
    return [
        Scenario("no pause, alone", answers),
        Scenario("no pause, beside a batch", answers, batch=BATCH_WAITING),
        Scenario("pauses, alone", answers, pause=PAUSE_SECONDS),
        Scenario("pauses, beside a batch", answers, pause=PAUSE_SECONDS, batch=BATCH_WAITING),
        Scenario(f"one asks for {GREEDY} at once, beside a batch", answers, at_once=GREEDY, batch=BATCH_WAITING),
    ]


def measure(stage: Stage) -> list[Shares]:
    return [_play_apart(scenario) for scenario in scenarios(stage.settings.answers)]


def table(series: Sequence[Shares]) -> Table:
    return Table(
        "Fairness of the queue",
        ["callers", "who", "answered", "share", "median wait ms", "p99 wait ms", "Jain's index"],
        [row for shares in series for row in shares.rows()],
        note=f"{CALLERS} interactive callers and {BATCH_WAITING} waiting batch requests before one provider that takes"
        f" {CONCURRENCY} at once, {UPSTREAM_SECONDS * 1000:.0f} ms each. The median caller, with the least and the most"
        f" of the {CALLERS} in brackets; the share is that of all callers together. Pauses last"
        f" {PAUSE_SECONDS * 1000:.0f} ms on average.",
    )


def _play_apart(scenario: Scenario) -> Shares:
    known = answer_of("benchmarks.measure_fairness", asdict(scenario))
    return Shares(scenario, known["callers"], known["batch"])


class Play:
    """One scenario on its way."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.callers: list[list[float]] = [[] for _ in range(CALLERS)]
        self.batch: list[float] = []
        self._queue = SpeechQueue()
        self._left = scenario.answers
        self._over = asyncio.Event()

    async def run(self) -> None:
        first, *others = self.callers
        async with asyncio.TaskGroup() as group:
            turns = [self._batch() for _ in range(self.scenario.batch)]
            turns += [self._caller(first) for _ in range(self.scenario.at_once)]
            turns += [self._caller(waits) for waits in others]
            tasks = [group.create_task(turn) for turn in turns]
            await self._over.wait()
            for task in tasks:
                task.cancel()

    async def _caller(self, waits: list[float]) -> None:
        while True:
            # At random, so that the callers do not come all at the same time.
            await asyncio.sleep(random.uniform(0, 2 * self.scenario.pause))
            await self._ask(Priority.INTERACTIVE, waits)

    async def _batch(self) -> None:
        while True:
            await self._ask(Priority.BATCH, self.batch)

    async def _ask(self, priority: Priority, waits: list[float]) -> None:
        async with self._queue.slot(PROVIDER, Cost(), priority=priority, source=priority.name, rules=RULES) as ticket:
            await asyncio.sleep(UPSTREAM_SECONDS)
        if self._left:
            waits.append(ticket.waited)
            self._left -= 1
        if not self._left:
            self._over.set()


def main() -> None:
    play = Play(Scenario(**json.loads(sys.stdin.readline())))
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(play.run())
    print(json.dumps({"callers": play.callers, "batch": play.batch}))


if __name__ == "__main__":
    main()
