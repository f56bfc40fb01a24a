"""What a warm request for speech costs beside its own work: no thread, no query, and notes that are written later."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx
import pytest
from django.db import connection
from django.db.backends.signals import connection_created
from django.db.models import Model

from api import runtime
from api.models import ApiKey, RequestLog, ServerSettings
from banks.models import Bank
from providers.audio import encode
from providers.models import Provider, UsageMinute
from providers.speech import AudioFormat
from providers.versions import poll
from tests.conftest import add_character
from tests.test_api_errors import change_settings
from tests.test_request_log import written
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import serve

TONE = b"\x10\x00\xf0\xff" * 12_000
REQUESTS = 30


class Key(NamedTuple):
    row: ApiKey
    secret: str


class Watcher:
    """Who gives work to threads, and which statements any connection runs, from `begin` on."""

    def __init__(self) -> None:
        self.threads_asked_by: list[str] = []
        self.statements: list[tuple[str, str]] = []
        """The thread and the SQL of each."""
        self._watching = False

    def begin(self) -> None:
        self._watching = True

    def note_asker(self) -> None:
        """The coroutine that runs on an event loop of this thread; other threads may do as they like."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return
        if self._watching and task is not None:
            self.threads_asked_by.append(getattr(task.get_coro(), "__qualname__", ""))

    def note_statement(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if self._watching:
            self.statements.append((threading.current_thread().name, sql))
        return execute(sql, *rest)

    def note_connection(self, sender: object, connection: Any, **rest: object) -> None:
        connection.execute_wrappers.append(self.note_statement)

    def asked_by_requests(self) -> list[str]:
        return [name for name in self.threads_asked_by if "run_asgi" in name or "ApiHandler" in name]

    def readings_of(self, model: type[Model]) -> list[str]:
        source = f'FROM "{model._meta.db_table}"'
        return [sql for _thread, sql in self.statements if sql.startswith("SELECT") and source in sql]


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    made, submit, start = Watcher(), ThreadPoolExecutor.submit, threading.Thread.start

    def noted_submit(pool: ThreadPoolExecutor, *work: Any, **rest: Any) -> Future[Any]:
        made.note_asker()
        return submit(pool, *work, **rest)

    def noted_start(thread: threading.Thread) -> None:
        made.note_asker()
        start(thread)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", noted_submit)
    monkeypatch.setattr(threading.Thread, "start", noted_start)
    connection_created.connect(made.note_connection)
    yield made
    connection_created.disconnect(made.note_connection)


@pytest.fixture
def upstream(bank: Bank) -> Iterator[OpenAIUpstream]:
    """A provider whose “Alloy” answers at once, in mp3."""
    app = OpenAIUpstream(speech=encode(TONE, 24_000, AudioFormat.MP3), chunked=False)
    with serve(app) as url:
        provider = Provider.objects.create(name="Upstream", kind="openai", base_url=f"{url}/v1", max_concurrency=100)
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        yield app


@pytest.fixture
def key(bank: Bank) -> Key:
    """The key is on, the rate is limited, requests are logged: all that a request may cost."""
    change_settings(log_requests=True, rate_limit_per_minute=10_000)
    made, secret = ApiKey.objects.issue(name="player")
    made.rate_limit_per_minute = 10_000
    made.save()
    return Key(made, secret)


def warm_up(client: httpx.Client, key: Key, **fields: object) -> None:
    """What the emptied database says of the configuration's version is noticed now, not in the midst of the test."""
    poll()
    ask(client, key, **fields)


def ask(client: httpx.Client, key: Key, **fields: object) -> httpx.Response:
    body = {"model": "Stories", "voice": "Alloy", "input": "Good evening."} | fields
    headers = {"Authorization": f"Bearer {key.secret}"}
    response = client.post("/v1/audio/speech", json=body, headers=headers)
    assert response.status_code == 200 and len(response.content) > 1000
    return response


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"stream_format": "sse"}], ids=str)
def test_a_warm_request_takes_no_thread_and_asks_no_database(
    client_http: httpx.Client, upstream: OpenAIUpstream, key: Key, watcher: Watcher, fields: dict[str, object]
) -> None:
    warm_up(client_http, key, **fields)
    watcher.begin()
    for _ in range(REQUESTS):
        ask(client_http, key, **fields)
    assert watcher.asked_by_requests() == []
    assert [sql for thread, sql in watcher.statements if thread == "live-server"] == []
    assert len(upstream.spoken) == REQUESTS + 1


def test_what_is_watched_shows_a_thread_that_a_request_asks_for(
    client_http: httpx.Client, upstream: OpenAIUpstream, key: Key, watcher: Watcher
) -> None:
    warm_up(client_http, key)
    watcher.begin()
    # Another format has to be converted, which no event loop does by itself.
    ask(client_http, key, speed=4.0, response_format="wav")
    assert watcher.asked_by_requests()


def test_a_changed_configuration_is_read_once_and_then_no_more(
    client_http: httpx.Client, upstream: OpenAIUpstream, key: Key, watcher: Watcher
) -> None:
    warm_up(client_http, key)
    change_settings(rate_limit_per_minute=9_999)
    poll()
    watcher.begin()
    for _ in range(3):
        ask(client_http, key)
        assert len(watcher.readings_of(ServerSettings)) == 1


def test_log_usage_and_last_use_are_written_in_batches_off_the_path(
    client_http: httpx.Client, upstream: OpenAIUpstream, key: Key, watcher: Watcher
) -> None:
    warm_up(client_http, key)
    written(1)
    watcher.begin()
    for _ in range(REQUESTS):
        ask(client_http, key)
    rows = written(REQUESTS + 1)
    assert {row.key_name for row in rows} == {"player"} and all(row.complete for row in rows)
    inserts = [thread for thread, sql in watcher.statements if sql.startswith(f"INSERT INTO {log_table()}")]
    assert 0 < len(inserts) < REQUESTS and "live-server" not in inserts
    uses = [sql for _thread, sql in watcher.statements if sql.startswith("UPDATE") and "last_used_at" in sql]
    assert 0 < len(uses) <= len(inserts)
    key.row.refresh_from_db()
    assert key.row.last_used_at == max(row.at for row in rows)
    (running,) = runtime._runtimes.items()
    asyncio.run_coroutine_threadsafe(running[1].engine.ledger.flush(), running[0]).result(60)
    assert sum(UsageMinute.objects.values_list("requests", flat=True)) == REQUESTS + 1


def log_table() -> str:
    return connection.ops.quote_name(RequestLog._meta.db_table)


def test_held_requests_hold_no_thread(
    server: str, upstream: OpenAIUpstream, key: Key, client_http: httpx.Client, watcher: Watcher
) -> None:
    warm_up(client_http, key)
    upstream.switches.held = True
    before = set(threading.enumerate())
    watcher.begin()

    async def hold() -> list[httpx.Response]:
        headers = {"Authorization": f"Bearer {key.secret}"}
        body = {"model": "Stories", "voice": "Alloy", "input": "Wait for me."}
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(base_url=server, timeout=120, trust_env=False, limits=limits) as client:
            asked = [client.post("/v1/audio/speech", json=body, headers=headers) for _ in range(50)]
            answers = asyncio.gather(*asked)
            await asyncio.to_thread(upstream.wait_for, lambda now: now.current == 50)
            seen.extend(threading.enumerate())
            upstream.release(50)
            return await answers

    seen: list[threading.Thread] = []
    assert {answer.status_code for answer in asyncio.run(hold())} == {200}
    assert watcher.asked_by_requests() == []
    # What the test's own loop and the batches behind the path have made is no request's.
    assert not [one.name for one in set(seen) - before if not one.name.startswith(("asyncio", "ThreadPool"))]
