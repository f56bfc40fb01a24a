"""API keys, settings and the queue over the native API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from api.models import Access, ApiKey, Scope, ServerSettings, hash_key
from banks.models import Bank
from tests.native_api import Caller, code, keyed, make_user, names, param, session, without_limits

RIGHTS = [f"api.{verb}_apikey" for verb in ("view", "add", "change", "delete")]


@pytest.fixture(autouse=True)
def unlimited(db: None) -> None:
    without_limits()


@pytest.fixture
def producer() -> Caller:
    return session(*RIGHTS)


@pytest.fixture
def admin() -> Caller:
    return session(superuser=True)


# Keys.


def test_the_whole_life_of_a_key(producer: Caller) -> None:
    bank = Bank.objects.create(name="Stories")
    end = timezone.now() + timedelta(days=1)
    body = {
        "name": "Kitchen",
        "banks": [bank.pk],
        "scope": "read",
        "expires_at": end.isoformat(),
    }
    made = producer.post("keys/", body)
    secret = made.pop("secret")
    row = ApiKey.objects.get()
    assert row.digest == hash_key(secret) and made["hint"] == secret[-4:]
    assert (row.owner, row.scope, list(row.banks.all())) == (producer.user, Scope.READ, [bank])
    assert (row.rate_limit_per_minute, row.expires_at) == (None, end)
    assert ServerSettings.load().access == Access.KEYS
    path = f"keys/{row.pk}/"
    assert producer.get(path) == made
    assert "secret" not in producer.patch(path, {"name": "Cellar"})
    assert producer.post(path + "revoke/", status=200)["state"] == "revoked"
    assert producer.post(path + "revoke/", status=200)["state"] == "revoked"
    producer.delete(path)
    assert not ApiKey.objects.exists()
    notes = [(entry.action_flag, entry.change_message) for entry in LogEntry.objects.order_by("pk")]
    assert [flag for flag, _message in notes] == [1, 2, 2, 3]
    assert not any(secret in message or row.digest in message for _flag, message in notes)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"name": None}, "name"),
        ({"scope": "root"}, "scope"),
        ({"scope": ["manage"]}, "scope"),
        ({"scope": None}, "scope"),
        ({"owner": 999}, "owner"),
        ({"owner": None}, "owner"),
        ({"banks": [999]}, "banks"),
        ({"banks": 1}, "banks"),
        ({"banks": ["1"]}, "banks"),
        ({"banks": {"1": 1}}, "banks"),
        ({"banks": [1] * 1001}, "banks"),
        ({"banks": [2**70]}, "banks"),
        ({"rate_limit_per_minute": 0}, "rate_limit_per_minute"),
        ({"rate_limit_per_minute": None}, "rate_limit_per_minute"),
        ({"rate_limit_per_minute": -1}, "rate_limit_per_minute"),
        ({"rate_limit_per_minute": "5"}, "rate_limit_per_minute"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": 5}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"digest": "0" * 64}, "digest"),
        ({"secret": "nei-mine"}, "secret"),
        ({"revoked_at": None}, "revoked_at"),
        ({"last_used_at": None}, "last_used_at"),
    ],
    ids=range(26),
)
def test_what_a_key_can_not_be(producer: Caller, values: dict[str, Any], field: str) -> None:
    assert param(producer.post("keys/", {"name": "Kitchen", **values}, 400)) == field
    assert not ApiKey.objects.exists()


def test_keys_are_ones_own(producer: Caller, admin: Caller) -> None:
    assert producer.user and admin.user
    theirs, _secret = ApiKey.objects.issue(name="Theirs", owner_id=admin.user.pk)
    nobodys, _secret = ApiKey.objects.issue(name="Nobody's")
    mine, _secret = ApiKey.objects.issue(name="Mine", owner_id=producer.user.pk)
    assert names(producer.get("keys/")) == ["Mine"]
    for key in (theirs, nobodys):
        path = f"keys/{key.pk}/"
        producer.get(path, 404)
        producer.patch(path, {"name": "x"}, 404)
        producer.post(path + "revoke/", status=404)
        producer.delete(path, 404)
    assert param(producer.post("keys/", {"name": "For them", "owner": admin.user.pk}, 400)) == "owner"
    assert param(producer.patch(f"keys/{mine.pk}/", {"owner": admin.user.pk}, 400)) == "owner"
    assert set(names(admin.get("keys/"))) == {"Theirs", "Nobody's", "Mine"}
    assert admin.post("keys/", {"name": "For them", "owner": producer.user.pk})["owner"] == producer.user.pk
    assert admin.post("keys/", {"name": "For nobody", "owner": None})["owner"] is None
    limited = admin.post("keys/", {"name": "For me", "rate_limit_per_minute": 5})
    assert (limited["owner"], limited["rate_limit_per_minute"]) == (admin.user.pk, 5)
    gone = User.objects.create(username="gone", is_active=False)
    assert param(admin.post("keys/", {"name": "Gone", "owner": gone.pk}, 400)) == "owner"


def test_an_archived_bank_stays_with_the_key_that_has_it(producer: Caller) -> None:
    bank = Bank.objects.create(name="Stories")
    made = producer.post("keys/", {"name": "Kitchen", "banks": [bank.pk]})
    assert bank.remove()
    path = f"keys/{made['id']}/"
    assert producer.patch(path, {"name": "Cellar", "banks": [bank.pk]})["banks"] == [bank.pk]
    assert param(producer.post("keys/", {"name": "Other", "banks": [bank.pk]}, 400)) == "banks"


def test_keys_are_found(producer: Caller) -> None:
    for name in ("Alpha", "Beta"):
        producer.post("keys/", {"name": name, "scope": "manage" if name == "Beta" else "speech"})
    producer.post(f"keys/{ApiKey.objects.get(name='Alpha').pk}/revoke/", status=200)
    assert names(producer.get("keys/?revoked=true")) == ["Alpha"]
    assert names(producer.get("keys/?scope=manage")) == ["Beta"]
    assert names(producer.get("keys/?search=alp")) == ["Alpha"]
    assert names(producer.get("keys/?ordering=name")) == ["Alpha", "Beta"]


def test_a_key_makes_no_key_that_reaches_or_lasts_further() -> None:
    end = timezone.now() + timedelta(days=1)
    owner = make_user(*RIGHTS)
    lasting, ending = keyed(owner=owner), keyed(owner=owner, expires_at=end)
    assert lasting.post("keys/", {"name": "Child", "scope": "manage"})["scope"] == "manage"
    for later in ({}, {"expires_at": None}, {"expires_at": (end + timedelta(seconds=1)).isoformat()}):
        assert param(ending.post("keys/", {"name": "Child", **later}, 400)) == "expires_at"
    assert ending.key
    own = f"keys/{ending.key.pk}/"
    assert param(ending.patch(own, {"expires_at": None}, 400)) == "expires_at"
    assert ending.patch(own, {"name": "Renamed"})["name"] == "Renamed"
    assert ending.post("keys/", {"name": "Child", "expires_at": end.isoformat()})["secret"]
    limited = keyed(owner=owner, banks=[Bank.objects.create(name="Stories")])
    limited.post("keys/", {"name": "Child"}, 403)
    assert limited.key
    limited.patch(f"keys/{limited.key.pk}/", {"banks": []}, 403)


# Settings.


def test_settings_are_read_and_changed(admin: Caller) -> None:
    seen = admin.get("settings/")
    fields = {field.name for field in ServerSettings._meta.fields} - {"id", "seeded_at"}
    assert set(seen) == fields | {"environment"}
    assert seen["cors_origins"] == [] and seen["environment"] == {}
    origins = ["https://chat.example.com", "HTTPS://Other.example.com:443/"]
    changed = admin.patch("settings/", {"queue_limit": 7, "cors_origins": origins, "log_requests": True})
    assert changed["cors_origins"] == ["https://chat.example.com", "https://other.example.com"]
    row = ServerSettings.load()
    assert (row.queue_limit, row.log_requests) == (7, True)
    assert "queue_limit" in LogEntry.objects.get().change_message


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"host": "not a host!"}, "host"),
        ({"host": "0.0.0.0"}, "access"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"port": "8976"}, "port"),
        ({"access": "closed"}, "access"),
        ({"cors_origins": ["nowhere"]}, "cors_origins"),
        ({"cors_origins": "https://chat.example.com"}, "cors_origins"),
        ({"queue_deadline_seconds": 0}, "queue_deadline_seconds"),
        ({"log_keep_rows": 1}, "log_keep_rows"),
        ({"max_input_characters": 0}, "max_input_characters"),
        ({"api_enabled": "off"}, "api_enabled"),
        ({"seeded_at": None}, "seeded_at"),
        ({"environment": {}}, "environment"),
        ({"id": 2}, "id"),
    ],
    ids=range(15),
)
def test_what_settings_can_not_be(admin: Caller, values: dict[str, Any], field: str) -> None:
    assert param(admin.patch("settings/", {"queue_limit": 7, **values}, 400)) == field
    assert ServerSettings.load().queue_limit == 1000


def test_what_the_environment_decides_is_shown_with_its_source(admin: Caller, settings: Settings) -> None:
    settings.BIND_HOST, settings.BIND_PORT = "127.0.0.9", 9000
    seen = admin.get("settings/")
    assert (seen["host"], seen["port"]) == ("127.0.0.9", 9000)
    assert seen["environment"] == {"host": "NEIROHA_HOST", "port": "NEIROHA_PORT"}
    refused = admin.patch("settings/", {"port": 9001}, 400)
    assert param(refused) == "port" and "NEIROHA_PORT" in refused["error"]["message"]
    assert admin.patch("settings/", {"queue_limit": 7})["port"] == 9000


def test_settings_are_for_those_who_may() -> None:
    viewer = session("api.view_serversettings")
    viewer.get("settings/")
    viewer.patch("settings/", {"queue_limit": 7}, 403)
    session("api.view_apikey").get("settings/", 403)


# The queue, without a server: what runs is in test_native_live.


def test_an_empty_queue(admin: Caller) -> None:
    empty = {"running_count": 0, "running": [], "waiting_count": 0, "waiting": [], "recent": [], "resting": []}
    assert admin.get("queue/") == empty
    assert admin.post("queue/cancel/", {"which": "all"}, 200) == {"cancelled": 0}
    assert code(admin.delete("queue/1/", 404)) == "not_found"
    for query in ("limit=0", "limit=201", "limit=x", "offset=1", "teapot=1"):
        assert param(admin.get(f"queue/?{query}", 400)) == query.partition("=")[0]
    for body in ({}, {"which": "yours"}, {"which": ["all"]}, {"which": "all", "teapot": 1}):
        assert param(admin.post("queue/cancel/", body, 400)) in ("which", "teapot")


def test_the_queue_is_for_those_who_may_see_providers() -> None:
    viewer, outsider = session("providers.view_provider"), session("banks.view_bank")
    viewer.get("queue/")
    assert viewer.post("queue/cancel/", {"which": "mine"}, 200) == {"cancelled": 0}
    viewer.post("queue/cancel/", {"which": "all"}, 403)
    for method, path in (("GET", "queue/"), ("POST", "queue/cancel/"), ("DELETE", "queue/1/")):
        assert outsider.ask(method, path, {"which": "mine"}).status_code == 403
