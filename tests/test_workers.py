"""Workers that share the work of servers: none of it is lost whoever dies, and each line is finished once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.workers import AT_ONCE, Shop, Worker, shop, wait_until

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop(tmp_path_factory.mktemp("workers")) as made:
        yield made


def test_a_killed_worker_and_its_killed_child_lose_nothing(office: Shop) -> None:
    lines = 120
    with office.batch(delay=0.2) as batch, office.worker(processes=2) as worker:
        batch.generate(lines)
        wait_until(lambda: batch.done() >= 20)
        for child in worker.speaking():
            child.kill()
        killed_at = len(batch.upstream.requests)
        wait_until(lambda: len(batch.upstream.requests) > killed_at + 10)
        worker.kill_speaker()
        wait_until(batch.is_done)
        assert "is started again" in worker.output
        assert worker.end() == 0
    assert batch.judge(lines) == []
    assert sum(batch.asked().values()) - lines <= 4 * 2 * AT_ONCE, "only what was cut off is asked again"


def test_a_frozen_worker_that_wakes_changes_nothing(office: Shop) -> None:
    lines = 6
    with office.batch(at_once=3, held=True) as batch, office.worker() as frozen:
        batch.generate(lines)
        wait_until(lambda: batch.upstream.current == 3)
        asleep = frozen.speaking()
        for child in asleep:
            child.suspend()
        batch.upstream.switches.held = False
        batch.upstream.release(3)
        with office.worker("--no-sweeper") as other:
            wait_until(batch.is_done)
            assert other.end() == 0
        before = record(office)
        assert set(before.values()) == {"done"} and batch.judge(lines) == []
        files = stored(office)
        for child in asleep:
            child.resume()
        batch.generate(1)
        wait_until(batch.is_done)
        wait_until(lambda: len(stored(office)) == len(files) + 1)
        assert files < stored(office)
        assert before.items() <= record(office).items()
        assert frozen.end() == 0


def record(office: Shop) -> dict[tuple[int, str, str], str]:
    rows = office.rows("SELECT id, claim, file, state FROM studio_take")
    return {(pk, claim, file): state for pk, claim, file, state in rows}


def stored(office: Shop) -> set[str]:
    return {path.name for path in office.takes.iterdir() if not path.name.endswith(".part")}


def test_what_is_cancelled_is_not_spoken_on(office: Shop) -> None:
    with office.batch(held=True) as batch, office.worker("--no-sweeper") as worker:
        batch.generate(20)
        wait_until(lambda: batch.upstream.current == AT_ONCE)
        count = office.shell(
            "from studio.generate import cancel\nfrom studio.models import Project\n"
            f"print(cancel(Project.objects.get(pk={batch.project})))"
        )
        assert count == 20
        wait_until(lambda: batch.upstream.disconnects == AT_ONCE)
        batch.upstream.switches.held = False
        # Its lines are there twice now; what was cancelled stays so.
        batch.generate_again()
        wait_until(batch.is_done)
        assert worker.end() == 0
    assert batch.states() == {"cancelled": 20, "done": 20}
    assert len(batch.upstream.spoken) == AT_ONCE + 20


def test_a_worker_that_is_asked_to_end_lays_down_what_it_has_not_begun(office: Shop) -> None:
    with office.batch(held=True) as batch:
        with office.worker() as worker:
            batch.generate(12)
            wait_until(lambda: batch.upstream.current == AT_ONCE)
            worker.process.send_signal(signal.SIGTERM)
            # While it waits for what it has begun, nothing that waits is its own any more.
            wait_until(lambda: batch.states() == {"queued": 12 - AT_ONCE, "running": AT_ONCE})
            batch.upstream.switches.held = False
            batch.upstream.release(AT_ONCE)
            assert worker.process.wait(120) == 0
        states = batch.states()
        assert states["queued"] + states["done"] == 12 and states["done"] <= AT_ONCE
        with office.worker():
            wait_until(batch.is_done)
    assert batch.judge(12) == []
    attempts = office.rows("SELECT max(attempts) FROM studio_take WHERE project_id = %s", batch.project)
    assert attempts == [(1,)] or sum(batch.asked().values()) > 12


def test_a_redis_that_forgets_everything_stops_nothing_for_long(office: Shop) -> None:
    with office.batch(delay=0.2) as batch, office.worker(processes=2) as worker:
        batch.generate(60)
        wait_until(lambda: batch.done() >= 10)
        office.redis.kill()
        wait_until(lambda: "could not be" in worker.output or "rror" in worker.output)
        office.redis.start()
        wait_until(batch.is_done)
        # Whoever asks now is heard again.
        batch.generate(1)
        wait_until(lambda: batch.done() == 61)
        assert worker.end() == 0
    assert batch.states() == {"done": 61}


def test_a_database_that_is_restarted_fails_no_take(office: Shop) -> None:
    with office.batch(delay=0.2) as batch, office.worker(processes=2) as worker:
        batch.generate(60)
        wait_until(lambda: batch.done() >= 10)
        office.postgres.stop()
        office.postgres.start()
        wait_until(batch.is_done)
        assert worker.end() == 0
    assert batch.judge(60) == []


def test_a_worker_whose_starter_is_killed_ends_too(office: Shop) -> None:
    with office.worker() as worker:
        everybody = psutil.Process(worker.process.pid).children(recursive=True)
        worker.process.kill()
        worker.process.wait()
        _gone, alive = psutil.wait_procs(everybody, timeout=120)
        assert alive == []


def test_without_a_redis_there_is_nothing_to_work_for(tmp_path: Path) -> None:
    worker = Worker(tmp_path, tmp_path / "work.log", {})
    assert worker.process.wait(120) == 1
    assert worker.output == "Workers need NEIROHA_REDIS_URL: without it the server does their work itself.\n"
