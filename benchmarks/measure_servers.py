"""Servers beside each other in one run: what each costs, adds and holds. One that can't be had is left out, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from statistics import median

from benchmarks.contenders import Contender, held_at_once
from benchmarks.figures import Spread, Table, Tables, percentile
from benchmarks.load import finish, run, running, wait_until_sent
from benchmarks.measure_speech import Sample, sample, values
from benchmarks.processes import BenchmarkError, Memory, Server
from benchmarks.stage import Stage

WARM_UP = 64
STREAMS = 20


@dataclass
class Measured:
    """`failed`: why nothing, or no more, is known of this one."""

    name: str
    samples: dict[int, list[Sample]] = field(default_factory=dict)
    first_bytes: list[float] = field(default_factory=list)
    idle: Memory | None = None
    held: Memory | None = None
    failed: str = ""


@dataclass
class Comparison:
    audio_bytes: int
    requests_held: int
    servers: list[Measured]

    @property
    def direct(self) -> Measured:
        return self.servers[0]


def measure(stage: Stage, chosen: Sequence[Contender]) -> Comparison:
    """The first of those chosen is what the others are compared with."""
    comparison = Comparison(stage.audio_bytes, max(stage.settings.held), [Measured(one.name) for one in chosen])
    _speech(stage, chosen, comparison.servers)
    for contender, measured in zip(chosen, comparison.servers, strict=True):
        if not measured.failed:
            with _noted(measured), contender.running() as server:
                _stream(stage, contender, server, measured)
                _hold(stage, contender, server, measured)
    return comparison


@contextmanager
def _noted(measured: Measured) -> Iterator[None]:
    """What keeps one server from being measured does not end the run of the others."""
    try:
        yield
    except BenchmarkError as error:
        said = str(error).splitlines()
        # Why a server ended stands last in what it said.
        measured.failed = " ".join(dict.fromkeys((said[0], said[-1])))


def _speech(stage: Stage, chosen: Sequence[Contender], servers: Sequence[Measured]) -> None:
    """All run at once, and are asked in turn, so that what else the machine does meets all of them."""
    with ExitStack() as stack:
        ready: list[tuple[Contender, Measured, Server]] = []
        for contender, measured in zip(chosen, servers, strict=True):
            with _noted(measured):
                server = stack.enter_context(contender.running())
                run(contender.plan(server, "instant", WARM_UP, WARM_UP))
                ready.append((contender, measured, server))
        for _ in range(stage.settings.rounds):
            for crowd in stage.settings.crowds:
                for contender, measured, server in ready:
                    if not measured.failed:
                        with _noted(measured):
                            _sample(stage, contender, server, measured, crowd)


def _sample(stage: Stage, contender: Contender, server: Server, measured: Measured, crowd: int) -> None:
    plan = contender.plan(server, "instant", max(stage.settings.requests, crowd), crowd)
    measured.samples.setdefault(crowd, []).append(sample(server, plan, stage.audio_bytes))


def _stream(stage: Stage, contender: Contender, server: Server, measured: Measured) -> None:
    plan = contender.plan(server, "slow", STREAMS, 1, stream=True)
    run(contender.plan(server, "slow", 1, 1, stream=True))
    stage.control("forget")
    answers = run(plan)
    sent: dict[str, float] = stage.control("state")["first_sent"]
    measured.first_bytes = [(one.first_byte - sent[plan.text(one.number)]) * 1000 for one in answers]


def _hold(stage: Stage, contender: Contender, server: Server, measured: Measured) -> None:
    requests = max(stage.settings.held)
    _settle(server)
    measured.idle = server.own_memory()
    stage.control("hold")
    try:
        with running(contender.plan(server, "held", requests, requests)) as load:
            wait_until_sent(load)
            stage.wait_for_held(held_at_once(stage, requests))
            _settle(server)
            measured.held = server.own_memory()
            stage.control("release")
            finish(load)
    finally:
        stage.control("release")


def _settle(server: Server) -> None:
    # Some do work of their own all the time.
    with suppress(BenchmarkError):
        server.wait_until_calm()


def tables(comparison: Comparison) -> Tables:
    return Tables([_speech_table(comparison), _holding_table(comparison)])


def _speech_table(comparison: Comparison) -> Table:
    rows = []
    crowds = sorted({crowd for measured in comparison.servers for crowd in measured.samples})
    for crowd in crowds:
        rows += [
            _speech_row(comparison, measured, crowd) for measured in comparison.servers if crowd in measured.samples
        ]
    return Table(
        f"Servers beside each other, instant upstream, {comparison.audio_bytes:,} bytes of mp3",
        ["at once", "server", "CPU ms a request", "requests/s", "added p50 ms", "added p99 ms"],
        rows,
        note="Added: to the same requests with nothing between. " + _left_out(comparison),
    )


def _speech_row(comparison: Comparison, measured: Measured, crowd: int) -> list[str]:
    samples = measured.samples[crowd]
    shown = Spread.of(values(samples, "per_second")).shown(0)
    if measured is comparison.direct:
        took = [f"{median(values(samples, name)):.1f} in all" for name in ("p50", "p99")]
        return [f"{crowd}", measured.name, "", shown, *took]
    cpu = Spread.of(values(samples, "cpu")).shown()
    return [
        f"{crowd}",
        measured.name,
        cpu,
        shown,
        *(_added(comparison, samples, crowd, name) for name in ("p50", "p99")),
    ]


def _added(comparison: Comparison, samples: Sequence[Sample], crowd: int, name: str) -> str:
    direct = values(comparison.direct.samples[crowd], name)
    ours = values(samples, name)
    return Spread.of(one - other for one, other in zip(ours, direct, strict=False)).shown(1)


def _holding_table(comparison: Comparison) -> Table:
    return Table(
        f"A slow stream, and {comparison.requests_held:,} held requests",
        ["server", "first byte ms", "p99 ms", "idle MB", "held MB", "kB a request", "threads"],
        [_holding_row(comparison, measured) for measured in comparison.servers[1:] if measured.first_bytes],
        note="First byte: after the upstream's own, of an answer that comes in four pieces 150 ms apart. Memory:"
        " resident; in brackets what is the processes' own.",
    )


def _holding_row(comparison: Comparison, measured: Measured) -> list[str]:
    first = [f"{percentile(measured.first_bytes, share):.1f}" for share in (0.5, 0.99)]
    if measured.idle is None or measured.held is None:
        return [measured.name, *first, "", "not held", "", ""]
    each = (measured.held.unique - measured.idle.unique) / comparison.requests_held / 1e3
    threads = f"{measured.idle.threads} -> {measured.held.threads}"
    return [measured.name, *first, measured.idle.shown(), measured.held.shown(), f"{each:.0f}", threads]


def _left_out(comparison: Comparison) -> str:
    return " ".join(f"{one.name}: {one.failed}" for one in comparison.servers if one.failed)
