"""Who may read the figures: an API key of scope metrics, or an administrator who is signed in. Nobody else, ever."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied

from api.authentication import check_key, presented_key
from api.models import Scope, hash_key
from api.state import ApiState, KeyFacts
from providers.database import in_database


def check_metrics_key(key: str, state: ApiState) -> KeyFacts:
    """The key's facts. AuthenticationFailed, PermissionDenied."""
    facts = state.keys.get(hash_key(key))
    if facts is None:
        raise AuthenticationFailed("This API key is not known here.", code="invalid_api_key")
    check_key(facts)
    if facts.scope != Scope.METRICS:
        raise PermissionDenied("This API key may not read metrics: use one of scope metrics.")
    if not facts.of_administrator:
        raise PermissionDenied("The owner of this API key is no administrator, so it may not read metrics.")
    return facts


async def check_caller(request: HttpRequest, state: ApiState) -> KeyFacts | None:
    """The facts of the key that was sent; None for an administrator's session. AuthenticationFailed,
    NotAuthenticated, PermissionDenied."""
    if key := presented_key(request):
        return check_metrics_key(key, state)
    if settings.SESSION_COOKIE_NAME in request.COOKIES:
        user = await in_database(_signed_in, request)
        if user.is_superuser:
            return None
        if user.is_authenticated:
            raise PermissionDenied("Only administrators may read metrics.")
    raise NotAuthenticated("Metrics need an API key of scope metrics: send it as “Authorization: Bearer KEY”.")


def _signed_in(request: HttpRequest) -> Any:
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request.session = store(request.COOKIES[settings.SESSION_COOKIE_NAME])
    return get_user(request)
