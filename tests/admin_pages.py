"""What the tests of the admin pages share."""

from __future__ import annotations

import secrets
from io import BytesIO
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from PIL import Image

from providers.audio import wav_header

LIMITS = {
    "max_concurrency": "4",
    "requests_per_minute": "0",
    "tokens_per_minute": "0",
    "requests_per_day": "0",
    "tokens_per_day": "0",
    "timeout_seconds": "120",
    "piece_characters": "0",
    "position": "0",
}


def person(*rights: str, staff: bool = True, superuser: bool = False) -> Client:
    """A signed-in client of somebody with the given rights, such as "banks.view_bank"."""
    user = User.objects.create(username=secrets.token_hex(8), is_staff=staff, is_superuser=superuser)
    for right in rights:
        app, codename = right.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


def errors(response: Any) -> dict[str, list[str]]:
    """The form's errors by field; `__all__` holds those of no field."""
    assert response.status_code == 200, response.status_code
    found: dict[str, list[str]] = response.context["adminform"].form.errors
    return {name: list(messages) for name, messages in found.items()}


def provider_data(**values: Any) -> dict[str, Any]:
    return {"name": "Provider", "enabled": "on", **LIMITS, **values}


def memberships(*rows: dict[str, Any], initial: int = 0) -> dict[str, Any]:
    data: dict[str, Any] = {"memberships-TOTAL_FORMS": str(len(rows)), "memberships-INITIAL_FORMS": str(initial)}
    for index, row in enumerate(rows):
        data |= {f"memberships-{index}-{name}": value for name, value in {"position": "0", **row}.items()}
    return data


def picture(size: tuple[int, int] = (900, 600), format: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, "teal").save(file, format, **options)
    return file.getvalue()


def recording(seconds: float = 1.0, rate: int = 16_000) -> bytes:
    """A WAV with a quiet saw tooth."""
    levels = ((index * 37) % 2000 - 1000 for index in range(int(seconds * rate)))
    samples = b"".join(level.to_bytes(2, "little", signed=True) for level in levels)
    return wav_header(rate, len(samples)) + samples
