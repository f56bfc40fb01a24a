"""aiohttp under httpx: which connections are made, to where, and by way of which proxy."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream, map_aiohttp_exceptions

from providers import tracing
from providers.egress import AddressRefused, check_address, check_host
from providers.hops import HOP_HEADER, hop_value

# The shared queue is what limits calls; a small pool would be a second, hidden limit.
POOL_CONNECTIONS = 1000
KEEP_ALIVE_SECONDS = 15.0
# A larger body would be written in one go while nothing else runs.
PIECE_BYTES = 256 * 1024
LOOKUPS_AT_ONCE = 8


def make_transport(resolver: AbstractResolver | None = None, *, public: bool = False) -> httpx.AsyncBaseTransport:
    """By way of the proxies that the environment names, for every host but loopback and those of `no_proxy`.

    `resolver` finds the addresses of names, in place of the system. AddressRefused where `providers.egress` says so.
    With `public` only public addresses are called, and always directly: a proxy would resolve names by itself.
    """
    direct = _Transport(resolver, public=public)
    if public:
        return direct
    proxied = {scheme: _Transport(resolver, httpx.Proxy(url)) for scheme, url in _environment_proxies().items()}
    return _ProxiedTransport(direct, proxied) if proxied else direct


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    """What every connection trusts; reading the certificates takes 50 ms."""
    return httpx.create_ssl_context()


class _SystemResolver(AbstractResolver):
    """The system's, in threads of its own: a name server that is silent holds a thread for many seconds, and the event
    loop's own threads are those that the database is used in."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)

    async def close(self) -> None:
        self._threads.shutdown(wait=False)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror:
        # Without a network, Windows has no address for itself under this flag.
        if host != "localhost":
            raise
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return [_resolved(host, port, family, protocol, place) for family, _, protocol, _, place in found]


def _resolved(host: str, port: int, family: int, protocol: int, place: tuple[Any, ...]) -> ResolveResult:
    address = place[0]
    if family == socket.AF_INET6 and place[3]:
        # A link-local address is of use only with its interface.
        address, _ = socket.getnameinfo(place, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=protocol, flags=flags)


class _PermittedResolver(AbstractResolver):
    """Knows only those addresses of a name that may be called; AddressRefused when it has no others."""

    def __init__(self, resolver: AbstractResolver, check: Callable[[str], None]) -> None:
        self._resolver = resolver
        self._check = check

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        permitted: list[ResolveResult] = []
        refused: AddressRefused | None = None
        for found in await self._resolver.resolve(host, port, family):
            try:
                self._check(found["host"])
                permitted.append(found)
            except AddressRefused as error:
                refused = error
        if refused is not None and not permitted:
            raise refused
        return permitted

    async def close(self) -> None:
        await self._resolver.close()


def _permitted_socket(check: Callable[[str], None], address: aiohttp.AddrInfoType) -> socket.socket:
    """The last check, of the very address that is connected to; digits in a URL never meet the resolver."""
    family, kind, protocol, _name, place = address
    check(place[0])
    return socket.socket(family, kind, protocol)


_connection_made: ContextVar[bool] = ContextVar("connection_made", default=False)


class _Connector(aiohttp.TCPConnector):
    """Notes for the request that asks whether its connection was made for it or comes from the pool."""

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        _connection_made.set(True)
        return await super()._create_connection(req, traces, timeout)


class _Transport(AiohttpTransport):
    """aiohttp under httpx. A request whose pooled connection proves dead before any answer is sent once more."""

    def __init__(
        self, resolver: AbstractResolver | None, proxy: httpx.Proxy | None = None, *, public: bool = False
    ) -> None:
        super().__init__(verify=_tls_context(), proxy=proxy)
        self._check = partial(check_address, public=public)
        self._own_resolver = _SystemResolver()
        self._resolver = resolver or self._own_resolver

    def get_client(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=self._connector(), cookie_jar=aiohttp.DummyCookieJar())

    def _connector(self) -> aiohttp.TCPConnector:
        # A proxy is where the machine's own administrator put it.
        guarded = self.proxy is None
        return _Connector(
            limit=POOL_CONNECTIONS,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            ssl=self.ssl_context,
            resolver=_PermittedResolver(self._resolver, self._check) if guarded else self._resolver,
            socket_factory=partial(_permitted_socket, self._check) if guarded else None,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers[HOP_HEADER] = hop_value()
        tracing.propagate(request.url.host, request.headers)
        if request.url.userinfo:
            # httpx has made the header of it; aiohttp refuses to be told twice.
            request.url = request.url.copy_with(username=None, password=None)
        _connection_made.set(False)
        try:
            return await self._send(request)
        except httpx.TransportError as error:
            resendable = isinstance(request.stream, httpx.ByteStream)
            if not resendable or _connection_made.get() or not _died_unanswered(error.__cause__):
                raise
        return await self._send(request)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        if self.proxy is not None:
            return await super().handle_async_request(_in_pieces(request))
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        body = _body(request)
        with map_aiohttp_exceptions():
            answer = await self.client.request(
                request.method,
                str(request.url),
                headers=request.headers.multi_items(),
                data=body,
                allow_redirects=False,
                auto_decompress=False,
                timeout=_timeout(**request.extensions.get("timeout", {})),
            )
        extensions = {"http_version": b"HTTP/1.1", "reason_phrase": (answer.reason or "").encode()}
        return httpx.Response(
            answer.status, headers=answer.raw_headers, stream=_Received(answer), extensions=extensions
        )

    async def aclose(self) -> None:
        await super().aclose()
        await self._own_resolver.close()


class _Received(AiohttpResponseStream):
    """Gives what has come as it is: cut small, every chunk would cost its way through all that reads it."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with map_aiohttp_exceptions():
            chunk = await self._aiohttp_response.content.readany()
        if not chunk:
            raise StopAsyncIteration
        return chunk


@lru_cache(maxsize=64)
def _timeout(
    connect: float | None = None, read: float | None = None, write: float | None = None, pool: float | None = None
) -> aiohttp.ClientTimeout:
    """httpx's names in aiohttp's words, which have none for `write`."""
    return aiohttp.ClientTimeout(sock_connect=connect, sock_read=read, connect=pool)


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), PIECE_BYTES):
            yield self._body[start : start + PIECE_BYTES]


def _body(request: httpx.Request) -> bytes | AsyncIterable[bytes] | None:
    """What aiohttp writes; a large body that is held as bytes piece by piece."""
    if isinstance(request.stream, httpx.ByteStream):
        return (_Pieces(request.content) if len(request.content) > PIECE_BYTES else request.content) or None
    assert isinstance(request.stream, httpx.AsyncByteStream)
    # aiohttp says by itself how it sends what it has no length of.
    request.headers.pop("transfer-encoding", None)
    return request.stream


def _in_pieces(request: httpx.Request) -> httpx.Request:
    """The same request, for httpx-aiohttp, which would write a large body in one go."""
    if not isinstance(request.stream, httpx.ByteStream) or len(request.content) <= PIECE_BYTES:
        return request
    stream, extensions = _Pieces(request.content), request.extensions
    return httpx.Request(request.method, request.url, headers=request.headers, stream=stream, extensions=extensions)


def _died_unanswered(cause: BaseException | None) -> bool:
    """A connection closed or reset before the first byte of an answer. A half-read head is kept in `message`."""
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return isinstance(cause.message, str)
    return isinstance(cause, ConnectionError) or (
        isinstance(cause, aiohttp.ClientOSError) and not isinstance(cause, aiohttp.ClientConnectorError)
    )


class _ProxiedTransport(httpx.AsyncBaseTransport):
    """Sends through a proxy what may go through it, all else directly."""

    def __init__(self, direct: _Transport, proxied: Mapping[str, _Transport]) -> None:
        self._direct = direct
        self._proxied = proxied

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.raw_host.decode("ascii")
        proxied = self._proxied.get(request.url.scheme)
        if proxied is None or is_loopback(host) or proxy_bypass(host):
            return await self._direct.handle_async_request(request)
        check_host(host)
        return await proxied.handle_async_request(request)

    async def aclose(self) -> None:
        for transport in (self._direct, *self._proxied.values()):
            await transport.aclose()


def _environment_proxies() -> dict[str, str]:
    """Scheme -> proxy address; aiohttp speaks to http and https proxies only."""
    named = getproxies_environment()
    chosen = {scheme: named.get(scheme) or named.get("all", "") for scheme in ("http", "https")}
    return {scheme: url for scheme, url in chosen.items() if url.startswith(("http://", "https://"))}


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
