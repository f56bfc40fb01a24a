"""The addresses of services: a database's as Django's settings, a Redis's checked."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# Connections of one process: requests and codec work run in threads, each of which may hold one.
POOL = {"min_size": 1, "max_size": 20, "timeout": 20}
# Of an address that nobody answers at.
CONNECT_SECONDS = 10
_INSTALL = "needs the extra [scale]: pip install 'neiroha[scale]', or make install-scale in the checkout."


def postgresql(address: str) -> dict[str, Any]:
    """Django's settings for postgresql://user:password@host:port/name?option=value; options are libpq's.

    Parts with special characters are percent-encoded. `?host=` takes the folder of a Unix socket, or several hosts.
    """
    url = _split("NEIROHA_DATABASE_URL", address, ("postgresql", "postgres"))
    name = unquote(url.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured("NEIROHA_DATABASE_URL names no database: postgresql://user:password@host:5432/name")
    need("psycopg_pool", "NEIROHA_DATABASE_URL")
    options = {"connect_timeout": str(CONNECT_SECONDS), **dict(parse_qsl(url.query))}
    _require_known(options)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": unquote(url.hostname or ""),
        "PORT": str(url.port or ""),
        "OPTIONS": {**options, "pool": POOL},
        "CONN_HEALTH_CHECKS": True,
    }


def _require_known(options: Iterable[str]) -> None:
    """Django would take some others for its own."""
    from psycopg import pq

    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    for name in options:
        if name not in known:
            raise ImproperlyConfigured(f"NEIROHA_DATABASE_URL: PostgreSQL's client knows no option {name[:40]!r}.")


def redis(address: str) -> str:
    """The address itself: redis://, or rediss:// with TLS; :password@, and the database's number as path."""
    url = _split("NEIROHA_REDIS_URL", address, ("redis", "rediss"))
    number = url.path.strip("/")
    if number and not (number.isascii() and number.isdigit()):
        raise ImproperlyConfigured("NEIROHA_REDIS_URL: the path is the number of a database, such as /0.")
    need("channels_redis", "NEIROHA_REDIS_URL")
    return address


def redis_layer(address: str) -> dict[str, Any]:
    """The channel layer's. A Redis that does not answer is noticed, and so is a connection to one that vanished."""
    waits = {"socket_timeout": 5, "socket_connect_timeout": 5, "socket_keepalive": True, "health_check_interval": 10}
    # What is published reaches all databases of a Redis; installations that share one are told apart by its number.
    number = urlsplit(address).path.strip("/") or "0"
    return {"hosts": [{"address": address, **waits}], "prefix": f"neiroha-{number}-"}


def _split(variable: str, address: str, schemes: tuple[str, ...]) -> SplitResult:
    try:
        url = urlsplit(address)
        _ = url.port
    except ValueError:
        url = urlsplit("")
    # The address itself holds a password, so it is not shown.
    # What looks like a fragment is a # of the password.
    if url.scheme not in schemes or url.fragment or not (url.hostname or "host=" in url.query):
        example = "redis://:password@host:6379/0" if "redis" in schemes else "postgresql://user:password@host:5432/name"
        raise ImproperlyConfigured(
            f"{variable} must be an address such as {example}, with %40 for @, %2F for / and the like in the password."
        )
    return url


def need(package: str, variable: str) -> None:
    if find_spec(package) is None:
        raise ImproperlyConfigured(f"{variable} {_INSTALL}")
