"""The audit trail: every change of the configuration, by whom and when, and never a secret."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.test import Client
from django.utils import timezone, translation

from api.models import ApiKey, RequestLog, ServerSettings
from banks.models import Bank, Character, Membership
from neiroha_site.first_run import make_admin
from providers.audit import AuditEntry, Change, changed, record
from providers.models import Provider
from tests.admin_pages import memberships, person, provider_data
from tests.test_admin_api import settings_data

TRAIL = "/admin/providers/auditentry/"
SECRET = "sk-a-very-secret-key"
PASSWORD = "correct horse battery"

pytestmark = pytest.mark.django_db


@pytest.fixture
def chief() -> User:
    return User.objects.create_superuser("chief")


@pytest.fixture
def admin(chief: User) -> Client:
    client = Client()
    client.force_login(chief)
    return client


def entries() -> list[tuple[str, str, str, str]]:
    """(person, change, thing, details), the oldest first."""
    rows = AuditEntry.objects.order_by("at", "pk")
    return [(row.user_name, row.change, row.object_name, row.details) for row in rows]


def text(response: Any) -> str:
    assert response.status_code == 200
    return str(response.content.decode())


def post(client: Client, path: str, data: dict[str, Any] | None = None) -> None:
    response = client.post(path, data or {})
    assert response.status_code == 302 or "nr-secret" in text(response), path


def test_every_change_on_the_pages_is_there_once(admin: Client) -> None:
    connection = {"base_url": "http://127.0.0.1:9", "time_zone": "UTC"}
    post(admin, "/admin/providers/provider/add/?kind=openai", provider_data(key=SECRET, **connection))
    provider = Provider.objects.get()
    page = f"/admin/providers/provider/{provider.pk}/"
    post(admin, page + "change/", provider_data(key=SECRET + "2", **connection))
    post(admin, "/admin/banks/bank/add/", {"name": "Stories", "position": "0", **memberships()})
    bank = Bank.objects.get()
    character = Character.objects.create(name="Heart", provider=provider)
    member = memberships({"character": character.pk})
    post(admin, f"/admin/banks/bank/{bank.pk}/change/", {"name": "Tales", "position": "0", **member})
    post(admin, page + "delete/", {"post": "yes"})
    post(admin, page + "restore/")
    post(admin, "/admin/api/apikey/add/", {"name": "Kitchen", "scope": "speech"})
    key = ApiKey.objects.get()
    post(admin, f"/admin/api/apikey/{key.pk}/revoke/")
    ServerSettings.load()
    post(admin, "/admin/api/serversettings/1/change/", settings_data(port="9000", access="keys"))
    post(admin, "/admin/api/requestlog/clear/")
    assert entries() == [
        ("chief", "added", "Provider", "Added."),
        ("chief", "changed", "Provider", "Changed API key."),
        ("chief", "added", "Stories", "Added."),
        ("chief", "changed", "Tales", "Changed Name. Added membership “Heart / Tales”."),
        ("chief", "changed", "Provider", "Archived."),
        ("chief", "changed", "Provider", "Restored."),
        ("chief", "added", "Kitchen", "Added."),
        ("chief", "changed", "Kitchen", "Revoked."),
        ("chief", "changed", "server settings", "Changed Port."),
        ("chief", "changed", "server settings", "Cleared the request log."),
    ]


def test_people_are_there_too(admin: Client) -> None:
    new = {"username": "kim", "role": "viewer", "password1": PASSWORD, "password2": PASSWORD}
    post(admin, "/admin/auth/user/add/", new)
    kim = User.objects.get(username="kim")
    page = f"/admin/auth/user/{kim.pk}/"
    post(admin, page + "change/", {"username": "kim", "role": "producer", "is_active": "on"})
    other = {"password1": PASSWORD + "!", "password2": PASSWORD + "!"}
    post(admin, page + "password/", other)
    admin.post(page + "link/")
    client = Client()
    client.force_login(User.objects.get(username="kim"))
    new = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    post(client, "/admin/password_change/", {"old_password": PASSWORD + "!", **new})
    post(admin, page + "change/", {"username": "kim", "role": "producer"})
    post(admin, page + "delete/", {"post": "yes"})
    assert entries() == [
        ("chief", "added", "kim", "Added."),
        ("chief", "changed", "kim", "Changed Role."),
        ("chief", "changed", "kim", "Changed password."),
        ("chief", "changed", "kim", "Made a one-time link."),
        ("kim", "changed", "kim", "Changed the own password."),
        ("chief", "changed", "kim", "Changed Active."),
        ("chief", "deleted", "kim", ""),
    ]


def test_no_secret_is_ever_in_it(admin: Client) -> None:
    connection = {"base_url": "http://127.0.0.1:9", "time_zone": "UTC"}
    post(admin, "/admin/providers/provider/add/?kind=openai", provider_data(key=SECRET, **connection))
    shown = text(admin.post("/admin/api/apikey/add/", {"name": "Kitchen", "scope": "speech"}))
    key = shown.split('id="nr-secret">')[1].split("<")[0]
    password = "a-password-of-somebody"
    new = {"username": "kim", "role": "viewer", "password1": password, "password2": password}
    post(admin, "/admin/auth/user/add/", new)
    hashed = User.objects.get(username="kim").password
    stored = [str(row) for model in (AuditEntry, LogEntry) for row in model._default_manager.values_list()]
    page = text(admin.get(TRAIL))
    for secret in (SECRET, key, ApiKey.objects.get().digest, password, hashed):
        assert not any(secret in row for row in [*stored, page])
    assert len(stored) == 6


def test_many_deletions_at_once_are_many_entries(admin: Client) -> None:
    keys = [ApiKey.objects.issue(name=name)[0] for name in ("One", "Two", "Three")]
    data = {"action": "delete_selected", "_selected_action": [key.pk for key in keys], "post": "yes"}
    post(admin, "/admin/api/apikey/", data)
    assert sorted(name for _who, _change, name, _details in entries()) == ["One", "Three", "Two"]
    assert {change for _who, change, _name, _details in entries()} == {"deleted"}


def test_it_outlives_the_person_and_the_thing(admin: Client, chief: User) -> None:
    bank = Bank.objects.create(name="Stories")
    record(chief, bank, Change.CHANGED, changed("name"))
    bank.delete()
    User.objects.create_superuser("other")
    chief.delete()
    entry = AuditEntry.objects.get()
    assert (entry.user, entry.user_name, entry.object_name) == (None, "chief", "Stories")
    assert not LogEntry.objects.exists(), "Django's own log does not"
    shown = text(person(superuser=True).get(TRAIL))
    assert "chief" in shown and "Stories" in shown


def test_what_is_undone_leaves_no_entry(chief: User) -> None:
    from django.db import transaction

    bank = Bank.objects.create(name="Stories")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record(chief, bank, Change.CHANGED, changed("name"))
        raise ZeroDivisionError
    assert not AuditEntry.objects.exists() and not LogEntry.objects.exists()


@pytest.mark.parametrize("nobody", [None, AnonymousUser()], ids=["none", "anonymous"])
def test_record_knows_nobody(nobody: Any) -> None:
    bank = Bank.objects.create(name="n" * 100)
    record(nobody, bank, Change.ADDED, "By a command.")
    record(nobody, None, Change.SIGN_IN_FAILED, address="192.0.2.1")
    record(nobody, bank, Change.CHANGED, changed("name", "speed"))
    assert entries() == [
        ("", "added", "n" * 100, "By a command."),
        ("", "sign_in_failed", "", ""),
        ("", "changed", "n" * 100, "Changed name and speed."),
    ]
    assert not LogEntry.objects.exists()


def test_what_a_person_does_elsewhere_stands_in_the_things_history_too(admin: Client, chief: User) -> None:
    bank = Bank.objects.create(name="Stories")
    record(chief, bank, Change.CHANGED, changed("description"))
    assert "Changed description." in text(admin.get(f"/admin/banks/bank/{bank.pk}/history/"))
    assert [row[3] for row in entries()] == ["Changed description."]


def test_every_reader_sees_the_own_language(chief: User) -> None:
    bank = Bank.objects.create(name="Stories")
    record(chief, bank, Change.CHANGED, changed("name"))
    with translation.override("de"):
        assert AuditEntry.objects.get().details == "Name geändert."


def test_commands_and_the_first_run_are_there() -> None:
    make_admin(PASSWORD)
    call_command("create_key", "Kitchen", stdout=StringIO(), stderr=StringIO())
    call_command("rotate_keys", stdout=StringIO())
    assert entries() == [
        ("", "added", "admin", "By NEIROHA_ADMIN_PASSWORD."),
        ("", "added", "Kitchen", "By a command."),
        ("", "changed", "", "Encrypted every stored secret anew."),
    ]


# The page


def test_it_is_for_administrators_and_for_reading() -> None:
    record(None, Bank.objects.create(name="Stories"), Change.ADDED)
    entry = AuditEntry.objects.get()
    rights = [f"providers.{verb}_auditentry" for verb in ("view", "add", "change", "delete")]
    for path in (TRAIL, f"{TRAIL}{entry.pk}/change/", TRAIL + "add/", f"{TRAIL}{entry.pk}/delete/"):
        assert Client().get(path).status_code == 302
        for outsider in (person(), person(*rights)):
            assert outsider.get(path).status_code == 403
            assert outsider.post(path, {"post": "yes"}).status_code == 403
    admin = person(superuser=True)
    assert admin.get(TRAIL).status_code == 200
    assert admin.post(f"{TRAIL}{entry.pk}/change/", {"user_name": "somebody else"}).status_code == 403
    assert admin.post(f"{TRAIL}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    admin.post(TRAIL, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"})
    assert AuditEntry.objects.get() == entry


@pytest.fixture
def filled(chief: User) -> Bank:
    bank = Bank.objects.create(name="Stories")
    record(chief, bank, Change.ADDED)
    record(chief, ServerSettings.load(), Change.CHANGED, changed("port"))
    record(None, chief, Change.SIGN_IN_LOCKED, address="192.0.2.1")
    AuditEntry.objects.filter(change=Change.ADDED).update(at=timezone.now() - timedelta(days=40))
    return bank


def kind(model: Any) -> int:
    return ContentType.objects.get_for_model(model).pk


@pytest.mark.parametrize(
    ("query", "changes"),
    [
        ("", {"added", "changed", "sign_in_locked"}),
        ("person=chief", {"added", "changed"}),
        ("person=-", {"sign_in_locked"}),
        ("person=nobody", set()),
        ("change__exact=added", {"added"}),
        ("kind={bank}", {"added"}),
        ("kind={user}", {"sign_in_locked"}),
        ("kind=x", {"added", "changed", "sign_in_locked"}),
        ("kind=99999999999999999999", {"added", "changed", "sign_in_locked"}),
        ("at__gte={recent}", {"changed", "sign_in_locked"}),
        ("q=Stor", {"added"}),
        ("q=192.0.2.1", {"sign_in_locked"}),
    ],
)
def test_it_is_filtered(admin: Client, filled: Bank, query: str, changes: set[str]) -> None:
    recent = quote(str(timezone.now() - timedelta(days=7)))
    response = admin.get(f"{TRAIL}?" + query.format(bank=kind(Bank), user=kind(User), recent=recent))
    assert {entry.change for entry in response.context["cl"].queryset} == changes


def test_it_leads_to_what_is_still_there(admin: Client, filled: Bank, chief: User) -> None:
    page = text(admin.get(TRAIL))
    for path in (f"/admin/banks/bank/{filled.pk}/change/", f"/admin/auth/user/{chief.pk}/change/"):
        assert f'href="{path}"' in page
    record(chief, filled, Change.DELETED)
    assert AuditEntry.objects.get(change=Change.DELETED).url == ""
    unregistered = AuditEntry(content_type=ContentType.objects.get_for_model(RequestLog), object_id="1", change="added")
    assert unregistered.url == "/admin/api/requestlog/1/change/"
    assert AuditEntry(content_type=ContentType.objects.get_for_model(Membership), object_id="1").url == ""


def test_names_are_text_and_never_markup(admin: Client) -> None:
    hostile = '"><script>alert(1)</script>'
    user = User.objects.create(username="x", is_staff=True)
    record(user, Bank.objects.create(name=hostile), Change.ADDED, hostile)
    AuditEntry.objects.update(user_name=hostile)
    for query in ("", f"?person={hostile}", f"?q={hostile}"):
        assert "<script>alert" not in text(admin.get(TRAIL + query))


def test_a_long_trail_asks_little(admin: Client, chief: User, django_assert_max_num_queries: Any) -> None:
    banks = [Bank.objects.create(name=f"Bank {number}") for number in range(60)]
    for bank in banks:
        record(chief, bank, Change.CHANGED, changed("name"))
    with django_assert_max_num_queries(15):
        page = text(admin.get(TRAIL))
    assert page.count("Changed name.") == 50
