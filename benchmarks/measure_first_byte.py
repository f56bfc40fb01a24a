"""How long after the upstream sent its first byte the client has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Spread, Table, percentile
from benchmarks.load import run
from benchmarks.processes import BenchmarkError, Server
from benchmarks.stage import Stage, speech

# A paced answer takes about as long as ten instant ones.
REQUESTS_SHARE = 10


@dataclass(frozen=True, slots=True)
class Delay:
    """Milliseconds from the upstream's first byte to the client's, in one round of one server."""

    p50: float
    p99: float


@dataclass(slots=True)
class Delays:
    concurrency: int
    bare: list[Delay] = field(default_factory=list)
    ours: list[Delay] = field(default_factory=list)

    @property
    def added(self) -> Spread:
        """What Neiroha adds to the pass-through's median delay."""
        return Spread.of(ours.p50 - bare.p50 for ours, bare in zip(self.ours, self.bare, strict=True))

    def rows(self) -> list[list[str]]:
        return [
            [f"{self.concurrency}", "bare", *_shown(self.bare)],
            [f"{self.concurrency}", "Neiroha", *_shown(self.ours)],
            [f"{self.concurrency}", "added", self.added.shown(), ""],
        ]


def _shown(delays: Sequence[Delay]) -> list[str]:
    return [Spread.of(one.p50 for one in delays).shown(), Spread.of(one.p99 for one in delays).shown()]


def measure(stage: Stage) -> list[Delays]:
    series = [Delays(concurrency) for concurrency in stage.settings.concurrencies]
    with stage.neiroha() as ours, stage.bare("stream") as bare:
        for server in (ours, bare):
            _sample(stage, server, 1)
        for _ in range(stage.settings.rounds):
            for delays in series:
                delays.bare.append(_sample(stage, bare, delays.concurrency))
                delays.ours.append(_sample(stage, ours, delays.concurrency))
    return series


def table(series: Sequence[Delays]) -> Table:
    return Table(
        "First byte of a streamed answer, after the upstream's first byte",
        ["at once", "server", "median ms", "p99 ms"],
        [row for delays in series for row in delays.rows()],
    )


def _sample(stage: Stage, server: Server, concurrency: int) -> Delay:
    requests = max(stage.settings.requests // REQUESTS_SHARE, concurrency, 1)
    plan = stage.plan_of(server, requests, concurrency, [speech("stream", stream=True)], numbered=True)
    stage.control("forget")
    answers = run(plan)
    sent: dict[str, float] = stage.control("state")["first_sent"]
    if len(sent) != requests or {answer.size for answer in answers} != {stage.audio_bytes}:
        raise BenchmarkError("A server did not pass the whole stream on.")
    delays = [(answer.first_byte - sent[plan.text(answer.number)]) * 1000 for answer in answers]
    return Delay(percentile(delays, 0.5), percentile(delays, 0.99))
