"""The memory and threads of a server while it holds many requests at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.configure import CONCURRENCY
from benchmarks.figures import Table
from benchmarks.load import finish, run, running, wait_until_sent
from benchmarks.processes import BenchmarkError, Memory, Server
from benchmarks.stage import Stage, speech

CALM_SECONDS = 0.5
# A server that only waits uses less; its background work polls once a second.
CALM_SHARE = 0.1
WAIT_SECONDS = 60.0
WARM_UP = 20


@dataclass(frozen=True, slots=True)
class Holding:
    """A server that holds `requests`, `upstream` of them in a call and the others in the queue."""

    requests: int
    upstream: int
    idle: Memory
    held: Memory
    answered: Memory

    def row(self) -> list[str]:
        added = (self.held.unique - self.idle.unique) / self.requests / 1e3
        return [
            f"{self.requests}",
            f"{self.upstream}",
            *(f"{_megabytes(one)}" for one in (self.idle, self.held, self.answered)),
            f"{added:.0f}",
            f"{self.idle.threads} -> {self.held.threads}",
        ]


def _megabytes(memory: Memory) -> str:
    return f"{memory.resident / 1e6:.0f} ({memory.unique / 1e6:.0f})"


def measure(stage: Stage) -> list[Holding]:
    holdings = []
    for requests in stage.settings.held:
        for providers in sorted({1, -(-requests // CONCURRENCY)}):
            with stage.neiroha() as server:
                holdings.append(_hold(stage, server, requests, providers))
    return holdings


def table(holdings: Sequence[Holding]) -> Table:
    return Table(
        "Memory with held requests",
        ["held", "at the upstream", "idle MB", "held MB", "answered MB", "kB a request", "threads"],
        [holding.row() for holding in holdings],
        note="Resident memory; in brackets what is the process's own. A fresh server for each row.",
    )


def _hold(stage: Stage, server: Server, requests: int, providers: int) -> Holding:
    run(stage.plan(server, WARM_UP, WARM_UP, voice="instant"))
    _wait_until_calm(server)
    idle = server.memory()
    stage.control("hold")
    bodies: list[dict[str, Any]] = [speech(f"held-{number}") for number in range(providers)]
    with running(stage.plan_of(server, requests, requests, bodies)) as load:
        wait_until_sent(load)
        upstream = min(requests, providers * CONCURRENCY)
        _wait_for_held(stage, upstream)
        _wait_until_calm(server)
        held = server.memory()
        stage.control("release")
        finish(load)
    _wait_until_calm(server)
    return Holding(requests, upstream, idle, held, server.memory())


def _wait_for_held(stage: Stage, upstream: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while (held := stage.control("state")["held"]) != upstream:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"The upstream holds {held} requests instead of {upstream}.")
        time.sleep(CALM_SECONDS / 10)


def _wait_until_calm(server: Server) -> None:
    """Wait until the server does next to nothing: then all that was sent has come to where it waits."""
    deadline = time.monotonic() + WAIT_SECONDS
    spent = server.cpu_seconds()
    while True:
        time.sleep(CALM_SECONDS)
        before, spent = spent, server.cpu_seconds()
        if spent - before <= CALM_SHARE * CALM_SECONDS:
            return
        if time.monotonic() > deadline:
            raise BenchmarkError("The server did not come to rest.")
