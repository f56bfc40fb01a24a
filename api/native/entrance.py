"""What happens to a request under /api/ before and after Django: its id, its largest body, its row in the log."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from rest_framework.request import Request

from api.exceptions import error_response
from api.record import RequestRecord
from api.runtime import current_runtime
from api.state import Controls, api_state
from providers import context

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

PREFIX = "/api/"
# Whole books, as JSON.
_IMPORTS = re.compile(r"/api/projects/[0-9]{1,19}/import/?", re.ASCII)
RECORD = "neiroha.record"
# A form with the largest reference recording, or with the largest picture, and some room.
UPLOAD_BYTES, PICTURE_BYTES = 32 * 1024 * 1024, 6 * 1024 * 1024
_FORMS = {
    re.compile(r"/api/references"): UPLOAD_BYTES,
    re.compile(r"/api/characters/[0-9]{1,19}/avatar/?", re.ASCII): PICTURE_BYTES,
}
# How long a client that still sends has to read why it is refused.
LINGER_SECONDS = 1.0
# For the log: nobody is there to be answered.
CLIENT_LEFT = 499


def is_native_path(path: str) -> bool:
    return path.startswith(PREFIX)


def record_of(request: Request | HttpRequest) -> RequestRecord | None:
    """The request's row of the log to be; none where Django was not entered by here."""
    scope: Scope = getattr(getattr(request, "_request", request), "scope", {})
    return scope.get(RECORD)


class NativeEntrance:
    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client") or ("", 0)
        record = RequestRecord(context.request_id(), scope["method"], scope["path"], client[0])
        controls = await _controls()
        exchange = _Exchange(receive, send, record, _body_limit(scope, controls))
        try:
            await exchange.run(self._app, {**scope, RECORD: record})
        finally:
            record.status = record.status or CLIENT_LEFT
            record.total_ms = exchange.elapsed_ms()
            if controls is not None:
                log, keep = controls.log_requests, controls.log_keep_rows
                current_runtime().recorder.add(record, log=log, keep_rows=keep)


async def _controls() -> Controls | None:
    """None where the database can't be read; Django then says so for itself."""
    try:
        return (await api_state.get()).controls
    except DatabaseError:
        return None


def _body_limit(scope: Scope, controls: Controls | None) -> int:
    """Uploads have a limit of their own; all else has that of the settings, where there is one."""
    if dict(scope["headers"]).get(b"content-type", b"").lower().startswith(b"multipart/form-data"):
        for path, limit in _FORMS.items():
            if path.match(scope["path"]):
                return limit
    if controls is None or _IMPORTS.fullmatch(scope["path"]):
        return UPLOAD_BYTES
    return min(controls.max_body_bytes or UPLOAD_BYTES, UPLOAD_BYTES)


class _Exchange:
    """One request and its answer, counted; Django never sees a body beyond the limit to its end."""

    def __init__(self, receive: Receive, send: Send, record: RequestRecord, limit: int) -> None:
        self._receive, self._send, self._record, self._limit = receive, send, record, limit
        self._started = time.monotonic()
        self._received = 0

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    async def run(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], scope: Scope) -> None:
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limit:
            self._received = int(declared)
        else:
            await app(scope, self._bounded, self._answer)
        if self._received > self._limit:
            await self._refuse()

    async def _bounded(self) -> Mapping[str, Any]:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        # Told that the client has left, Django drops what it holds and answers nothing.
        return message if self._received <= self._limit else {"type": "http.disconnect"}

    async def _answer(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._record.status = message["status"]
            self._record.first_byte_ms = self.elapsed_ms()
            headers = [*message.get("headers", []), (b"x-request-id", self._record.request_id.encode())]
            message = {**message, "headers": headers}
        self._record.bytes_sent += len(message.get("body", b""))
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._record.complete = True

    async def _refuse(self) -> None:
        text = f"The request is too large: this address takes at most {self._limit} bytes."
        response: JsonResponse = error_response(413, text, code="body_too_large")
        self._record.error_code = "body_too_large"
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await self._answer({"type": "http.response.start", "status": 413, "headers": headers})
        await self._answer({"type": "http.response.body", "body": response.content, "more_body": True})
        await self._drain()
        await self._answer({"type": "http.response.body", "body": b""})

    async def _drain(self) -> None:
        """Take what the client still sends, so that it comes to read; then the connection closes on it."""
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while (message := await self._receive())["type"] != "http.disconnect":
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            pass
