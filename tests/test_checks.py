"""Settings that can each be read but don't fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core import checks

from neiroha_site.checks import TAG

PUBLIC = "https://voices.example.com"


def found() -> list[str]:
    messages = checks.run_checks(tags=[TAG])
    assert all(message.hint for message in messages)
    return [str(message.id) for message in messages]


def test_the_settings_of_a_fresh_installation_are_fine() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("entries", "ids"),
    [
        (["127.0.0.1", "::1", "10.0.0.0/8", "10.1.2.3/8", "fd00::/8"], []),
        (["proxy.local"], ["neiroha.E001"]),
        (["10.0.0.0/33", "127.0.0.1", "*"], ["neiroha.E001", "neiroha.E001"]),
        (["0.0.0.0/0"], ["neiroha.E002"]),
        (["::/0"], ["neiroha.E002"]),
    ],
)
def test_trusted_proxies(settings: Any, entries: list[str], ids: list[str]) -> None:
    settings.TRUSTED_PROXIES = entries
    assert found() == ids


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        (PUBLIC, []),
        ("http://[fd00::1]:8080", []),
        (PUBLIC + "/voices", ["neiroha.E003"]),
        (PUBLIC + "?a", ["neiroha.E003"]),
        (PUBLIC + "#a", ["neiroha.E003"]),
        ("https://ada@voices.example.com", ["neiroha.E003"]),
    ],
)
def test_the_public_address(settings: Any, url: str, ids: list[str]) -> None:
    settings.PUBLIC_URL, settings.TRUSTED_PROXIES = url, ["127.0.0.1"]
    assert found() == ids


def test_redis_with_a_database_of_one_machine(settings: Any) -> None:
    settings.REDIS_URL = "redis://redis/0"
    assert found() == ["neiroha.W003"]


def test_debugging_in_public(settings: Any) -> None:
    settings.PUBLIC_URL, settings.TRUSTED_PROXIES, settings.DEBUG = PUBLIC, ["127.0.0.1"], True
    assert found() == ["neiroha.E004"]


def test_a_public_address_without_a_trusted_proxy_is_only_mentioned(settings: Any) -> None:
    settings.PUBLIC_URL = "http://voices.example.com"
    assert found() == ["neiroha.I001"]
    assert not checks.run_checks(tags=[TAG])[0].is_serious(checks.WARNING)


def test_https_without_a_trusted_proxy_would_redirect_for_ever(settings: Any) -> None:
    settings.PUBLIC_URL = "https://voices.example.com"
    assert found() == ["neiroha.E007"]


def test_an_open_api_in_public(settings: Any) -> None:
    settings.PUBLIC_URL, settings.TRUSTED_PROXIES, settings.ALLOW_OPEN_API = PUBLIC, ["127.0.0.1"], True
    assert found() == ["neiroha.W001"]


def test_every_host(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    assert found() == ["neiroha.W002"]


@pytest.mark.parametrize("inside", [".", "data", "deep/data"])
def test_data_among_static_files(settings: Any, tmp_path: Path, inside: str) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.DATA_DIR = (tmp_path / inside).resolve()
    assert found() == ["neiroha.E005"]
    settings.STATIC_ROOT, settings.STATICFILES_DIRS = None, [tmp_path]
    assert found() == ["neiroha.E005"]
    settings.DATA_DIR = tmp_path.parent
    assert found() == []


@pytest.mark.parametrize("keys", [["short"], ["é" * 44], []])
def test_field_keys_that_encrypt_nothing(settings: Any, keys: list[str]) -> None:
    settings.FIELD_KEYS = keys
    assert found() == ["neiroha.E006"]
