"""What a server has to stand: huge bodies, failing streams, slow readers, and being told to stop while it speaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live_server import serve
from tests.server_process import ServerProcess, manage, running_server

WAIT = 60.0
MEGABYTE = 1024 * 1024
FIRST = bytes([16, 0]) * 32_000
CHUNK = bytes([16, 0]) * 128_000
LONG_CHUNKS = 1200
# Far below what is sent, far above what a healthy process varies by.
FLAT = 60 * MEGABYTE


class Upstream:
    """A provider whose voices name how they speak: `breaks` off, `waits` for its release, or goes on for `long`."""

    def __init__(self) -> None:
        self.prepare()

    def prepare(self) -> None:
        self.release = threading.Event()
        self.left_alone = threading.Event()
        self.held_back = threading.Event()
        self.finished = threading.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        voice = json.loads(await _body(receive))["voice"]
        headers = [(b"content-type", b"audio/pcm")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": FIRST, "more_body": True})
        await getattr(self, voice)(receive, send)

    async def breaks(self, receive: Any, send: Any) -> None:
        """Returning in mid-answer makes uvicorn cut the connection."""

    async def waits(self, receive: Any, send: Any) -> None:
        left = asyncio.ensure_future(receive())
        released = asyncio.ensure_future(asyncio.to_thread(self.release.wait, WAIT))
        await asyncio.wait({left, released}, return_when=asyncio.FIRST_COMPLETED)
        if left.done():
            self.left_alone.set()
            self.release.set()
        left.cancel()
        await released
        await send({"type": "http.response.body", "body": FIRST, "more_body": False})

    async def long(self, receive: Any, send: Any) -> None:
        for _ in range(LONG_CHUNKS):
            sending = asyncio.ensure_future(send({"type": "http.response.body", "body": CHUNK, "more_body": True}))
            _, waiting = await asyncio.wait({sending}, timeout=2)
            if waiting:
                self.held_back.set()
            await sending
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self.finished.set()


async def _body(receive: Any) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


@pytest.fixture(scope="module")
def shared_upstream() -> Iterator[tuple[Upstream, str]]:
    upstream = Upstream()
    with serve(upstream) as url:
        yield upstream, url


@pytest.fixture
def upstream(shared_upstream: tuple[Upstream, str]) -> Iterator[Upstream]:
    found = shared_upstream[0]
    found.prepare()
    yield found
    found.release.set()


CONFIGURE = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
from banks.models import Bank, Character, Membership
from providers.models import Provider
provider = Provider.objects.create(name="Local", kind="openai", base_url="{url}/v1", max_concurrency=8)
bank = Bank.objects.create(name="Tests")
for voice in ("breaks", "waits", "long"):
    character = Character.objects.create(name=voice, provider=provider, voice=voice, model="tts-1")
    Membership.objects.create(bank=bank, character=character)
"""


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory, shared_upstream: tuple[Upstream, str]) -> Path:
    """A data folder with the voices, to be copied."""
    folder = tmp_path_factory.mktemp("configured")
    made = manage(folder, "shell", "--no-imports", "-c", CONFIGURE.format(url=shared_upstream[1]))
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def shared_server(configured: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(shutil.copytree(configured, tmp_path_factory.mktemp("shared") / "data")) as running:
        yield running


@pytest.fixture
def server(upstream: Upstream, shared_server: ServerProcess) -> ServerProcess:
    """For tests that leave the server running."""
    return shared_server


@pytest.fixture
def own_server(upstream: Upstream, configured: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """For tests that end the server."""
    with running_server(shutil.copytree(configured, tmp_path / "data")) as running:
        yield running


@contextlib.contextmanager
def ask(server: ServerProcess, voice: str) -> Iterator[httpx.Response]:
    """A streamed answer."""
    body = {"model": "Tests", "voice": voice, "input": "Hello.", "response_format": "pcm", "stream": True}
    with (
        httpx.Client(base_url=server.url, timeout=WAIT, trust_env=False) as client,
        client.stream("POST", "/v1/audio/speech", json=body) as answer,
    ):
        yield answer


def connect(server: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=WAIT)


def kept_alive(server: ServerProcess) -> HTTPConnection:
    """A connection that the server has answered on, and that is still open."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=WAIT)
    connection.request("GET", "/health")
    assert connection.getresponse().read()
    return connection


def wait_until_refused(server: ServerProcess) -> None:
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        try:
            connect(server).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.02)
    raise AssertionError("the server still takes connections")


def test_a_huge_chunked_body_is_stopped_early(server: ServerProcess) -> None:
    before = server.memory()
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    with connect(server) as connection:
        connection.sendall(
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        sent = 0
        # The server reads on for a second after its answer; a slow sender may be cut off, and still reads the answer.
        with contextlib.suppress(ConnectionError):
            while sent < 300 * MEGABYTE and not select.select([connection], [], [], 0)[0]:
                connection.sendall(chunk)
                sent += len(chunk)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code": "body_too_large"' in answer
    assert sent < 50 * MEGABYTE
    assert server.memory() - before < FLAT


def test_a_declared_huge_body_is_refused_before_it_is_sent(server: ServerProcess) -> None:
    with connect(server) as connection:
        connection.sendall(
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 314572800\r\n\r\n"
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ",
        b"GET /",
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ",
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1;x=",
    ],
    ids=["header", "address", "trailer", "chunk extension"],
)
def test_a_head_without_end_is_cut_off(server: ServerProcess, begin: bytes) -> None:
    before = server.memory()
    sent = 0
    with connect(server) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(begin)
        while sent < 300 * MEGABYTE:
            connection.sendall(b"a" * 0x10000)
            sent += 0x10000
    assert sent < 50 * MEGABYTE
    assert server.memory() - before < FLAT


def test_a_stream_that_fails_is_no_clean_end(server: ServerProcess) -> None:
    received = b""
    with ask(server, "breaks") as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            for part in answer.iter_raw():
                received += part
    assert received == FIRST


def test_a_slow_reader_costs_no_memory(server: ServerProcess, upstream: Upstream) -> None:
    with ask(server, "long") as answer:
        parts = answer.iter_raw()
        received = len(next(parts))
        before = server.memory()
        assert upstream.held_back.wait(WAIT), "the provider was never held back"
        assert not upstream.finished.is_set()
        assert server.memory() - before < FLAT
        received += sum(len(part) for part in parts)
    assert received == len(FIRST) + LONG_CHUNKS * len(CHUNK)
    assert server.memory() - before < FLAT


def test_a_client_that_leaves_frees_the_provider(server: ServerProcess, upstream: Upstream) -> None:
    with ask(server, "waits") as answer:
        next(answer.iter_raw())
    assert upstream.left_alone.wait(WAIT)


def test_told_to_stop_it_finishes_what_it_says(own_server: ServerProcess, upstream: Upstream) -> None:
    with ask(own_server, "waits") as answer, contextlib.closing(kept_alive(own_server)) as idle:
        parts = answer.iter_raw()
        received = next(parts)
        own_server.send(signal.SIGTERM)
        own_server.wait_for_line("Stopping; running answers have 10 seconds")
        wait_until_refused(own_server)
        assert idle.sock.recv(1) == b""
        assert own_server.process.poll() is None
        upstream.release.set()
        received += b"".join(parts)
    assert received == FIRST * 2
    assert own_server.wait() == 0
    assert "Traceback" not in own_server.output


def test_ten_seconds_are_all_it_gives(own_server: ServerProcess, upstream: Upstream) -> None:
    with ask(own_server, "waits") as answer:
        parts = answer.iter_raw()
        next(parts)
        own_server.send(signal.SIGTERM)
        with pytest.raises(httpx.RemoteProtocolError):
            list(parts)
    assert own_server.wait() == 0
    assert upstream.left_alone.wait(WAIT)
    assert "Traceback" not in own_server.output


def test_a_second_ctrl_c_ends_it_at_once(own_server: ServerProcess, upstream: Upstream) -> None:
    with ask(own_server, "waits") as answer:
        parts = answer.iter_raw()
        next(parts)
        own_server.send(signal.SIGINT)
        own_server.wait_for_line("Ctrl-C ends them at once")
        own_server.send(signal.SIGINT)
        with pytest.raises(httpx.RemoteProtocolError):
            list(parts)
    assert own_server.wait() == 130
    assert "Traceback" not in own_server.output
