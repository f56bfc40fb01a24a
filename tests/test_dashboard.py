"""What the dashboard tells of what was spoken, what goes wrong, and how fast it is."""

from __future__ import annotations

import re
import shutil
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from django.test import Client
from django.utils import timezone

from api.models import RequestLog, ServerSettings
from neiroha_site.figures import DAYS, answered_by_provider, spoken_by_day
from providers.models import HealthReport, Provider, UsageMinute
from tests.admin_pages import person
from tests.local_time import zone_where_it_is

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def provider() -> Provider:
    return Provider.objects.create(name="<b>Up", kind="embedded")


def used(provider: Provider, at: datetime, characters: int) -> None:
    UsageMinute.objects.create(provider=provider, minute=at, requests=1, tokens=1, characters=characters)


def page(client: Client) -> str:
    """The dashboard's text without tags and double spaces."""
    text = client.get("/admin/").content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))


def test_days_are_those_of_whoever_looks(provider: Provider) -> None:
    with timezone.override(zone_where_it_is(21)):
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        used(provider, midnight, 10)
        used(provider, midnight - timedelta(minutes=1), 20)
        used(provider, midnight - timedelta(days=DAYS), 99)
        days = spoken_by_day()
    assert len(days) == DAYS
    assert [(day.characters, day.requests) for day in days[-2:]] == [(20, 1), (10, 1)]
    assert sum(day.characters for day in days) == 30
    assert days[-1].day == midnight.date()


def test_what_was_spoken_is_shown(provider: Provider) -> None:
    used(provider, timezone.now().replace(second=0, microsecond=0), 12_345)
    shown = page(person(superuser=True))
    assert "Characters of text today 12,345" in shown and "Calls to providers today 1" in shown
    assert "Running now 0" in shown and "Waiting now 0" in shown
    assert "12,345 in all" in shown


def test_an_empty_installation_says_what_to_do() -> None:
    shown = page(person(superuser=True))
    assert "Nothing was spoken in the last 30 days. The command above speaks one sentence." in shown
    assert "The request log is switched off; these figures come from it. Switch it on" in shown
    row = ServerSettings.load()
    row.log_requests = True
    row.save()
    assert "No request came in that time." in page(person(superuser=True))


class Request(NamedTuple):
    provider: str
    status: int
    first_byte_ms: int = 0
    inference_ms: int | None = None
    audio_ms: int | None = None
    hours_ago: int = 1


def log(*requests: Request) -> None:
    for asked in requests:
        values: dict[str, Any] = asked._asdict()
        at = timezone.now() - timedelta(hours=values.pop("hours_ago"))
        RequestLog.objects.create(at=at, request_id="req", method="POST", path="/v1/audio/speech", **values)


def test_requests_latency_and_real_time_factor_per_provider() -> None:
    log(
        Request("Up", 200, 100, 500, 5000),
        Request("Up", 200, 300, 1500, 5000),
        Request("Up", 200, 200),
        Request("Up", 500, 9000, 9000, 1),
        Request("Up", 429),
        Request("", 401),
        Request("Up", 200, hours_ago=30),
    )
    up, none = answered_by_provider()
    assert (up.provider, up.answered, up.refused, up.failed) == ("Up", 3, 1, 1)
    assert up.first_byte == pytest.approx(0.2) and up.real_time_factor == pytest.approx(0.2)
    assert (none.provider, none.answered, none.refused, none.first_byte, none.real_time_factor) == (
        "",
        0,
        1,
        None,
        None,
    )
    shown = page(person(superuser=True))
    assert "Up 3 1 1 0.2 s 0.200" in shown and "No provider 0 1 0 – –" in shown
    assert "API requests of the last" not in page(person("providers.view_provider"))


def test_a_failing_provider_is_a_warning(provider: Provider) -> None:
    HealthReport.objects.create(
        provider=provider, checked_at=timezone.now(), reachable=False, reason="No <i>route</i>."
    )
    client = person(superuser=True)
    text = client.get("/admin/").content.decode()
    assert "“&lt;b&gt;Up” fails: No &lt;i&gt;route&lt;/i&gt;." in text
    Provider.objects.filter(pk=provider.pk).update(enabled=False)
    assert "fails:" not in client.get("/admin/").content.decode()
    Provider.objects.filter(pk=provider.pk).update(enabled=True)
    assert "fails:" not in person("banks.view_bank").get("/admin/").content.decode()


def test_a_disk_that_is_nearly_full_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    client = person(superuser=True)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=300 * 1024**3))
    assert "The disk is nearly full" not in page(client)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=300 * 1024**2))
    assert "The disk is nearly full: 300.0 MB are free." in page(client).replace("\xa0", " ")


def test_who_may_see_nothing_is_told_nothing(provider: Provider) -> None:
    used(provider, timezone.now().replace(second=0, microsecond=0), 12_345)
    log(Request("Up", 200, 100, 500, 5000))
    shown = page(person())
    assert "Running now" not in shown and "Up 1 0 0" not in shown and "12,345" not in shown
