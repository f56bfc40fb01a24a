"""What the dashboard tells of what was spoken, what goes wrong, and how fast it is."""

from __future__ import annotations

import re
import shutil
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from api.models import RequestLog, ServerSettings
from neiroha_site.figures import DAYS, answered_by_provider, spoken_by_day, takes_by_state
from providers.models import HealthReport, Provider, UsageMinute
from studio.forms import BEGUN_AGAIN
from studio.frozen import FrozenVoice, MadeWith
from studio.models import Take
from tests.admin_pages import person
from tests.local_time import zone_where_it_is
from tests.studio import PRODUCER, signed_in, somebody

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


def take(owner: User, state: str, days_ago: int = 0, **values: Any) -> None:
    at = timezone.now() - timedelta(days=days_ago)
    named = {"file": "takes/none.wav"} if state == "done" else {}
    Take.objects.create(owner=owner, text="x", made_with_json={}, state=state, created_at=at, **named, **values)


def test_takes_are_counted_by_their_state() -> None:
    ann, bob = somebody("ann", *PRODUCER), somebody("bob", *PRODUCER)
    for state in ("done", "done", "failed", "queued"):
        take(ann, state)
    take(ann, "done", 20, attempts=2)
    take(ann, "failed", 20)
    take(ann, "done", DAYS + 1)
    take(bob, "cancelled")
    counts = {row.state: (row.today, row.lately) for row in takes_by_state(ann)}
    assert counts == {
        "queued": (1, 1),
        "running": (0, 0),
        "done": (2, 3),
        "failed": (1, 2),
        "cancelled": (0, 0),
        BEGUN_AGAIN: (0, 1),
    }
    everything = {row.state: row.lately for row in takes_by_state(somebody("root", superuser=True))}
    assert everything["cancelled"] == 1 and everything["failed"] == 2


def test_takes_are_counted_by_the_days_of_whoever_looks() -> None:
    ann = somebody("ann", *PRODUCER)
    with timezone.override(zone_where_it_is(21)):
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        for moment in (midnight, midnight - timedelta(seconds=1), midnight - timedelta(days=DAYS - 1, seconds=1)):
            take(ann, "failed")
            Take.objects.filter(pk=Take.objects.latest("pk").pk).update(created_at=moment)
        failed = next(row for row in takes_by_state(ann) if row.state == "failed")
    assert (failed.today, failed.lately) == (1, 2)


def test_counts_lead_to_what_they_count() -> None:
    ann = somebody("ann", *PRODUCER)
    voice = MadeWith(FrozenVoice("Heart", "Stories", 1, "Here", "embedded")).as_json()
    for state, days_ago, attempts in (("failed", 0, 1), ("failed", 9, 3), ("cancelled", 9, 1), ("failed", 40, 3)):
        take(ann, state, days_ago, attempts=attempts)
    Take.objects.update(made_with_json=voice)
    client = signed_in(ann)
    text = client.get("/admin/").content.decode()
    links = dict(re.findall(r'<a class="nr-link" href="([^"]*state=[^"]*)">(\d+)</a>', text))
    assert len(links) == 4
    for link, count in links.items():
        listed = client.get(link.replace("&amp;", "&")).context["page"].paginator.count
        assert listed == int(count), link
    assert "No take was made in this time." in page(signed_in(somebody("new", *PRODUCER)))
    assert "nr-takes-counted" not in person("providers.view_provider").get("/admin/").content.decode()


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
