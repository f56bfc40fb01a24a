"""The front door of every HTTP request: it gets its id, is counted when it ends, and begins a trace."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import Context
from typing import Any

from providers import context, metrics, tracing

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# For the figures: nobody was there to be answered.
CLIENT_LEFT = 499
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_EXACT = frozenset(
    {"/v1/audio/speech", "/v1/audio/voices", "/v1/audio/models", "/v1/models", "/v1/jobs", "/speakers", "/metrics"}
    | {"/health", "/health/live", "/health/ready", "/setup"}
)
# What is asked for all the time, and tells nothing.
_UNTRACED = frozenset({"/metrics", "/health", "/health/live", "/health/ready", "/static/"})
NATIVE = frozenset(
    {"providers", "voices", "models", "banks", "characters", "memberships", "pronunciations", "references", "keys"}
    | {"projects", "lines", "exports", "takes", "kinds", "settings", "queue", "schema", "docs"}
)
_PAGES = ("/admin/", "/studio/", "/static/", "/media/")
_JOB = re.compile(r"/v1/jobs/[^/]+(/retry|/events|/audio)?", re.ASCII)


def endpoint_of(path: str) -> str:
    """One of a few dozen names, whatever the path."""
    path = path.rstrip("/") or "/"
    if path in _EXACT or path == "/":
        return path
    if path.startswith("/v1/models/"):
        return "/v1/models/{id}"
    if job := _JOB.fullmatch(path):
        return f"/v1/jobs/{{id}}{job[1] or ''}"
    if path.startswith("/api/"):
        name = path.split("/", 3)[2]
        return f"/api/{name}/" if name in NATIVE else "/api/"
    return next((prefix for prefix in _PAGES if f"{path}/".startswith(prefix)), "other")


def fresh_context() -> Context:
    """An empty one, but for the request and the trace that the current task works for."""
    fresh = Context()
    fresh.run(context.work_on, context.request_id())
    tracing.carry_over(fresh)
    return fresh


class WatchedRequests:
    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint, request_id = endpoint_of(scope["path"]), context.begin_request()
        answer = _Answer(send, endpoint, request_id)
        metrics.requests_in_progress.inc()
        try:
            with _span(scope, endpoint, request_id) as span:
                await self._app(scope, receive, answer)
                span.set("http.response.status_code", answer.status)
        except Exception:
            answer.failed()
            raise
        finally:
            metrics.requests_in_progress.dec()
            answer.count()


def _span(scope: Scope, endpoint: str, request_id: str) -> AbstractContextManager[tracing.Span]:
    if not tracing.is_on() or endpoint in _UNTRACED:
        return tracing.NO_SPAN
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    known: dict[str, tracing.Value] = {"http.request.method": method, "http.route": endpoint, "request_id": request_id}
    return tracing.work_span(f"{method} {endpoint}", headers, **known)


class _Answer:
    """Sends on, and takes notice."""

    __slots__ = ("_begun", "_endpoint", "_request_id", "_send", "_started", "status")

    def __init__(self, send: Send, endpoint: str, request_id: str) -> None:
        self._send, self._endpoint, self._request_id = send, endpoint, request_id
        self._started = time.monotonic()
        self._begun = False
        self.status = CLIENT_LEFT

    async def __call__(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = self._named(message)
        elif not self._begun:
            self._begun = True
            metrics.histogram(metrics.first_byte_seconds, self._endpoint).observe(time.monotonic() - self._started)
        await self._send(message)

    def _named(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """With the request's id, which the API's answers have already."""
        headers = message.get("headers", ())
        if any(name == b"x-request-id" for name, _ in headers):
            return message
        return {**message, "headers": [*headers, (b"x-request-id", self._request_id.encode())]}

    def failed(self) -> None:
        if self.status == CLIENT_LEFT:
            self.status = 500

    def count(self) -> None:
        metrics.counter(metrics.requests, self._endpoint, str(self.status)).inc()
        metrics.histogram(metrics.request_seconds, self._endpoint).observe(time.monotonic() - self._started)
