"""The benchmarks in small: what they measure has the right shape. How fast it is, is not asked here."""

from __future__ import annotations

import contextlib
import math
import pstats
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks import (
    measure_dub,
    measure_embedded,
    measure_export,
    measure_fairness,
    measure_first_byte,
    measure_memory,
    measure_pages,
    measure_queue,
    measure_scale,
    measure_servers,
    measure_soak,
    measure_speech,
    measure_tickets,
)
from benchmarks.contenders import Bare, Contender, Direct, Neiroha, Nginx, contenders
from benchmarks.figures import Spread, Table, percentile, ratios
from benchmarks.load import run
from benchmarks.processes import ROOT, BenchmarkError, Server, answer_of, environment, server
from benchmarks.stage import Settings, Stage, stage

SMALL = Settings(
    rounds=1,
    requests=20,
    concurrencies=(4,),
    held=(20,),
    waiting=(20,),
    idle_seconds=0.5,
    tickets=(20,),
    answers=200,
    export_hours=0.01,
    dub_hours=0.01,
    installation="small",
    crowds=(2, 4),
    webs=(1, 2),
    minutes=0.1,
)
WAIT_SECONDS = 120


@pytest.fixture(scope="module")
def small() -> Iterator[Stage]:
    with stage(SMALL) as made:
        yield made


def table_rows(table: Table) -> list[list[str]]:
    """The cells of a table as it is shown, heading first."""
    lines = [line for line in table.shown().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def longest_waits(small: Stage) -> list[float]:
    """Seconds that requests waited for the narrow provider, longest first."""
    with contextlib.closing(sqlite3.connect(small.data_dir / "neiroha.sqlite3")) as database:
        rows = database.execute("SELECT queue_ms FROM api_requestlog WHERE provider = 'narrow' ORDER BY queue_ms DESC")
        return [milliseconds / 1000 for (milliseconds,) in rows]


def logged(small: Stage) -> list[tuple[str, str, int]]:
    with contextlib.closing(sqlite3.connect(small.data_dir / "neiroha.sqlite3")) as database:
        return database.execute("SELECT key_name, provider, status FROM api_requestlog").fetchall()


def test_the_speech_path_with_everything_on(small: Stage) -> None:
    before = len(logged(small))
    (comparison,) = measure_speech.measure(small)
    assert comparison.concurrency == 4
    assert len(comparison.bare) == len(comparison.ours) == 1
    for sample in comparison.bare + comparison.ours:
        assert sample.cpu >= 0
        assert sample.per_second > 0
        assert 0 < sample.p50 <= sample.p99
    warm_up = SMALL.requests // measure_speech.WARM_UP_SHARE
    assert logged(small)[before:] == [("benchmark", "instant", 200)] * (warm_up + SMALL.requests)
    heading, *rows = table_rows(measure_speech.table([comparison], small.audio_bytes))
    assert [row[:2] for row in rows] == [["4", name] for name in ("bare", "Neiroha", "ratio")]
    assert {len(row) for row in rows} == {len(heading)}


def test_the_first_byte_comes_after_the_upstreams(small: Stage) -> None:
    (delays,) = measure_first_byte.measure(small)
    assert len(delays.bare) == len(delays.ours) == 1
    assert all(0 < delay.p50 <= delay.p99 for delay in delays.bare + delays.ours)
    heading, *rows = table_rows(measure_first_byte.table([delays]))
    assert [row[:2] for row in rows] == [["4", name] for name in ("bare", "Neiroha", "added")]
    assert {len(row) for row in rows} == {len(heading)}


def test_the_embedded_voice(small: Stage) -> None:
    embedded = measure_embedded.measure(small)
    sentence, long = embedded.texts
    assert sentence.characters == 100
    assert 1990 <= long.characters <= 2000
    # About 20 words, and twenty times as many.
    assert 3 < sentence.audio < 12
    assert long.audio > 10 * sentence.audio
    assert embedded.cold > 0
    for spoken in embedded.texts:
        assert len(spoken.first_byte) == len(spoken.whole) == SMALL.rounds
        assert 0 < spoken.first_byte[0] <= spoken.whole[0]
        assert spoken.real_time_factor.median == pytest.approx(spoken.whole[0] / spoken.audio)
    assert embedded.memory.resident > 0
    heading, *rows = table_rows(measure_embedded.table(embedded))
    assert {len(row) for row in rows} == {len(heading)}


def test_held_requests(small: Stage) -> None:
    (holding,) = measure_memory.measure(small)
    assert (holding.requests, holding.upstream) == (20, 20)
    for memory in (holding.idle, holding.held, holding.answered):
        assert 0 < memory.unique <= memory.resident
        assert memory.threads > 0
    assert small.control("state")["held"] == 0
    heading, row = table_rows(measure_memory.table([holding]))
    assert len(row) == len(heading)


def test_more_held_requests_than_one_provider_takes_wait_in_the_queue() -> None:
    assert replace(SMALL, held=(300, 1000)).providers == 16
    assert SMALL.providers == 1


def test_requests_that_wait_in_the_queue(small: Stage) -> None:
    (crowd,) = measure_queue.measure(small)
    (wait,) = crowd.rounds
    assert crowd.waiting == 20
    assert wait.direct > 0 and wait.enter > 0 and wait.leave > 0
    assert 0 <= wait.idle < 1 and 0 <= crowd.calm < 1
    assert wait.added == pytest.approx(wait.enter + wait.leave - wait.direct)
    for memory in (crowd.before, crowd.held, crowd.after):
        assert 0 < memory.unique <= memory.resident
    assert small.control("state")["held"] == 0
    # All of them waited for as long as the idle server was watched.
    assert longest_waits(small)[:20][-1] >= SMALL.idle_seconds
    heading, row = table_rows(measure_queue.table([crowd]))
    assert len(row) == len(heading)


def test_the_queue_alone(small: Stage) -> None:
    (tickets,) = measure_tickets.measure(small)
    assert tickets.waiting == 20
    for trial in (*tickets.queue, *tickets.semaphore):
        assert min(trial.enter, trial.turn, trial.leave, trial.give_up) > 0
    assert tickets.queue[0].snapshot > 0
    heading, *rows = table_rows(measure_tickets.table([tickets]))
    assert [row[:2] for row in rows] == [["20", "queue"], ["20", "semaphore"]]
    assert {len(row) for row in rows} == {len(heading)}


def test_the_pages(small: Stage) -> None:
    pages = measure_pages.measure(small)
    assert {"/admin/", "/admin/queue/", "/admin/banks/bank/"} <= {page.path for page in pages}
    assert all(page.queries > 0 and page.spread.low > 0 for page in pages)
    heading, *rows = table_rows(measure_pages.table(pages))
    assert len(rows) == measure_pages.SHOWN and {len(row) for row in rows} == {len(heading)}


def test_fairness(small: Stage) -> None:
    series = measure_fairness.measure(small)
    for shares in series:
        assert len(shares.callers) == measure_fairness.CALLERS
        assert sum(map(len, shares.callers)) + len(shares.batch) == SMALL.answers
        assert bool(shares.batch) == bool(shares.scenario.batch)
        assert 0.1 <= shares.jain <= 1
    heading, *rows = table_rows(measure_fairness.table(series))
    assert [row[1] for row in rows].count("batch") == 3
    assert {len(row) for row in rows} == {len(heading)}


def test_exports(small: Stage) -> None:
    exports = measure_export.measure(small)
    assert [export.target for export in exports] == ["wav", "mp3", "flac", "opus", "m4b"]
    for export in exports:
        assert export.hours == pytest.approx(SMALL.export_hours, rel=0.2)
        assert 0 < export.before <= export.memory
        assert abs(export.drift) < 0.02 and export.cpu > 0 and export.size > 0
    heading, *rows = table_rows(measure_export.table(exports))
    assert {len(row) for row in rows} == {len(heading)}


def test_dubs(small: Stage) -> None:
    dubbings = measure_dub.measure(small)
    assert [dubbing.container for dubbing in dubbings] == ["mp4", "mkv"]
    for dubbing in dubbings:
        assert dubbing.hours == pytest.approx(SMALL.dub_hours, rel=0.2) and dubbing.cues > 4
        assert 0 < dubbing.before <= dubbing.memory
        assert abs(dubbing.drift) < 0.02 and dubbing.cpu > 0
    heading, *rows = table_rows(measure_dub.table(dubbings))
    assert {len(row) for row in rows} == {len(heading)}


class Nowhere(Contender):
    """One that this machine does not have."""

    name = "nowhere"

    def serve(self) -> Iterator[Server]:
        raise BenchmarkError("A server said:\nAnd more of that.\nIt is nowhere to be found.")
        yield


def test_servers_beside_each_other(small: Stage) -> None:
    chosen = [Direct(small), Nginx(small), Bare(small), Neiroha(small, "uvicorn"), Nowhere(small)]
    comparison = measure_servers.measure(small, chosen)
    *there, nowhere = comparison.servers
    assert nowhere.failed == "A server said: It is nowhere to be found."
    for measured in there:
        assert measured.failed == ""
        assert {crowd: len(samples) for crowd, samples in measured.samples.items()} == {2: 1, 4: 1}
        assert len(measured.first_bytes) == measure_servers.STREAMS and min(measured.first_bytes) >= 0
        assert measured.idle and measured.held and measured.held.threads > 0
    assert small.control("state")["held"] == 0
    speech, holding = measure_servers.tables(comparison).tables
    assert "nowhere: A server said: It is nowhere to be found." in speech.note
    heading, *rows = table_rows(speech)
    assert [row[:2] for row in rows] == [[f"{crowd}", one.name] for crowd in (2, 4) for one in there]
    assert {len(row) for row in rows} == {len(heading)}
    heading, *rows = table_rows(holding)
    assert [row[0] for row in rows] == [one.name for one in there[1:]]


def test_a_slow_stream_is_slow(small: Stage) -> None:
    """Or a server that holds it back could not be told from one that does not."""
    direct = Direct(small)
    with direct.running() as upstream:
        (answer,) = run(direct.plan(upstream, "slow", 1, 1))
    assert answer.finished - answer.first_byte > 0.3


def test_neiroha_is_measured_on_three_servers(small: Stage) -> None:
    names = [one.name for one in contenders(small)]
    assert [f"Neiroha on {name}" in names for name in ("uvicorn", "daphne", "granian")] == [True] * 3
    assert names[0] == Direct.name and "LiteLLM" in names and len(set(names)) == len(names)


def test_processes_behind_nginx(small: Stage) -> None:
    growth = measure_scale.measure(small)
    assert growth.left_out == ""
    assert list(growth.costs) == [(1, 2), (1, 4), (2, 2), (2, 4)]
    assert {len(costs) for costs in growth.costs.values()} == {small.settings.rounds}
    for cost in chain.from_iterable(growth.costs.values()):
        assert cost.web > 0 and min(cost.nginx, cost.redis, cost.postgres) >= 0
        assert cost.together >= cost.web and 0 < cost.p50 <= cost.p99
    heading, *rows = table_rows(measure_scale.table(growth))
    assert len(rows) == 4 and {len(row) for row in rows} == {len(heading)}


def test_a_soak(small: Stage) -> None:
    soak = measure_soak.measure(small)
    assert soak.after is not None and len(soak.during) > 1
    for held in (soak.before, soak.after, *(held for _, held in soak.during)):
        assert held.files > held.connections > 0 and held.memory.threads > 0
    # Who has gone is gone: what listens is left, and a kept connection to the upstream or two.
    assert soak.after.connections <= soak.before.connections + 20
    assert set(soak.outcomes["speech"]) == {"200"}
    assert set(soak.outcomes["unknown voice"]) == {"404"}
    assert set(soak.outcomes["no JSON"]) == {"400"}
    assert set(soak.outcomes["wrong key"]) <= {"401", "429"}
    assert set(soak.outcomes["left in the middle"]) == {"left"}
    assert set(soak.outcomes["live page of a stranger"]) <= {"403", "refused"}
    assert "200" in soak.outcomes["project's page"]
    held_table, outcomes = measure_soak.tables(soak).tables
    assert [row[0] for row in table_rows(outcomes)[1:]] == list(soak.outcomes)
    heading, *rows = table_rows(held_table)
    assert len(rows) == len(soak.during) + 2 and {len(row) for row in rows} == {len(heading)}


def test_every_other_request_to_the_faulty_upstream_fails(small: Stage) -> None:
    address = f"{small.upstream.url}/faulty/v1/audio/speech"
    whole = 0
    with httpx.Client(timeout=WAIT_SECONDS, trust_env=False) as client:
        for _ in range(20):
            with contextlib.suppress(httpx.RemoteProtocolError):
                answer = client.post(address, json={})
                whole += answer.status_code == 200 and len(answer.content) == small.audio_bytes
    assert whole == 10


def test_jains_index() -> None:
    (scenario, *_) = measure_fairness.scenarios(40)
    assert measure_fairness.Shares(scenario, [[0.1] * 4] * 10, []).jain == 1
    assert measure_fairness.Shares(scenario, [[0.1] * 40, *[[]] * 9], []).jain == pytest.approx(0.1)


def test_a_measurement_that_fails_in_its_own_process() -> None:
    with pytest.raises(BenchmarkError, match="(?s)measure_fairness ended with 1.*TypeError"):
        answer_of("benchmarks.measure_fairness", {"nothing": "known"})


def test_a_refused_request_ends_the_run(small: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    with small.bare("nowhere") as bare, pytest.raises(BenchmarkError, match="The load ended with 1"):
        run(small.plan(bare, 1, 1, voice="instant"))
    assert "answered 404" in capfd.readouterr().err


def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    with pytest.raises(BenchmarkError, match="no such luck"), server(command, tmp_path / "log"):
        pass


def test_figures() -> None:
    assert percentile([3, 1, 2, 4], 0.5) == 2
    assert percentile([3, 1, 2, 4], 0.99) == 4
    assert percentile([7], 0.01) == 7
    assert Spread.of([3, 1, 2]).shown(1, "x") == "2.0x (1.0-3.0)"
    assert ratios([4, 9], [2, 3]) == Spread(2.5, 2, 3)
    assert math.isnan(ratios([1], [0]).median)


def test_a_table_is_markdown() -> None:
    shown = Table("Title", ["one", "b"], [["1", "longer"]], note="A note.").shown()
    assert shown == "### Title\nA note.\n\n| one | b      |\n|-----|--------|\n| 1   | longer |"


def test_the_profiler_sees_the_speech_path(small: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small, "profile", tmp_path / "server.prof")
    with small.neiroha() as ours:
        run(small.plan(ours, 1, 1, voice="instant"))
    profiled = vars(pstats.Stats(str(small.profile)))["stats"]
    assert {"handler.py", "speak.py"} <= {Path(file).name for file, _, _ in profiled}
    # What a start costs is not in it.
    assert "prepare_database" not in {name for _, _, name in profiled}


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "--only", "speech"],
        cwd=ROOT,
        env=environment({"TMPDIR": str(tmp_path)}),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process, killed_in_the_end(process):
        started = wait_for_servers(process)
        assert list(tmp_path.iterdir()) != []
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130
    assert b"processors" in output
    assert b"###" not in output
    _, alive = psutil.wait_procs(started, timeout=WAIT_SECONDS)
    assert alive == []
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def killed_in_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()


def wait_for_servers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """All that the run started, once there are an upstream, Neiroha and a pass-through."""
    while len(children := psutil.Process(process.pid).children(recursive=True)) < 3:
        assert process.poll() is None
        psutil.wait_procs(children, timeout=0.05)
    return children
