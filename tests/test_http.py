"""The HTTP boundary against servers that do everything wrong."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from providers.errors import (
    ProviderError,
    ProviderUnavailable,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamQuotaSpent,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from providers.http import (
    Answer,
    answered,
    bearer,
    error_text,
    exchange,
    make_client,
    refusal,
    retry_after,
    scrubbed,
)
from providers.speech import ProviderConfig
from providers.transport import is_loopback, make_transport
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import (
    HURRIED_SECONDS,
    PATIENT_SECONDS,
    Exchange,
    closed_port,
    read_request,
    reset,
    serve_raw,
    serving,
)

KEY = "sk-top-secret-0123456789"
CONFIG = ProviderConfig(id=1, name="Faraway", kind="openai", key=KEY, timeout=PATIENT_SECONDS)
HURRIED = ProviderConfig(id=1, name="Faraway", kind="openai", key=KEY, timeout=HURRIED_SECONDS)
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_client() as made:
        yield made


def answering(*parts: bytes) -> Exchange:
    """Read a request, send these bytes, close."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"".join(parts))

    return script


def stalling(*parts: bytes) -> Exchange:
    """As `answering`, but wait for the client to give up in place of closing."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"".join(parts))
        with suppress(ConnectionError):
            assert connection.recv(1) == b""

    return script


def resetting(*parts: bytes) -> Exchange:
    def script(connection: socket.socket) -> None:
        answering(*parts)(connection)
        reset(connection)

    return script


async def body_of(answer: Answer) -> bytes:
    return b"".join([chunk async for chunk in answer.chunks()])


async def post(client: httpx.AsyncClient, url: str, config: ProviderConfig = CONFIG, **request: Any) -> bytes:
    async with exchange(client, config, "POST", url, **(request or {"json": {"input": "hi"}})) as answer:
        answer.check()
        return await body_of(answer)


# What a broken server becomes.


HEAD = b"HTTP/1.1 200 OK\r\n"
LONG = b"x" * 100


@pytest.mark.parametrize(
    ("script", "error"),
    [
        pytest.param(answering(), UpstreamUnreachable, id="closes"),
        pytest.param(resetting(), UpstreamUnreachable, id="resets"),
        pytest.param(answering(HEAD, b"Content-Le"), UpstreamUnreachable, id="cuts the head"),
        pytest.param(
            answering(HEAD, b"Content-Length: 900\r\n\r\n", LONG), UpstreamUnreachable, id="short of its length"
        ),
        pytest.param(
            resetting(HEAD, b"Content-Length: 900\r\n\r\n", LONG), UpstreamUnreachable, id="resets in the body"
        ),
        pytest.param(
            answering(HEAD, b"Transfer-Encoding: chunked\r\n\r\n64\r\n", LONG, b"\r\n"),
            UpstreamUnreachable,
            id="no last chunk",
        ),
        pytest.param(
            answering(HEAD, b"Transfer-Encoding: chunked\r\n\r\nff\r\n", LONG), UpstreamUnreachable, id="cuts a chunk"
        ),
        pytest.param(answering(b"220 mail.example ESMTP\r\n\r\n"), UpstreamFailed, id="speaks another protocol"),
        pytest.param(answering(HEAD, b"X-Long: ", b"y" * 70_000, b"\r\n\r\n"), UpstreamFailed, id="endless header"),
        pytest.param(
            answering(HEAD, b"Content-Encoding: gzip\r\nContent-Length: 100\r\n\r\n", LONG),
            UpstreamFailed,
            id="not gzip",
        ),
    ],
)
async def test_a_broken_answer_is_translated(
    client: httpx.AsyncClient, script: Exchange, error: type[ProviderError]
) -> None:
    async with serve_raw(script) as url:
        with pytest.raises(error) as caught:
            await post(client, url)
    assert type(caught.value) is error
    assert caught.value.message.startswith("Faraway ")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(stalling(), id="before the answer"),
        pytest.param(stalling(HEAD), id="in the head"),
        pytest.param(stalling(HEAD, b"Content-Length: 900\r\n\r\n"), id="before the body"),
        pytest.param(stalling(HEAD, b"Content-Length: 900\r\n\r\n", LONG), id="in the body"),
    ],
)
async def test_a_stall_is_a_timeout(client: httpx.AsyncClient, script: Exchange) -> None:
    async with serve_raw(script) as url:
        with pytest.raises(UpstreamTimeout, match="in time"):
            await post(client, url, HURRIED)


async def test_an_answer_that_drips_must_still_begin_in_time(client: httpx.AsyncClient) -> None:
    def dripping(connection: socket.socket) -> None:
        read_request(connection)
        connection.settimeout(0.05)
        for byte in HEAD * 100:
            try:
                connection.sendall(bytes([byte]))
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
        raise AssertionError("the client waited for ever")

    async with serve_raw(dripping) as url:
        with pytest.raises(UpstreamTimeout):
            await post(client, url, HURRIED)


async def test_what_came_before_a_cut_is_handed_on(client: httpx.AsyncClient) -> None:
    received = b""
    script = answering(HEAD, b"Content-Length: 900\r\n\r\n", LONG)
    async with serve_raw(script) as url, exchange(client, CONFIG, "POST", url, json={}) as answer:
        with pytest.raises(UpstreamUnreachable):
            async for chunk in answer.chunks():
                received += chunk
    assert received == LONG


async def test_a_closed_port_is_unreachable(client: httpx.AsyncClient) -> None:
    with closed_port() as port, pytest.raises(UpstreamUnreachable, match="nothing accepts connections") as caught:
        await post(client, f"http://127.0.0.1:{port}/v1?secret=1")
    assert str(port) not in caught.value.message


async def test_a_server_without_tls_is_unreachable_over_tls(client: httpx.AsyncClient) -> None:
    def greeting(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serve_raw(greeting) as url:
        with pytest.raises(UpstreamUnreachable, match="TLS"):
            await post(client, url.replace("http:", "https:"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "127.0.0.1:8880/v1",
        "ftp://127.0.0.1/",
        "http://",
        "http://[::1",
        "http://h:99999/",
        f"http://{'a' * 64}.example",
        "http://exa..mple/",
        "http://xn--zzzz--/",
        "http://1.2.3.4.5/",
    ],
)
async def test_a_bad_address_is_no_crash(client: httpx.AsyncClient, url: str) -> None:
    with pytest.raises(ProviderUnavailable, match="not a valid http or https address"):
        await post(client, url)


# Connections.


async def test_a_pooled_connection_that_died_is_replaced(client: httpx.AsyncClient) -> None:
    for end in (answering(), resetting()):
        requests: list[bytes] = []

        def first(connection: socket.socket, end: Exchange = end) -> None:
            answering(WHOLE)(connection)
            end(connection)

        def second(connection: socket.socket, requests: list[bytes] = requests) -> None:
            requests.append(read_request(connection))
            connection.sendall(WHOLE)

        async with serve_raw(first, second) as url:
            assert await post(client, url) == b"hello"
            assert await post(client, url) == b"hello"
        assert requests[0].startswith(b"POST / ")
        assert requests[0].endswith(b'{"input":"hi"}')


async def test_a_reused_connection_that_dies_in_its_answer_is_not_repeated(client: httpx.AsyncClient) -> None:
    def first(connection: socket.socket) -> None:
        answering(WHOLE)(connection)
        answering(HEAD)(connection)

    def second(connection: socket.socket) -> None:
        assert read_request(connection) == b"", "the request was sent again"

    async with serve_raw(first, second) as url:
        await post(client, url)
        with pytest.raises(UpstreamUnreachable):
            await post(client, url)


async def test_a_fresh_connection_that_dies_is_not_repeated(client: httpx.AsyncClient) -> None:
    def never(connection: socket.socket) -> None:
        assert read_request(connection) == b"", "the request was sent again"

    async with serve_raw(answering(), never) as url:
        with pytest.raises(UpstreamUnreachable):
            await post(client, url)


async def test_a_timeout_on_a_reused_connection_is_not_repeated(client: httpx.AsyncClient) -> None:
    def first(connection: socket.socket) -> None:
        answering(WHOLE)(connection)
        stalling()(connection)

    def never(connection: socket.socket) -> None:
        assert read_request(connection) == b"", "the request was sent again"

    async with serve_raw(first, never) as url:
        await post(client, url)
        with pytest.raises(UpstreamTimeout):
            await post(client, url, HURRIED)


async def test_a_body_that_can_be_read_only_once_is_not_repeated(client: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"once"

    def first(connection: socket.socket) -> None:
        answering(WHOLE)(connection)
        connection.recv(4096)

    async with serve_raw(first) as url:
        await post(client, url)
        with pytest.raises(UpstreamUnreachable) as caught:
            await post(client, url, content=body())
        assert not isinstance(caught.value.__cause__, httpx.StreamError), "it was not even tried"


async def test_a_multipart_body_arrives_whole(client: httpx.AsyncClient) -> None:
    upstream = OpenAIUpstream()
    async with serving(upstream) as url:
        with pytest.raises(UpstreamRejected):
            await post(client, url, data={"tts_text": "hi"}, files={"prompt_wav": ("a.wav", b"RIFF", "audio/wav")})
    [request] = upstream.requests
    assert b'name="prompt_wav"; filename="a.wav"' in request.body
    assert request.body.count(b"--" + request.headers["content-type"].partition("boundary=")[2].encode()) == 3


async def test_more_connections_than_the_libraries_own_limit(client: httpx.AsyncClient) -> None:
    upstream = OpenAIUpstream(held=True)
    body = {"model": "tts-1", "voice": "alloy", "input": "hi"}
    upstream.switches.speech = b"x" * 100
    async with serving(upstream) as url:
        calls = [asyncio.create_task(post(client, f"{url}/v1/audio/speech", json=body)) for _ in range(150)]
        await asyncio.to_thread(upstream.wait_for, lambda seen: seen.current == 150)
        upstream.release(150)
        answers = await asyncio.gather(*calls)
    assert answers == [b"x" * 100] * 150


async def test_leaving_early_closes_the_connection(client: httpx.AsyncClient) -> None:
    upstream = OpenAIUpstream(gated=True, speech=b"x" * 100_000)
    upstream.release()
    async with serving(upstream) as url:
        body = {"model": "tts-1", "voice": "alloy", "input": "hi"}
        async with exchange(client, CONFIG, "POST", f"{url}/v1/audio/speech", json=body) as answer:
            assert len(answer.head) == upstream.switches.chunk_bytes
        await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1)


async def test_cookies_are_not_kept(client: httpx.AsyncClient) -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket) -> None:
        for _ in range(2):
            seen.append(read_request(connection))
            connection.sendall(WHOLE.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=1; Path=/\r\n\r\n"))

    async with serve_raw(script) as url:
        # Of an address of digits aiohttp keeps none anyway.
        named = url.replace("127.0.0.1", "localhost")
        await post(client, named)
        await post(client, named)
    assert len(seen) == 2
    assert b"cookie" not in seen[1].lower()


async def test_redirects_are_not_followed(client: httpx.AsyncClient) -> None:
    moved = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with serve_raw(answering(moved)) as url:
        with pytest.raises(UpstreamRejected, match="has moved"):
            await post(client, url)


async def test_credentials_in_the_address_become_a_header(client: httpx.AsyncClient) -> None:
    seen: list[bytes] = []

    def script(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")

    async with serve_raw(script) as url:
        with pytest.raises(UpstreamFailed) as caught:
            await post(client, url.replace("//", "//ann:hidden@"))
    assert b"authorization: basic " in seen[0].lower()
    assert "hidden" not in caught.value.message


async def test_the_loop_is_named_and_asks_for_plain_bytes(client: httpx.AsyncClient) -> None:
    upstream = OpenAIUpstream()
    async with serving(upstream) as url, exchange(client, CONFIG, "GET", f"{url}/v1/models") as answer:
        assert (await answer.json())["object"] == "list"
    assert upstream.requests[0].headers["user-agent"] == "Neiroha"
    assert upstream.requests[0].headers["accept-encoding"] == "identity"


LARGE = bytes(range(256)) * (4 << 12)


def receiving(size: int, end: Exchange) -> Exchange:
    """Answer one request, then read so much of the next one."""

    def script(connection: socket.socket) -> None:
        answering(WHOLE)(connection)
        missing = size
        while missing > 0:
            missing -= len(connection.recv(min(missing, 65536)))
        end(connection)

    return script


@pytest.mark.parametrize("size", [0, 1000, 3_000_000])
@pytest.mark.parametrize("end", [lambda connection: None, reset], ids=["closes", "resets"])
async def test_a_large_body_is_sent_again_too(client: httpx.AsyncClient, size: int, end: Exchange) -> None:
    """A reference recording has up to 30 MB."""
    requests: list[bytes] = []

    def second(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        connection.sendall(WHOLE)

    async with serve_raw(receiving(size, end), second) as url:
        await post(client, url)
        assert await post(client, url, content=LARGE) == b"hello"
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert body == LARGE
    assert b"content-length: %d" % len(LARGE) in head.lower()
    assert b"transfer-encoding" not in head.lower()


async def test_names_are_found_while_every_other_thread_is_busy(client: httpx.AsyncClient) -> None:
    """The database is used in the event loop's own threads; neither may wait for the other."""
    freed = threading.Event()
    others = ThreadPoolExecutor(1)
    async with serve_raw(answering(WHOLE)) as url:
        asyncio.get_running_loop().set_default_executor(others)
        held = others.submit(freed.wait)
        try:
            assert await post(client, url.replace("127.0.0.1", "localhost")) == b"hello"
            assert not held.done()
        finally:
            freed.set()


def test_clients_share_what_they_trust() -> None:
    """Reading the certificates takes longer than many a request."""
    first, second = make_transport(), make_transport()
    assert isinstance(first, AiohttpTransport) and isinstance(second, AiohttpTransport)
    assert first.ssl_context is second.ssl_context
    assert first.ssl_context.check_hostname and first.ssl_context.verify_mode is ssl.CERT_REQUIRED


# Proxies.


def proxy(seen: list[bytes]) -> Exchange:
    def script(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        connection.sendall(WHOLE)

    return script


async def test_the_environments_proxy_is_used_but_never_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    proxied: list[bytes] = []
    async with serve_raw(proxy(proxied)) as proxy_url, serve_raw(answering(WHOLE)) as url:
        monkeypatch.setenv("http_proxy", proxy_url)
        monkeypatch.delenv("no_proxy", raising=False)
        async with make_client() as client:
            assert await post(client, url) == b"hello"
            assert proxied == []
            assert await post(client, "http://speech.example/v1") == b"hello"
    assert proxied[0].startswith(b"POST http://speech.example/v1 HTTP/1.1")


class LocalResolver(AbstractResolver):
    """Every name is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)
        return [found]

    async def close(self) -> None:
        return


async def test_no_proxy_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    proxied: list[bytes] = []
    async with serve_raw(proxy(proxied)) as proxy_url, serve_raw(answering(WHOLE)) as url:
        monkeypatch.setenv("http_proxy", proxy_url)
        monkeypatch.setenv("no_proxy", "localhost.example")
        async with make_client(LocalResolver()) as client:
            assert await post(client, url.replace("127.0.0.1", "localhost.example")) == b"hello"
    assert proxied == []


async def test_a_proxy_that_cannot_be_used_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
    async with serve_raw(answering(WHOLE)) as url, make_client() as client:
        assert await post(client, url) == b"hello"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("a.localhost", True)]
    + [("192.168.1.2", False), ("localhost.example", False), ("", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


# What an answer shows.


@pytest.mark.parametrize(
    ("line", "phrase"),
    [
        (b"400 Bad Request", ""),
        (b"400 Data at the root level is invalid.", "Data at the root level is invalid."),
        (b"400 ", ""),
    ],
)
async def test_a_reason_beside_the_status(client: httpx.AsyncClient, line: bytes, phrase: str) -> None:
    script = answering(b"HTTP/1.1 " + line + b"\r\nContent-Length: 0\r\n\r\n")
    async with serve_raw(script) as url, exchange(client, CONFIG, "GET", url) as answer:
        assert (answer.status, answer.reason_phrase) == (400, phrase)


@pytest.mark.parametrize(
    ("kind", "body", "page"),
    [
        (b"text/html; charset=utf-8", b"Welcome", True),
        (b"application/json", b"\n <!DOCTYPE html><html>", True),
        (b"application/octet-stream", b"<HTML lang=en>", True),
        (b"application/json", b'{"html":"<html>"}', False),
        (b"text/plain", b"<speak>", False),
        (b"", b"", False),
    ],
)
async def test_a_web_page_is_known(client: httpx.AsyncClient, kind: bytes, body: bytes, page: bool) -> None:
    script = answering(HEAD, b"Content-Type: " + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    async with serve_raw(script) as url, exchange(client, CONFIG, "GET", url) as answer:
        assert answer.is_web_page is page


# What a refusal means.


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, UpstreamRejected),
        (400, UpstreamRejected),
        (401, UpstreamUnauthorized),
        (402, UpstreamQuotaSpent),
        (403, UpstreamUnauthorized),
        (404, UpstreamRejected),
        (408, UpstreamTimeout),
        (413, UpstreamRejected),
        (422, UpstreamRejected),
        (429, UpstreamBusy),
        (500, UpstreamFailed),
        (502, UpstreamFailed),
        (503, UpstreamBusy),
        (504, UpstreamFailed),
        (508, UpstreamRejected),
        (599, UpstreamFailed),
    ],
)
def test_a_status_decides_the_error(status: int, error: type[ProviderError]) -> None:
    made = refusal(status, httpx.Headers(), b'{"error":{"message":"Oh no"}}', CONFIG)
    assert type(made) is error
    assert made.permanent is error.permanent
    assert status < 400 or made.message == f"Faraway answered {status}: Oh no"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422, 429, 500, 503, 508])
def test_what_only_an_answer_can_mean(status: int) -> None:
    """Then the provider is reachable, whatever else is wrong."""
    assert answered(refusal(status, httpx.Headers(), b"", CONFIG))
    assert not answered(UpstreamUnreachable("Nobody there."))
    assert not answered(UpstreamTimeout("Nothing came."))
    assert not answered(ProviderUnavailable("No address."))


@pytest.mark.parametrize(
    ("status", "error"), [(500, UpstreamRejected), (502, UpstreamRejected), (429, UpstreamBusy), (503, UpstreamBusy)]
)
def test_a_failure_that_is_not_to_be_retried_is_permanent(status: int, error: type[ProviderError]) -> None:
    made = refusal(status, httpx.Headers({"X-Should-Retry": "false"}), b"", CONFIG)
    assert type(made) is error
    assert type(refusal(500, httpx.Headers({"X-Should-Retry": "true"}), b"", CONFIG)) is UpstreamFailed


@pytest.mark.parametrize("status", [400, 403, 429])
@pytest.mark.parametrize("member", ["code", "type"])
def test_a_used_up_quota_is_told_from_a_busy_minute(member: str, status: int) -> None:
    body = json.dumps({"error": {"message": "You exceeded your current quota", member: "insufficient_quota"}}).encode()
    made = refusal(status, httpx.Headers({"retry-after": "60"}), body, CONFIG)
    assert type(made) is UpstreamQuotaSpent
    assert (made.status, made.permanent, made.retry_after) == (429, True, None)
    words = json.dumps({"error": {"message": "insufficient_quota is not the reason", "code": "slow_down"}}).encode()
    assert type(refusal(429, httpx.Headers(), words, CONFIG)) is UpstreamBusy


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":{"message":"Voice not found","type":"x","param":null,"code":null}}', "Voice not found"),
        (b'{"error":"Voice not found"}', "Voice not found"),
        (b'{"detail":"Voice not found"}', "Voice not found"),
        (b'{"detail":{"error":"validation_error","message":"Voice not found","type":"x"}}', "Voice not found"),
        (b'{"detail":[{"type":"x","loc":["body","speed"],"msg":"Too fast"}]}', "speed: Too fast"),
        (b'{"message":"Voice not found","code":404,"type":"x","param":null}', "Voice not found"),
        (b'{"error":null,"message":null,"detail":"Voice not found"}', "Voice not found"),
        (b'{"error":{"code":"401","message":"Param Incorrect","param":"No such key"}}', "Param Incorrect: No such key"),
        (b'[{"error":{"code":400,"message":"Bad voice","status":"INVALID_ARGUMENT"}}]', "Bad voice"),
        (b'data:{"error":{"message":"Bad voice"}}', "Bad voice"),
        (b"<html><head><title>502 Bad &amp; Gone</title></head><body><h1>nginx</h1></body></html>", "502 Bad & Gone"),
        (b"<!doctype html><p>Nothing", ""),
        (b"upstream connect error", "upstream connect error"),
        (b"", ""),
        (b"{}", ""),
        (b"[]", ""),
        (b"null", ""),
        (b"17", ""),
        (b'{"error":{"error":{"error":{}}}}', ""),
        (b'{"error":' * 50_000, ""),
        ('{"detail":"声音不存在"}'.encode(), "声音不存在"),
    ],
)
def test_the_words_of_an_error(body: bytes, words: str) -> None:
    found = error_text(body)
    assert found == words or (words == "" and found.startswith('{"error":{"error":'))


def test_markup_that_never_closes_is_read_once() -> None:
    """Read again from every `<`, this much would take hours."""
    assert error_text(b"<" * 3_000_000) == ""
    assert error_text(b"<title" * 500_000) == ""


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "999999"}, 3600),
        ({"retry-after": "inf"}, 3600),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "6m0s"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 9999 07:28:00 GMT"}, 3600),
        ({"retry-after": "Wed, 99 Oct 2015 99:28:00 GMT"}, None),
    ],
)
def test_when_to_try_again(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(httpx.Headers(headers)) == seconds
    busy = refusal(429, httpx.Headers(headers), b"", CONFIG)
    assert busy.retry_after == seconds


def test_when_to_try_again_by_date() -> None:
    wait = retry_after(httpx.Headers({"retry-after": formatdate(time.time() + 1000, usegmt=True)}))
    assert wait is not None
    assert 900 <= wait <= 1000


def test_a_message_is_one_short_line_without_the_key() -> None:
    for echo in (f"Bad key {KEY}.", f"{'x' * 250} Bearer {KEY} {'y' * 250}", f"a\r\nb\x00c\u202e {KEY}\ud800"):
        made = refusal(401, httpx.Headers(), json.dumps({"error": {"message": echo}}).encode(), CONFIG)
        assert KEY not in made.message
        assert KEY not in repr(made)
        assert len(made.message) <= 300
        assert made.message.isprintable()
    assert scrubbed(f"Bad key {KEY}!", CONFIG) == "Bad key [key]!"
    assert KEY not in repr(CONFIG)


def test_a_key_is_cleaned_or_refused() -> None:
    padded = ProviderConfig(id=1, name="Faraway", kind="openai", key=f" {KEY}\n")
    assert bearer(padded) == {"authorization": f"Bearer {KEY}"}
    assert bearer(ProviderConfig(id=1, name="Faraway", kind="openai", key=" ")) == {}
    for broken in ("“sk-quoted”", "sk-one\nsk-two", "sk-\x00"):
        with pytest.raises(ProviderUnavailable) as caught:
            bearer(ProviderConfig(id=1, name="Faraway", kind="openai", key=broken))
        assert "sk-" not in str(caught.value)


async def test_an_endless_error_body_is_cut(client: httpx.AsyncClient) -> None:
    def endless(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                connection.sendall(b"1000\r\n" + b"z" * 4096 + b"\r\n")
        except OSError:
            return

    async with serve_raw(endless) as url, exchange(client, CONFIG, "GET", url) as answer:
        assert len(answer.head) == 64 * 1024
        with pytest.raises(UpstreamFailed, match="answered 500: zzz"):
            answer.check()


@pytest.mark.parametrize("ending", [stalling, answering, resetting])
async def test_an_error_whose_body_fails_keeps_its_status(
    client: httpx.AsyncClient, ending: Callable[..., Exchange]
) -> None:
    script = ending(b"HTTP/1.1 401 No\r\nContent-Length: 900\r\n\r\n", b"wrong key")
    async with serve_raw(script) as url:
        with pytest.raises(UpstreamUnauthorized, match="answered 401"):
            await post(client, url, ProviderConfig(id=1, name="Faraway", kind="openai", timeout=PATIENT_SECONDS))


async def test_a_long_list_is_refused(client: httpx.AsyncClient) -> None:
    script = answering(HEAD, b"Content-Length: 2000\r\n\r\n", b" " * 2000)
    async with serve_raw(script) as url, exchange(client, CONFIG, "GET", url) as answer:
        with pytest.raises(UpstreamFailed, match="more than 1000 bytes"):
            await answer.read(1000)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[" * 100_000, b"\xff\xfe"])
async def test_an_answer_that_is_not_json(client: httpx.AsyncClient, body: bytes) -> None:
    script = answering(HEAD, b"Content-Length: %d\r\n\r\n" % len(body), body)
    async with serve_raw(script) as url, exchange(client, CONFIG, "GET", url) as answer:
        with pytest.raises(UpstreamFailed, match="JSON"):
            await answer.json()
