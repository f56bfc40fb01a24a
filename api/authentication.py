from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from api import request as api_request
from api.models import Access, hash_key
from api.state import KeyFacts


def presented_key(request: HttpRequest | Request) -> str:
    # As `request.headers` would have them, which takes as long as all the rest of this.
    return key_in(request.META.get("HTTP_AUTHORIZATION", ""), request.META.get("HTTP_X_API_KEY", ""))


def key_in(authorization: str, api_key: str) -> str:
    """The key of the headers `Authorization: Bearer` or `X-API-Key`; a bare `Bearer ` counts as none."""
    scheme, _, token = authorization.partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return bearer or api_key.strip()


class ApiKeyAuthentication(BaseAuthentication):
    """Memory only. While access is open, a key that was never ours is no key: clients send placeholders."""

    def authenticate(self, request: Request) -> tuple[None, KeyFacts] | None:
        key = presented_key(request)
        if not key:
            return None
        asked = api_request.of(request)
        facts = asked.state.keys.get(hash_key(key))
        if facts is None:
            if asked.state.controls.access == Access.OPEN:
                return None
            raise AuthenticationFailed("This API key is not known here.", code="invalid_api_key")
        check_key(facts)
        asked.record.key_id, asked.record.key_name = facts.id, facts.name
        return None, facts

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="Neiroha"'


def check_key(facts: KeyFacts) -> None:
    """AuthenticationFailed for a key that opens nothing any more."""
    if facts.revoked:
        raise AuthenticationFailed("This API key was revoked.", code="revoked_api_key")
    if facts.expires_at is not None and facts.expires_at <= datetime.now(UTC):
        raise AuthenticationFailed("This API key has expired.", code="expired_api_key")
    if not facts.owner_active:
        raise AuthenticationFailed("The owner of this API key is deactivated.", code="inactive_api_key")
