"""The speech path of one, two and four processes behind nginx, with PostgreSQL and Redis: how the cost grows."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.figures import Spread, Table, percentile
from benchmarks.load import Plan, run
from benchmarks.measure_speech import DRAIN_SECONDS
from benchmarks.processes import ROOT, START_SECONDS, BenchmarkError, environment, python
from benchmarks.stage import Stage, speech
from deploy.programs import Program, ScaleError
from deploy.scale import Topology, ended

WARM_UP = 64


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU milliseconds a request, of each kind of process; latencies in milliseconds."""

    web: float
    nginx: float
    redis: float
    postgres: float
    per_second: float
    p50: float
    p99: float

    @property
    def together(self) -> float:
        return self.web + self.nginx + self.redis + self.postgres


@dataclass
class Growth:
    """`costs`: rounds by numbers of webs and of requests at once. `left_out`: why there are none, or no more."""

    costs: dict[tuple[int, int], list[Cost]] = field(default_factory=dict)
    left_out: str = ""


def measure(stage: Stage) -> Growth:
    """Each round starts each number of webs anew, so that what else the machine does meets all of them."""
    growth = Growth()
    try:
        for _ in range(stage.settings.rounds):
            for webs in stage.settings.webs:
                with tempfile.TemporaryDirectory(prefix="neiroha-bench-scale-") as folder:
                    _measure(stage, Path(folder), webs, growth)
    except ScaleError as error:
        growth.left_out = str(error).splitlines()[0]
    return growth


def table(growth: Growth) -> Table:
    return Table(
        "Processes behind nginx, with PostgreSQL and Redis",
        [
            "webs",
            "at once",
            "CPU ms a request",
            "webs",
            "nginx",
            "Redis",
            "PostgreSQL",
            "requests/s",
            "p50 ms",
            "p99 ms",
        ],
        [[f"{webs}", f"{crowd}", *_figures(costs)] for (webs, crowd), costs in growth.costs.items()],
        note=growth.left_out,
    )


def _figures(costs: Sequence[Cost]) -> list[str]:
    digits = {"together": 2, "web": 2, "nginx": 2, "redis": 2, "postgres": 2, "per_second": 0, "p50": 1, "p99": 1}
    return [Spread.of(getattr(cost, name) for cost in costs).shown(places) for name, places in digits.items()]


def _measure(stage: Stage, folder: Path, webs: int, growth: Growth) -> None:
    with ended(Topology(folder, webs=webs, workers=0, port=0)) as topology:
        topology.start_ground()
        key = _configure(stage, topology)
        topology.start_rest()
        run(_plan(topology, key, WARM_UP * webs, WARM_UP))
        for crowd in stage.settings.crowds:
            growth.costs.setdefault((webs, crowd), []).append(_sample(stage, topology, key, crowd))


def _sample(stage: Stage, topology: Topology, key: str, crowd: int) -> Cost:
    kinds: list[Sequence[Program]] = [
        topology.webs,
        [topology.nginx.program],
        [topology.redis.program],
        [topology.postgres.program],
    ]
    before = [_cpu(kind) for kind in kinds]
    answers = run(_plan(topology, key, max(stage.settings.requests, crowd), crowd))
    time.sleep(DRAIN_SECONDS)
    web, nginx, redis, postgres = (
        (_cpu(kind) - was) / len(answers) * 1000 for kind, was in zip(kinds, before, strict=True)
    )
    seconds = max(answer.finished for answer in answers) - min(answer.sent for answer in answers)
    latencies = [answer.seconds * 1000 for answer in answers]
    if {answer.size for answer in answers} != {stage.audio_bytes}:
        raise BenchmarkError("A server did not pass the whole audio on.")
    return Cost(
        web=web,
        nginx=nginx,
        redis=redis,
        postgres=postgres,
        per_second=len(answers) / seconds,
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
    )


def _plan(topology: Topology, key: str, requests: int, crowd: int) -> Plan:
    return Plan(f"{topology.url}/v1/audio/speech", key, [speech("instant")], requests, crowd)


def _configure(stage: Stage, topology: Topology) -> str:
    finished = subprocess.run(
        python("-m", "benchmarks.configure", stage.upstream.url, "1"),
        cwd=ROOT,
        env=environment(topology.variables),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        start_new_session=True,
        check=False,
    )
    if finished.returncode:
        raise BenchmarkError(f"The database could not be configured:\n{finished.stderr}")
    return finished.stdout.split()[-1]


def _cpu(programs: Sequence[Program]) -> float:
    """User and system seconds of the processes and their children."""
    found = [psutil.Process(each.pid) for each in programs]
    families = [one for process in found for one in (process, *process.children(recursive=True))]
    times = [one.cpu_times() for one in families]
    # PostgreSQL ends a process with its connection: what its children used then counts for their parent.
    ended = [process.cpu_times() for process in found]
    own = sum(one.user + one.system for one in times)
    return own + sum(getattr(one, "children_user", 0.0) + getattr(one, "children_system", 0.0) for one in ended)
