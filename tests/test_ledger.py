from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from providers.ledger import KEEP, DatabaseLedger
from providers.limits import Cost
from providers.models import Provider, UsageMinute
from providers.speech import ProviderConfig
from tests.local_time import zone_where_it_is

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def provider() -> Provider:
    return Provider.objects.create(name="Up", kind="embedded", time_zone=zone_where_it_is(3))


def run[T](work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def note(ledger: DatabaseLedger, config: ProviderConfig, *calls: tuple[int, datetime]) -> None:
    for tokens, at in calls:
        ledger.note(config, Cost(tokens=tokens, characters=10 * tokens), at)


def test_calls_of_a_minute_are_one_row(provider: Provider) -> None:
    ledger, now = DatabaseLedger(), datetime.now(UTC).replace(second=10)
    note(ledger, provider.config(), (5, now), (7, now + timedelta(seconds=20)))
    run(ledger.flush())
    note(ledger, provider.config(), (1, now))
    run(ledger.flush())
    row = UsageMinute.objects.get()
    assert (row.requests, row.tokens, row.characters, row.minute.second) == (3, 13, 130, 0)


def test_rows_are_written_in_one_order_whatever_came_first(provider: Provider) -> None:
    """Two processes that write the same rows in two orders would wait for each other for ever."""
    other, now = Provider.objects.create(name="Other", kind="embedded"), datetime.now(UTC)
    earlier = now - timedelta(minutes=5)
    ledger = DatabaseLedger()
    note(ledger, other.config(), (2, now), (2, earlier))
    note(ledger, provider.config(), (1, now), (1, earlier))
    run(ledger.flush())
    # Each row was made when its turn came.
    written = list(UsageMinute.objects.order_by("pk").values_list("provider", "minute"))
    assert len(written) == 4 and written == sorted(written)


def test_another_process_reads_today_and_the_last_minute(provider: Provider) -> None:
    now = datetime.now(UTC)
    midnight = now.astimezone(provider_zone(provider)).replace(hour=0, minute=0, second=0, microsecond=0)
    ledger = DatabaseLedger()
    note(ledger, provider.config(), (5, now), (100, midnight - timedelta(minutes=5)))
    run(ledger.flush())
    stored = run(DatabaseLedger().load(provider.config()))
    assert (stored.day, stored.requests, stored.tokens) == (midnight.date(), 1, 5)
    calls = [(ago, cost) for ago, cost in stored.recent if cost.tokens == 5]
    assert len(calls) == 1 and 0 <= calls[0][0] < 61


def provider_zone(provider: Provider) -> ZoneInfo:
    return ZoneInfo(provider.time_zone)


def test_nothing_is_stored_for_a_fresh_provider(provider: Provider) -> None:
    stored = run(DatabaseLedger().load(provider.config()))
    assert (stored.requests, stored.tokens, stored.recent) == (0, 0, ())


def test_what_could_not_be_written_is_written_later(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    ledger = DatabaseLedger()
    note(ledger, provider.config(), (5, datetime.now(UTC)))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE providers_usageminute RENAME TO elsewhere")
    try:
        run(ledger.flush())
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO providers_usageminute")
    assert "tried again" in caplog.text
    run(ledger.flush())
    assert UsageMinute.objects.get().tokens == 5


def test_old_minutes_are_forgotten(provider: Provider) -> None:
    old = UsageMinute.objects.create(provider=provider, minute=datetime.now(UTC) - KEEP - timedelta(days=1))
    ledger = DatabaseLedger()
    note(ledger, provider.config(), (5, datetime.now(UTC)))
    run(ledger.flush())
    assert not UsageMinute.objects.filter(pk=old.pk).exists()
    assert UsageMinute.objects.count() == 1


def test_the_rest_is_written_when_the_server_stops(provider: Provider) -> None:
    async def serve_and_stop() -> None:
        ledger = DatabaseLedger()
        writing = asyncio.create_task(ledger.run())
        await asyncio.sleep(0)
        note(ledger, config, (5, datetime.now(UTC)))
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    config = provider.config()
    run(serve_and_stop())
    assert UsageMinute.objects.get().tokens == 5
