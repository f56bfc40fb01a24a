"""Answers from kept speech beside the same ones from the provider: CPU time a request, requests a second, latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.configure import BANK, KEEPING_BANK
from benchmarks.figures import Spread, Table
from benchmarks.load import run
from benchmarks.measure_speech import DIGITS, Sample, measured, values
from benchmarks.processes import BenchmarkError, Server
from benchmarks.stage import Stage

ALIKE = 64


@dataclass(slots=True)
class Kept:
    """The rounds at one number of requests at once."""

    concurrency: int
    spoken: list[Sample] = field(default_factory=list)
    kept: list[Sample] = field(default_factory=list)

    def rows(self) -> list[list[str]]:
        return [self._row("spoken", self.spoken), self._row("kept", self.kept)]

    def _row(self, name: str, samples: Sequence[Sample]) -> list[str]:
        shown = [Spread.of(values(samples, figure)).shown(digits) for figure, digits in DIGITS.items()]
        return [f"{self.concurrency}", name, *shown]


def measure(stage: Stage) -> list[Kept]:
    found = [Kept(concurrency) for concurrency in stage.settings.concurrencies]
    with stage.neiroha() as server:
        _share_one_call(stage, server)
        for _ in range(stage.settings.rounds):
            for each in found:
                each.spoken.append(_sample(stage, server, each.concurrency, BANK))
                each.kept.append(_sample(stage, server, each.concurrency, KEEPING_BANK))
        if (calls := stage.control("state")["calls"]) != _expected(stage):
            raise BenchmarkError(f"The upstream was called {calls} times instead of {_expected(stage)}.")
    return found


def table(found: Sequence[Kept], audio_bytes: int) -> Table:
    return Table(
        f"Kept speech, instant upstream, {audio_bytes:,} bytes of mp3",
        ["at once", "answer", "CPU ms a request", "requests/s", "p50 ms", "p99 ms"],
        [row for each in found for row in each.rows()],
    )


def _share_one_call(stage: Stage, server: Server) -> None:
    """Nothing is kept yet: all of these ask for the same, and one call answers them."""
    stage.control("forget")
    run(stage.plan(server, ALIKE, ALIKE, voice="instant", model=KEEPING_BANK))


def _sample(stage: Stage, server: Server, concurrency: int, bank: str) -> Sample:
    return measured(
        stage, server, stage.plan(server, stage.settings.requests, concurrency, voice="instant", model=bank)
    )


def _expected(stage: Stage) -> int:
    """One for all that is kept, and each that was spoken."""
    return 1 + stage.settings.rounds * len(stage.settings.concurrencies) * stage.settings.requests
