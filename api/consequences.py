"""What a change of the server's settings would lead to: right, but worth knowing before it is saved."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any

from django.utils.translation import gettext as _

from api.models import Access, ApiKey, KeyState, ServerSettings


def consequences(before: ServerSettings, wanted: dict[str, Any]) -> dict[str, str]:
    """By field. `wanted` holds the values that are right by themselves."""
    return {
        **_listening(before, wanted.get("host") or before.host, wanted.get("port") or before.port),
        "api_enabled": "" if wanted.get("api_enabled", True) else _("Every request to the API will be refused."),
        "access": _access(wanted.get("access", "")),
        "cors_origins": _origins(wanted.get("cors_origins", "")),
        "rate_limit_per_minute": _unlimited(wanted, "rate_limit_per_minute"),
        "max_body_bytes": _unlimited(wanted, "max_body_bytes"),
    }


def _listening(before: ServerSettings, host: str, port: int) -> dict[str, str]:
    restart = _("Until the server is started again, it stays at %(host)s, port %(port)d.")
    stays = restart % {"host": before.host, "port": before.port}
    moved = _port_problem(host, port) if port != before.port else ""
    return {
        "host": stays if host != before.host else "",
        "port": f"{moved} {stays}".strip() if port != before.port else "",
    }


def _access(access: str) -> str:
    if access == Access.OPEN:
        return _("Whoever reaches the server may speak, without a key.")
    if access != Access.KEYS or any(key.state is KeyState.ACTIVE for key in ApiKey.objects.select_related("owner")):
        return ""
    return _("There is no key yet that works: nobody can speak until you make one.")


def _origins(text: str) -> str:
    anywhere = "*" in text.split()
    return _("Any page that somebody opens in a browser may call the API.") if anywhere else ""


def _unlimited(wanted: dict[str, Any], name: str) -> str:
    return _("Without a limit.") if wanted.get(name) == 0 else ""


def _port_problem(host: str, port: int) -> str:
    """Why the server could not listen there now; empty where it could, or where only a look-up would tell."""
    address = "127.0.0.1" if host.lower() == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return ""
    family, *_rest, place = found[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":  # there it would let two programs share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            return _refusal(error, port)
    return ""


def _refusal(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return _("Another program on this machine listens on port %d: choose another.") % port
    if error.errno in (errno.EACCES, errno.EPERM):
        return _("This server's user may not listen on port %d: choose one above 1023.") % port
    return ""
