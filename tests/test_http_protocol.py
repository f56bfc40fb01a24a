"""What the server's own protocol bounds: the time and the size of a request's head. On a clock that the tests hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from neiroha_site.http_protocol import BoundedHttpProtocol
from neiroha_site.serving import HEAD_SECONDS, KEEP_ALIVE_SECONDS, MAX_HEAD_BYTES
from tests.fake_clock import FakeClock, settle

REQUEST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHUNKED = b"POST /speak HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class Wire(asyncio.Transport):
    """A connection's lower end: what was written to it, and how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = ""

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "cut"

    def pause_reading(self) -> None:
        """All is fed by hand."""

    def resume_reading(self) -> None:
        """All is fed by hand."""


class Loop:
    """The running loop, but for its timers."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.create_task = asyncio.get_running_loop().create_task

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> object:
        return self._clock.call_later(delay, partial(callback, *args))


class Connection:
    """One client's connection to an application that answers once the body is whole, or, `hasty`, before it. The
    answer's end waits for `may_end`."""

    def __init__(self, *, hasty: bool = False) -> None:
        self.hasty = hasty
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.clock = FakeClock()
        self.wire = Wire()
        self.scopes: list[Any] = []
        self.body = b""
        config = uvicorn.Config(
            self._answer, interface="asgi3", lifespan="off", log_config=None, timeout_keep_alive=KEEP_ALIVE_SECONDS
        )
        loop: Any = Loop(self.clock)
        self._protocol = BoundedHttpProtocol(config, ServerState(), {}, loop)
        self._protocol.connection_made(self.wire)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        more = not self.hasty
        while more:
            message = await receive()
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        await self.may_end.wait()
        await send({"type": "http.response.body", "body": b"k"})

    async def feed(self, data: bytes) -> None:
        if not self.wire.ended:
            self._protocol.data_received(data)
        await settle()

    def end(self) -> str:
        """How the server ended the connection; empty while it did not."""
        return self.wire.ended

    async def wait(self, seconds: float) -> None:
        await self.clock.advance(seconds)


async def test_a_client_that_says_nothing_is_cut_off() -> None:
    client = Connection()
    await client.wait(HEAD_SECONDS - 1)
    assert not client.end()
    await client.wait(1)
    assert client.end() == "cut"


async def test_a_head_that_drips_is_cut_off() -> None:
    client = Connection()
    await client.wait(HEAD_SECONDS - 1)
    for second in range(HEAD_SECONDS):
        assert not client.end(), second
        await client.feed(REQUEST[second : second + 1])
        await client.wait(1)
    assert client.end() == "cut"
    assert client.scopes == []


async def test_what_comes_after_the_head_is_not_hurried_by_it() -> None:
    client = Connection()
    await client.feed(b"POST /speak HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\n")
    for letter in (b"o", b"n", b"e"):
        await client.wait(HEAD_SECONDS * 10)
        await client.feed(letter)
    assert client.wire.written.endswith(b"\r\n\r\nok")
    assert not client.end()


async def test_a_connection_that_is_kept_may_rest_and_its_next_head_may_not() -> None:
    client = Connection()
    await client.feed(REQUEST)
    await client.wait(KEEP_ALIVE_SECONDS - 1)
    await client.feed(REQUEST[:10])
    await client.wait(HEAD_SECONDS - 1)
    assert not client.end()
    await client.wait(1)
    assert client.end() == "cut"
    assert client.wire.written.count(b"HTTP/1.1 200 ") == 1


async def test_a_client_that_left_leaves_no_timer() -> None:
    client = Connection()
    client._protocol.connection_lost(None)
    client.wire.ended = ""
    await client.wait(HEAD_SECONDS)
    assert not client.end()


@pytest.mark.parametrize(("end", "status"), [(b"\r\n\r\n", b"200"), (b"a" * 5, b"400")], ids=["ends", "goes on"])
async def test_a_head_has_a_largest_size(end: bytes, status: bytes) -> None:
    client = Connection()
    await client.feed(REQUEST[:-2])
    await client.feed(b"X-Long: " + b"a" * (MAX_HEAD_BYTES - 12))
    assert not client.end() and not client.wire.written
    await client.feed(end)
    assert client.wire.written.startswith(b"HTTP/1.1 " + status)
    assert len(client.scopes) == (status == b"200")


async def test_a_head_too_large_is_not_answered_within_another_answer() -> None:
    client = Connection()
    client.may_end.clear()
    await client.feed(REQUEST)
    await client.feed(REQUEST[:-2])
    await client.feed(b"X-Long: " + b"a" * MAX_HEAD_BYTES)
    assert client.wire.written.endswith(b"\r\n\r\no")
    assert client.end() == "cut"
    client.may_end.set()
    await settle()


async def test_a_body_counts_for_nothing_beside_the_head() -> None:
    client = Connection()
    await client.feed(CHUNKED)
    for _ in range(20):
        await client.feed(b"c350\r\n" + b"a" * 50_000 + b"\r\n")
    await client.feed(b"0\r\n\r\n")
    assert client.wire.written.endswith(b"\r\n\r\nok")
    assert len(client.body) == 1_000_000


@pytest.mark.parametrize("endless", [b"1;x=", b"0\r\nX-Trailer: "], ids=["chunk extension", "trailer"])
async def test_what_is_no_body_has_a_largest_size_after_the_head_too(endless: bytes) -> None:
    client = Connection()
    await client.feed(CHUNKED[:-2])
    await client.feed(b"X-Long: " + b"a" * 1000 + b"\r\n\r\n" + endless)
    await client.feed(b"a" * (MAX_HEAD_BYTES - 1000))
    await client.feed(b"a" * 900)
    assert not client.end()
    await client.feed(b"a" * 200)
    assert client.end() == "cut"


async def test_nothing_is_added_to_an_answer_that_came_before_the_body() -> None:
    client = Connection(hasty=True)
    await client.feed(CHUNKED + b"1;x=")
    await client.feed(b"a" * (MAX_HEAD_BYTES + 1))
    assert client.wire.written.endswith(b"\r\n\r\nok")
    assert client.end() == "cut"


async def test_a_trailer_joins_no_headers() -> None:
    client = Connection()
    await client.feed(CHUNKED + b"2\r\nhi\r\n0\r\nX-Api-Key: late\r\n\r\n")
    assert client.body == b"hi"
    assert [name for name, _ in client.scopes[0]["headers"]] == [b"host", b"transfer-encoding"]
