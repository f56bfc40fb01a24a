"""Signing in to the pages, with a pause for those who guess."""

from __future__ import annotations

import math
import secrets
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_noop, ngettext
from unfold.forms import AuthenticationForm

from neiroha_site.guessing import Attempt, Counter, attempt, for_account, for_address, for_browser, forgive
from providers.audit import AuditEntry, Change, record

# Marks a browser that has signed in to an account, for that account.
BROWSER_COOKIE = "neiroha_browser"
BROWSER_SALT = "neiroha.browser"
BROWSER_SECONDS = 90 * 24 * 3600
KEPT = timedelta(days=90)


def address_of(request: HttpRequest) -> str:
    """A forwarded one only from a trusted proxy: the ASGI application has seen to that."""
    return str(request.META.get("REMOTE_ADDR", ""))


class TooManyFailures(ValidationError):
    """Refused without a look at the password; `wait` is in seconds."""

    def __init__(self, wait: float) -> None:
        self.wait = wait
        minutes = max(1, math.ceil(wait / 60))
        text = ngettext(
            "Too many failed attempts. Wait %(minutes)d minute, then try again.",
            "Too many failed attempts. Wait %(minutes)d minutes, then try again.",
            minutes,
        )
        super().__init__(text % {"minutes": minutes}, code="too_many_failures")


class SignInForm(AuthenticationForm):  # type: ignore[misc]  # untyped base
    """Says the same of a wrong password, an unknown name and an account without access to the pages."""

    too_many: TooManyFailures | None = None

    def clean(self) -> dict[str, Any]:
        name = self.cleaned_data.get("username")
        if not name or not self.cleaned_data.get("password"):
            return dict(super().clean())
        own = _counter(self.request, name)
        made = attempt([own, for_address(address_of(self.request))])
        if made.wait:
            self.too_many = TooManyFailures(made.wait)
            raise self.too_many
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            # Names that are no account's are not kept: they may be a password in the wrong field.
            account = User.objects.filter(username=name).first()
            message = "" if account else gettext_noop("There is no account of this name.")
            record_failure(account, made, message, address_of(self.request))
            raise
        forgive(made, wholly=own)
        return cleaned


def record_failure(account: User | None, made: Attempt, message: str, address: str) -> None:
    """Into the audit trail, which forgets failures in time: anybody can make them."""
    failures = (Change.SIGN_IN_FAILED, Change.SIGN_IN_LOCKED)
    AuditEntry.objects.filter(change__in=failures, at__lt=timezone.now() - KEPT).delete()
    record(None, account, failures[made.pause > 0], message, address=address)


def _counter(request: HttpRequest, name: str) -> Counter:
    """What the failures of this name count for: the account, or the browser if it has been in that account."""
    account = for_account(name)
    try:
        mark = signing.loads(request.COOKIES.get(BROWSER_COOKIE, ""), salt=BROWSER_SALT, max_age=BROWSER_SECONDS)
    except signing.BadSignature:
        return account
    return for_browser(mark["mark"]) if mark["account"] == account.key else account


def sign_in(request: HttpRequest) -> HttpResponse:
    """The admin site's own page; while there is a pause, its status is 429."""
    response: HttpResponse = admin.site.login(request)
    too_many = getattr(getattr(response, "context_data", {}).get("form"), "too_many", None)
    if too_many:
        response.status_code = 429
        response["Retry-After"] = str(math.ceil(too_many.wait))
    elif request.method == "POST" and request.user.is_authenticated and response.status_code == 302:
        _mark_browser(request, response)
    return response


def _mark_browser(request: HttpRequest, response: HttpResponse) -> None:
    mark = {"account": for_account(request.user.get_username()).key, "mark": secrets.token_urlsafe(16)}
    response.set_cookie(
        BROWSER_COOKIE,
        signing.dumps(mark, salt=BROWSER_SALT),
        max_age=BROWSER_SECONDS,
        path=request.path,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )
