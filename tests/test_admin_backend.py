"""The buttons and pages around a provider: health, Fetch all, the backend's model, log and voices; today's use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from providers.models import CatalogueModel, CatalogueVoice, HealthReport, Provider, UsageMinute
from providers.pages import health_mark, of_limit, used_today
from tests.admin_pages import person
from tests.local_time import zone_where_it_is
from tests.upstreams.openai import MODELS, VOICES, OpenAIUpstream, Refusal
from tests.upstreams.serving import serve
from tests.upstreams.voxcpm import VoxCPMUpstream, profile

LIST = "/admin/providers/provider/"
KEY = "sk-secret-key"
SCRIPT = "<script>alert(1)</script>"
BUTTONS = ("fetch", "check", "model", "voices/delete")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin() -> Client:
    return person(superuser=True)


@pytest.fixture
def upstream() -> Iterator[OpenAIUpstream]:
    app = OpenAIUpstream(key=KEY)
    with serve(app) as url:
        Provider.objects.create(name="Up", kind="openai", base_url=f"{url}/v1", api_key=KEY)
        yield app


@pytest.fixture
def backend() -> Iterator[VoxCPMUpstream]:
    app = VoxCPMUpstream(key=KEY)
    with serve(app) as url:
        Provider.objects.create(name="House", kind="voxcpm", base_url=url, api_key=KEY)
        yield app


def only() -> Provider:
    return Provider.objects.defer("api_key").get()


def page(end: str, provider: Provider | None = None) -> str:
    return f"{LIST}{(provider or only()).pk}/{end}/"


def said(response: Any) -> list[tuple[str, str]]:
    """The messages of a page as (level, text)."""
    return [(message.level_tag, str(message)) for message in response.context["messages"]]


def press(client: Client, button: str, **data: str) -> list[tuple[str, str]]:
    response = client.post(page(button), data, follow=True)
    assert response.status_code == 200
    return said(response)


# Fetch all and health


def test_fetch_all_says_what_came(admin: Client, upstream: OpenAIUpstream) -> None:
    assert press(admin, "fetch") == [("success", f"{len(VOICES)} voices, {len(MODELS)} models")]
    assert CatalogueVoice.objects.count() == len(VOICES)
    shown = admin.get(page("change")).content.decode()
    assert f"/admin/providers/cataloguevoice/?provider={only().pk}" in shown
    assert LogEntry.objects.get().get_change_message() == "Fetched voices and models."


def test_fetch_all_says_what_vanished(admin: Client, upstream: OpenAIUpstream) -> None:
    press(admin, "fetch")
    upstream.switches.voices_shape = "null"
    assert press(admin, "fetch") == [("warning", f"0 voices, {len(MODELS)} models; {len(VOICES)} vanished")]
    assert f"{len(VOICES)} vanished" in admin.get(page("change")).content.decode()


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Refusal(500, f"Oops {SCRIPT}"), "Oops"),
        (Refusal(401, "Go away"), "Go away"),
        (Refusal(429, "Too many"), "Too many"),
    ],
)
def test_a_failing_provider_is_a_message(
    admin: Client, upstream: OpenAIUpstream, refusal: Refusal, reason: str
) -> None:
    upstream.switches.refusals = [refusal]
    response = admin.post(page("fetch"), follow=True)
    ((level, text),) = said(response)
    assert level == "error" and reason in text
    assert SCRIPT not in response.content.decode() and KEY not in response.content.decode()
    assert not CatalogueVoice.objects.exists() and not LogEntry.objects.exists()


@pytest.mark.parametrize("button", ["fetch", "check"])
def test_a_provider_that_is_not_there_is_a_message(admin: Client, button: str) -> None:
    Provider.objects.create(name="Gone", kind="openai", base_url="http://127.0.0.1:9", api_key=KEY)
    ((level, text),) = press(admin, button)
    assert level == "error" and "Gone" in text


def test_a_key_that_can_not_be_decrypted_is_a_message(admin: Client, upstream: OpenAIUpstream) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE providers_provider SET api_key = 'gAAAAA-written-with-another-key'")
    for button in ("fetch", "check"):
        ((level, text),) = press(admin, button)
        assert level == "error" and "enter it again" in text


def test_health_is_checked_and_shown_in_words(admin: Client, upstream: OpenAIUpstream) -> None:
    assert "Not checked yet" in admin.get(page("change")).content.decode()
    assert press(admin, "check") == [("success", "Up is healthy.")]
    shown = admin.get(page("change"))
    facts = dict(shown.context["facts"])
    assert facts["Reachable"] == "Yes" and facts["Latency"].endswith(" ms")
    assert facts["Model loaded"] == "Not told"
    assert "Healthy" in shown.content.decode() and "Healthy" in admin.get(LIST).content.decode()
    assert "Healthy" in admin.get("/admin/").content.decode()

    upstream.switches.key = "another"
    ((level, text),) = press(admin, "check")
    assert level == "error" and "401" in text
    for path in (page("change"), LIST, "/admin/"):
        assert "Needs attention" in admin.get(path).content.decode()


def test_a_check_before_the_last_change_is_marked(admin: Client, upstream: OpenAIUpstream) -> None:
    press(admin, "check")
    assert "changed after this check" not in admin.get(page("change")).content.decode()
    only().save()
    assert "changed after this check" in admin.get(page("change")).content.decode()


def test_what_health_says_is_only_text(admin: Client, upstream: OpenAIUpstream) -> None:
    HealthReport.objects.create(provider=only(), checked_at=timezone.now(), reachable=True, reason=SCRIPT)
    for path in (page("change"), "/admin/troubleshooting/"):
        shown = admin.get(path).content.decode()
        assert SCRIPT not in shown and "&lt;script&gt;alert(1)" in shown


@pytest.mark.parametrize(
    ("url", "linked"),
    [("http://127.0.0.1:8001", True), ("https://host/a", True), ("javascript:alert(1)", False), ("//evil", False)],
)
def test_only_web_addresses_lead_to_the_backends_pages(
    admin: Client, upstream: OpenAIUpstream, url: str, linked: bool
) -> None:
    HealthReport.objects.create(provider=only(), checked_at=timezone.now(), reachable=True, admin_url=url)
    shown = admin.get(page("change")).content.decode()
    assert (f'href="{url}" target="_blank" rel="noopener noreferrer"' in shown) is linked
    assert (url in shown) is linked


def test_the_words_of_every_state() -> None:
    states = [
        (None, "none", "Not checked yet"),
        (HealthReport(reachable=True), "ok", "Healthy"),
        (HealthReport(reachable=True, reason="x"), "warn", "Needs attention"),
        (HealthReport(reachable=False, reason="x"), "bad", "Not reachable"),
    ]
    for report, tone, word in states:
        assert health_mark(report) == f'<span class="nr-light nr-light-{tone}">{word}</span>'


def test_a_button_leads_back_to_where_it_was_pressed_but_never_elsewhere(
    admin: Client, upstream: OpenAIUpstream
) -> None:
    onward = "/admin/troubleshooting/#provider-1"
    assert admin.post(page("check"), {"next": onward})["Location"] == onward
    for evil in ("https://evil.example", "//evil.example", "javascript:alert(1)"):
        assert admin.post(page("check"), {"next": evil})["Location"] == page("change")


# Rights


@pytest.mark.parametrize("rights", [[], ["providers.view_provider"], ["banks.change_character"]])
def test_without_the_right_to_change_nothing_is_asked(backend: VoxCPMUpstream, rights: list[str]) -> None:
    viewer = person(*rights)
    for button in BUTTONS:
        assert viewer.post(page(button), {"action": "load", "voice_id": "ada"}).status_code == 403
    for place in ("log", "voices"):
        assert viewer.get(page(place)).status_code == 403
    assert viewer.post(page("voices"), {"voice_id": "new"}).status_code == 403
    assert backend.requests == [] and "ada" in backend.voices
    if "providers.view_provider" in rights:
        shown = viewer.get(page("change")).content.decode()
        assert "Not checked yet" in shown and "nr-button" not in shown.replace("nr-buttons", "")


def test_outsiders_are_sent_to_the_door(backend: VoxCPMUpstream) -> None:
    for outsider in (Client(), person("providers.change_provider", staff=False)):
        for button in (*BUTTONS, "log", "voices"):
            assert outsider.post(page(button))["Location"].startswith("/admin/login/")
    assert backend.requests == []


def test_buttons_want_a_post_with_a_token(backend: VoxCPMUpstream) -> None:
    strict = Client(enforce_csrf_checks=True)
    admin = person(superuser=True)
    strict.cookies = admin.cookies
    for button in BUTTONS:
        assert admin.get(page(button)).status_code == 405
        assert strict.post(page(button)).status_code == 403
    assert backend.requests == []


def test_an_archived_or_forgotten_provider_has_no_buttons(admin: Client, upstream: OpenAIUpstream) -> None:
    old = Provider.objects.create(name="Old", kind="forgotten")
    archived = Provider.objects.create(name="Kept", kind="openai", archived_at=timezone.now())
    for provider in (old, archived):
        shown = admin.get(page("change", provider))
        assert shown.status_code == 200 and "Fetch all" not in shown.content.decode()
        for button in BUTTONS:
            assert admin.post(page(button, provider), {"action": "load"}).status_code == 403
    assert admin.post(f"{LIST}999/fetch/").status_code == 404
    assert upstream.requests == []


# What only some backends have


def test_pages_of_the_backend_are_there_only_where_the_kind_has_them(admin: Client, upstream: OpenAIUpstream) -> None:
    shown = admin.get(page("change")).content.decode()
    assert "Registered voices" not in shown and "Load the model" not in shown and page("log") not in shown
    assert admin.get(page("log")).status_code == admin.get(page("voices")).status_code == 404
    assert admin.post(page("model"), {"action": "load"}).status_code == 404
    assert upstream.requests == []


def test_the_model_is_loaded_and_unloaded(admin: Client, backend: VoxCPMUpstream) -> None:
    shown = admin.get(page("change")).content.decode()
    assert all(label in shown for label in ("Load the model", "Unload the model", "Reload the model"))
    assert press(admin, "model", action="unload") == [("success", "House: done (unload).")]
    assert backend.switches.loaded is False
    assert HealthReport.objects.get().model_loaded is False
    press(admin, "model", action="load")
    assert backend.switches.loaded and HealthReport.objects.get().model_loaded
    for unknown in ("explode", ""):
        assert admin.post(page("model"), {"action": unknown}).status_code == 404
    backend.switches.refusals = [Refusal(500, "out of memory")]
    assert press(admin, "model", action="load")[0][0] == "error"


def test_the_backends_own_address_becomes_a_link(admin: Client, backend: VoxCPMUpstream) -> None:
    press(admin, "check")
    assert 'href="http://127.0.0.1:8001"' in admin.get(page("change")).content.decode()


def test_the_log_is_shown_as_text(admin: Client, backend: VoxCPMUpstream) -> None:
    shown = admin.get(page("log")).content.decode()
    assert "line 2000" in shown and "line 1701" in shown and "line 1700\n" not in shown
    backend.switches.refusals = [Refusal(200, body=SCRIPT.encode())]
    shown = admin.get(page("log")).content.decode()
    assert SCRIPT not in shown and "&lt;script&gt;" in shown
    backend.switches.refusals = [Refusal(500, "no log today")]
    response = admin.get(page("log"))
    assert response.status_code == 200 and "no log today" in response.content.decode()


def test_registered_voices_are_listed_as_text(admin: Client, backend: VoxCPMUpstream) -> None:
    backend.voices["evil"] = profile("evil", display_name=SCRIPT, description=SCRIPT, **{SCRIPT: SCRIPT})
    shown = admin.get(page("voices"))
    assert {voice["id"] for voice in shown.context["voices"]} == {"ada", "bard", "captain", "小雅", "evil"}
    text = shown.content.decode()
    assert "Ada Lovelace" in text and "A deep old voice" in text
    assert SCRIPT not in text and "&lt;script&gt;" in text


def test_a_voice_is_registered_changed_and_deleted(admin: Client, backend: VoxCPMUpstream) -> None:
    further = {"mode": "design", "cfg_value": 2.5}
    data = {"voice_id": "storm", "name": "Storm", "instruction": "A rough voice", "further": json.dumps(further)}
    response = admin.post(page("voices"), data, follow=True)
    assert said(response) == [("success", "Voice “storm” is registered.")]
    made = backend.voices["storm"]
    assert (made["display_name"], made["instruction"], made["mode"]) == ("Storm", "A rough voice", "design")
    assert made["cfg_value"] == 2.5 and made["language"] == "en", "what was left empty was not sent"
    assert press(admin, "voices/delete", voice_id="storm") == [("success", "Voice “storm” is deleted.")]
    assert "storm" not in backend.voices
    assert press(admin, "voices/delete", voice_id="storm")[0][0] == "error"
    assert press(admin, "voices/delete")[0][0] == "error"
    assert [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")] == [
        "Registered a voice on the backend.",
        "Deleted a voice on the backend.",
    ]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"voice_id": ""}, "voice_id"),
        ({"voice_id": "x" * 101}, "voice_id"),
        ({"voice_id": "a", "further": "{"}, "further"),
        ({"voice_id": "a", "further": "[1]"}, "further"),
        ({"voice_id": "a", "further": "[" * 50_000}, "further"),
        ({"voice_id": "a", "further": '{"cfg_value": NaN}'}, "further"),
        ({"voice_id": "a", "further": '{"cfg_value": 1e999}'}, "further"),
        ({"voice_id": "a", "further": '{"mode": "\\ud800"}'}, "further"),
        ({"voice_id": "a", "further": '"text"'}, "further"),
    ],
)
def test_what_can_not_be_registered_is_said_at_its_field(
    admin: Client, backend: VoxCPMUpstream, data: dict[str, str], field: str
) -> None:
    response = admin.post(page("voices"), data)
    assert response.status_code == 200 and list(response.context["form"].errors) == [field]
    assert len(backend.voices) == 4


def test_what_the_backend_or_its_adapter_refuses_is_said_and_the_form_kept(
    admin: Client, backend: VoxCPMUpstream
) -> None:
    for data in ({"voice_id": "../evil"}, {"voice_id": "a", "further": '{"audio_path": "/etc/passwd"}'}):
        response = admin.post(page("voices"), data)
        assert response.status_code == 200 and said(response)[0][0] == "error"
        assert response.context["form"]["voice_id"].value() == data["voice_id"]
    assert len(backend.voices) == 4


def test_voices_of_a_backend_that_fails_are_a_notice(admin: Client, backend: VoxCPMUpstream) -> None:
    backend.switches.refusals = [Refusal(500, "registry is broken")]
    response = admin.get(page("voices"))
    assert response.status_code == 200 and "registry is broken" in response.content.decode()


# Today's use


def test_todays_use_stands_beside_the_limits(admin: Client) -> None:
    zone = zone_where_it_is(12)
    provider = Provider.objects.create(name="Up", kind="embedded", requests_per_day=250, time_zone=zone)
    for ago, requests, tokens in ((timedelta(0), 3, 1200), (timedelta(days=2), 50, 50)):
        minute = timezone.now().replace(second=0, microsecond=0) - ago
        UsageMinute.objects.create(provider=provider, minute=minute, requests=requests, tokens=tokens)
    text = f"3 of 250 requests (1 %), 1,200 tokens (no limit), since midnight ({zone})"
    assert text in admin.get(page("change")).content.decode()
    assert text in person("providers.view_provider").get(page("change")).content.decode()
    assert "used today" not in admin.get(f"{LIST}add/?kind=embedded").content.decode().lower()


@pytest.mark.parametrize("hour", [3, 12, 21])
def test_a_day_begins_at_midnight_in_the_providers_zone(hour: int) -> None:
    zone = zone_where_it_is(hour)
    provider = Provider.objects.create(name="Up", kind="embedded", time_zone=zone)
    local = datetime.now(UTC).astimezone(ZoneInfo(zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    UsageMinute.objects.create(provider=provider, minute=midnight - timedelta(minutes=1), requests=7, tokens=7)
    UsageMinute.objects.create(provider=provider, minute=midnight, requests=2, tokens=9)
    used = used_today(provider)
    assert (used.requests, used.tokens) == (2, 9)


def test_use_is_written_for_people() -> None:
    assert of_limit(0, 0, "tokens") == "0 tokens (no limit)"
    assert of_limit(1234, 5000, "tokens") == "1,234 of 5,000 tokens (25 %)"


# Queries


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


@pytest.mark.parametrize("path", [LIST, "/admin/", "/admin/troubleshooting/"])
def test_many_providers_cost_no_more_queries(admin: Client, path: str) -> None:
    def add(number: int) -> None:
        provider = Provider.objects.create(name=f"P{number}", kind="embedded")
        HealthReport.objects.create(provider=provider, checked_at=timezone.now(), reachable=True)
        CatalogueModel.objects.create(provider=provider, external_id="m")

    add(0)
    queries(admin, path)
    few = queries(admin, path)
    for number in range(1, 20):
        add(number)
    assert queries(admin, path) == few
