"""Guessing passwords brings a pause, for everybody alike; waiting ends it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from threading import Barrier
from typing import Any

import httpx
import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.models import F
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from neiroha_site.guessing import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MEMORY,
    Counter,
    attempt,
    for_account,
    for_address,
    for_password,
    forgive,
    is_paused,
    pause_after,
)
from neiroha_site.models import FailedSignIns
from neiroha_site.sign_in import BROWSER_COOKIE
from providers.audit import AuditEntry, Change, record
from tests.admin_pages import person

DOOR = "/admin/login/"
PASSWORD = "correct horse battery"
FREE = 5


class CountingHasher(MD5PasswordHasher):
    """Quick, and counts how often somebody's password was looked at."""

    runs = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.runs += 1
        return super().encode(password, salt)


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]


@pytest.fixture
def ada(transactional_db: None) -> User:
    return User.objects.create_superuser("ada", password=PASSWORD)


def enter(
    name: str = "ada", password: str = "wrong", *, address: str = "192.0.2.1", client: Client | None = None
) -> Any:
    return (client or Client()).post(DOOR, {"username": name, "password": password}, REMOTE_ADDR=address)


def fail(times: int, name: str = "ada", *, address: str = "192.0.2.1") -> None:
    for _ in range(times):
        assert enter(name, address=address).status_code == 200


def later(seconds: float) -> None:
    """As if so much time had passed."""
    FailedSignIns.objects.update(last_at=F("last_at") - timedelta(seconds=seconds))


def text(response: Any) -> str:
    return str(response.content.decode())


@pytest.mark.parametrize("name", ["ada", "nobody-at-all", "ADA", "reader", "gone"])
def test_the_fifth_failure_brings_a_pause_that_ends_by_itself(ada: User, name: str) -> None:
    User.objects.create_user("reader", password=PASSWORD)
    User.objects.create_user("gone", password=PASSWORD, is_staff=True, is_active=False)
    fail(FREE, name)
    refused = enter(name, PASSWORD)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= FIRST_PAUSE
    assert "Too many failed attempts. Wait 1 minute, then try again." in text(refused)
    assert PASSWORD not in text(refused)
    later(FIRST_PAUSE)
    assert enter(name).status_code == 200


@pytest.mark.parametrize(
    ("asked", "leads"),
    [
        ("", "/admin/"),
        ("?next=/admin/queue/", "/admin/queue/"),
        ("?next=https://evil.example/", "/admin/"),
        ("?next=//evil.example", "/admin/"),
        ("?next=javascript:alert(1)", "/admin/"),
    ],
)
def test_the_door_leads_to_where_one_wanted_and_never_away(ada: User, asked: str, leads: str) -> None:
    response = Client().post(DOOR + asked, {"username": "ada", "password": PASSWORD})
    assert (response.status_code, response["Location"]) == (302, leads)


def test_what_comes_during_a_pause_does_not_lengthen_it(ada: User) -> None:
    fail(FREE)
    for _ in range(3):
        assert enter(password=PASSWORD).status_code == 429
    later(FIRST_PAUSE)
    assert enter(password=PASSWORD).status_code == 302


def test_each_further_failure_costs_more_up_to_a_bound(ada: User) -> None:
    assert [pause_after(count, FREE) for count in range(4, 11)] == [0, 60, 120, 240, 480, 900, 900]
    assert pause_after(10**9, FREE) == LONGEST_PAUSE
    fail(FREE)
    later(FIRST_PAUSE)
    fail(1)
    later(FIRST_PAUSE)
    assert enter(password=PASSWORD).status_code == 429
    later(FIRST_PAUSE)
    assert enter(password=PASSWORD).status_code == 302


def test_success_forgets_the_failures_of_the_account(ada: User) -> None:
    for _ in range(3):
        fail(FREE - 1)
        assert enter(password=PASSWORD).status_code == 302


def test_failures_are_forgotten_in_time(ada: User) -> None:
    fail(FREE - 1)
    later(MEMORY.total_seconds())
    fail(FREE - 1)
    assert enter(password=PASSWORD).status_code == 302


def test_an_address_that_tries_many_names_is_paused(ada: User) -> None:
    for number in range(20):
        fail(1, f"name{number}")
    assert enter(password=PASSWORD).status_code == 429
    assert enter(password=PASSWORD, address="192.0.2.2").status_code == 302


def test_an_own_account_does_not_wash_an_address_clean(ada: User) -> None:
    for number in range(19):
        fail(1, f"name{number}")
        assert enter(password=PASSWORD).status_code == 302
    fail(1, "the-twentieth")
    assert enter(password=PASSWORD).status_code == 429


def test_a_neighbour_who_signs_in_restarts_no_pause(ada: User) -> None:
    address = for_address("192.0.2.1")
    for _ in range(20):
        attempt([address])
        later(LONGEST_PAUSE)
    assert enter(password=PASSWORD).status_code == 302
    assert not is_paused(address)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_ipv6_counts_by_its_network(first: str, second: str, same: bool) -> None:
    assert (for_address(first) == for_address(second)) is same


def test_many_addresses_share_the_account_s_count(ada: User) -> None:
    for number in range(FREE):
        fail(1, address=f"192.0.2.{number + 10}")
    assert enter(password=PASSWORD, address="192.0.2.99").status_code == 429


def test_strangers_can_not_lock_out_a_browser_that_knows_the_account(ada: User) -> None:
    known = Client()
    assert enter(password=PASSWORD, client=known).status_code == 302
    cookie = known.cookies[BROWSER_COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", DOOR)
    known.post("/admin/logout/")
    fail(FREE, address="192.0.2.66")
    assert enter(password=PASSWORD, address="192.0.2.77").status_code == 429
    assert enter(password=PASSWORD, client=known).status_code == 302
    # It has a count of its own.
    known.post("/admin/logout/")
    for _ in range(FREE):
        assert enter(client=known).status_code == 200
    assert enter(password=PASSWORD, client=known).status_code == 429


def test_a_browser_that_knows_one_account_is_a_stranger_to_others(ada: User) -> None:
    User.objects.create_superuser("bob", password=PASSWORD)
    browser = Client()
    assert enter(password=PASSWORD, client=browser).status_code == 302
    browser.post("/admin/logout/")
    fail(FREE, "bob", address="192.0.2.88")
    assert enter("bob", PASSWORD, client=browser).status_code == 429


@pytest.mark.parametrize("forged", ["", "x", "e30:1abc:def", "a" * 4000])
def test_a_forged_mark_is_no_mark(ada: User, forged: str) -> None:
    fail(FREE, address="192.0.2.66")
    browser = Client()
    browser.cookies[BROWSER_COOKIE] = forged
    assert enter(password=PASSWORD, client=browser).status_code == 429


def test_all_failures_look_the_same_and_cost_the_same(ada: User) -> None:
    """One look at a hash, whoever it is: neither words nor time tell which accounts there are."""
    User.objects.create_user("reader", password=PASSWORD)
    User.objects.create_user("gone", password=PASSWORD, is_staff=True, is_active=False)
    User.objects.create_user("invited", is_staff=True)
    answers = set()
    for name, password in [("ada", "x"), ("nobody", "x"), ("reader", PASSWORD), ("gone", PASSWORD), ("invited", "x")]:
        CountingHasher.runs = 0
        response = enter(name, password)
        assert CountingHasher.runs == 1, name
        answers.add((response.status_code, *response.context["form"].non_field_errors()))
    assert len(answers) == 1


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_during_a_pause_no_password_is_looked_at(ada: User, name: str) -> None:
    fail(FREE, name)
    CountingHasher.runs = 0
    assert enter(name, PASSWORD).status_code == 429
    assert CountingHasher.runs == 0


def test_the_right_password_of_an_account_without_pages_counts_as_a_failure(ada: User) -> None:
    """Else the count would tell that it was right."""
    User.objects.create_user("reader", password=PASSWORD)
    for _ in range(FREE):
        assert enter("reader", PASSWORD).status_code == 200
    assert enter("reader", PASSWORD).status_code == 429


@pytest.mark.parametrize("data", [{}, {"username": "ada"}, {"password": "x"}, {"username": " ", "password": "x"}])
def test_an_incomplete_form_counts_for_nothing(ada: User, data: dict[str, str]) -> None:
    assert Client().post(DOOR, data).status_code == 200
    assert not FailedSignIns.objects.exists()


@pytest.mark.parametrize(
    "name", ["a" * 300_000, "\u0130\ufb01", "a\ud800", "'; DROP TABLE auth_user; --", "<b>x</b>"], ids=range(5)
)
def test_strange_names_are_names(ada: User, name: str) -> None:
    response = enter(name.encode("utf-8", "replace").decode())
    assert response.status_code == 200 and "<b>x</b>" not in text(response)
    assert FailedSignIns.objects.count() == 2


def test_many_at_once_get_no_more_guesses(ada: User, server: str, settings: Settings) -> None:
    count = 12
    together = Barrier(count)

    def guess(number: int) -> int:
        with httpx.Client(base_url=server, timeout=120, trust_env=False) as browser:
            browser.get(DOOR)
            token = browser.cookies["csrftoken"]
            together.wait(60)
            data = {"username": "ada", "password": f"guess {number}", "csrfmiddlewaretoken": token}
            return browser.post(DOOR, data=data).status_code

    with ThreadPoolExecutor(count) as threads:
        statuses = list(threads.map(guess, range(count)))
    assert sorted(statuses) == [200] * FREE + [429] * (count - FREE)


def test_a_forwarded_address_is_nobody_s_word(ada: User, server: str) -> None:
    """Without a trusted proxy, X-Forwarded-For changes nothing: the connection's address counts."""
    with httpx.Client(base_url=server, timeout=120, trust_env=False) as browser:
        browser.get(DOOR)
        for number in range(20):
            data = {"username": f"n{number}", "password": "x", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
            headers = {"x-forwarded-for": f"198.51.100.{number}"}
            assert browser.post(DOOR, data=data, headers=headers).status_code == 200
    assert is_paused(for_address("127.0.0.1"))
    assert set(AuditEntry.objects.values_list("address", flat=True)) == {"127.0.0.1"}


def test_what_was_typed_is_stored_nowhere(ada: User) -> None:
    """People type their password into the field for the name."""
    typed = "my-secret-password"
    fail(FREE, typed)
    enter(typed)
    for model in (FailedSignIns, AuditEntry):
        for row in model._default_manager.values_list():
            assert typed not in str(row)


def test_failures_and_pauses_stand_in_the_audit_trail(ada: User) -> None:
    fail(FREE)
    enter()
    fail(1, "nobody", address="192.0.2.9")
    entries = list(AuditEntry.objects.order_by("pk"))
    failed, locked = Change.SIGN_IN_FAILED, Change.SIGN_IN_LOCKED
    assert [entry.change for entry in entries] == [*[failed] * (FREE - 1), locked, failed]
    assert {(entry.user, entry.user_name) for entry in entries} == {(None, "")}
    assert {entry.object_name for entry in entries[:FREE]} == {"ada"}
    assert entries[0].address == "192.0.2.1" and entries[0].url == f"/admin/auth/user/{ada.pk}/change/"
    assert (entries[-1].object_name, entries[-1].details) == ("", "There is no account of this name.")


def test_the_trail_forgets_old_failures_and_nothing_else(ada: User) -> None:
    record(None, ada, Change.CHANGED, "By a command.")
    fail(2)
    AuditEntry.objects.update(at=timezone.now() - timedelta(days=91))
    fail(1)
    kept = AuditEntry.objects.order_by("at").values_list("change", flat=True)
    assert list(kept) == [Change.CHANGED, Change.SIGN_IN_FAILED]


def test_no_attempt_is_lost_among_many(transactional_db: None) -> None:
    account, threads, times = for_account("ada"), 6, 10
    together = Barrier(threads)

    def tries(number: int) -> None:
        together.wait(60)
        try:
            for _ in range(times):
                attempt([Counter(account.key, free=10_000)])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(tries, range(threads)))
    assert FailedSignIns.objects.get().count == threads * times


# What ends a pause


def test_the_command_ends_a_pause(ada: User) -> None:
    def unlock(*arguments: str) -> str:
        said = StringIO()
        call_command("unlock_sign_in", *arguments, stdout=said)
        return said.getvalue().strip()

    assert unlock("ada") == "There was no pause."
    fail(FREE)
    assert unlock("ADA") == "The pause is over."
    assert enter(password=PASSWORD).status_code == 302
    for number in range(20):
        fail(1, f"name{number}", address="2001:db8::1")
    assert unlock("--address", "2001:db8::2") == "The pause is over."
    assert enter(password=PASSWORD, address="2001:db8::1").status_code == 302
    fail(FREE)
    assert unlock("--all") == "All pauses are over."
    assert enter(password=PASSWORD).status_code == 302
    with pytest.raises(CommandError, match="Name an account"):
        unlock()


def test_an_administrator_ends_a_pause_on_the_person_s_page(ada: User) -> None:
    admin = person(superuser=True)
    page, button = f"/admin/auth/user/{ada.pk}/change/", f"/admin/auth/user/{ada.pk}/unlock/"
    assert "unlock/" not in text(admin.get(page))
    fail(FREE)
    assert button in text(admin.get(page))
    for outsider in (Client(), person(), person("auth.change_user", "auth.view_user")):
        assert outsider.post(button).status_code in (302, 403)
    assert admin.get(button).status_code == 405
    assert is_paused(for_account("ada"))
    assert "can try to sign in again" in text(admin.post(button, follow=True))
    assert enter(password=PASSWORD).status_code == 302


def test_old_counts_are_swept(ada: User) -> None:
    fail(1, "long-ago")
    later(MEMORY.total_seconds() + 1)
    fail(1)
    kept = {for_account("ada").key, for_address("192.0.2.1").key}
    assert set(FailedSignIns.objects.values_list("key", flat=True)) == kept


@pytest.mark.django_db
def test_a_failure_that_comes_meanwhile_stays_counted() -> None:
    account = for_account("ada")
    right, _wrong = attempt([account]), attempt([account])
    newest = FailedSignIns.objects.get().last_at
    forgive(right, wholly=for_address("192.0.2.1"))
    row = FailedSignIns.objects.get()
    assert (row.count, row.last_at) == (1, newest)


# The old password


def change(client: Client, old: str, new: str = "another long password") -> Any:
    data = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post("/admin/password_change/", data)


def test_old_passwords_can_not_be_guessed_either(ada: User) -> None:
    client = Client()
    client.force_login(ada)
    for _ in range(FREE):
        assert "old_password" in change(client, "wrong").context["form"].errors
    refused = change(client, PASSWORD)
    assert refused.context["form"].errors["old_password"] == [
        "Too many failed attempts. Wait 1 minute, then try again."
    ]
    # Signing in is another matter: whoever sits here must not close the door on the person.
    assert enter(password=PASSWORD).status_code == 302
    later(FIRST_PAUSE)
    assert change(client, PASSWORD).status_code == 302
    assert not is_paused(for_password(ada.pk))
