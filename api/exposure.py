"""Who can reach the API: where it listens, for whom it is open, which origins browsers may call it from.

The settings page and `serve` share these rules.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE | re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine reaches. A name other than localhost is taken for an outside one."""
    host = host.strip().removeprefix("[").removesuffix("]").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_host(host: str) -> bool:
    """An IP address or a host name that a server can listen on."""
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        labels = host.split(".")
        # The last label of a name has a letter; otherwise it is a mistyped address.
        return len(host) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    return True


def open_api_refusal(host: str, access: str) -> str:
    """Why the API may not listen on `host` with this access, and what to do; empty when it may."""
    if access != "open" or settings.ALLOW_OPEN_API:
        return ""
    if not is_loopback(host):
        reason = _("The API is open to everyone, and %s can be reached from other machines.") % (host or "0.0.0.0")
    elif settings.TRUSTED_PROXIES:
        reason = _("The API is open to everyone, and a trusted proxy (NEIROHA_TRUSTED_PROXIES) brings others in.")
    elif settings.PUBLIC_URL and not is_loopback(urlsplit(settings.PUBLIC_URL).hostname or ""):
        reason = _("The API is open to everyone, and NEIROHA_PUBLIC_URL says that others reach it.")
    else:
        return ""
    return (
        reason
        + " "
        + _(
            "Set access to keys (making the first API key does), listen on 127.0.0.1,"
            " or set NEIROHA_ALLOW_OPEN_API=true if that is what you want."
        )
    )


def clean_origins(text: str) -> list[str]:
    """The origins of a text with one a line, as browsers write them. ValidationError for what is no origin."""
    lines = [line.strip() for line in text.splitlines()]
    return list(dict.fromkeys(line if line == "*" else _origin(line) for line in lines if line))


def _origin(text: str) -> str:
    try:
        parts = urlsplit(text.lower())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _no_origin(text) from error
    if not parts.scheme or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise _no_origin(text)
    if not is_host(host) or not text.isascii():
        raise _no_origin(text)
    shown_port = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    return f"{parts.scheme}://" + (f"[{host}]" if ":" in host else host) + shown_port


def _no_origin(text: str) -> ValidationError:
    message = _(
        "“%s” is not an origin: write a scheme, a host and, if need be, a port, such as https://chat.example.com."
    )
    return ValidationError({"cors_origins": message % text})
