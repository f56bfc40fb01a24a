"""A long, mixed load with faults: what the server holds before, in the midst of it, and once it is over."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from benchmarks.figures import Table, Tables
from benchmarks.processes import ROOT, START_SECONDS, BenchmarkError, Held, Server, answer_of, environment, python
from benchmarks.stage import Stage

LOOKS = 8
WARM_UP_SECONDS, WARM_UP_LINES = 15.0, 100
LINES_A_MINUTE, MOST_LINES = 200, 5000
SPARE_SECONDS = 300.0


@dataclass
class Soak:
    """`during`: minutes into the load, and what was held then. `outcomes`: each kind of client's answers by status."""

    minutes: float
    before: Held
    during: list[tuple[float, Held]] = field(default_factory=list)
    after: Held | None = None
    outcomes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    lines: int = 0

    @property
    def growth(self) -> float:
        """Megabytes an hour of the server's own memory, over the second half of the load."""
        half = [look for look in self.during if look[0] >= self.minutes / 2]
        (first, was), (last, became) = half[0], half[-1]
        return (became.memory.unique - was.memory.unique) / 1e6 / max(last - first, 1e-9) * 60


def measure(stage: Stage) -> Soak:
    minutes = stage.settings.minutes
    lines = min(int(LINES_A_MINUTE * minutes) or 1, MOST_LINES)
    queued = _queue(stage, WARM_UP_LINES)
    with stage.neiroha() as server, ThreadPoolExecutor(1) as pool:
        order = {"url": server.url, "key": stage.key}
        # What a server takes once belongs to its start.
        _ask(order | queued, WARM_UP_SECONDS)
        server.wait_until_calm()
        soak = Soak(minutes, server.held(), lines=lines)
        asked = pool.submit(_ask, order | _queue(stage, lines), minutes * 60)
        soak.during = list(_look(server, minutes, asked))
        soak.outcomes = asked.result()
        server.wait_until_calm()
        # Connections of clients that have gone are noticed at the latest by now.
        soak.after = server.held()
    return soak


def tables(soak: Soak) -> Tables:
    return Tables([_held_table(soak), _outcome_table(soak)])


def _look(server: Server, minutes: float, asked: Future[Any]) -> Iterator[tuple[float, Held]]:
    began = time.monotonic()
    moments = [minutes * 60 * number / LOOKS for number in range(LOOKS + 1)]
    for now, then in pairwise(moments):
        yield now / 60, server.held()
        if asked.done():
            break
        time.sleep(max(began + then - time.monotonic(), 0))


def _ask(order: Mapping[str, Any], seconds: float) -> Any:
    return answer_of("benchmarks.soak_load", {**order, "seconds": seconds}, seconds=seconds + SPARE_SECONDS)


def _queue(stage: Stage, lines: int) -> dict[str, Any]:
    finished = subprocess.run(
        python("-m", "benchmarks.queue_batch", str(lines)),
        cwd=ROOT,
        env=environment({"NEIROHA_DATA_DIR": str(stage.data_dir)}),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        start_new_session=True,
        check=False,
    )
    if finished.returncode:
        raise BenchmarkError(f"The lines could not be queued:\n{finished.stderr}")
    queued: dict[str, Any] = json.loads(finished.stdout)
    return {"session": queued["session"], "project": queued["project"]}


def _held_table(soak: Soak) -> Table:
    assert soak.after is not None
    rows = [["at rest, before", *soak.before.row()]]
    rows += [[f"after {minute:.1f} minutes", *held.row()] for minute, held in soak.during]
    return Table(
        f"{soak.minutes:g} minutes of mixed load with faults, beside a batch of {soak.lines} lines",
        ["when", "MB", "files", "connections", "threads"],
        [*rows, ["at rest, afterwards", *soak.after.row()]],
        note=f"Memory grew by {soak.growth:.1f} MB an hour over the second half of the load.",
    )


def _outcome_table(soak: Soak) -> Table:
    rows = [
        [name, f"{sum(counts.values())}", ", ".join(f"{what}: {many}" for what, many in sorted(counts.items()))]
        for name, counts in soak.outcomes.items()
    ]
    return Table("What these clients were answered", ["client", "requests", "answers"], rows)
