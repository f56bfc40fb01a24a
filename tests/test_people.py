"""Roles: what each may open and change, and the own keys of each."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from api.models import ApiKey
from banks.models import Bank, Character
from neiroha_site.roles import GROUPS, PERMISSIONS, Role, role_of, set_role
from providers.models import Provider
from tests.people import PASSWORD, QUICK_HASHERS, client_of, member, text

SECRET = "sk-a-very-secret-key"
KEYS = "/admin/api/apikey/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = QUICK_HASHERS


@pytest.fixture
def chief() -> User:
    return User.objects.create_superuser("chief", password=PASSWORD)


@pytest.fixture
def admin(chief: User) -> Client:
    return client_of(chief)


# Roles


def test_the_groups_have_their_rights_and_no_others() -> None:
    for role, name in GROUPS.items():
        permissions = Group.objects.get(name=name).permissions.select_related("content_type")
        rights = {f"{one.content_type.app_label}.{one.codename}" for one in permissions}
        installed = {right for right in PERMISSIONS[role] if apps.is_installed(right.split(".")[0])}
        assert rights == installed, name
    assert PERMISSIONS[Role.VIEWER] < PERMISSIONS[Role.PRODUCER]
    assert all("view_" in right for right in PERMISSIONS[Role.VIEWER])


def test_after_a_migration_the_groups_are_as_they_should_be() -> None:
    viewers = Group.objects.get(name="Viewers")
    viewers.permissions.set([Permission.objects.get(codename="change_user")])
    Group.objects.get(name="Producers").delete()
    call_command("migrate", verbosity=0)
    assert not viewers.permissions.filter(codename="change_user").exists()
    assert viewers.permissions.filter(codename="view_bank").exists()
    assert Group.objects.get(name="Producers").permissions.filter(codename="change_bank").exists()


def test_rights_of_an_app_that_is_not_there_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from neiroha_site.roles import update_groups

    monkeypatch.setitem(PERMISSIONS, Role.VIEWER, frozenset({"banks.view_bank", "nowhere.view_nothing"}))
    update_groups()
    assert [one.codename for one in Group.objects.get(name="Viewers").permissions.all()] == ["view_bank"]


@pytest.mark.parametrize("role", [*Role])
def test_a_role_is_what_was_set(role: Role) -> None:
    for before in Role:
        user = member(before, f"from-{before}")
        set_role(user, role)
        again = User.objects.get(pk=user.pk)
        assert role_of(again) is role
        assert set(again.groups.values_list("name", flat=True)) == ({GROUPS[role]} if role in GROUPS else set())


def test_who_may_not_sign_in_has_no_role() -> None:
    owner = User.objects.create(username="owner")
    owner.groups.add(Group.objects.get(name="Producers"))
    assert role_of(owner) is None


@pytest.fixture
def things(chief: User) -> dict[str, str]:
    """Pages of everything, by a short name."""
    provider = Provider.objects.create(name="Inside", kind="openai", base_url="http://127.0.0.1:9", api_key=SECRET)
    bank = Bank.objects.create(name="Stories")
    character = Character.objects.create(name="Heart", provider=provider)
    key, _secret = ApiKey.objects.issue(name="Kitchen", owner_id=chief.pk)
    return {
        "banks": "/admin/banks/bank/",
        "a bank": f"/admin/banks/bank/{bank.pk}/change/",
        "characters": "/admin/banks/character/",
        "a character": f"/admin/banks/character/{character.pk}/change/",
        "recordings": "/admin/banks/referenceaudio/",
        "providers": "/admin/providers/provider/",
        "a provider": f"/admin/providers/provider/{provider.pk}/change/",
        "voices": "/admin/providers/cataloguevoice/",
        "queue": "/admin/queue/",
        "keys": "/admin/api/apikey/",
        "add a bank": "/admin/banks/bank/add/",
        "add a character": "/admin/banks/character/add/",
        "add a recording": "/admin/banks/referenceaudio/add/",
        "add a key": "/admin/api/apikey/add/",
        "add a provider": "/admin/providers/provider/add/",
        "settings": "/admin/api/serversettings/1/change/",
        "request log": "/admin/api/requestlog/",
        "users": "/admin/auth/user/",
        "a user": f"/admin/auth/user/{chief.pk}/change/",
        "add a user": "/admin/auth/user/add/",
        "groups": "/admin/auth/group/",
        "audit trail": "/admin/providers/auditentry/",
        "preferences": "/admin/preferences/",
    }


LOOKS = {"banks", "a bank", "characters", "a character", "providers", "a provider", "voices", "queue", "preferences"}
PRODUCES = {"recordings", "keys", "add a bank", "add a character", "add a recording", "add a key"}


@pytest.mark.parametrize(
    ("role", "opens"),
    [(Role.VIEWER, LOOKS), (Role.PRODUCER, LOOKS | PRODUCES), (Role.CUSTOM, {"preferences"}), (None, set())],
)
def test_each_role_opens_its_pages_and_no_others(things: dict[str, str], role: Role | None, opens: set[str]) -> None:
    client = client_of(member(role)) if role else Client()
    answers = {name: client.get(path) for name, path in things.items()}
    assert {name for name, answer in answers.items() if answer.status_code == 200} == opens
    refused = 403 if role else 302
    assert {answer.status_code for name, answer in answers.items() if name not in opens} <= {refused}
    assert not any(SECRET in text(answer) for answer in answers.values())


def test_a_viewer_changes_nothing(things: dict[str, str]) -> None:
    viewer = client_of(member(Role.VIEWER))
    provider, bank, character = Provider.objects.get(), Bank.objects.get(), Character.objects.get()
    attempts = {
        things["a bank"]: {"name": "Mine"},
        things["a bank"].replace("change", "delete"): {"post": "yes"},
        things["a character"]: {"name": "Mine"},
        things["a character"].replace("change", "delete"): {"post": "yes"},
        things["a provider"]: {"name": "Mine"},
        things["a provider"].replace("change", "check"): {},
        things["a provider"].replace("change", "fetch"): {},
        things["add a bank"]: {"name": "Mine"},
        things["add a key"]: {"name": "Mine"},
        "/admin/queue/cancel/": {"ticket": "1"},
    }
    for path, data in attempts.items():
        assert viewer.post(path, data).status_code == 403, path
    assert (Provider.objects.get(), Bank.objects.get(), Character.objects.get()) == (provider, bank, character)
    assert ApiKey.objects.count() == 1


# Own keys


def test_a_producer_sees_and_makes_own_keys_only(chief: User) -> None:
    producer = member(Role.PRODUCER)
    theirs, _secret = ApiKey.objects.issue(name="Kitchen", owner_id=chief.pk)
    nobodys, _secret = ApiKey.objects.issue(name="Nobody's")
    client = client_of(producer)
    form = client.get(KEYS + "add/").context["adminform"].form
    assert not {"owner", "rate_limit_per_minute"} & set(form.fields)
    # What the form does not show counts for nothing.
    forged = {"name": "Mine", "scope": "speech", "owner": chief.pk, "rate_limit_per_minute": "0"}
    assert 'id="nr-secret"' in text(client.post(KEYS + "add/", forged))
    mine = ApiKey.objects.get(name="Mine")
    assert (mine.owner, mine.rate_limit_per_minute) == (producer, None)
    shown = text(client.get(KEYS))
    assert "Mine" in shown and "Kitchen" not in shown and "Nobody" not in shown and "chief" not in shown

    for key in (theirs, nobodys):
        for end in ("change/", "revoke/", "delete/", "history/"):
            path = f"{KEYS}{key.pk}/{end}"
            assert client.post(path, {"post": "yes", "name": "Stolen"}).status_code in (302, 404), path
            assert key.name not in text(client.get(path, follow=True)).replace(f"“{key.pk}”", "")
        client.post(KEYS, {"action": "revoke_selected", "_selected_action": [key.pk]})
        client.post(KEYS, {"action": "delete_selected", "_selected_action": [key.pk], "post": "yes"})
        key.refresh_from_db()
        assert (key.revoked_at, key.name) == (None, str(key))

    assert client.post(f"{KEYS}{mine.pk}/change/", {"name": "Renamed", "scope": "speech"}).status_code == 302
    assert client.post(f"{KEYS}{mine.pk}/revoke/").status_code == 302
    mine.refresh_from_db()
    assert (mine.name, mine.owner) == ("Renamed", producer) and mine.revoked_at


def test_an_administrator_sees_all_keys(admin: Client, chief: User) -> None:
    ApiKey.objects.issue(name="Kitchen", owner_id=member(Role.PRODUCER).pk)
    ApiKey.objects.issue(name="Nobody's")
    shown = text(admin.get(KEYS))
    assert "Kitchen" in shown and "Nobody&#x27;s" in shown
    assert {"owner", "rate_limit_per_minute"} <= set(admin.get(KEYS + "add/").context["adminform"].form.fields)
