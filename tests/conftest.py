from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis
import pytest
from django.db import OperationalError
from django.db.backends.base.operations import BaseDatabaseOperations

from api import runtime
from api.jobs import webhooks
from api.throttling import windows
from banks.models import Bank, Character, Membership
from providers import catalogue
from providers.models import Provider
from providers.versions import bump
from studio import exporter, runner, suggester
from studio.runner import Runner
from tests.live_server import InFlight, serve
from tests.object_storage import Bucket, running_s3, way_to
from tests.queues import Queues
from tests.services import running_postgres, running_redis
from tests.upstreams.serving import WAIT_SECONDS

# Hypothesis's own for machines that are shared: no time limits, and the same examples in every run.
hypothesis.settings.load_profile("ci")


DEADLOCK = "40P01"


@pytest.fixture(scope="session", autouse=True)
def quiet_background() -> Iterator[None]:
    """No server in this process does anything on its own in the midst of a test: ask providers for their health, whose
    fakes count what they are asked, clear old takes away, or speak what nobody told it of."""

    async def rest(self: Runner) -> None:
        """In place of clearing away."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "FIRST_CHECK_SECONDS", 1e6)
        patch.setattr(Runner, "_clear_away", rest)
        patch.setattr(runner, "POLL_SECONDS", 1e6)
        patch.setattr(exporter, "POLL_SECONDS", 1e6)
        patch.setattr(suggester, "POLL_SECONDS", 1e6)
        patch.setattr(webhooks, "POLL_SECONDS", 1e6)
        yield


@pytest.fixture(autouse=True)
def asleep_without_a_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server lives on when the test that needed it is over: it must not speak what other tests queue."""
    if not {"server", "application_url"} & set(request.fixturenames):
        monkeypatch.setattr(runner, "_running", list)


@pytest.fixture(scope="module", autouse=True)
def no_takes_of_other_modules() -> None:
    """Rows are rolled back, or their tables emptied; files are not."""
    from tests.studio import clear_files

    clear_files()


@pytest.fixture(scope="session")
def application() -> InFlight:
    from neiroha_site.asgi import application

    return InFlight(application)


@pytest.fixture(scope="session")
def application_url(django_db_setup: None, django_db_blocker: object, application: InFlight) -> Iterator[str]:
    with django_db_blocker.unblock(), serve(application) as url:  # type: ignore[attr-defined]
        yield url


@pytest.fixture(scope="session", autouse=True)
def flush_after_deadlock() -> Iterator[None]:
    """PostgreSQL empties tables against whoever reads them at that moment, and may end the emptying for it."""
    flush = BaseDatabaseOperations.execute_sql_flush

    def patient(operations: BaseDatabaseOperations, sql_list: list[str]) -> None:
        for _ in range(10):
            try:
                return flush(operations, sql_list)
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", "") != DEADLOCK:
                    raise
        return flush(operations, sql_list)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BaseDatabaseOperations, "execute_sql_flush", patient)
        yield


@pytest.fixture
def server(transactional_db: None, application_url: str, application: InFlight) -> Iterator[str]:
    """The address of the running application, with an empty database; what a test asked of it ends with the test."""
    windows.clear()
    bump()
    yield application_url
    application.wait_until_idle()
    for loop, running in list(runtime._runtimes.items()):
        asyncio.run_coroutine_threadsafe(come_to_rest(running), loop).result(WAIT_SECONDS)


async def come_to_rest(running: runtime.Runtime) -> None:
    """End what still works, and write what waits to be written, so that none of it reaches the next test's database."""
    await running.runner.rest()
    await running.webhooks.rest()
    await running.watcher.rest()
    await running.speech_cache.rest()
    await running.recorder.flush()
    await running.engine.ledger.flush()


@pytest.fixture
def client_http(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=120, trust_env=False) as client:
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


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis that the tests of this process share: they use keys of their own, or flush it first."""
    with running_redis() as server:
        yield server.url


@pytest.fixture(scope="session", params=["memory", "redis"])
def queues(request: pytest.FixtureRequest) -> Queues:
    """The shared queue in each of its forms."""
    return Queues(request.getfixturevalue("redis_url") if request.param == "redis" else "")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL that the tests of this process share, with an empty database “neiroha”."""
    with running_postgres() as server:
        yield server.url


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """An S3 service that the tests of this process share: each has a bucket of its own."""
    with running_s3() as address:
        yield address


@pytest.fixture
def bucket(s3_url: str, settings: Any) -> Iterator[Bucket]:
    """The product's files are in this bucket while the test runs."""
    with way_to(s3_url) as way:
        made = Bucket(s3_url, way)
        settings.STORAGES = made.storages()
        yield made
        way.wait_until_idle()
