"""System checks: settings that can each be read but don't fit together. `serve` refuses to start on an error."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register
from django.core.exceptions import ImproperlyConfigured

from banks.storage import LocalFiles, private_storage, translated
from providers.fields import decrypt, encrypt

TAG = "neiroha"


@register(TAG)
def check_trusted_proxies(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for entry in settings.TRUSTED_PROXIES:
        try:
            everyone = ip_network(entry, strict=False).prefixlen == 0
        except ValueError:
            message = f"NEIROHA_TRUSTED_PROXIES holds {entry!r}, which is no address and no network."
            hint = "Name proxies by address or network, separated by commas: 127.0.0.1, 10.0.0.0/8."
            found.append(Error(message, hint=hint, id="neiroha.E001"))
            continue
        if everyone:
            message = f"NEIROHA_TRUSTED_PROXIES holds {entry}: anybody may claim any address."
            hint = "Name only the proxies that stand in front of this server."
            found.append(Error(message, hint=hint, id="neiroha.E002"))
    return found


@register(TAG)
def check_public_url(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.PUBLIC_URL:
        return []
    found: list[CheckMessage] = []
    parts = urlsplit(settings.PUBLIC_URL)
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        message = "NEIROHA_PUBLIC_URL has more than a scheme, a host and a port."
        found.append(Error(message, hint="Neiroha needs a host name of its own.", id="neiroha.E003"))
    if settings.DEBUG:
        message = "NEIROHA_DEBUG is on while NEIROHA_PUBLIC_URL names a public address."
        hint = "Debug pages show settings and code to everyone: unset one of the two."
        found.append(Error(message, hint=hint, id="neiroha.E004"))
    if not settings.TRUSTED_PROXIES and parts.scheme == "https":
        message = "NEIROHA_PUBLIC_URL is an https address, and no proxy is trusted to say that a request came by https."
        hint = "Every page would redirect to itself: name the proxy's address in NEIROHA_TRUSTED_PROXIES."
        found.append(Error(message, hint=hint, id="neiroha.E007"))
    elif not settings.TRUSTED_PROXIES:
        message = "NEIROHA_PUBLIC_URL is set without NEIROHA_TRUSTED_PROXIES."
        hint = "Behind a proxy, all clients share the proxy's address, and so one rate limit, unless it is trusted."
        found.append(Info(message, hint=hint, id="neiroha.I001"))
    return found


@register(TAG)
def check_open_api(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.ALLOW_OPEN_API and settings.PUBLIC_URL:
        message = "NEIROHA_ALLOW_OPEN_API lets everyone who reaches NEIROHA_PUBLIC_URL speak while access is open."
        hint = "Give out API keys: then access is closed to everybody else."
        return [Warning(message, hint=hint, id="neiroha.W001")]
    return []


@register(TAG)
def check_allowed_hosts(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if "*" in settings.ALLOWED_HOSTS:
        message = "NEIROHA_ALLOWED_HOSTS holds *: a foreign site can point its own name at this server."
        return [Warning(message, hint="Name the hosts that people use.", id="neiroha.W002")]
    return []


@register(TAG)
def check_shared_state(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.REDIS_URL and "sqlite3" in settings.DATABASES["default"]["ENGINE"]:
        message = "NEIROHA_REDIS_URL lets several processes run, and all of them write into one SQLite file."
        hint = (
            "That works for a few processes on one machine, with the data folder on its own disk: for more of them, or"
            " more machines, set NEIROHA_DATABASE_URL."
        )
        return [Warning(message, hint=hint, id="neiroha.W003")]
    return []


@register(TAG)
def check_data_folder(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    data = Path(settings.DATA_DIR)
    static = [Path(folder) for folder in (settings.STATIC_ROOT, *settings.STATICFILES_DIRS) if folder]
    if any(data.is_relative_to(folder.resolve()) or folder.resolve() == data for folder in static):
        message = f"The data folder {data} lies among the static files, which everyone may read."
        return [Error(message, hint="Set NEIROHA_DATA_DIR to a folder elsewhere.", id="neiroha.E005")]
    return []


@register(TAG, deploy=True)
def check_file_storage(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Asks the service, so it belongs to no ordinary start; `serve` says what it finds, and starts."""
    if isinstance(private_storage(), LocalFiles):
        return []
    try:
        private_storage().prove()
    except OSError as error:
        hint = "Look at the variables NEIROHA_S3_…, and whether the key may list, read, write and delete in the bucket."
        return [Error(translated(error).message, hint=hint, id="neiroha.E010")]
    return []


@register(TAG)
def check_field_keys(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    try:
        decrypt(encrypt("readable"))
    except ImproperlyConfigured as error:
        hint = 'Make one: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        return [Error(str(error), hint=hint, id="neiroha.E006")]
    return []
