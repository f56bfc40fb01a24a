"""What `serve` says once it listens."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys

from django.conf import settings
from django.urls import reverse

from api.models import Access, ServerSettings
from banks.models import Character
from neiroha_site.first_run import SetupToken, has_administrator
from neiroha_site.listening import is_wildcard, local_url


def announcement(host: str, port: int, current: ServerSettings) -> str:
    """The address, a curl line that works when pasted, and the set-up link while there is no administrator."""
    local = local_url(host, port)
    return "\n".join([_address(host, port, local), *_speech(local, current), *_administration(local)])


def _address(host: str, port: int, local: str) -> str:
    others = [f"http://{socket.gethostname().lower()}:{port}"] if is_wildcard(host) else []
    others += [settings.PUBLIC_URL] if settings.PUBLIC_URL else []
    return f"Neiroha is ready at {local}" + (f" (from other machines: {', '.join(others)})" if others else "")


def _speech(local: str, current: ServerSettings) -> list[str]:
    if not current.api_enabled:
        return ["", "The API is switched off in the server settings."]
    named = _a_voice()
    if named is None:
        return ["", "No active bank has a voice yet: add one in the admin pages."]
    bank, voice = named
    return ["", "Hear it:", f"  {curl_line(local, bank, voice, keys=current.access == Access.KEYS)}"]


def _a_voice() -> tuple[str, str] | None:
    """The names of a bank and a character that the API answers to: the first ones."""
    speaking = Character.objects.present().filter(enabled=True, provider__enabled=True, provider__archived_at=None)
    members = speaking.filter(banks__active=True, banks__archived_at=None)
    by_position = members.order_by("banks__position", "banks__pk", "memberships__position", "memberships__pk")
    return by_position.values_list("banks__name", "name").first()


def curl_line(local: str, bank: str, voice: str, *, keys: bool) -> str:
    # ASCII only, so that no terminal's encoding stands in the way.
    body = json.dumps({"model": bank, "voice": voice, "input": "Hello! This is Neiroha speaking."})
    command = ["curl", "--fail-with-body", f"{local}/v1/audio/speech", "-H", "Content-Type: application/json"]
    command += ["-H", "Authorization: Bearer YOUR_KEY"] if keys else []
    command += ["-d", body, "-o", "hello.mp3"]
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def _administration(local: str) -> list[str]:
    base, token = settings.PUBLIC_URL or local, SetupToken()
    if has_administrator():
        token.consume()
        return ["", f"Admin pages: {base}{reverse('admin:index')}"]
    return [
        "",
        "Make the first administrator (the link works once):",
        f"  {base}{reverse('setup')}?token={token.offer()}",
    ]
