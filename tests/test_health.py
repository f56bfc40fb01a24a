"""/health/live and /health/ready: what programs that watch a server are told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import Settings

from api import runtime
from api.monitoring.readiness import Readiness, readiness
from providers.database import MOST_THREADS, in_database
from tests.figures import Figures
from tests.server_process import manage, running_server
from tests.services import running_postgres
from tests.test_api_errors import change_settings, refusal
from tests.test_api_streams import eventually
from tests.upstreams.serving import WAIT_SECONDS, closed_port

PATHS = ("/health/live", "/health/ready")


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """What one test finds is not true for the next."""
    readiness.start()
    yield
    readiness.start()


def ready(client: httpx.Client) -> tuple[int, list[str]]:
    """As it is now."""
    readiness.start()
    response = client.get("/health/ready")
    assert response.json()["status"] == ("ready" if response.status_code == 200 else "not_ready")
    return response.status_code, response.json()["reasons"]


def test_a_server_that_works(client_http: httpx.Client) -> None:
    assert client_http.get("/health/live").json() == {"status": "ok"}
    assert client_http.get("/health/ready").json() == {"status": "ready", "reasons": []}
    assert client_http.get("/health").json() == {"status": "ok", "api": "on"}


@pytest.mark.parametrize("path", PATHS)
def test_under_any_name_and_with_the_api_off(client_http: httpx.Client, path: str) -> None:
    change_settings(api_enabled=False)
    for host in ("10.0.0.7:8976", "web-1", "evil.example"):
        response = client_http.get(path, headers={"host": host})
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-request-id"].startswith("req_")
    assert client_http.get(path + "/").status_code == 200
    assert refusal(client_http.get("/health", headers={"host": "evil.example"}), 400)["code"] == "host_not_allowed"


@pytest.mark.parametrize("path", PATHS)
def test_they_are_only_read(client_http: httpx.Client, path: str) -> None:
    head = client_http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for method in ("POST", "DELETE", "PROPFIND"):
        assert refusal(client_http.request(method, path), 405)["code"] == "method_not_allowed"
    assert client_http.get(path + "/more").status_code == 404


def test_no_more_than_a_probe_has_to_know(client_http: httpx.Client, settings: Settings) -> None:
    with closed_port() as port:
        settings.REDIS_URL = f"redis://:very-secret@127.0.0.1:{port}/0"
        status, reasons = ready(client_http)
        text = client_http.get("/health/ready").text
    assert (status, reasons) == (503, ["redis_unreachable"])
    assert "secret" not in text and "127.0.0.1" not in text


def test_a_redis_that_answers(client_http: httpx.Client, settings: Settings, redis_url: str) -> None:
    settings.REDIS_URL = redis_url
    assert ready(client_http) == (200, [])


def test_a_database_of_an_older_version(client_http: httpx.Client) -> None:
    assert ready(client_http) == (200, [])
    row = MigrationRecorder(connection).migration_qs.filter(app="studio").latest("id")
    row.delete()
    try:
        assert ready(client_http) == (503, ["migrations_missing"])
    finally:
        MigrationRecorder(connection).record_applied("studio", row.name)
    assert ready(client_http) == (200, [])


def test_a_server_that_is_told_to_end(client_http: httpx.Client) -> None:
    assert ready(client_http) == (200, [])
    readiness.stop()
    response = client_http.get("/health/ready")
    assert (response.status_code, response.json()["reasons"]) == (503, ["stopping"])
    assert client_http.get("/health/live").status_code == 200


def test_many_probes_at_once_are_one_look(client_http: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client_http.get("/health/ready").status_code, range(40)))
    assert set(answers) == {200}


@pytest.mark.django_db(transaction=True)
def test_threads_that_all_hang_keep_no_probe_waiting(
    client_http: httpx.Client, settings: Settings, redis_url: str
) -> None:
    settings.REDIS_URL = redis_url
    ((loop, _),) = runtime._runtimes.items()
    over, hanging = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        hanging.release()
        assert over.wait(WAIT_SECONDS)

    works = [asyncio.run_coroutine_threadsafe(in_database(hang), loop) for _ in range(20)]
    try:
        for _ in range(MOST_THREADS):
            assert hanging.acquire(timeout=WAIT_SECONDS)
        assert ready(client_http) == (200, [])
    finally:
        over.set()
        for work in works:
            work.result(WAIT_SECONDS)


async def test_callers_share_a_look_and_what_it_found() -> None:
    probed = Readiness()
    first, second = asyncio.ensure_future(probed.reasons()), asyncio.ensure_future(probed.reasons())
    await asyncio.sleep(0)
    look = probed._looking
    assert await first == await second == ()
    assert probed._looking is look, "the second caller waited for the look of the first"
    # A caller that leaves takes nobody's answer away.
    probed.start()
    leaving, staying = asyncio.ensure_future(probed.reasons()), asyncio.ensure_future(probed.reasons())
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == ()


def test_a_database_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    """The figures go on meanwhile, and say so."""
    with running_postgres() as postgres:
        variables = {"NEIROHA_DATABASE_URL": postgres.url, "no_proxy": "127.0.0.1"}
        with running_server(tmp_path, variables=variables) as server:
            made = manage(tmp_path, "create_key", "Prometheus", "--scope", "metrics", variables=variables)
            headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
            with httpx.Client(base_url=server.url, timeout=120, trust_env=False, headers=headers) as client:
                eventually(lambda: client.get("/metrics").status_code == 200)
                assert client.get("/health/ready").json()["reasons"] == []
                postgres.stop()
                eventually(lambda: client.get("/health/ready").json()["reasons"] == ["database_unreachable"])
                assert client.get("/health/live").status_code == 200
                eventually(lambda: Figures(client.get("/metrics").text)("neiroha_database_up") == 0)
                postgres.start()
                eventually(lambda: client.get("/health/ready").status_code == 200)
                eventually(lambda: Figures(client.get("/metrics").text)("neiroha_database_up") == 1)
