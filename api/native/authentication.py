from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from api.authentication import check_key, presented_key
from api.models import ApiKey, hash_key
from api.native.entrance import record_of
from api.state import KeyFacts, key_facts


class NativeKeyAuthentication(BaseAuthentication):
    """A key and its owner, both fresh from the database: what was ended there is ended here at once."""

    def authenticate(self, request: Request) -> tuple[Any, KeyFacts] | None:
        presented = presented_key(request)
        if not presented:
            return None
        rows = ApiKey.objects.select_related("owner").prefetch_related("banks")
        row = rows.filter(digest=hash_key(presented)).first()
        if row is None:
            raise AuthenticationFailed(_("This API key is not known here."), code="invalid_api_key")
        facts = key_facts(row)
        check_key(facts)
        if record := record_of(request):
            record.key_id, record.key_name = facts.id, facts.name
        return row.owner, facts

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="Neiroha"'


class NativeSessionAuthentication(SessionAuthentication):
    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            message = _("A session needs the CSRF token too: send the cookie csrftoken's value as X-CSRFToken.")
            raise PermissionDenied(message) from error


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "api.native.authentication.NativeKeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        text = "An API key of scope read or manage; it acts for its owner. X-API-Key takes it too."
        return {"type": "http", "scheme": "bearer", "description": text}


class SpeechKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "api.authentication.ApiKeyAuthentication"
    name = "speechKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        text = "Any API key; none while access is open. X-API-Key takes it too."
        return {"type": "http", "scheme": "bearer", "description": text}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "api.native.authentication.NativeSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
