"""Two real servers on one PostgreSQL and one Redis: what is done at one is true at the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest
from websockets.sync.client import ClientConnection

from neiroha_site.database_lock import FAMILY, SERVING
from studio.live import SIGNED_OUT
from tests.server_process import manage, running_server
from tests.services import running_redis
from tests.several_servers import Installation, http, live_page, new_database, several_servers, variables
from tests.test_api_streams import eventually
from tests.test_live import end_of, until
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import WAIT_SECONDS, serve

PREPARE = """
from django.contrib.auth.models import User
from django.test import Client
from api.models import ApiKey, Scope, ServerSettings
from studio.lines import Draft, add
from studio.models import Project
ServerSettings.objects.update(rate_limit_per_minute=0)
ada = User.objects.create_superuser("ada")
kim = User.objects.create_superuser("kim")
_, secret = ApiKey.objects.issue(name="robot", owner_id=ada.pk, scope=Scope.MANAGE)
print(secret)
for user in (ada, kim):
    client = Client()
    client.force_login(user)
    print(client.cookies["sessionid"].value)
project = Project.objects.create(name="Story", kind="dialogue", owner=ada)
add(project, [Draft("One."), Draft("Two.")])
print(project.pk, *project.lines.values_list("pk", flat=True))
"""
LIMITED = """
from api.models import ApiKey
key, secret = ApiKey.objects.issue(name="limited")
key.rate_limit_per_minute = 6
key.save()
print(secret)
"""
KEEPER = """
from banks.models import Bank
from providers.models import Provider
provider = Provider.objects.create(name="Keeper", kind="openai", base_url="%s/v1", max_concurrency=8)
bank = Bank.objects.create(name="Keeper", cache_speech=True)
bank.characters.create(name="Alloy", provider=provider, voice="alloy", model="tts-1")
"""
LOCK_HOLDERS = f"""
SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE locktype = 'advisory' AND classid = {FAMILY} AND objid = {SERVING} AND granted AND datname = current_database()
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
CLOSE = """
from django.contrib.auth.models import User
kim = User.objects.get(username="kim")
kim.is_active = False
kim.save()
"""
EDIT = """
from studio import lines
from studio.models import Line
lines.edit(Line.objects.get(pk=%d), text="%s")
"""


class Pair:
    """The installation, and what was prepared in it."""

    def __init__(self, place: Installation) -> None:
        self.place = place
        self.secret, self.ada, self.kim, keys = place.shell(PREPARE)
        self.project, *self.lines = (int(key) for key in keys.split())
        self.first, self.second = (http(server, self.secret) for server in place.servers)

    def project_page(self) -> ClientConnection:
        """At the second server."""
        return live_page(self.place.servers[1], f"/studio/projects/{self.project}/live/", self.ada)


def answers(*clients: httpx.Client) -> list[int]:
    return [client.get("/v1/models").status_code for client in clients]


def knows(client: httpx.Client) -> bool:
    return answers(client) == [200]


@pytest.fixture(scope="module")
def pair(postgres_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    shared = variables(postgres_url, redis_url)
    with several_servers(tmp_path_factory.mktemp("pair"), shared) as place:
        made = Pair(place)
        with made.first, made.second:
            yield made


def test_those_who_start_together_make_one_installation(pair: Pair) -> None:
    for client in (pair.first, pair.second):
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["Neiroha"]
    assert not [line for server in pair.place.servers for line in server.lines if "Traceback" in line]


def test_a_change_of_the_configuration_is_in_force_everywhere(pair: Pair) -> None:
    def status() -> int:
        return pair.second.get("/v1/models").status_code

    assert status() == 200
    assert pair.first.patch("/api/settings/", json={"api_enabled": False}).status_code == 200
    eventually(lambda: status() == 503)
    pair.place.shell("from api.models import ServerSettings; s = ServerSettings.load(); s.api_enabled = True; s.save()")
    eventually(lambda: status() == 200)


def test_both_count_requests_together(pair: Pair) -> None:
    limited, *_ = pair.place.shell(LIMITED)
    with http(pair.place.servers[0], limited) as first, http(pair.place.servers[1], limited) as second:
        for client in (first, second):
            # Who is not known yet is not counted.
            eventually(partial(knows, client))
        statuses = answers(*(first, second) * 5)
    assert sorted(statuses) == [200] * 4 + [429] * 6


def test_a_page_sees_what_is_done_at_another_server(pair: Pair) -> None:
    with pair.project_page() as page:
        page.send(json.dumps({"lines": pair.lines, "stamp": ""}))
        assert set(json.loads(until(page, '"rows"'))["rows"]) == {str(line) for line in pair.lines}
        changed = pair.first.patch(f"/api/lines/{pair.lines[1]}/", json={"text": "Another two."})
        assert changed.status_code == 200, changed.text
        rows = json.loads(until(page, "Another two."))["rows"]
        assert list(rows) == [str(pair.lines[1])]


def test_a_page_sees_what_a_command_does(pair: Pair) -> None:
    with pair.project_page() as page:
        page.send(json.dumps({"lines": pair.lines, "stamp": ""}))
        until(page, '"rows"')
        pair.place.shell(EDIT % (pair.lines[0], "By a command."))
        until(page, "By a command.")


def test_an_account_that_is_closed_elsewhere_closes_its_pages_everywhere(pair: Pair) -> None:
    with pair.place.prepared(CLOSE) as close:
        pages = [live_page(server, "/admin/queue/live/", pair.kim) for server in pair.place.servers]
        with pages[0], pages[1]:
            for page in pages:
                until(page, "Nothing runs.")
            close()
            assert [end_of(page) for page in pages] == [SIGNED_OUT] * 2


def test_a_job_is_heard_at_every_server(pair: Pair) -> None:
    body = {"inputs": [{"input": f"Number {n}."} for n in range(4)], "voice": "Heart"}
    job = pair.first.post("/v1/jobs", json=body).json()
    with pair.place.worker():
        for client in (pair.second, pair.first):
            with client.stream("GET", f"/v1/jobs/{job['id']}/events") as response:
                assert "event: done" in list(response.iter_lines())


def test_the_same_speech_is_bought_once_whichever_server_is_asked(pair: Pair) -> None:
    upstream = OpenAIUpstream(delay=0.5)
    with serve(upstream) as url, ThreadPoolExecutor(16) as pool:
        pair.place.shell(KEEPER % url)
        for client in (pair.first, pair.second):
            eventually(lambda client=client: "Keeper" in client.get("/v1/models").text)  # type: ignore[misc]
        texts = [f"Sentence {number}." for number in range(8)]
        asked = [
            [pool.submit(client.post, "/v1/audio/speech", json=_kept(text)) for client in (pair.first, pair.second)]
            for text in texts
        ]
        heard = [[answer.result() for answer in both] for both in asked]
        pair.place.shell("from banks.models import Bank; Bank.objects.get(name='Keeper').delete()")
    assert sorted(body["input"] for body in upstream.spoken) == texts
    for both in heard:
        assert sorted(answer.headers["x-neiroha-cache"] for answer in both) == ["hit", "miss"]
        assert both[0].content == both[1].content


def _kept(text: str) -> dict[str, str]:
    return {"model": "Keeper", "voice": "Alloy", "input": text}


def test_without_redis_requests_are_refused_until_it_is_back(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_redis() as redis:
        shared = variables(postgres_url, redis.url)
        with several_servers(tmp_path_factory.mktemp("redis"), shared) as place:
            pair = Pair(place)
            pair.place.shell("from api.models import ApiKey; ApiKey.objects.update(rate_limit_per_minute=1000)")
            clients = (pair.first, pair.second)
            with pair.first, pair.second, pair.project_page() as page:
                page.send(json.dumps({"lines": pair.lines, "stamp": ""}))
                until(page, '"rows"')
                eventually(lambda: answers(*clients) == [200, 200])
                redis.kill()
                for client in clients:
                    refused = client.get("/v1/models")
                    assert refused.status_code == 503 and refused.headers["retry-after"] == "2"
                    assert refused.json()["error"]["code"] == "limits_unavailable"
                    assert client.get("/health").status_code == 200
                missed = pair.first.patch(f"/api/lines/{pair.lines[0]}/", json={"text": "Meanwhile."})
                assert missed.status_code == 503
                redis.start()
                eventually(lambda: answers(*clients) == [200, 200])
                # What changes from now on is seen again.
                changed = pair.first.patch(f"/api/lines/{pair.lines[1]}/", json={"text": "Afterwards."})
                assert changed.status_code == 200
                shows(page, pair.lines, "Afterwards.")


def shows(page: ClientConnection, lines: list[int], words: str) -> None:
    """At once, or after it was told to look anew, as a browser does."""
    while words not in (message := str(page.recv(timeout=WAIT_SECONDS))):
        if json.loads(message).get("structure"):
            page.send(json.dumps({"lines": lines, "stamp": ""}))


def test_without_redis_one_server_alone_uses_a_database(postgres_url: str, tmp_path: Path) -> None:
    database = new_database(postgres_url)
    alone = {"NEIROHA_DATABASE_URL": database}
    with running_server(tmp_path / "first", variables=alone) as server:
        for more in ({}, {"NEIROHA_REDIS_URL": "redis://127.0.0.1:1/0"}):
            second = manage(tmp_path / "second", "serve", "--port", "0", variables=alone | more)
            assert second.returncode == 1 and "Another Neiroha server uses the database" in second.stderr
        with psycopg.connect(database, autocommit=True) as connection:
            (before,) = connection.execute(LOCK_HOLDERS).fetchone() or (None,)
            connection.execute("SELECT pg_terminate_backend(%s)", [before])
            eventually(lambda: connection.execute(LOCK_HOLDERS).fetchone() not in (None, (before,)))
        assert server.process.poll() is None, "it has its lock again, and goes on"
        assert server.end() == 0
    with running_server(tmp_path / "second", variables=alone) as server:
        assert server.end() == 0, "nobody holds it any more"


def test_a_server_whose_lock_was_taken_ends(postgres_url: str, tmp_path: Path) -> None:
    database = new_database(postgres_url)
    with running_server(tmp_path, variables={"NEIROHA_DATABASE_URL": database}) as server:
        with psycopg.connect(database, autocommit=True) as other:
            (holder,) = other.execute(LOCK_HOLDERS).fetchone() or (None,)
            waiting = f"SET lock_timeout = 0; SELECT pg_advisory_lock({FAMILY}, {SERVING})"
            with ThreadPoolExecutor(1) as pool, psycopg.connect(database, autocommit=True) as thief:
                taken = pool.submit(thief.execute, waiting)
                eventually(lambda: other.execute(WAITING).fetchone() == (1,))
                other.execute("SELECT pg_terminate_backend(%s)", [holder])
                taken.result(WAIT_SECONDS)
                assert server.wait() == 0
        assert "this one ends" in server.output
