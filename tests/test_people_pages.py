"""The pages on which administrators make, change and close accounts, and the own password."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import connections
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from neiroha_site.roles import GROUPS, Role, is_last_administrator, role_of
from providers.audit import AuditEntry
from tests.admin_pages import errors, person
from tests.people import PASSWORD, QUICK_HASHERS, client_of, member, text

USERS = "/admin/auth/user/"
GROUP_PAGES = "/admin/auth/group/"

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


def new_user(**values: Any) -> dict[str, Any]:
    return {"username": "kim", "role": "producer", "password1": PASSWORD, "password2": PASSWORD, **values}


def user_data(user: User, **values: Any) -> dict[str, Any]:
    data = {"username": user.username, "role": role_of(user) or "", **({"is_active": "on"} if user.is_active else {})}
    return {name: value for name, value in {**data, **values}.items() if value is not None}


def page(user: User, end: str = "change/") -> str:
    return f"{USERS}{user.pk}/{end}"


# Making people


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.PRODUCER, Role.VIEWER])
def test_a_user_is_made_with_a_role_and_a_password(admin: Client, role: Role) -> None:
    response = admin.post(USERS + "add/", new_user(role=role, first_name="Kim", email="kim@example.com"))
    assert response.status_code == 302, errors(response)
    kim = User.objects.get(username="kim")
    assert (role_of(kim), kim.first_name, kim.is_active) == (role, "Kim", True)
    assert Client().post("/admin/login/", {"username": "kim", "password": PASSWORD}).status_code == 302


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"username": ""}, "username"),
        ({"username": "CHIEF"}, "username"),
        ({"username": "two words"}, "username"),
        ({"username": "<script>"}, "username"),
        ({"username": "k" * 151}, "username"),
        ({"role": ""}, "role"),
        ({"role": "custom"}, "role"),
        ({"role": "emperor"}, "role"),
        ({"email": "nowhere"}, "email"),
        ({"first_name": "k" * 151}, "first_name"),
        ({"password1": "12345678", "password2": "12345678"}, "password2"),
        ({"password2": "another"}, "password2"),
        ({"password1": ""}, "password2"),
        ({"password2": ""}, "password2"),
    ],
)
def test_what_a_new_user_can_not_be_is_said_at_its_field(admin: Client, values: dict[str, str], field: str) -> None:
    response = admin.post(USERS + "add/", new_user(**values))
    assert list(errors(response)) == [field]
    assert PASSWORD not in text(response)
    assert User.objects.count() == 1


def invited(admin: Client, **values: Any) -> tuple[User, str]:
    """A user without a password, and the path of the one-time link."""
    response = admin.post(USERS + "add/", new_user(password1="", password2="", **values))
    return User.objects.get(username="kim"), link_in(response)


def link_in(response: Any) -> str:
    assert response.status_code == 200 and "no-store" in response["Cache-Control"]
    found = re.search(r'id="nr-link">http://testserver(/admin/password/\w+/[\w-]+/)<', text(response))
    assert found, "no link on the page"
    return found[1]


def choose(client: Client, link: str, password: str = PASSWORD) -> Any:
    opened = client.get(link)
    if opened.status_code != 302:
        return opened
    assert "set-password" in opened["Location"]
    return client.post(opened["Location"], {"new_password1": password, "new_password2": password})


def test_a_one_time_link_lets_somebody_choose_a_password_once(admin: Client) -> None:
    kim, link = invited(admin)
    assert not kim.has_usable_password() and "Has no password yet" in text(admin.get(USERS))
    assert not Client().login(username="kim", password="")
    browser = Client()
    shown = browser.get(link, follow=True)
    assert "Choose a password for the account “kim”." in text(shown) and link not in text(shown)
    done = choose(browser, link)
    assert (done.status_code, done["Location"]) == (302, "/admin/login/")
    assert Client().login(username="kim", password=PASSWORD)
    again = choose(Client(), link, "another long password")
    assert again.status_code == 404 and "This link no longer works" in text(again)
    assert Client().login(username="kim", password=PASSWORD)


def test_a_link_keeps_to_the_rules_for_passwords(admin: Client) -> None:
    kim, link = invited(admin)
    refused = choose(Client(), link, "12345678")
    assert refused.status_code == 200 and "too common" in text(refused)
    kim.refresh_from_db()
    assert not kim.has_usable_password()


def test_a_link_dies_with_the_account_with_time_and_with_signing_in(admin: Client, settings: Settings) -> None:
    kim, link = invited(admin)
    User.objects.filter(pk=kim.pk).update(is_active=False)
    assert choose(Client(), link).status_code == 404
    User.objects.filter(pk=kim.pk).update(is_active=True, last_login=timezone.now())
    assert choose(Client(), link).status_code == 404
    old = _OldTokens().make_token(User.objects.get(pk=kim.pk))
    account = link.split("/")[3]
    assert choose(Client(), f"/admin/password/{account}/{old}/").status_code == 404
    for wrong in (f"/admin/password/{account}/wrong/", "/admin/password/zz/a-b/", "/admin/password/%00/set-password/"):
        assert Client().get(wrong).status_code == 404


class _OldTokens(PasswordResetTokenGenerator):
    def _now(self) -> Any:
        return super()._now() - timedelta(days=3, minutes=1)


def test_a_link_for_somebody_who_forgot(admin: Client) -> None:
    kim = member(Role.VIEWER, "kim")
    link = link_in(admin.post(page(kim, "link/")))
    assert Client().login(username="kim", password=PASSWORD), "the old one holds until there is a new one"
    link = link_in(admin.post(page(kim, "link/")))
    assert choose(Client(), link, "another long password").status_code == 302
    assert Client().login(username="kim", password="another long password")
    assert "link" in " ".join(AuditEntry.objects.values_list("message", flat=True))
    assert not any(link in str(row) or link.split("/")[4] in str(row) for row in AuditEntry.objects.values_list())


def test_links_lead_to_the_public_address(admin: Client, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://voices.example.com"
    shown = text(admin.post(page(member(Role.VIEWER), "link/")))
    assert ">https://voices.example.com/admin/password/" in shown


def test_links_are_for_administrators() -> None:
    kim = member(Role.VIEWER, "kim")
    for outsider in (Client(), client_of(member(Role.PRODUCER)), client_of(kim), person("auth.change_user")):
        assert outsider.post(page(kim, "link/")).status_code in (302, 403)
    chief = client_of(member(Role.ADMINISTRATOR))
    assert chief.get(page(kim, "link/")).status_code == 405
    assert chief.post(f"{USERS}999/link/").status_code == 404


# Changing people


def test_a_role_is_changed_and_single_rights_stay_apart(admin: Client) -> None:
    kim = member(Role.PRODUCER, "kim")
    helpers = Group.objects.create(name="Helpers")
    right = Permission.objects.get(codename="view_requestlog")
    more = {"groups": [helpers.pk], "user_permissions": [right.pk]}
    response = admin.post(page(kim), user_data(kim, role="viewer", **more))
    assert response.status_code == 302, errors(response)
    kim = User.objects.get(pk=kim.pk)
    assert role_of(kim) is Role.VIEWER and set(kim.groups.values_list("name", flat=True)) == {"Viewers", "Helpers"}
    assert kim.has_perm("api.view_requestlog") and not kim.has_perm("banks.change_bank")
    # A role's own group is no single right, and can't be had by naming it.
    producers = Group.objects.get(name="Producers")
    assert list(errors(admin.post(page(kim), user_data(kim, groups=[producers.pk])))) == ["groups"]
    assert admin.post(page(kim), user_data(kim, role="custom", **more)).status_code == 302
    kim = User.objects.get(pk=kim.pk)
    assert role_of(kim) is Role.CUSTOM and not kim.has_perm("banks.view_bank") and kim.has_perm("api.view_requestlog")


def test_the_trail_names_what_was_changed_and_nothing_else(admin: Client) -> None:
    kim = member(Role.PRODUCER, "kim")
    admin.post(page(kim), user_data(kim, role="viewer"))
    admin.post(page(kim), user_data(kim, role="viewer", email="kim@example.com"))
    assert [entry.details for entry in AuditEntry.objects.order_by("pk")] == ["Changed Role.", "Changed Email address."]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"username": "CHIEF"}, "username"),
        ({"role": ""}, "role"),
        ({"role": "emperor"}, "role"),
        ({"email": "x"}, "email"),
    ],
)
def test_what_a_user_can_not_become_is_said_at_its_field(admin: Client, values: dict[str, str], field: str) -> None:
    kim = member(Role.VIEWER, "kim")
    assert list(errors(admin.post(page(kim), user_data(kim, **values)))) == [field]


def test_people_are_managed_by_administrators_alone() -> None:
    """Not even the single right to change users lets anybody else in: it would be a way to every right."""
    rights = [f"auth.{verb}_{model}" for verb in ("view", "add", "change", "delete") for model in ("user", "group")]
    victim, chief = member(Role.VIEWER, "kim"), member(Role.ADMINISTRATOR)
    group = Group.objects.create(name="Everything")
    manager = User.objects.create(username="manager", is_staff=True)
    manager.user_permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    producer = member(Role.PRODUCER)
    for user, client in [(manager, person(*rights)), (producer, client_of(producer)), (victim, client_of(victim))]:
        for target in (victim, chief, user):
            promoted = user_data(target, role="administrator", is_superuser="on", is_staff="on")
            for path, data in [
                (page(target), promoted),
                (page(target, "password/"), {"password1": "x", "password2": "x"}),
                (page(target, "delete/"), {"post": "yes"}),
                (page(target, "unlock/"), {}),
            ]:
                assert client.post(path, data).status_code == 403, path
        assert client.post(USERS + "add/", new_user(role="administrator")).status_code == 403
        assert client.post(f"{GROUP_PAGES}{group.pk}/change/", {"name": "Mine"}).status_code == 403
        assert client.post(f"{GROUP_PAGES}add/", {"name": "Mine"}).status_code == 403
        bulk = {"action": "delete_selected", "_selected_action": [victim.pk], "post": "yes"}
        assert client.post(USERS, bulk).status_code == 403
    assert User.objects.filter(is_superuser=True).get() == chief
    assert User.objects.get(pk=victim.pk).check_password(PASSWORD)


def test_the_roles_groups_can_not_be_changed_by_hand(admin: Client) -> None:
    for name in GROUPS.values():
        path = f"{GROUP_PAGES}{Group.objects.get(name=name).pk}/"
        assert admin.get(path + "change/").status_code == 200
        assert admin.post(path + "change/", {"name": "Mine"}).status_code == 403
        assert admin.post(path + "delete/", {"post": "yes"}).status_code == 403
    every = list(Group.objects.values_list("pk", flat=True))
    admin.post(GROUP_PAGES, {"action": "delete_selected", "_selected_action": every, "post": "yes"})
    assert Group.objects.count() == len(GROUPS)
    assert admin.post(f"{GROUP_PAGES}add/", {"name": "Helpers"}).status_code == 302


# The last administrator


def test_nobody_closes_or_demotes_the_own_account(admin: Client, chief: User) -> None:
    member(Role.ADMINISTRATOR, "other")
    changes: list[tuple[dict[str, Any], str]] = [({"is_active": None}, "is_active"), ({"role": "viewer"}, "role")]
    for values, field in changes:
        found = errors(admin.post(page(chief), user_data(chief, **values)))
        assert found == {field: ["You can't do this to your own account: ask another administrator."]}
    assert admin.post(page(chief, "delete/"), {"post": "yes"}).status_code == 403
    assert "delete/" not in text(admin.get(page(chief)))
    chief.refresh_from_db()
    assert chief.is_active and chief.is_superuser


def test_other_administrators_can_be_demoted_closed_and_deleted(admin: Client) -> None:
    changes: list[tuple[str, dict[str, Any]]] = [("one", {"role": "viewer"}), ("two", {"is_active": None})]
    for name, values in changes:
        other = member(Role.ADMINISTRATOR, name)
        assert admin.post(page(other), user_data(other, **values)).status_code == 302
    third = member(Role.ADMINISTRATOR, "three")
    assert admin.post(page(third, "delete/"), {"post": "yes"}).status_code == 302
    able = User.objects.filter(is_superuser=True, is_active=True)
    assert [user.username for user in able] == ["chief"]


def test_who_is_the_last_administrator(chief: User) -> None:
    other = member(Role.ADMINISTRATOR, "other")
    assert not is_last_administrator(chief)
    User.objects.filter(pk=other.pk).update(is_active=False)
    assert is_last_administrator(chief) and not is_last_administrator(other)
    assert not is_last_administrator(member(Role.PRODUCER))


@pytest.mark.django_db(transaction=True)
def test_two_who_remove_each_other_do_not_both_succeed(server: str) -> None:
    one, two = member(Role.ADMINISTRATOR, "one"), member(Role.ADMINISTRATOR, "two")
    together = Barrier(2)

    def demote(editor: User, target: User) -> int:
        client = client_of(editor)
        together.wait(60)
        try:
            return client.post(page(target), user_data(target, role="viewer")).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(demote, *pair) for pair in ((one, two), (two, one))]
        assert 302 in {answer.result() for answer in answers}
    assert User.objects.filter(is_superuser=True, is_active=True).exists()


# The own password


def test_everybody_changes_the_own_password(chief: User) -> None:
    viewer = member(Role.VIEWER)
    client, elsewhere = client_of(viewer), client_of(viewer)
    new = {"new_password1": "another long password", "new_password2": "another long password"}
    wrong = client.post("/admin/password_change/", {"old_password": "wrong", **new})
    assert "old_password" in wrong.context["form"].errors
    weak = {"old_password": PASSWORD, "new_password1": "12345678", "new_password2": "12345678"}
    assert "new_password2" in client.post("/admin/password_change/", weak).context["form"].errors
    assert client.post("/admin/password_change/", {"old_password": PASSWORD, **new}).status_code == 302
    viewer.refresh_from_db()
    assert viewer.check_password("another long password")
    assert client.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/").status_code == 302
    assert Client().post("/admin/password_change/", new).status_code == 302
    assert User.objects.get(pk=chief.pk).check_password(PASSWORD)


def test_an_administrator_sets_a_password(admin: Client) -> None:
    kim = member(Role.VIEWER, "kim")
    weak = admin.post(page(kim, "password/"), {"password1": "12345678", "password2": "12345678"})
    assert "password2" in weak.context["form"].errors
    new = {"password1": "another long password", "password2": "another long password"}
    assert admin.post(page(kim, "password/"), new).status_code == 302
    assert Client().login(username="kim", password="another long password")
    assert admin.post(page(kim, "password/"), {"usable_password": "false", "unset-password": "1"}).status_code == 200
    assert Client().login(username="kim", password="another long password")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"chief", "producer", "viewer", "custom", "owner"}),
        ("role=administrator", {"chief"}),
        ("role=producer", {"producer"}),
        ("role=viewer", {"viewer"}),
        ("role=custom", {"custom"}),
        ("role=emperor", {"chief", "producer", "viewer", "custom", "owner"}),
        ("is_active__exact=0", {"viewer"}),
        ("q=prod", {"producer"}),
    ],
)
def test_the_list_is_filtered(admin: Client, query: str, names: set[str]) -> None:
    for role in (Role.PRODUCER, Role.VIEWER, Role.CUSTOM):
        member(role)
    User.objects.create(username="owner")
    User.objects.filter(username="viewer").update(is_active=False)
    response = admin.get(f"{USERS}?{query}")
    assert {user.username for user in response.context["cl"].queryset} == names


def test_the_list_asks_little(admin: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        member(Role.VIEWER, f"viewer{number}")
    with django_assert_max_num_queries(15):
        admin.get(USERS)
