"""The addresses of services: a database's as Django's settings, a Redis's checked."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# Connections of one process: requests and codec work run in threads, each of which may hold one.
POOL = {"min_size": 1, "max_size": 20, "timeout": 20}
_INSTALL = "needs the extra [scale]: pip install 'neiroha[scale]', or make install-scale in the checkout."


def postgresql(address: str) -> dict[str, Any]:
    """Django's settings for postgresql://user:password@host:port/name?option=value; options are libpq's."""
    url = _split("NEIROHA_DATABASE_URL", address, ("postgresql", "postgres"))
    name = unquote(url.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured("NEIROHA_DATABASE_URL names no database: postgresql://user:password@host:5432/name")
    need("psycopg_pool", "NEIROHA_DATABASE_URL")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": unquote(url.hostname or ""),
        "PORT": str(url.port or ""),
        "OPTIONS": {"pool": POOL, **dict(parse_qsl(url.query))},
        "CONN_HEALTH_CHECKS": True,
    }


def redis(address: str) -> str:
    """The address itself: redis://, or rediss:// with TLS; :password@, and the database's number as path."""
    url = _split("NEIROHA_REDIS_URL", address, ("redis", "rediss"))
    number = url.path.strip("/")
    if number and not (number.isascii() and number.isdigit()):
        raise ImproperlyConfigured("NEIROHA_REDIS_URL: the path is the number of a database, such as /0.")
    need("channels_redis", "NEIROHA_REDIS_URL")
    return address


def _split(variable: str, address: str, schemes: tuple[str, ...]) -> SplitResult:
    try:
        url = urlsplit(address)
        _ = url.port
    except ValueError:
        url = urlsplit("")
    # The address itself holds a password, so it is not shown.
    if url.scheme not in schemes or not (url.hostname or "host=" in url.query):
        raise ImproperlyConfigured(f"{variable} must be an address such as {schemes[0]}://user:password@host/0.")
    return url


def need(package: str, variable: str) -> None:
    if find_spec(package) is None:
        raise ImproperlyConfigured(f"{variable} {_INSTALL}")
