"""The one place where the HTTP client is made, and the boundary where its failures become SpeechErrors."""

from __future__ import annotations

import asyncio
import html
import json
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, cast

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver

from providers.egress import AddressRefused
from providers.errors import (
    ProviderError,
    ProviderUnavailable,
    SpeechError,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamQuotaSpent,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from providers.hops import LOOP_STATUS
from providers.http_client import ProviderClient
from providers.redaction import redacted
from providers.speech import ProviderConfig, Rejoined
from providers.transport import make_transport

CONNECT_SECONDS = 10.0
# One byte more than a WAV file without a sample, so that the head tells whether there is sound.
HEAD_BYTES = 45
ERROR_BODY_BYTES = 64 * 1024
_PAGE_STARTS = (b"<!doctype html", b"<html")
ERROR_BODY_SECONDS = 2.0
JSON_BYTES = 8 * 1024 * 1024
MESSAGE_CHARACTERS = 300
_READ_CHARACTERS = 64 * 1024
RETRY_AFTER_SECONDS = 3600.0


def make_client(resolver: AbstractResolver | None = None, *, public: bool = False) -> httpx.AsyncClient:
    """A client for the event loop that first uses it; its maker closes it. `resolver` is for names, else the system's;
    `public`: it calls public addresses only.

    It does not trust the environment, which httpx would answer with its own, slower transport and with ~/.netrc; the
    transport honours the proxies that the environment names. Redirects are refused: no key follows one to another host.
    """
    return ProviderClient(
        make_transport(resolver, public=public),
        timeout=httpx.Timeout(60, connect=CONNECT_SECONDS, pool=None),
        headers={"user-agent": "Neiroha", "accept-encoding": "identity"},
        # Providers share this client, so no provider's cookie may reach another.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


class Answer:
    """A provider's answer whose body has begun: `head` is its first bytes (an error's whole body, within limits)."""

    def __init__(self, config: ProviderConfig, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.head = b""
        self._config = config
        self._response = response
        # httpx decodes what is packed, at a price that is not worth it where nothing is.
        stream, packed = response.stream, "content-encoding" in response.headers
        plain = isinstance(stream, httpx.AsyncByteStream) and not packed
        self._body = aiter(cast(httpx.AsyncByteStream, stream)) if plain else response.aiter_bytes()

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def content_type(self) -> str:
        """Without parameters, lower case."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()

    @property
    def reason_phrase(self) -> str:
        """What stands beside the status, where that is more than the usual name of the status."""
        phrase = self._response.reason_phrase
        return "" if phrase == httpx.codes.get_reason_phrase(self.status) else phrase

    @property
    def is_web_page(self) -> bool:
        return self.content_type == "text/html" or self.head.lstrip()[:14].lower().startswith(_PAGE_STARTS)

    def check(self) -> None:
        """Raise what an error status means."""
        if not self.ok:
            raise refusal(self.status, self.headers, self.head, self._config)

    def chunks(self) -> AsyncIterator[bytes]:
        """The whole body, once, as it comes. UpstreamUnreachable when it is cut, UpstreamTimeout when it stalls."""
        return Rejoined(self.head, _Rest(self._next))

    async def read(self, limit: int = JSON_BYTES) -> bytes:
        """The whole body; UpstreamFailed beyond `limit` bytes."""
        with translated(self._config):
            async with asyncio.timeout(self._config.timeout):
                await self._fill(limit + 1)
        if len(self.head) > limit:
            raise UpstreamFailed(f"{self._config.name} answered more than {limit} bytes.")
        return self.head

    async def json(self) -> Any:
        """The whole body as JSON; UpstreamFailed when it is none."""
        try:
            return json.loads(await self.read())
        except (ValueError, RecursionError) as error:
            raise UpstreamFailed(f"{self._config.name} did not answer with JSON.") from error

    async def begin(self) -> None:
        if self.ok:
            await self._fill(HEAD_BYTES)
            return
        # The status is known: a refusal whose text stalls or breaks is still that refusal.
        with suppress(ProviderError), translated(self._config):
            async with asyncio.timeout(ERROR_BODY_SECONDS):
                await self._fill(ERROR_BODY_BYTES)
        self.head = self.head[:ERROR_BODY_BYTES]

    async def aclose(self) -> None:
        with suppress(httpx.HTTPError, aiohttp.ClientError, OSError):
            await self._response.aclose()

    async def _fill(self, size: int) -> None:
        parts, length = [self.head], len(self.head)
        try:
            while length < size and (chunk := await self._next()):
                parts.append(chunk)
                length += len(chunk)
        finally:
            self.head = b"".join(parts)

    async def _next(self) -> bytes:
        try:
            return await anext(self._body, b"")
        except FAILURES as error:
            raise _failure(self._config.name, error) from error


class _Rest:
    """What is left of a body. No generator: the event loop keeps a book of those."""

    def __init__(self, read: Callable[[], Awaitable[bytes]]) -> None:
        self._read = read

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if chunk := await self._read():
            return chunk
        raise StopAsyncIteration


class Exchange:
    """Send one request; its answer must begin within `config.timeout` seconds, and then never pause longer than that.

    `request` is what httpx takes: `json`, `content`, `data`, `files`, `params`, `headers`. Entering gives an answer of
    any status. Leaving closes the connection unless the body was read to its end.
    """

    __slots__ = ("_answer", "_client", "_config", "_method", "_request", "_url")

    def __init__(
        self, client: httpx.AsyncClient, config: ProviderConfig, method: str, url: httpx.URL | str, **request: Any
    ) -> None:
        self._client = client
        self._config = config
        self._method = method
        self._url = url
        self._request = request
        self._answer: Answer | None = None

    async def __aenter__(self) -> Answer:
        config = self._config
        try:
            async with asyncio.timeout(config.timeout):
                message = self._client.build_request(
                    self._method, self._url, timeout=_timeout(config.timeout), **self._request
                )
                self._answer = Answer(config, await self._client.send(message, stream=True))
                await self._answer.begin()
                return self._answer
        except BaseException as error:
            await self.__aexit__()
            if isinstance(error, FAILURES):
                raise _failure(config.name, error) from error
            raise

    async def __aexit__(self, *error: object) -> None:
        if self._answer is not None:
            await self._answer.aclose()


def exchange(
    client: httpx.AsyncClient, config: ProviderConfig, method: str, url: httpx.URL | str, **request: Any
) -> AbstractAsyncContextManager[Answer]:
    """See Exchange."""
    return Exchange(client, config, method, url, **request)


@lru_cache(maxsize=64)
def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds), pool=None)


FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, aiohttp.ClientError, OSError, UnicodeError)


@contextmanager
def translated(config: ProviderConfig) -> Iterator[None]:
    """Failures of the HTTP client become SpeechErrors that name neither address nor key."""
    try:
        yield
    except FAILURES as error:
        raise _failure(config.name, error) from error


def _failure(name: str, error: Exception) -> ProviderError:
    # httpx-aiohttp calls every lost connection a ConnectTimeout; only its cause tells them apart.
    cause = error.__cause__ if isinstance(error.__cause__, (aiohttp.ClientError, OSError)) else error
    timed_out = isinstance(cause, (TimeoutError, httpx.TimeoutException))
    match cause:
        case _ if timed_out:
            return UpstreamTimeout(f"{name} did not answer in time.")
        # A host name that can't be encoded is a UnicodeError.
        case _ if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError)):
            return ProviderUnavailable(f"The address of {name} is not a valid http or https address.")
        case AddressRefused(reason=reason) | aiohttp.ClientConnectorError(os_error=AddressRefused(reason=reason)):
            return ProviderUnavailable(f"The address of {name} leads to {reason}, which may not be called.")
        case aiohttp.ClientConnectorDNSError():
            return UpstreamUnreachable(f"{name} can't be reached: its host name is unknown.")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return UpstreamUnreachable(f"{name} can't be reached: no trusted TLS connection.")
        case aiohttp.ClientConnectorError() | httpx.ConnectError():
            return UpstreamUnreachable(f"{name} can't be reached: nothing accepts connections there.")
        case aiohttp.ClientResponseError() | httpx.ProtocolError() | httpx.DecodingError():
            return UpstreamFailed(f"{name} did not answer with proper HTTP.")
        case _:
            return UpstreamUnreachable(f"{name} broke the connection.")


def bearer(config: ProviderConfig) -> dict[str, str]:
    """The Authorization header, none without a key."""
    key = checked_key(config)
    return {"authorization": f"Bearer {key}"} if key else {}


def checked_key(config: ProviderConfig) -> str:
    """The key as it may stand in a header; ProviderUnavailable when it can't be one."""
    key = config.key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ProviderUnavailable(f"The API key of {config.name} holds characters that no key has; enter it again.")
    return key


def refusal(status: int, headers: Mapping[str, str], body: bytes, config: ProviderConfig) -> ProviderError:
    """What an error status from a provider means, with the provider's own words, shortened and without the key."""
    payload = _payload(body)
    detail = _words(payload)
    said = f"{config.name} answered {status}" + (f": {detail}" if detail else ".")
    message = scrubbed(said, config)
    if status == 402 or (400 <= status < 500 and "insufficient_quota" in _codes(payload)):
        return UpstreamQuotaSpent(message)
    if status in (401, 403):
        return UpstreamUnauthorized(message)
    if status in (429, 503):
        return UpstreamBusy(message, retry_after=retry_after(headers))
    if status == 408:
        return UpstreamTimeout(message)
    if 300 <= status < 400:
        return UpstreamRejected(f"{config.name} has moved ({status}): enter the address it moved to.")
    # Told not to, nobody asks again: in a circle of servers, each one's retries would multiply those of the others.
    if status < 500 or status == LOOP_STATUS or headers.get("x-should-retry") == "false":
        return UpstreamRejected(message)
    return UpstreamFailed(message, retry_after=retry_after(headers))


def answered(error: SpeechError) -> bool:
    """Whether the provider answered at all, as only an answer can mean this."""
    return isinstance(error, _ANSWERS)


_ANSWERS = (UpstreamUnauthorized, UpstreamRejected, UpstreamQuotaSpent, UpstreamBusy, UpstreamFailed)


def error_text(body: bytes) -> str:
    """The words of an error body in any of the shapes in use; empty when it has none. Not scrubbed."""
    return _words(_payload(body))


def scrubbed(text: str, config: ProviderConfig) -> str:
    """One printable line of at most 300 characters: without the key, and without what else is none of a caller's
    business."""
    text = text[:_READ_CHARACTERS]
    if len(config.key.strip()) >= 4:
        text = text.replace(config.key.strip(), "[key]")
    text = redacted(text)
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= MESSAGE_CHARACTERS else line[: MESSAGE_CHARACTERS - 1] + "…"


def _payload(body: bytes) -> object:
    text = body.decode("utf-8", "replace").strip()
    # MiMo answers a refused stream with an event under the error status.
    with suppress(ValueError, RecursionError):
        return json.loads(text.removeprefix("data:"))
    if "<" not in text[:200]:
        return text
    title = re.search(r"<title[^<>]*>([^<]*)", text, re.IGNORECASE)
    return html.unescape(title[1]) if title else ""


_MESSAGE_MEMBERS = ("error", "detail", "message", "msg")


def _words(payload: object) -> str:
    """Walks down the members that carry a message; bounded, since the shape is the provider's."""
    for _ in range(8):
        match payload:
            case str():
                return payload
            case [first, *_]:
                payload = first
            case {"message": str(message), "param": str(param)} if " " in param:
                return f"{message}: {param}"
            case {"message": str(message)} if message:
                return message
            case {"msg": str(message), "loc": [*_, place]}:
                return f"{place}: {message}"
            case {**members}:
                payload = next((members[name] for name in _MESSAGE_MEMBERS if members.get(name)), None)
            case _:
                break
    return ""


def _codes(payload: object) -> set[object]:
    match payload:
        case {"error": {**error}}:
            return {value for value in (error.get("code"), error.get("type")) if isinstance(value, str)}
        case {**flat}:
            return {value for value in (flat.get("code"), flat.get("type")) if isinstance(value, str)}
        case _:
            return set()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the provider wants to be asked again, 0..3600, from `retry-after-ms` or `retry-after`."""
    milliseconds, seconds = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    for text, scale in ((milliseconds, 1000.0), (seconds, 1.0)):
        with suppress(ValueError):
            wait = float(text) / scale
            if not math.isnan(wait):
                return min(max(wait, 0.0), RETRY_AFTER_SECONDS)
    with suppress(ValueError):
        wait = parsedate_to_datetime(seconds).timestamp() - time.time()
        return min(max(wait, 0.0), RETRY_AFTER_SECONDS)
    return None
