"""What the tests of people share."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from neiroha_site.roles import Role, set_role

PASSWORD = "correct horse battery"
QUICK_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def member(role: Role, name: str = "") -> User:
    user = User(username=name or role.value)
    user.set_password(PASSWORD)
    set_role(user, role)
    return user


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return str(response.content.decode())
