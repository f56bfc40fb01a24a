"""What ends with an account: its sessions, its open pages' sockets, its keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from channels.layers import get_channel_layer
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client
from pytest_django import Settings

from api.models import ApiKey
from banks.models import Bank
from neiroha_site.roles import Role, set_role
from providers.accounts import account_group, close_account
from providers.engine import serving_loops
from studio import live
from tests.admin_pages import person
from tests.people import PASSWORD, QUICK_HASHERS, client_of, member
from tests.test_live import end_of, socket, until


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = QUICK_HASHERS


@pytest.fixture(autouse=True)
def patient_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open pages look after their sessions now and then; here they have to be told."""
    monkeypatch.setattr(live, "RECHECK_SECONDS", 3600.0)


@pytest.fixture
def kim(transactional_db: None) -> User:
    return member(Role.VIEWER, "kim")


def deactivate(user: User) -> None:
    user.is_active = False
    user.save()


def give_password(user: User) -> None:
    user.set_password("another long password")
    user.save()


def delete(user: User) -> None:
    user.delete()


ENDS: list[Callable[[User], None]] = [deactivate, give_password, delete]


@pytest.mark.parametrize("end", ENDS)
def test_sessions_end(kim: User, end: Callable[[User], None]) -> None:
    here, there, other = client_of(kim), client_of(kim), person(superuser=True)
    end(User.objects.get(pk=kim.pk))
    for client in (here, there):
        assert client.get("/admin/")["Location"].startswith("/admin/login/")
        assert not Session.objects.filter(session_key=client.cookies["sessionid"].value).exists()
    assert other.get("/admin/").status_code == 200


def test_a_session_of_a_closed_account_is_worth_nothing_even_if_it_is_left(kim: User) -> None:
    client = client_of(kim)
    User.objects.filter(pk=kim.pk).update(is_active=False)
    assert Session.objects.exists()
    assert client.get("/admin/").status_code == 302
    assert client.get("/media/references/1").status_code == 302


@pytest.mark.parametrize("end", ENDS)
def test_sockets_end(server: str, kim: User, end: Callable[[User], None]) -> None:
    neighbour = person("providers.view_provider")
    with socket(server, client_of(kim)) as page, socket(server, neighbour) as other:
        until(page, "Nothing runs.")
        until(other, "Nothing runs.")
        end(User.objects.get(pk=kim.pk))
        assert end_of(page) == live.SIGNED_OUT
        other.ping().wait(60)
        assert other.close_code is None


def test_deactivating_on_the_page_ends_the_socket(server: str, kim: User) -> None:
    admin = person(superuser=True)
    with socket(server, client_of(kim)) as page, httpx.Client(base_url=server, trust_env=False, timeout=120) as http:
        until(page, "Nothing runs.")
        http.cookies.set("sessionid", admin.cookies["sessionid"].value)
        path = f"/admin/auth/user/{kim.pk}/change/"
        http.get(path)
        data = {"username": "kim", "role": "viewer", "csrfmiddlewaretoken": http.cookies["csrftoken"]}
        assert http.post(path, data=data).status_code == 302
        assert end_of(page) == live.SIGNED_OUT


def test_other_changes_end_nothing(server: str, kim: User) -> None:
    client = client_of(kim)
    with socket(server, client) as page:
        until(page, "Nothing runs.")
        kim.first_name = "Kim"
        kim.save()
        kim.save(update_fields=["email"])
        set_role(kim, Role.PRODUCER)
        Client().post("/admin/login/", {"username": "kim", "password": PASSWORD})
        page.ping().wait(60)
        assert page.close_code is None
    assert client.get("/admin/").status_code == 200


def test_nothing_ends_before_the_change_is_committed(server: str, kim: User) -> None:
    (loop,), layer, group = serving_loops(), get_channel_layer(), account_group(kim.pk)

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    client, channel = client_of(kim), run(layer.new_channel())
    run(layer.group_add(group, channel))
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        deactivate(User.objects.get(pk=kim.pk))
        raise ZeroDivisionError
    run(layer.group_send(group, {"type": "the.next"}))
    assert run(layer.receive(channel)) == {"type": "the.next"}
    assert client.get("/admin/").status_code == 200
    deactivate(User.objects.get(pk=kim.pk))
    assert run(layer.receive(channel)) == {"type": "account.closed"}
    run(layer.group_discard(group, channel))


def test_what_changed_without_a_signal_is_closed_by_hand(kim: User) -> None:
    client = client_of(kim)
    close_account(kim.pk)
    assert client.get("/admin/").status_code == 302
    assert account_group(kim.pk) == f"user-{kim.pk}"


def test_keys_end_with_their_owner(client_http: httpx.Client, bank: Bank, kim: User) -> None:
    _key, secret = ApiKey.objects.issue(name="Kim's", owner_id=kim.pk)
    admin = person(superuser=True)

    def asked() -> Any:
        return client_http.get("/v1/models", headers={"authorization": f"Bearer {secret}"})

    assert asked().status_code == 200
    path = f"/admin/auth/user/{kim.pk}/"
    assert admin.post(path + "change/", {"username": "kim", "role": "viewer"}).status_code == 302
    assert (asked().status_code, asked().json()["error"]["code"]) == (401, "inactive_api_key")
    admin.post(path + "change/", {"username": "kim", "role": "viewer", "is_active": "on"})
    assert asked().status_code == 200
    assert admin.post(path + "delete/", {"post": "yes"}).status_code == 302
    assert (asked().status_code, asked().json()["error"]["code"]) == (401, "invalid_api_key")


def test_a_role_that_is_lost_is_lost_at_the_next_request(kim: User) -> None:
    client = client_of(kim)
    assert client.get("/admin/banks/bank/").status_code == 200
    kim.groups.remove(Group.objects.get(name="Viewers"))
    assert client.get("/admin/banks/bank/").status_code == 403
