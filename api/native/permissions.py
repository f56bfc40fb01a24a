from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from django.contrib import admin
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from api.models import Scope
from api.state import KeyFacts, load_controls
from api.throttling import seconds_to_wait_sync

if TYPE_CHECKING:
    from rest_framework.views import APIView


class Guarded(Protocol):
    """What `HasRights` asks of a view."""

    serves_limited_keys: bool
    """Whether keys that are limited to banks may come; the view then shows them those banks only."""

    def rights(self) -> tuple[str, ...]:
        """The model permissions of which one is needed; none: whoever is signed in may."""


def key_of(request: Request) -> KeyFacts | None:
    """The key that the caller came with; none for a session."""
    return cast("KeyFacts | None", request.auth)


def allowed_banks(request: Request) -> frozenset[int] | None:
    """The banks that the caller's key is limited to; None for no limit."""
    key = key_of(request)
    return key.bank_ids if key else None


class HasRights(BasePermission):
    """Somebody of the pages' staff, by session or key, with one of the view's rights."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        guarded: Any = view
        if request.successful_authenticator is None:
            text = _("Sign in, or send an API key of scope read or manage as “Authorization: Bearer KEY”.")
            raise NotAuthenticated(text)
        if key := key_of(request):
            _check_scope(request, key, guarded)
        http_request: Any = request
        if not admin.site.has_permission(http_request):
            raise PermissionDenied(_("Only the staff of this server may do this: ask an administrator for a role."))
        needed = guarded.rights()
        if needed and not any(request.user.has_perm(right) for right in needed):
            raise PermissionDenied(_("You lack the right to do this: ask an administrator for a role."))
        return True


def _check_scope(request: Request, key: KeyFacts, view: Guarded) -> None:
    if key.owner_id is None:
        raise PermissionDenied(_("This API key has no owner, so it has no rights here: use one that has."))
    if key.scope == Scope.SPEECH:
        raise PermissionDenied(_("This API key is for speech only: use one of scope read or manage."))
    if key.scope == Scope.METRICS:
        raise PermissionDenied(_("This API key is for metrics only: use one of scope read or manage."))
    if key.scope != Scope.MANAGE and request.method not in SAFE_METHODS:
        raise PermissionDenied(_("This API key may only read: use one of scope manage."))
    if key.bank_ids is not None and not view.serves_limited_keys:
        raise PermissionDenied(_("This API key is limited to some banks: use one without a limit."))


class NativeThrottle(BaseThrottle):
    """The same limits, and the same count, as under /v1."""

    _wait = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        limit = load_controls().rate_limit
        self._wait = seconds_to_wait_sync(key_of(request), request.META.get("REMOTE_ADDR", ""), limit)
        return not self._wait

    def wait(self) -> float:
        return self._wait
