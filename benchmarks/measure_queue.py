"""What requests cost a server while they wait in the shared queue, and until they wait, and after."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.configure import NARROW
from benchmarks.figures import Spread, Table
from benchmarks.load import finish, run, running, wait_until_sent
from benchmarks.measure_speech import DRAIN_SECONDS
from benchmarks.processes import Memory, Server
from benchmarks.stage import Stage

WARM_UP = 100


@dataclass(frozen=True, slots=True)
class Wait:
    """One round. CPU milliseconds a request: `direct`, the whole of one that need not wait; `enter`, until it waits;
    `leave`, from its turn to its end. `idle` is the share of a processor that is used while all of them wait."""

    direct: float
    enter: float
    idle: float
    leave: float

    @property
    def added(self) -> float:
        """What the wait added to the cost of a request."""
        return self.enter + self.leave - self.direct


@dataclass(slots=True)
class Crowd:
    """A server in which `waiting` requests wait; `calm` is the share of a processor that it uses after them. `held` and
    `after` are of the last round."""

    waiting: int
    before: Memory
    held: Memory
    after: Memory
    rounds: list[Wait] = field(default_factory=list)
    calm: float = 0.0

    def row(self) -> list[str]:
        shown = [self.spread(name).shown() for name in ("direct", "enter", "leave", "added")]
        memories = [one.shown() for one in (self.before, self.held, self.after)]
        idle = f"{self.spread('idle').median:.1%} -> {self.calm:.1%}"
        threads = f"{self.before.threads} -> {self.held.threads}"
        return [f"{self.waiting}", *shown, idle, *memories, threads]

    def spread(self, name: str) -> Spread:
        return Spread.of(getattr(one, name) for one in self.rounds)


def measure(stage: Stage) -> list[Crowd]:
    crowds = []
    for waiting in stage.settings.waiting:
        with stage.neiroha() as server:
            crowds.append(_crowd(stage, server, waiting))
    return crowds


def table(crowds: Sequence[Crowd]) -> Table:
    columns = ["waiting", "direct ms", "enter ms", "leave ms", "added ms", "CPU waiting -> after"]
    return Table(
        "Requests that wait in the queue",
        [*columns, "idle MB", "waiting MB", "after MB", "threads"],
        [crowd.row() for crowd in crowds],
        note=f"A provider that takes {NARROW} at once. CPU milliseconds a request: direct, the whole of one that need"
        " not wait; enter, until it waits; leave, from its turn to its end; added, enter and leave less direct."
        " CPU: share of one processor. Resident memory; in brackets what is the process's own.",
    )


def _crowd(stage: Stage, server: Server, waiting: int) -> Crowd:
    stage.control("release")
    run(stage.plan(server, WARM_UP, NARROW, voice="narrow"))
    time.sleep(DRAIN_SECONDS)
    server.wait_until_calm()
    before = server.memory()
    crowd = Crowd(waiting, before, before, before)
    for _ in range(stage.settings.rounds):
        direct = _direct(stage, server, waiting)
        crowd.rounds.append(_wait(stage, server, crowd, direct))
    crowd.calm = _share_used(stage, server)
    return crowd


def _direct(stage: Stage, server: Server, requests: int) -> float:
    """CPU milliseconds of a request through the same provider, as many at once as it takes."""
    spent = server.cpu_seconds()
    run(stage.plan(server, requests, NARROW, voice="narrow"))
    time.sleep(DRAIN_SECONDS)
    return (server.cpu_seconds() - spent) / requests * 1000


def _wait(stage: Stage, server: Server, crowd: Crowd, direct: float) -> Wait:
    requests = crowd.waiting + NARROW
    stage.control("hold")
    spent = server.cpu_seconds()
    with running(stage.plan(server, requests, requests, voice="narrow")) as load:
        wait_until_sent(load)
        stage.wait_for_held(NARROW)
        server.wait_until_calm()
        entered = server.cpu_seconds()
        idle = _share_used(stage, server)
        crowd.held = server.memory()
        waited = server.cpu_seconds()
        stage.control("release")
        finish(load)
        time.sleep(DRAIN_SECONDS)
        left = server.cpu_seconds()
    server.wait_until_calm()
    crowd.after = server.memory()
    return Wait(direct, (entered - spent) / requests * 1000, idle, (left - waited) / requests * 1000)


def _share_used(stage: Stage, server: Server) -> float:
    spent, began = server.cpu_seconds(), time.monotonic()
    time.sleep(stage.settings.idle_seconds)
    return (server.cpu_seconds() - spent) / (time.monotonic() - began)
