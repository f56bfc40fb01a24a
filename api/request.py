"""A request to the API, with what the handler found out before any view runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from rest_framework.request import Request

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


def caller_key(request: Request) -> KeyFacts | None:
    return cast("KeyFacts | None", request.auth)
