"""API keys, server settings and the request log."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from api.exposure import clean_origins, is_host, open_api_refusal
from api.models import Access, ApiKey, RequestLog, ServerSettings, hash_key
from banks.models import Bank
from tests.admin_pages import errors, person

KEYS = "/admin/api/apikey/"
SETTINGS = "/admin/api/serversettings/"
LOG = "/admin/api/requestlog/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return person(superuser=True)


def secret_of(response: Any) -> str:
    assert response.status_code == 200
    found = re.search(r'id="nr-secret">(nei-[\w-]{43})<', response.content.decode())
    assert found, "no secret on the page"
    return found[1]


def settings_data(**values: Any) -> dict[str, Any]:
    row = ServerSettings()
    names = ["host", "port", "access", "rate_limit_per_minute", "max_body_bytes", "max_input_characters"]
    names += ["queue_limit", "queue_deadline_seconds", "log_keep_rows", "speech_cache_megabytes"]
    return {"api_enabled": "on", **{name: getattr(row, name) for name in names}, **values}


# API keys


def test_the_secret_is_shown_once_and_kept_nowhere(admin: Client) -> None:
    response = admin.post(KEYS + "add/", {"name": "Kitchen", "scope": "speech"})
    secret = secret_of(response)
    assert "no-store" in response["Cache-Control"]
    key = ApiKey.objects.get()
    assert (key.digest, key.hint) == (hash_key(secret), secret[-4:])
    assert ServerSettings.load().access == Access.KEYS

    for path in (KEYS, f"{KEYS}{key.pk}/change/", f"{KEYS}{key.pk}/history/", f"{KEYS}{key.pk}/delete/", "/admin/"):
        page = admin.get(path).content.decode()
        assert secret not in page and key.digest not in page, path
    assert f"…{secret[-4:]}" in admin.get(KEYS).content.decode()
    assert not any(secret in entry.change_message + entry.object_repr for entry in LogEntry.objects.all())
    assert not any(secret in str(session.get_decoded()) for session in Session.objects.all())


def test_continuing_and_popups_show_the_secret_too(admin: Client) -> None:
    for extra in ({"_continue": "1"}, {"_addanother": "1"}, {"_popup": "1"}):
        secret_of(admin.post(KEYS + "add/", {"name": "Kitchen", "scope": "speech", **extra}))


def test_a_key_has_owner_banks_expiry_and_its_own_limit(admin: Client) -> None:
    owner = User.objects.create(username="owner")
    bank = Bank.objects.create(name="Stories")
    soon = timezone.now() + timedelta(days=1)
    secret_of(
        admin.post(
            KEYS + "add/",
            {
                "name": "<script>alert(1)</script>",
                "scope": "read",
                "owner": owner.pk,
                "banks": [bank.pk],
                "rate_limit_per_minute": "5",
                "expires_at_0": soon.strftime("%Y-%m-%d"),
                "expires_at_1": "12:00",
            },
        )
    )
    key = ApiKey.objects.get()
    assert (key.owner, list(key.banks.all()), key.rate_limit_per_minute) == (owner, [bank], 5)
    assert key.scope == "read"
    assert key.expires_at is not None and key.expires_at.date() == soon.date()
    assert "<script>alert" not in admin.get(KEYS).content.decode()


def test_what_a_key_can_not_be_is_said_at_its_field(admin: Client) -> None:
    User.objects.create(pk=77, username="gone", is_active=False)
    archived = Bank.objects.create(name="Archived", archived_at=timezone.now())
    bad: list[tuple[dict[str, Any], str]] = [
        ({"name": ""}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"scope": ""}, "scope"),
        ({"scope": "root"}, "scope"),
        ({"owner": 77}, "owner"),
        ({"owner": "x"}, "owner"),
        ({"banks": [archived.pk]}, "banks"),
        ({"banks": [999]}, "banks"),
        ({"rate_limit_per_minute": "-1"}, "rate_limit_per_minute"),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "12:00"}, "expires_at"),
        ({"expires_at_0": "soon", "expires_at_1": "12:00"}, "expires_at"),
    ]
    for values, field in bad:
        assert list(errors(admin.post(KEYS + "add/", {"name": "Kitchen", "scope": "speech", **values}))) == [field]
    assert not ApiKey.objects.exists()
    assert ServerSettings.load().access == Access.OPEN


def test_editing_a_key_never_opens_more_than_it_had(admin: Client) -> None:
    bank = Bank.objects.create(name="Stories")
    key, _secret = ApiKey.objects.issue(name="Kitchen")
    key.banks.add(bank)
    assert bank.remove()
    page = admin.get(f"{KEYS}{key.pk}/change/").content.decode()
    assert re.search(rf'name="banks" value="{bank.pk}"[^>]*checked', page)
    response = admin.post(f"{KEYS}{key.pk}/change/", {"name": "Renamed", "scope": "speech", "banks": [bank.pk]})
    assert response.status_code == 302, errors(response)
    assert list(key.banks.all()) == [bank]


def test_an_expired_key_can_be_renamed_and_is_shown_as_expired(admin: Client) -> None:
    key, _secret = ApiKey.objects.issue(name="Old")
    key.expires_at = timezone.now().replace(microsecond=0) - timedelta(days=2)
    key.save()
    moment = key.expires_at
    date, time = f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S}"
    data = {"name": "Older", "scope": "speech", "expires_at_0": date, "expires_at_1": time}
    response = admin.post(f"{KEYS}{key.pk}/change/", data)
    assert response.status_code == 302, errors(response)
    assert "Expired" in admin.get(KEYS).content.decode()


def test_a_key_stops_with_its_owner() -> None:
    key, _secret = ApiKey.objects.issue(name="Theirs", owner_id=User.objects.create(username="u", is_active=False).pk)
    assert str(key.state.label) == "Owner deactivated"


def test_revoking_ends_a_key_for_good(admin: Client) -> None:
    one, two, three = (ApiKey.objects.issue(name=name)[0] for name in ("One", "Two", "Three"))
    page = f"{KEYS}{one.pk}/revoke/"
    assert admin.get(page).status_code == 405
    assert admin.post(page, follow=True).status_code == 200
    admin.post(KEYS, {"action": "revoke_selected", "_selected_action": [two.pk]})
    revoked = set(ApiKey.objects.exclude(revoked_at=None))
    assert revoked == {one, two} and three not in revoked
    assert "revoke/" not in admin.get(f"{KEYS}{one.pk}/change/").content.decode()
    assert admin.post(f"{KEYS}999/revoke/").status_code == 404


def test_losing_the_last_key_opens_nothing(admin: Client) -> None:
    key, _secret = ApiKey.objects.issue(name="Only")
    admin.post(f"{KEYS}{key.pk}/delete/", {"post": "yes"})
    assert not ApiKey.objects.exists()
    assert ServerSettings.load().access == Access.KEYS


def test_only_those_with_the_right_make_and_revoke_keys() -> None:
    viewer = person("api.view_apikey")
    key, _secret = ApiKey.objects.issue(name="Kitchen", owner_id=viewer.session["_auth_user_id"])
    assert viewer.get(KEYS).status_code == 200
    assert viewer.post(KEYS + "add/", {"name": "Mine", "scope": "speech"}).status_code == 403
    assert viewer.post(f"{KEYS}{key.pk}/revoke/").status_code == 403
    viewer.post(KEYS, {"action": "revoke_selected", "_selected_action": [key.pk]})
    assert ApiKey.objects.get().revoked_at is None
    secret_of(person("api.add_apikey").post(KEYS + "add/", {"name": "Mine", "scope": "speech"}))


# Server settings


def test_the_settings_are_one_row_that_can_only_be_changed(admin: Client) -> None:
    assert admin.get(SETTINGS)["Location"] == f"{SETTINGS}1/change/"
    assert admin.get(SETTINGS + "add/").status_code == 403
    assert admin.post(f"{SETTINGS}1/delete/", {"post": "yes"}).status_code == 403
    form = admin.get(f"{SETTINGS}1/change/").context["adminform"].form
    assert "seeded_at" not in form.fields and len(form.fields) == 14


def test_changed_settings_are_stored(admin: Client) -> None:
    admin.get(SETTINGS)
    origins = " https://Chat.Example.com:443/\r\n\r\n*\nhttp://[::1]:3000"
    values = {"cors_origins": origins, "port": "9000", "queue_limit": "5", "api_enabled": "", "public_lists": "on"}
    response = admin.post(f"{SETTINGS}1/change/", settings_data(**values))
    assert response.status_code == 302, errors(response)
    row = ServerSettings.load()
    assert row.cors_origins == "https://chat.example.com\n*\nhttp://[::1]:3000"
    assert (row.port, row.queue_limit, row.api_enabled, row.public_lists) == (9000, 5, False, True)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"host": ""}, "host"),
        ({"host": "http://127.0.0.1"}, "host"),
        ({"host": "1.2.3"}, "host"),
        ({"host": "two words"}, "host"),
        ({"host": "0.0.0.0"}, "access"),
        ({"port": "0"}, "port"),
        ({"port": "65536"}, "port"),
        ({"access": "everyone"}, "access"),
        ({"cors_origins": "null"}, "cors_origins"),
        ({"cors_origins": "chat.example.com"}, "cors_origins"),
        ({"max_input_characters": "0"}, "max_input_characters"),
        ({"queue_limit": "0"}, "queue_limit"),
        ({"queue_deadline_seconds": "3601"}, "queue_deadline_seconds"),
        ({"log_keep_rows": "99"}, "log_keep_rows"),
        ({"max_body_bytes": "-1"}, "max_body_bytes"),
        ({"rate_limit_per_minute": ""}, "rate_limit_per_minute"),
    ],
)
def test_settings_that_can_not_be_are_said_at_their_field(admin: Client, values: dict[str, str], field: str) -> None:
    ServerSettings.load()
    assert list(errors(admin.post(f"{SETTINGS}1/change/", settings_data(**values)))) == [field]


def test_the_environment_wins_over_the_page(admin: Client, settings: Settings) -> None:
    settings.BIND_HOST, settings.BIND_PORT = "127.0.0.2", 7000
    ServerSettings.load()
    page = admin.get(f"{SETTINGS}1/change/").content.decode()
    assert "127.0.0.2 (from NEIROHA_HOST)" in page and "7000 (from NEIROHA_PORT)" in page
    assert 'name="host"' not in page and 'name="port"' not in page
    admin.post(f"{SETTINGS}1/change/", settings_data(host="0.0.0.0", port="1"))
    row = ServerSettings.load()
    assert (row.host, row.port) == ("127.0.0.1", 8976)


def test_an_open_api_stays_on_this_machine(admin: Client, settings: Settings) -> None:
    ServerSettings.load()
    page = f"{SETTINGS}1/change/"
    settings.BIND_HOST = "0.0.0.0"
    found = errors(admin.post(page, settings_data()))
    assert "NEIROHA_ALLOW_OPEN_API" in found["access"][0]
    assert admin.post(page, settings_data(access="keys")).status_code == 302
    settings.ALLOW_OPEN_API = True
    assert admin.post(page, settings_data()).status_code == 302
    settings.BIND_HOST, settings.ALLOW_OPEN_API, settings.TRUSTED_PROXIES = None, False, ["10.0.0.1"]
    assert "NEIROHA_TRUSTED_PROXIES" in errors(admin.post(page, settings_data()))["access"][0]


def test_access_is_not_opened_under_a_server_that_others_reach(admin: Client, settings: Settings) -> None:
    """Access is in force at once, the host after a restart: the one of now counts, and so does the next."""
    ServerSettings.load()
    page = f"{SETTINGS}1/change/"
    settings.LISTENING_HOST = "0.0.0.0"
    assert "0.0.0.0 can be reached" in errors(admin.post(page, settings_data(host="127.0.0.1")))["access"][0]
    assert admin.post(page, settings_data(host="127.0.0.1", access="keys")).status_code == 302
    settings.LISTENING_HOST = "127.0.0.1"
    assert "192.0.2.7 can be reached" in errors(admin.post(page, settings_data(host="192.0.2.7")))["access"][0]
    assert admin.post(page, settings_data(host="127.0.0.1")).status_code == 302


def test_a_host_that_the_environment_replaces_forbids_nothing(settings: Settings) -> None:
    row = ServerSettings(host="0.0.0.0")
    with pytest.raises(ValidationError, match="0.0.0.0 can be reached"):
        row.clean()
    settings.BIND_HOST = settings.LISTENING_HOST = "127.0.0.1"
    row.clean()
    settings.BIND_HOST, row.host = "192.0.2.7", "127.0.0.1"
    with pytest.raises(ValidationError, match="192.0.2.7 can be reached"):
        row.clean()


@pytest.mark.parametrize(
    ("url", "refused"),
    [("https://voices.example.com", True), ("http://192.168.1.5:8976", True), ("http://127.0.0.1:8976", False)],
)
def test_a_public_address_is_not_open(settings: Settings, url: str, refused: bool) -> None:
    settings.PUBLIC_URL = url
    assert ("NEIROHA_PUBLIC_URL" in open_api_refusal("127.0.0.1", "open")) is refused
    assert open_api_refusal("127.0.0.1", "keys") == ""


def test_the_settings_need_their_right() -> None:
    ServerSettings.load()
    assert person().get(SETTINGS).status_code == 403
    viewer = person("api.view_serversettings")
    assert viewer.get(f"{SETTINGS}1/change/").status_code == 200
    assert viewer.post(f"{SETTINGS}1/change/", settings_data(port="1")).status_code == 403
    assert person("api.change_serversettings").post(f"{SETTINGS}1/change/", settings_data(port="1")).status_code == 302


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_may_be_open(host: str) -> None:
    assert open_api_refusal(host, "open") == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "voices.example.com", "", "127.0.0.1.example.com"])
def test_all_else_may_not_be_open(host: str) -> None:
    assert open_api_refusal(host, "open")
    assert open_api_refusal(host, "keys") == ""


@pytest.mark.parametrize("host", ["a" * 64, "-a.com", "a..b", "", "300.1.1.1", "a b", "ü.de", "[::1", "a.com:80"])
def test_what_is_no_host(host: str) -> None:
    assert is_host(host) is (host == "[::1")


@pytest.mark.parametrize(
    ("written", "origins"),
    [
        ("", []),
        ("*", ["*"]),
        ("HTTPS://A.Example:443", ["https://a.example"]),
        ("http://a:80\nhttp://a", ["http://a"]),
        ("http://a:8080/", ["http://a:8080"]),
        ("tauri://localhost", ["tauri://localhost"]),
    ],
)
def test_origins_are_kept_as_browsers_write_them(written: str, origins: list[str]) -> None:
    assert clean_origins(written) == origins


@pytest.mark.parametrize(
    "written",
    [
        "null",
        "a.com",
        "http://",
        "http://a/b",
        "http://a?b",
        "http://a#b",
        "http://u@a",
        "http://a:x",
        "http://*.a",
        "//a",
    ],
)
def test_what_is_no_origin_is_refused(admin: Client, written: str) -> None:
    ServerSettings.load()
    found = errors(admin.post(f"{SETTINGS}1/change/", settings_data(cors_origins=f"https://ok.example\n{written}")))
    assert list(found) == ["cors_origins"]


# Request log


@pytest.fixture
def requests() -> list[RequestLog]:
    now = timezone.now()
    rows = [(200, "Kitchen", now), (404, "Kitchen", now - timedelta(days=40)), (500, "", now)]
    return [
        RequestLog.objects.create(
            at=at, request_id=str(status), method="POST", path="/v1/a", status=status, key_name=key
        )
        for status, key, at in rows
    ]


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        ("", {200, 404, 500}),
        ("status_class=2", {200}),
        ("status_class=4", {404}),
        ("status_class=5", {500}),
        ("status_class=x", {200, 404, 500}),
        ("key_name=Kitchen", {200, 404}),
        ("q=404", {404}),
    ],
)
def test_the_log_is_filtered(admin: Client, requests: list[RequestLog], query: str, statuses: set[int]) -> None:
    response = admin.get(f"{LOG}?{query}")
    assert {row.status for row in response.context["cl"].queryset} == statuses


def test_the_log_is_read_only(admin: Client, requests: list[RequestLog]) -> None:
    page = f"{LOG}{requests[0].pk}/change/"
    assert admin.get(page).status_code == 200
    assert admin.post(page, {"status": "1"}).status_code == 403
    assert admin.get(LOG + "add/").status_code == 403
    assert admin.post(f"{LOG}{requests[0].pk}/delete/", {"post": "yes"}).status_code == 403
    admin.post(LOG, {"action": "delete_selected", "_selected_action": [requests[0].pk], "post": "yes"})
    assert RequestLog.objects.count() == 3


def test_clearing_the_log_asks_first_and_needs_its_right(admin: Client, requests: list[RequestLog]) -> None:
    viewer = person("api.view_requestlog")
    assert "requestlog/clear" not in viewer.get(LOG).content.decode()
    assert viewer.post(LOG + "clear/").status_code == 403
    assert "requestlog/clear" in admin.get(LOG).content.decode()
    assert "3 requests will be removed" in admin.get(LOG + "clear/").content.decode()
    assert RequestLog.objects.count() == 3
    assert "3 requests were removed" in admin.post(LOG + "clear/", follow=True).content.decode()
    assert not RequestLog.objects.exists()
