"""CPU time a request, requests a second and latency of the speech path with an instant upstream."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Spread, Table, percentile, ratios
from benchmarks.load import Answer, Plan, run
from benchmarks.processes import BenchmarkError, Server
from benchmarks.stage import Stage

# Longer than the request log waits before it writes: its cost belongs to the requests that caused it.
DRAIN_SECONDS = 1.3
WARM_UP_SHARE = 10
# What is shown of a Sample, and how exactly.
DIGITS = {"cpu": 2, "per_second": 0, "p50": 1, "p99": 1}


@dataclass(frozen=True, slots=True)
class Sample:
    """One server's share of a round; times in milliseconds."""

    cpu: float
    per_second: float
    p50: float
    p99: float


@dataclass(slots=True)
class Comparison:
    """The rounds of both servers at one number of requests at once."""

    concurrency: int
    bare: list[Sample] = field(default_factory=list)
    ours: list[Sample] = field(default_factory=list)

    def rows(self) -> list[list[str]]:
        return [
            self._row("bare", self.bare),
            self._row("Neiroha", self.ours),
            [f"{self.concurrency}", "ratio", *(self.ratio(name).shown(2, "x") for name in DIGITS)],
        ]

    def ratio(self, name: str) -> Spread:
        """Ours to the pass-through's, round by round."""
        return ratios(values(self.ours, name), values(self.bare, name))

    def _row(self, server: str, samples: Sequence[Sample]) -> list[str]:
        shown = [Spread.of(values(samples, name)).shown(digits) for name, digits in DIGITS.items()]
        return [f"{self.concurrency}", server, *shown]


def values(samples: Sequence[Sample], name: str) -> list[float]:
    return [getattr(sample, name) for sample in samples]


def measure(stage: Stage) -> list[Comparison]:
    comparisons = [Comparison(concurrency) for concurrency in stage.settings.concurrencies]
    with stage.neiroha() as ours, stage.bare("instant") as bare:
        for server in (ours, bare):
            _warm_up(stage, server)
        for _ in range(stage.settings.rounds):
            for comparison in comparisons:
                comparison.bare.append(_sample(stage, bare, comparison.concurrency))
                comparison.ours.append(_sample(stage, ours, comparison.concurrency))
    return comparisons


def table(comparisons: Sequence[Comparison], audio_bytes: int) -> Table:
    return Table(
        f"Speech path, instant upstream, {audio_bytes:,} bytes of mp3",
        ["at once", "server", "CPU ms a request", "requests/s", "p50 ms", "p99 ms"],
        [row for comparison in comparisons for row in comparison.rows()],
    )


def _warm_up(stage: Stage, server: Server) -> None:
    requests = max(stage.settings.requests // WARM_UP_SHARE, 1)
    run(_plan(stage, server, requests, max(stage.settings.concurrencies)))
    time.sleep(DRAIN_SECONDS)


def _sample(stage: Stage, server: Server, concurrency: int) -> Sample:
    return measured(stage, server, _plan(stage, server, stage.settings.requests, concurrency))


def measured(stage: Stage, server: Server, plan: Plan) -> Sample:
    before = server.cpu_seconds()
    answers = run(plan)
    time.sleep(DRAIN_SECONDS)
    cpu = server.cpu_seconds() - before
    _check(answers, plan, stage)
    seconds = max(answer.finished for answer in answers) - min(answer.sent for answer in answers)
    latencies = [answer.seconds * 1000 for answer in answers]
    return Sample(
        cpu=cpu / len(answers) * 1000,
        per_second=len(answers) / seconds,
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
    )


def _plan(stage: Stage, server: Server, requests: int, concurrency: int) -> Plan:
    return stage.plan(server, requests, concurrency, voice="instant")


def _check(answers: Sequence[Answer], plan: Plan, stage: Stage) -> None:
    """Both servers must have done the whole work."""
    if len(answers) != plan.requests or {answer.size for answer in answers} != {stage.audio_bytes}:
        raise BenchmarkError("A server did not pass the whole audio on.")
