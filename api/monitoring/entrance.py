"""/metrics, /health/live and /health/ready: for the programs that watch a server.

They answer under any Host: probes call a process by whatever address it has, and there is nothing here that a page of
a foreign name could use, since it has neither a key nor this server's cookies.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError
from django.http import HttpResponse, JsonResponse
from rest_framework.exceptions import APIException, MethodNotAllowed

from api.exceptions import error_response, exception_handler
from api.monitoring.permission import check_caller
from api.monitoring.readiness import PROBES, readiness
from api.monitoring.scrape import WEB, scrape
from api.record import RequestRecord
from api.runtime import current_runtime
from api.state import api_state
from providers import context

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


async def monitoring(scope: Scope, receive: Receive, send: Send) -> None:
    response = await _answer(scope)
    response["Cache-Control"] = "no-store"
    response["Content-Length"] = str(len(response.content))
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.content})


async def _answer(scope: Scope) -> HttpResponse:
    try:
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(scope["method"])
        return await _ANSWERS[_plain(scope["path"])](scope)
    except APIException as error:
        if error.status_code == 401:
            error.auth_header = 'Bearer realm="Neiroha"'  # type: ignore[attr-defined]  # as DRF's views do
        refused: Any = exception_handler(error, {})
        return refused  # type: ignore[no-any-return]  # any HttpResponse will do
    except DatabaseError:
        logger.exception("The configuration could not be read.")
        message = "The server's database can't be read at the moment. Try again soon."
        return error_response(503, message, code="configuration_unavailable", retry_after=5)


async def _live(scope: Scope) -> HttpResponse:
    """The event loop works; nothing else is asked."""
    return JsonResponse({"status": "ok"})


async def _ready(scope: Scope) -> HttpResponse:
    reasons = await readiness.reasons()
    status = "not_ready" if reasons else "ready"
    return JsonResponse({"status": status, "reasons": reasons}, status=503 if reasons else 200)


async def _metrics(scope: Scope) -> HttpResponse:
    request = ASGIRequest({**scope, "root_path": ""}, BytesIO())
    state = await api_state.get()
    if key := await check_caller(request, state):
        client = scope.get("client") or ("", 0)
        record = RequestRecord(context.request_id(), scope["method"], scope["path"], client[0], key_id=key.id)
        # The key was used; a row for each scrape would fill the log.
        current_runtime().recorder.add(record, log=False, keep_rows=state.controls.log_keep_rows)
    written = await PROBES.run(scrape, WEB, request.headers.get("Accept", ""))
    return HttpResponse(written.content, content_type=written.content_type)


_ANSWERS: dict[str, Callable[[Scope], Awaitable[HttpResponse]]] = {
    "/metrics": _metrics,
    "/health/live": _live,
    "/health/ready": _ready,
}


def is_monitoring_path(path: str) -> bool:
    return _plain(path) in _ANSWERS


def _plain(path: str) -> str:
    return path.removesuffix("/")
