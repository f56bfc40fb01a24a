from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from api.throttling import windows
from banks.models import Bank, Character, Membership
from providers.models import Provider
from providers.versions import bump
from tests.live_server import serve


@pytest.fixture(scope="session")
def application_url(django_db_setup: None, django_db_blocker: object) -> Iterator[str]:
    from neiroha_site.asgi import application

    with django_db_blocker.unblock(), serve(application) as url:  # type: ignore[attr-defined]
        yield url


@pytest.fixture
def server(transactional_db: None, application_url: str) -> str:
    """The address of the running application, with an empty database."""
    windows.clear()
    bump()
    return application_url


@pytest.fixture
def client_http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def embedded(server: str) -> Provider:
    return Provider.objects.create(name="Embedded", kind="embedded", max_concurrency=2)


def add_character(bank: Bank, provider: Provider, name: str, **values: object) -> Character:
    character = Character.objects.create(name=name, provider=provider, **values)
    Membership.objects.create(bank=bank, character=character, position=bank.memberships.count())
    return character


@pytest.fixture
def bank(embedded: Provider) -> Bank:
    """An active bank “Stories” whose “Heart” speaks with the embedded voice."""
    made = Bank.objects.create(name="Stories")
    heart = add_character(made, embedded, "Heart", aliases=["narrator"])
    made.default_character = heart
    made.save()
    return made
