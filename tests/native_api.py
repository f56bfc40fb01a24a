"""What the tests of the native API share: callers with rights, by session or by key."""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client

from api.models import ApiKey, Scope, ServerSettings
from api.throttling import windows
from banks.models import Bank


def without_limits() -> None:
    """No test of many requests meets the rate limit, unless it is about that."""
    windows.clear()
    ServerSettings.load()
    ServerSettings.objects.update(rate_limit_per_minute=0)


def make_user(*rights: str, staff: bool = True, superuser: bool = False) -> User:
    user = User.objects.create(username=secrets.token_hex(8), is_staff=staff, is_superuser=superuser)
    for right in rights:
        app, codename = right.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


class Caller:
    """Sends JSON; `user` and `key` are who asks."""

    def __init__(self, user: User | None = None, secret: str = "", key: ApiKey | None = None) -> None:
        self.client, self.user, self.key, self.secret = Client(), user, key, secret
        self.headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        if user and not secret:
            self.client.force_login(user)

    def ask(self, method: str, path: str, body: Any = None, *, raw: Any = None, content_type: str = "") -> Any:
        data = json.dumps(body) if body is not None else raw if raw is not None else ""
        kind = content_type or "application/json"
        return self.client.generic(method, f"/api/{path}", data, content_type=kind, headers=self.headers)

    def get(self, path: str, status: int = 200) -> Any:
        return answer(self.ask("GET", path), status)

    def post(self, path: str, body: Any = None, status: int = 201) -> Any:
        return answer(self.ask("POST", path, {} if body is None else body), status)

    def patch(self, path: str, body: Any, status: int = 200) -> Any:
        return answer(self.ask("PATCH", path, body), status)

    def delete(self, path: str, status: int = 204) -> Any:
        return answer(self.ask("DELETE", path), status)

    def upload(self, path: str, fields: dict[str, Any], status: int = 201) -> Any:
        return answer(self.client.post(f"/api/{path}", fields, headers=self.headers), status)


def answer(response: Any, status: int) -> Any:
    """The body of an answer with this status; an error is of the one shape."""
    assert response.status_code == status, f"{response.status_code}: {response.content[:500]!r}"
    if status == 204:
        assert response.content == b""
        return None
    found = json.loads(response.content)
    if status >= 400:
        assert set(found) == {"error"} and set(found["error"]) == {"message", "type", "param", "code"}, found
        assert found["error"]["message"]
    assert response["Cache-Control"] == "no-store"
    return found


def session(*rights: str, **kinds: bool) -> Caller:
    return Caller(make_user(*rights, **kinds))


def keyed(
    *rights: str,
    scope: Scope = Scope.MANAGE,
    owner: User | None = None,
    banks: list[Bank] | None = None,
    expires_at: datetime | None = None,
    **kinds: bool,
) -> Caller:
    """By an API key of an owner with these rights."""
    user = owner or make_user(*rights, **kinds)
    key, secret = ApiKey.objects.issue(name="Robot", owner_id=user.pk, scope=scope)
    key.banks.set(banks or [])
    if expires_at:
        key.expires_at = expires_at
        key.save()
    return Caller(user, secret, key)


def names(found: Any) -> list[str]:
    """Of a list's rows."""
    return [row["name"] for row in found["results"]]


def param(found: Any) -> Any:
    return found["error"]["param"]


def code(found: Any) -> Any:
    return found["error"]["code"]
