"""A request to the API, with what the handler found out before any view runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.utils.json import strict_constant

from api.record import RequestRecord
from api.state import ApiState, KeyFacts
from banks.roster import ActiveBank


class ApiRequest(ASGIRequest):
    state: ApiState
    record: RequestRecord
    body_too_large: bool
    # Ends the work on it, from this loop.
    stop: Callable[[], object]
    # Set by the view once it knows who asks.
    banks: tuple[ActiveBank, ...] = ()


def of(request: Request | HttpRequest) -> ApiRequest:
    """The ApiRequest behind a DRF request."""
    return cast(ApiRequest, getattr(request, "_request", request))


def json_body(request: Request) -> Any:
    """The body as DRF reads it; a plain JSON body, as nearly all are, without DRF's steps. ParseError."""
    asked = of(request)
    if asked.content_type != "application/json" or asked.encoding or not asked.body:
        return request.data
    try:
        return json.loads(str(asked.body, "utf-8"), parse_constant=strict_constant)
    except (ValueError, RecursionError) as error:
        detail = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise ParseError(f"JSON parse error - {detail}") from error


def caller_key(request: Request) -> KeyFacts | None:
    return cast("KeyFacts | None", request.auth)
