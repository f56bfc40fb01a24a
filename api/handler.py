"""The API's own way into Django: no thread hop, no session, nothing read beyond the body limit.

Django's handler gives each request a thread-sensitive context, synchronous signal receivers and a closing hop; the API
needs none of them, as its views read a snapshot in memory. Everything else about it is Django's: URL resolving,
middleware (settings.API_MIDDLEWARE), views and responses.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost, RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.db import DatabaseError
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix, set_urlconf
from django.utils.module_loading import import_string

from api.exceptions import error_response
from api.interruption import Interruption
from api.record import RequestRecord
from api.request import ApiRequest
from api.runtime import current_runtime
from api.state import ApiState, api_state
from providers import context
from providers.errors import QueueCancelled, SpeechError
from providers.hops import HOP_HEADER, LOOP_CODE, LOOP_STATUS, arrive

logger = logging.getLogger(__name__)

# A client that takes or sends nothing for this long is gone; it must not hold a provider's slot.
STALL_SECONDS = 60.0
LINGER_SECONDS = 1.0
URLCONF = "api.urls"
# As Django names it; its case-blind view of all headers is made at first use, and nothing else here needs that.
HOP_META = f"HTTP_{HOP_HEADER.upper().replace('-', '_')}"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class AudioStreamResponse(StreamingHttpResponse):
    """Chunked audio. `audio` is iterated once, directly, and always closed."""

    def __init__(self, audio: Any, **kwargs: Any) -> None:
        super().__init__((), **kwargs)
        self.audio = audio


class ApiHandler(ASGIHandler):
    request_class = ApiRequest

    def load_middleware(self, is_async: bool = True) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        handler = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]
        for path in reversed(settings.API_MIDDLEWARE):
            handler = convert_exception_to_response(import_string(path)(handler))
        self._middleware_chain = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        runtime = current_runtime()
        started = time.monotonic()
        client = scope.get("client") or ("", 0)
        record = RequestRecord(context.request_id(), scope["method"], scope["path"], client[0])
        try:
            state = await api_state.get()
        except DatabaseError:
            logger.exception("The configuration could not be read.")
            await _unavailable(_Sender(send, record, started), record)
            return
        try:
            await self._answer(scope, receive, _Sender(send, record, started), state, record)
        except RequestAborted:
            record.status = record.status or 499
        except SpeechError as error:
            # The first byte is out: leaving without an end makes the server cut the connection.
            record.error_code = error.code
            logger.warning("Speech broke off: %s", error.code)
        finally:
            record.total_ms = _milliseconds(started)
            record.conclude()
            controls = state.controls
            runtime.recorder.add(record, log=controls.log_requests, keep_rows=controls.log_keep_rows)

    async def _answer(
        self, scope: Scope, receive: Receive, send: _Sender, state: ApiState, record: RequestRecord
    ) -> None:
        limit = state.controls.max_body_bytes
        body = await _read_body(scope, receive, limit)
        set_script_prefix("/")
        try:
            request = ApiRequest({**scope, "root_path": ""}, BytesIO(body or b""))
        except UnicodeDecodeError:
            response: HttpResponseBase = error_response(400, "The address is not UTF-8.", code="bad_request")
            await self._send(response, send, record)
            return
        # DRF takes a body of no declared length, sent in chunks, for none.
        request.META["CONTENT_LENGTH"] = str(len(body or b""))
        request.state, request.record, request.body_too_large = state, record, body is None
        request.urlconf = URLCONF
        await self._work_while_connected(request, receive, send, record)

    async def _work_while_connected(
        self, request: ApiRequest, receive: Receive, send: _Sender, record: RequestRecord
    ) -> None:
        """Answer; a client that leaves cancels the work. Its end is no failure."""
        interruption = Interruption()
        request.stop = interruption.stop
        watch = asyncio.ensure_future(self._watch(receive, send, interruption))
        try:
            with interruption:
                await self._respond(request, send, record)
        finally:
            watch.cancel()
        if interruption.left:
            raise RequestAborted
        if interruption.stopped:
            await self._tell_cancelled(send, record)

    async def _tell_cancelled(self, send: _Sender, record: RequestRecord) -> None:
        error = QueueCancelled("This request was cancelled by somebody who watches the queue.")
        record.error_code = error.code
        if send.started:
            raise error
        response = error_response(error.status, error.message, code=error.code, should_retry=False)
        await self._send(response, send, record)

    async def _watch(self, receive: Receive, send: _Sender, interruption: Interruption) -> None:
        """Interrupts when the client is gone; what it still sends of a refused body is dropped."""
        while (await receive())["type"] != "http.disconnect":
            pass
        if not send.ended:
            interruption.leave()

    async def _respond(self, request: ApiRequest, send: _Sender, record: RequestRecord) -> None:
        response = await self._get_checked_response(request)
        if request.body_too_large:
            response["Connection"] = "close"
        await self._send(response, send, record)

    async def _get_checked_response(self, request: ApiRequest) -> HttpResponseBase:
        set_urlconf(URLCONF)
        try:
            request.get_host()
        except DisallowedHost:
            message = "This server does not answer to this name; add it to NEIROHA_ALLOWED_HOSTS."
            return error_response(400, message, code="host_not_allowed")
        if problem := arrive(request.META.get(HOP_META, "")):
            request.record.error_code = LOOP_CODE
            return error_response(LOOP_STATUS, problem, code=LOOP_CODE, should_retry=False)
        response: HttpResponseBase = await self._middleware_chain(request)  # type: ignore[misc]
        return response

    async def _send(self, response: HttpResponseBase, send: _Sender, record: RequestRecord) -> None:
        record.status = response.status_code
        response["x-request-id"] = record.request_id
        if isinstance(response, AudioStreamResponse):
            async with aclosing(response.audio):
                await send.start(response)
                async for chunk in response.audio:
                    await send.body(chunk, more=True)
                await send.body(b"", more=False)
        else:
            content = getattr(response, "content", b"")
            response.setdefault("Content-Length", str(len(content)))
            if record.status == 413:
                # Let the client read the answer before the connection closes on what it still sends.
                await send.start(response)
                await send.body(content, more=True)
                await asyncio.sleep(LINGER_SECONDS)
                await send.body(b"", more=False)
            else:
                await send.whole(response, content)
        record.complete = True


class _Sender:
    """ASGI messages out, counted and bounded in time."""

    def __init__(self, send: Send, record: RequestRecord, started: float) -> None:
        self._send = send
        self._record = record
        self._started = started
        self.started = self.ended = False
        """Whether the answer's head, and its last byte, are out."""

    async def whole(self, response: HttpResponseBase, content: bytes) -> None:
        await self._bounded(self._head(response), self._part(content, more=False))
        self._record.bytes_sent += len(content)

    async def start(self, response: HttpResponseBase) -> None:
        await self._bounded(self._head(response))

    async def body(self, chunk: bytes, *, more: bool) -> None:
        await self._bounded(self._part(chunk, more=more))
        self._record.bytes_sent += len(chunk)

    def _head(self, response: HttpResponseBase) -> dict[str, Any]:
        self.started = True
        headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
        return {"type": "http.response.start", "status": response.status_code, "headers": headers}

    def _part(self, chunk: bytes, *, more: bool) -> dict[str, Any]:
        self.ended = not more
        if not self._record.first_byte_ms:
            self._record.first_byte_ms = _milliseconds(self._started)
        return {"type": "http.response.body", "body": chunk, "more_body": more}

    async def _bounded(self, *messages: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                for message in messages:
                    await self._send(message)
        except TimeoutError as error:
            raise RequestAborted from error


async def _unavailable(send: _Sender, record: RequestRecord) -> None:
    message = "The server's database can't be read at the moment. Try again soon."
    response = error_response(503, message, code="configuration_unavailable", retry_after=5)
    response["x-request-id"] = record.request_id
    await send.start(response)
    await send.body(response.content, more=False)


async def _read_body(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """The body, or None as soon as it is known to be over the limit (0 = none)."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if limit and declared.isdigit() and int(declared) > limit:
        return None
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(STALL_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RequestAborted
                part = message.get("body", b"")
                size += len(part)
                if limit and size > limit:
                    return None
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError as error:
        raise RequestAborted from error


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def is_api_path(path: str) -> bool:
    return path.startswith(("/v1/", "/speakers/", "/health/")) or path in ("/v1", "/speakers", "/health")
