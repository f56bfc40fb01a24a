"""Forms that say what is wrong while they are filled in: what the server answers, to whom, and that nothing is kept."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from api.models import Access, ApiKey, ServerSettings
from banks.models import Character
from providers.audit import AuditEntry
from providers.models import Provider
from tests.admin_pages import memberships, person, provider_data
from tests.test_admin_api import settings_data

pytestmark = pytest.mark.django_db

SETTINGS = "/admin/api/serversettings/1/change/live-check/"
KEYS = "/admin/api/apikey/"
PROVIDERS = "/admin/providers/provider/"
CHARACTERS = "/admin/banks/character/"


@pytest.fixture
def admin() -> Client:
    ServerSettings.load()
    return person(superuser=True)


def told(client: Client, path: str, values: dict[str, Any]) -> tuple[dict[str, list[str]], dict[str, str]]:
    response = client.post(path, values)
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json" and "no-store" in response["Cache-Control"]
    found = response.json()
    assert set(found) == {"errors", "notes"}
    return found["errors"], found["notes"]


def rows() -> list[Any]:
    models: list[Any] = [ServerSettings, Provider, Character, ApiKey, AuditEntry]
    return [list(model._default_manager.order_by("pk").values()) for model in models]


# Server settings.


def test_what_is_right_is_passed_without_being_saved(admin: Client) -> None:
    before = rows()
    assert told(admin, SETTINGS, settings_data(queue_limit="7")) == ({}, told(admin, SETTINGS, settings_data())[1])
    assert rows() == before


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"host": "0.0.0.0", "access": "open"}, "access", "0.0.0.0 can be reached from other machines"),
        ({"host": "not a host"}, "host", "Enter an IP address or a host name"),
        ({"port": "70000"}, "port", "65535"),
        ({"port": ""}, "port", "required"),
        ({"cors_origins": "chat.example.com/x"}, "cors_origins", "is not an origin"),
        ({"queue_deadline_seconds": "0"}, "queue_deadline_seconds", "1"),
        ({"access": "<b>"}, "access", "<b>"),
    ],
)
def test_what_is_wrong_is_told_as_saving_tells_it(
    admin: Client, values: dict[str, Any], field: str, words: str
) -> None:
    before = rows()
    found, notes = told(admin, SETTINGS, settings_data(**values))
    assert list(found) == [field] and words in found[field][0]
    assert field not in notes
    page = admin.post(SETTINGS.removesuffix("live-check/"), settings_data(**values))
    assert {name: list(texts) for name, texts in page.context["adminform"].form.errors.items()} == found
    assert rows() == before


def test_consequences_are_told_before_they_come(admin: Client, settings: Settings) -> None:
    settings.ALLOW_OPEN_API = True
    _found, notes = told(
        admin,
        SETTINGS,
        settings_data(
            api_enabled="", host="192.0.2.7", port="8977", cors_origins="*", rate_limit_per_minute="0", access="open"
        ),
    )
    assert "without a key" in notes["access"] and "refused" in notes["api_enabled"]
    assert "started again" in notes["host"] and "127.0.0.1, port 8976" in notes["port"]
    assert "Any page" in notes["cors_origins"] and notes["rate_limit_per_minute"] == "Without a limit."
    assert "max_body_bytes" not in notes
    _found, notes = told(admin, SETTINGS, settings_data(access="keys"))
    assert set(notes) == {"access"} and "no key yet" in notes["access"]
    ApiKey.objects.issue(name="Kitchen")
    assert told(admin, SETTINGS, settings_data(access="keys"))[1] == {}
    ApiKey.objects.get().revoke()
    assert "no key yet" in told(admin, SETTINGS, settings_data(access="keys"))[1]["access"]


def test_a_port_that_is_taken_is_told(admin: Client) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        other.listen()
        for host in ("127.0.0.1", "localhost"):
            _found, notes = told(admin, SETTINGS, settings_data(host=host, port=port))
            assert notes["port"].startswith(f"Another program on this machine listens on port {port}")
        ServerSettings.objects.update(port=port)
        assert "port" not in told(admin, SETTINGS, settings_data(port=port))[1], "it may be this very server"
    ServerSettings.objects.update(port=8976)
    _found, notes = told(admin, SETTINGS, settings_data(port=port))
    assert notes["port"].startswith("Until the server is started again")


def test_a_host_that_only_a_look_up_would_find_is_not_tried(admin: Client) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        _found, notes = told(admin, SETTINGS, settings_data(host="localhost.example.com", port=port, access="keys"))
    assert notes["port"].startswith("Until the server is started again")


# The other forms.


def test_a_provider_of_a_kind(admin: Client) -> None:
    before = rows()
    path = f"{PROVIDERS}add/live-check/?kind=azure"
    found, _notes = told(admin, path, provider_data(time_zone="UTC"))
    assert "key" in found
    assert "key" not in told(admin, path, provider_data(time_zone="UTC", key="****"))[0]
    Provider.objects.create(name="provider", kind="embedded")
    assert "name" in told(admin, path, provider_data(time_zone="UTC", key="****"))[0]
    Provider.objects.all().delete()
    assert rows() == before
    for query in ("", "?kind=", "?kind=teapot"):
        assert admin.post(f"{PROVIDERS}add/live-check/{query}", provider_data(time_zone="UTC")).status_code == 403


def test_a_stored_key_stays_and_is_not_told(admin: Client) -> None:
    provider = Provider.objects.create(name="House", kind="openai", base_url="http://127.0.0.1:1/v1", api_key="sk-1")
    path = f"{PROVIDERS}{provider.pk}/change/live-check/"
    response = admin.post(path, provider_data(time_zone="UTC", base_url="http://127.0.0.2:1/v1", key="****"))
    assert response.json()["errors"] == {} and "sk-1" not in response.content.decode()
    found = told(admin, path, provider_data(time_zone="UTC", base_url="http://127.0.0.2:1/v1"))[0]
    assert "enter the key again" in found["key"][0]
    assert Provider.objects.get().api_key == "sk-1"


def test_a_character(admin: Client) -> None:
    provider = Provider.objects.create(name="Cloner", kind="gpt_sovits", base_url="http://127.0.0.1:9880")
    heart = Character.objects.create(name="Heart", provider=provider, task_mode="clone")
    values = {"name": "Heart", "enabled": "on", "provider": provider.pk, "task_mode": "clone", "speed": "9"}
    found = told(admin, f"{CHARACTERS}{heart.pk}/change/live-check/", {**values, **memberships()})[0]
    assert {"speed", "reference"} <= set(found)
    assert told(admin, f"{CHARACTERS}add/live-check/", {**values, "name": "a,b"})[0]["name"]
    Character.objects.update(archived_at=timezone.now())
    assert admin.post(f"{CHARACTERS}{heart.pk}/change/live-check/", values).status_code == 403


def test_a_key(admin: Client) -> None:
    wrong = {"name": "", "scope": "root", "expires_at_0": "x", "expires_at_1": ""}
    found = told(admin, f"{KEYS}add/live-check/", wrong)[0]
    assert set(found) == {"name", "scope", "expires_at"}
    assert told(admin, f"{KEYS}add/live-check/", {"name": "Kitchen", "scope": "speech"})[0] == {}
    assert not ApiKey.objects.exists() and ServerSettings.load().access == Access.OPEN


# Who may ask.


def test_only_who_may_save_is_answered(admin: Client) -> None:
    ApiKey.objects.issue(name="Other's")
    provider = Provider.objects.create(name="Here", kind="embedded")
    heart = Character.objects.create(name="Heart", provider=provider)
    forms = [
        SETTINGS,
        f"{PROVIDERS}add/live-check/?kind=embedded",
        f"{PROVIDERS}{provider.pk}/change/live-check/",
        f"{CHARACTERS}{heart.pk}/change/live-check/",
        f"{CHARACTERS}add/live-check/",
        f"{KEYS}add/live-check/",
    ]
    looks = [f"{app}.view_{model}" for app, model in (("api", "serversettings"), ("api", "apikey"))]
    looks += ["providers.view_provider", "banks.view_character"]
    for path in forms:
        assert person(*looks).post(path, {}).status_code == 403, path
        outside = Client().post(path, {})
        assert outside.status_code == 302 and "/login/" in outside["Location"]
        assert admin.get(path).status_code == 405
    key = f"{KEYS}{ApiKey.objects.get().pk}/change/live-check/"
    assert person("api.change_apikey").post(key, {}).status_code == 404
    assert admin.post(f"{CHARACTERS}999/change/live-check/", {}).status_code == 404
    assert admin.post(f"{CHARACTERS}x/change/live-check/", {}).status_code == 404


def test_it_needs_the_forms_token(admin: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin.cookies
    page = strict.get(SETTINGS.removesuffix("live-check/")).content.decode()
    assert strict.post(SETTINGS, settings_data()).status_code == 403
    token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    assert strict.post(SETTINGS, settings_data(csrfmiddlewaretoken=token)).status_code == 200


def test_a_page_that_only_shows_asks_for_nothing(admin: Client) -> None:
    path = SETTINGS.removesuffix("live-check/")
    assert f'data-nr-check="{SETTINGS}"' in admin.get(path).content.decode()
    assert "data-nr-check" not in person("api.view_serversettings").get(path).content.decode()
