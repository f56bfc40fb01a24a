"""The memory and threads of a server while it holds many requests at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.configure import CONCURRENCY
from benchmarks.figures import Table
from benchmarks.load import finish, run, running, wait_until_sent
from benchmarks.processes import Memory, Server
from benchmarks.stage import Stage, speech

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
            *(one.shown() for one in (self.idle, self.held, self.answered)),
            f"{added:.0f}",
            f"{self.idle.threads} -> {self.held.threads}",
        ]


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
    server.wait_until_calm()
    idle = server.memory()
    stage.control("hold")
    bodies: list[dict[str, Any]] = [speech(f"held-{number}") for number in range(providers)]
    with running(stage.plan_of(server, requests, requests, bodies)) as load:
        wait_until_sent(load)
        upstream = min(requests, providers * CONCURRENCY)
        stage.wait_for_held(upstream)
        server.wait_until_calm()
        held = server.memory()
        stage.control("release")
        finish(load)
    server.wait_until_calm()
    return Holding(requests, upstream, idle, held, server.memory())
