"""The frame: who gets in, the dashboard, the sidebar."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from django.contrib.admin.sites import site
from django.test import Client
from pytest_django import Settings

from api.models import Access, ApiKey, ServerSettings
from banks.models import Bank, Character, Membership
from providers.models import Provider
from tests.admin_pages import person

OURS = ["providers.provider", "banks.bank", "banks.character", "banks.referenceaudio"]
OURS += ["api.apikey", "api.requestlog", "auth.user", "auth.group"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return person(superuser=True)


def texts(client: Client) -> str:
    return str(client.get("/admin/").content.decode())


def steps(client: Client) -> list[str]:
    return [step["url"] for step in client.get("/admin/").context["steps"]]


@pytest.mark.parametrize("label", OURS)
def test_outsiders_are_sent_to_the_door(label: str) -> None:
    path = f"/admin/{label.replace('.', '/')}/"
    for outsider in (Client(), person(staff=False), person(f"{label.replace('.', '.view_')}", staff=False)):
        response = outsider.get(path)
        assert response.status_code == 302 and response["Location"].startswith("/admin/login/")
        assert outsider.post(path + "add/", {"name": "x"}).status_code == 302
    assert person().get(path).status_code == 403


def test_every_model_of_ours_has_its_page(admin: Client) -> None:
    registered = {model._meta.label_lower for model in site._registry}
    assert {*OURS, "api.serversettings"} <= registered
    for label in OURS:
        assert admin.get(f"/admin/{label.replace('.', '/')}/").status_code == 200


def test_the_sidebar_shows_what_one_may_see(admin: Client) -> None:
    def titles(client: Client) -> list[str]:
        groups: list[dict[str, Any]] = client.get("/admin/").context["sidebar_navigation"]
        return [str(item["title"]) for group in groups for item in group["items"]]

    voices = ["Banks", "Characters", "Reference audio", "Pronunciation"]
    connections, api = ["Providers", "Queue", "Troubleshooting"], ["Keys", "Request log", "Server settings", "REST API"]
    people, studio = ["Users", "Groups", "Audit trail"], ["Quick TTS", "Takes", "Projects", "Studio settings"]
    everything = [*studio, *voices, "Providers", "Chat model", *connections[1:], *api, *people]
    assert titles(admin) == ["Dashboard", *everything, "Preferences"]
    assert titles(person("providers.view_provider")) == ["Dashboard", *connections, "Preferences"]
    assert titles(person("banks.view_bank", "api.change_apikey")) == [
        "Dashboard",
        "Banks",
        "Keys",
        "REST API",
        "Preferences",
    ]
    assert titles(person("auth.change_user")) == ["Dashboard", "Preferences"]


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/admin/", "Dashboard"),
        ("/admin/providers/provider/", "Providers"),
        ("/admin/providers/cataloguevoice/", "Providers"),
        ("/admin/queue/", "Queue"),
        ("/admin/troubleshooting/", "Troubleshooting"),
    ],
)
def test_the_sidebar_says_where_one_is(admin: Client, path: str, title: str) -> None:
    groups: list[dict[str, Any]] = admin.get(path).context["sidebar_navigation"]
    assert [str(item["title"]) for group in groups for item in group["items"] if item["active"]] == [title]


def test_pages_allow_no_script_of_others(admin: Client) -> None:
    for path in ("/admin/", "/admin/login/", "/admin/banks/bank/"):
        policy = admin.get(path)["Content-Security-Policy"]
        assert "script-src 'self' 'unsafe-eval'" in policy and "frame-ancestors 'none'" in policy


# The dashboard


def test_an_empty_installation_is_led_step_by_step(admin: Client) -> None:
    assert steps(admin) == ["/admin/providers/provider/add/", "/admin/banks/bank/add/", "/admin/api/apikey/add/"]
    provider = Provider.objects.create(name="Inside", kind="embedded")
    assert steps(admin)[0] == "/admin/banks/character/add/"
    Character.objects.create(name="Heart", provider=provider)
    Bank.objects.create(name="Stories")
    ApiKey.objects.issue(name="Kitchen")
    assert steps(admin) == []
    row = ServerSettings.load()
    row.api_enabled = False
    row.save()
    assert steps(admin) == ["/admin/api/serversettings/"]


def test_steps_are_for_those_who_can_take_them() -> None:
    assert steps(person("banks.add_bank")) == ["/admin/banks/bank/add/"]
    assert steps(person()) == []


def test_the_open_notice_says_how_far_it_is_open(admin: Client, settings: Settings) -> None:
    assert "The API is open to programs on this machine." in texts(admin)
    settings.BIND_HOST = "0.0.0.0"
    assert "The API is open to everyone who reaches this server." in texts(admin)


def test_the_command_speaks_with_what_is_there(admin: Client, settings: Settings) -> None:
    provider = Provider.objects.create(name="Inside", kind="embedded")
    bank = Bank.objects.create(name='Mum\'s "$HOME" `bank` <b>')
    heart = Character.objects.create(name="Zoë O'Neil", provider=provider)
    Membership.objects.create(bank=bank, character=heart)
    settings.PUBLIC_URL = "https://voices.example.com"
    command = admin.get("/admin/").context["curl"]
    words = shlex.split(command)
    assert words[:2] == ["curl", "https://voices.example.com/v1/audio/speech"]
    body = json.loads(words[words.index("-d") + 1])
    assert (body["model"], body["voice"]) == (bank.name, heart.name)
    assert "Authorization" not in command
    ServerSettings.objects.update(access=Access.KEYS)
    assert "Authorization: Bearer $NEIROHA_KEY" in shlex.split(admin.get("/admin/").context["curl"])
    assert "<b>" not in texts(admin)


def test_the_command_has_words_even_when_nobody_speaks(admin: Client) -> None:
    words = shlex.split(admin.get("/admin/").context["curl"])
    assert words[1] == "http://testserver/v1/audio/speech"
    assert json.loads(words[words.index("-d") + 1])["voice"] == "alloy"


def test_the_dashboard_shows_only_what_speaks(admin: Client) -> None:
    provider = Provider.objects.create(name="Inside", kind="embedded")
    silent = Provider.objects.create(name="Silent house", kind="embedded", enabled=False)
    bank = Bank.objects.create(name="Stories")
    Bank.objects.create(name="Sleeping bank", active=False)
    Bank.objects.create(name="Archived bank", archived_at="2026-01-01T00:00Z")
    people: dict[str, dict[str, Any]] = {
        "Heart": {"provider": provider},
        "Disabled": {"provider": provider, "enabled": False},
        "Hidden": {"provider": provider, "archived_at": "2026-01-01T00:00Z"},
        "Voiceless": {"provider": silent},
    }
    for name, values in people.items():
        Membership.objects.create(bank=bank, character=Character.objects.create(name=name, **values))
    context = admin.get("/admin/").context
    shown = {entry["bank"].name: [member["name"] for member in entry["members"]] for entry in context["banks"]}
    assert shown == {"Stories": ["Heart"]}
    assert [entry["provider"].name for entry in context["providers"]] == ["Inside", "Silent house"]
    assert "Switched off" in texts(admin)
    assert "Silent house" not in texts(person("banks.view_bank"))
    assert "Stories" not in texts(person("providers.view_provider"))
