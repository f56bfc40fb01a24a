"""The figures of a process without requests, such as a worker: from a thread of its own, for the same keys."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import httpx
import pytest

from api.models import ApiKey, Scope
from api.monitoring.server import MetricsServer, start_metrics_server
from deploy.ports import free_port
from providers.database import in_database
from providers.engine import close_engine, current_engine
from providers.queue import Cost
from providers.speech import ProviderConfig
from tests.figures import Figures
from tests.native_api import make_user


@pytest.fixture
def metrics_server(transactional_db: None) -> Iterator[MetricsServer]:
    server = start_metrics_server(free_port())
    yield server
    server.close()


@pytest.fixture
def client(metrics_server: MetricsServer) -> Iterator[httpx.Client]:
    address = f"http://127.0.0.1:{metrics_server.server_address[1]}"
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        yield client


def bearer(scope: Scope = Scope.METRICS, owner: int | None = None) -> dict[str, str]:
    _, secret = ApiKey.objects.issue(name="Eye", scope=scope, owner_id=owner)
    return {"Authorization": f"Bearer {secret}"}


def test_only_a_key_of_its_scope_reads_it(client: httpx.Client) -> None:
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer nei-guessed"}, 401),
        (bearer(Scope.MANAGE, make_user(superuser=True).pk), 403),
        (bearer(owner=make_user().pk), 403),
        (bearer(), 200),
    ):
        response = client.get("/metrics", headers=headers)
        assert response.status_code == status
        assert ("neiroha_" in response.text) == (status == 200)
        assert ("www-authenticate" in response.headers) == (status == 401)


def test_a_key_that_is_revoked_elsewhere_is_no_key_at_once(client: httpx.Client) -> None:
    headers = bearer()
    assert client.get("/metrics", headers=headers).status_code == 200
    ApiKey.objects.get().revoke()
    assert client.get("/metrics", headers=headers).status_code == 401


def test_it_says_that_it_is_a_worker(client: httpx.Client) -> None:
    found = Figures(client.get("/metrics", headers=bearer()).text)
    assert found.labels("process") == {"worker"}
    assert found("neiroha_database_up") == 1
    modern = client.get("/metrics", headers=bearer() | {"Accept": "application/openmetrics-text"})
    assert modern.text.endswith("# EOF\n")


def test_whether_it_lives_needs_no_key_and_nothing_else_is_there(client: httpx.Client) -> None:
    assert client.get("/health/live").text == "ok\n"
    for path in ("/", "/metrics/x", "/metricsx", "/health"):
        assert client.get(path).status_code == 404
    assert client.post("/metrics", headers=bearer()).status_code == 501


def test_nonsense_and_silence_take_no_thread_for_long(metrics_server: MetricsServer, client: httpx.Client) -> None:
    address = ("127.0.0.1", metrics_server.server_address[1])
    with socket.create_connection(address, timeout=60) as nonsense, socket.create_connection(address, timeout=60):
        nonsense.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert b"400" in nonsense.recv(1000)
        assert client.get("/health/live").status_code == 200


async def test_the_queue_of_the_loop_that_works(client: httpx.Client) -> None:
    """Read from another thread, while the loop goes on."""
    headers = await in_database(bearer)
    config = ProviderConfig(id=7, name="Slice", kind="embedded", max_concurrency=1)
    try:
        async with current_engine().queue.slot(config, Cost()):
            response = await asyncio.to_thread(client.get, "/metrics", headers=headers)
        assert Figures(response.text)("neiroha_queue_running", provider="Slice") == 1
    finally:
        await close_engine()


def test_a_port_that_is_taken(metrics_server: MetricsServer) -> None:
    with pytest.raises(OSError):
        start_metrics_server(metrics_server.server_address[1])
