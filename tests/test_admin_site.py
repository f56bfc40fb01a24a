"""The frame: who gets in, the dashboard, the sidebar, people."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from django.contrib.admin.sites import site
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from pytest_django import Settings

from api.models import Access, ApiKey, ServerSettings
from banks.models import Bank, Character, Membership
from providers.models import Provider
from tests.admin_pages import errors, person

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

    voices = ["Dashboard", "Banks", "Characters", "Reference audio"]
    connections, api = ["Providers", "Queue", "Troubleshooting"], ["Keys", "Request log", "Server settings"]
    assert titles(admin) == [*voices, *connections, *api, "Users", "Groups"]
    assert titles(person("providers.view_provider")) == ["Dashboard", *connections]
    assert titles(person("banks.view_bank", "api.change_apikey")) == ["Dashboard", "Banks", "Keys"]


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


# People


def user_data(user: User, **values: Any) -> dict[str, Any]:
    joined = user.date_joined
    when = {"date_joined_0": f"{joined:%Y-%m-%d}", "date_joined_1": f"{joined:%H:%M:%S}"}
    return {"username": user.username, "is_active": "on", **when, **values}


def test_a_user_is_added_with_a_password_that_holds(admin: Client) -> None:
    data = {"username": "kim", "usable_password": "true", "password1": "12345", "password2": "12345"}
    assert "password2" in errors(admin.post("/admin/auth/user/add/", data))
    good = {**data, "password1": "long enough, really", "password2": "long enough, really"}
    response = admin.post("/admin/auth/user/add/", good)
    assert response.status_code == 302, errors(response)
    assert User.objects.get(username="kim").check_password("long enough, really")


def test_managing_people_gives_nobody_more_rights() -> None:
    manager = person("auth.change_user", "auth.view_user", "auth.delete_user")
    chief = User.objects.create_superuser("chief", password="x")
    plain = User.objects.create(username="plain")
    right = Permission.objects.get(codename="add_apikey")
    group = Group.objects.create(name="Everything")
    more = {"is_superuser": "on", "is_staff": "on", "user_permissions": [right.pk], "groups": [group.pk]}
    response = manager.post(f"/admin/auth/user/{plain.pk}/change/", user_data(plain, first_name="Kim", **more))
    assert response.status_code == 302, errors(response)
    plain.refresh_from_db()
    assert (plain.first_name, plain.is_superuser, plain.is_staff) == ("Kim", False, False)
    assert not plain.user_permissions.exists() and not plain.groups.exists()

    assert manager.post(f"/admin/auth/user/{chief.pk}/change/", user_data(chief)).status_code == 403
    assert manager.get(f"/admin/auth/user/{chief.pk}/password/").status_code == 403
    assert manager.post(f"/admin/auth/user/{chief.pk}/delete/", {"post": "yes"}).status_code == 403
    manager.post("/admin/auth/user/", {"action": "delete_selected", "_selected_action": [chief.pk], "post": "yes"})
    assert User.objects.filter(pk=chief.pk).exists()


def test_a_superuser_gives_rights(admin: Client) -> None:
    plain = User.objects.create(username="plain")
    right = Permission.objects.get(codename="add_apikey")
    data = user_data(plain, is_staff="on", user_permissions=[right.pk])
    assert admin.post(f"/admin/auth/user/{plain.pk}/change/", data).status_code == 302
    plain.refresh_from_db()
    assert plain.is_staff and list(plain.user_permissions.all()) == [right]


def test_groups_are_for_superusers() -> None:
    """A group's members have its rights, so changing one could give them to oneself."""
    group = Group.objects.create(name="Everything")
    path = f"/admin/auth/group/{group.pk}/change/"
    keeper = person("auth.view_group", "auth.change_group", "auth.add_group", "auth.delete_group")
    assert keeper.post(path, {"name": "Mine"}).status_code == 403
    assert keeper.get("/admin/auth/group/add/").status_code == 403
    assert person(superuser=True).post(path, {"name": "Renamed"}).status_code == 302
    group.refresh_from_db()
    assert group.name == "Renamed"


def test_a_colleagues_password_is_for_superusers() -> None:
    colleague = User.objects.create_user("colleague", password="old-password", is_staff=True)
    path = f"/admin/auth/user/{colleague.pk}/password/"
    data = {"password1": "new-Passw0rd!", "password2": "new-Passw0rd!"}
    assert person("auth.view_user", "auth.change_user").post(path, data).status_code in (302, 403)
    colleague.refresh_from_db()
    assert colleague.check_password("old-password")
