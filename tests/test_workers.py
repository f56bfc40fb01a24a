"""Workers that share the work of servers: none of it is lost whoever dies, and each line is finished once."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from websockets import Origin
from websockets.sync.client import ClientConnection, connect

from tests.chaos import SOUND
from tests.heaps import more_heaps
from tests.server_process import running_server
from tests.suggestions import SECRET
from tests.test_suggestions_restart import LINES, PREPARE, holding
from tests.upstreams.chat_model import MODEL, ChatModelUpstream
from tests.upstreams.serving import serve
from tests.workers import AT_ONCE, Batch, Shop, Worker, shop, wait_until

ADMIN = 'User.objects.filter(username="admin").first() or User.objects.create_superuser("admin")'
pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop(tmp_path_factory.mktemp("workers")) as made:
        yield made


def test_a_killed_worker_and_its_killed_child_lose_nothing(office: Shop) -> None:
    lines = 60
    with office.batch(held=True) as batch, office.worker(processes=2) as worker:
        upstream = batch.upstream
        batch.generate(lines)
        wait_until(lambda: upstream.current == AT_ONCE)
        for child in worker.speaking():
            child.kill()
        wait_until(lambda: len(upstream.requests) == 2 * AT_ONCE and upstream.current == AT_ONCE)
        upstream.release(20)
        wait_until(lambda: batch.done() == 20 and upstream.current == AT_ONCE)
        worker.kill_speaker()
        upstream.switches.held = False
        wait_until(batch.is_done)
        assert "is started again" in worker.output
        assert worker.end() == 0
    assert batch.judge(lines) == []
    assert sum(batch.asked().values()) == lines + 2 * AT_ONCE, "what was cut off is asked again, and nothing else"
    assert upstream.peak == AT_ONCE


@pytest.mark.parametrize(("variables", "few"), [({}, True), ({"MALLOC_ARENA_MAX": "8"}, False)], ids=["ours", "theirs"])
def test_threads_of_a_workers_process_share_two_heaps(office: Shop, variables: dict[str, str], few: bool) -> None:
    with office.batch() as batch, office.worker(variables=variables) as worker:
        batch.generate(12)
        wait_until(batch.is_done)
        heaps = [more_heaps(process.pid) for process in psutil.Process(worker.process.pid).children(recursive=True)]
        assert (max(heaps) <= 1) is few, heaps


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
        before = record(batch)
        assert set(before.values()) == {"done"} and batch.judge(lines) == []
        files, asked = stored(office), sum(batch.asked().values())
        for child in asleep:
            child.resume()
        batch.generate(1)
        wait_until(batch.is_done)
        wait_until(lambda: len(stored(office)) == len(files) + 1)
        assert files < stored(office)
        assert before.items() <= record(batch).items()
        assert sum(batch.asked().values()) == asked + 1, "what waited in it is spoken by nobody again"
        assert frozen.end() == 0


def record(batch: Batch) -> dict[tuple[int, str, str], str]:
    query = "SELECT id, claim, file, state FROM studio_take WHERE project_id = %s"
    rows = batch.shop.rows(query, batch.project)
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
    with office.batch(held=True) as batch, office.worker(processes=2) as worker:
        batch.generate(60)
        wait_until(lambda: batch.upstream.current == AT_ONCE)
        office.redis.kill()
        batch.upstream.switches.held = False
        batch.upstream.release(AT_ONCE)
        wait_until(lambda: batch.done() == AT_ONCE)
        office.redis.start()
        wait_until(batch.is_done)
        # Whoever asks now is heard again.
        batch.generate(1)
        wait_until(lambda: batch.done() == 61)
        assert worker.end() == 0
    assert batch.states() == {"done": 61}


def test_a_database_that_is_restarted_fails_no_take(office: Shop) -> None:
    with office.batch(held=True) as batch, office.worker(processes=2) as worker:
        batch.generate(60)
        wait_until(lambda: batch.upstream.current == AT_ONCE)
        office.postgres.stop()
        batch.upstream.switches.held = False
        batch.upstream.release(AT_ONCE)
        wait_until(lambda: batch.upstream.current == 0)
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


EXPORT = """
from django.db import transaction
from studio.export_options import ExportOptions, What
from studio.exports import ask
from studio.models import Export, Project, leases
project = Project.objects.get(pk={project})
with transaction.atomic():
    # Before any other hears of it.
    export = ask(project, project.owner, ExportOptions(What.AUDIO, "wav"))
    assert Export.objects.claim_next(leases.LEASE).pk == export.pk
"""


def test_an_export_whose_maker_died_is_made_by_another(office: Shop) -> None:
    with office.batch() as batch, office.worker() as worker:
        batch.generate(3)
        wait_until(batch.is_done)
        # The process that claims it here ends at once.
        office.shell(EXPORT.format(project=batch.project))
        query = "SELECT state, file, progress FROM studio_export WHERE project_id = %s"
        wait_until(lambda: office.rows(query, batch.project)[0][0] not in ("queued", "running"))
        ((state, file, progress),) = office.rows(query, batch.project)
        assert (state, progress) == ("done", 1.0)
        assert (office.folder / "files" / file).stat().st_size > 3 * len(SOUND) / 2
        assert worker.end() == 0


def test_a_text_whose_reader_died_is_read_on_by_another(office: Shop) -> None:
    upstream = ChatModelUpstream(key=SECRET)
    upstream.think = holding(upstream)
    query = "SELECT state, done FROM studio_suggestionrun"
    with serve(upstream) as url, office.worker() as worker:
        office.shell(
            PREPARE.format(url=url, model=MODEL, key=SECRET, lines=LINES).replace(
                'User.objects.create_superuser("admin")', ADMIN
            )
        )
        wait_until(lambda: len(upstream.requests) == 3 and upstream.current == 1)
        worker.kill_speaker()
        upstream.switches.held = False
        wait_until(lambda: office.rows(query) == [("done", LINES)])
        assert worker.end() == 0
    asked = [piece["text"] for each in upstream.passages for piece in each["passage"] if "line" in piece]
    again = [piece for piece in upstream.passages[2]["passage"] if "line" in piece]
    assert len(asked) == LINES + len(again), "only what the dead one waited for was asked again"
    assert office.rows("SELECT count(*) FROM studio_speakersuggestion") == [(LINES,)]


SESSION = """
import json
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from api.models import ApiKey, Scope
from studio.models import Project
user = User.objects.get(username="admin")
session = SessionStore()
session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session.save()
key = ApiKey.objects.issue(name="workers", owner_id=user.pk, scope=Scope.MANAGE)[1]
lines = list(Project.objects.get(pk={project}).lines.values_list("pk", flat=True))
print(json.dumps([session.session_key, key, lines]))
"""


def test_the_pages_and_jobs_of_a_server_follow_what_workers_do(office: Shop) -> None:
    with (
        office.batch(held=True) as batch,
        running_server(office.folder, variables=office.variables) as server,
        office.worker("--no-sweeper"),
    ):
        batch.generate(3)
        session, key, lines = office.shell(SESSION.format(project=batch.project))
        wait_until(lambda: batch.upstream.current == 3)
        address = f"{server.url.replace('http', 'ws')}/studio/projects/{batch.project}/live/"
        cookie = {"Cookie": f"sessionid={session}"}
        with connect(
            address, origin=Origin(server.url), additional_headers=cookie, proxy=None, open_timeout=120
        ) as page:
            page.send(json.dumps({"lines": lines, "stamp": ""}))
            heard_on(page, lines, "Speaking")
            batch.upstream.switches.held = False
            batch.upstream.release(3)
            heard_on(page, lines, "/audio")
        asked = {"voice": f"Voice {office.number}", "input": "A job.", "response_format": "wav"}
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=240, trust_env=False) as caller:
            job = caller.post("/v1/jobs", json=asked)
            assert job.status_code == 201, job.text
            with caller.stream("GET", f"/v1/jobs/{job.json()['id']}/events") as events:
                told = [line for line in events.iter_lines() if line.startswith("event: ")]
            assert told[-1] == "event: done"
            assert caller.get(f"/v1/jobs/{job.json()['id']}").json()["status"] == "completed"
        assert server.end() == 0


def heard_on(page: ClientConnection, lines: list[int], words: str) -> None:
    """Until the page was sent each of the lines with these words."""
    missing = {str(line) for line in lines}
    while missing:
        rows = json.loads(page.recv(timeout=240)).get("rows", {})
        missing -= {line for line, html in rows.items() if words in html}


def test_without_a_redis_there_is_nothing_to_work_for(tmp_path: Path) -> None:
    worker = Worker(tmp_path, tmp_path / "work.log", {})
    assert worker.process.wait(120) == 1
    assert worker.output == "Workers need NEIROHA_REDIS_URL: without it the server does their work itself.\n"
