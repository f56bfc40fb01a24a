"""The page behind the one-time set-up link."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.http.response import HttpResponseBase
from django.test import Client
from playwright.sync_api import expect

from neiroha_site.first_run import SetupToken
from tests.browser import NARROW, WIDE, Visitor, chromium

PASSWORD = "correct horse battery"
FORM = {"username": "ada", "password1": PASSWORD, "password2": PASSWORD}


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture
def link(db: None) -> str:
    return f"/setup?token={SetupToken().offer()}"


def assert_private(response: HttpResponseBase) -> None:
    assert response["Referrer-Policy"] == "no-referrer"
    assert response["Cache-Control"] == "no-store"


@pytest.mark.django_db(transaction=True)
def test_the_link_makes_the_first_administrator(client: Client, link: str) -> None:
    page = client.get(link)
    assert page.status_code == 200
    assert_private(page)
    done = client.post(link, FORM)
    assert (done.status_code, done["location"]) == (302, "/admin/")
    assert_private(done)
    ada = User.objects.get()
    assert (ada.username, ada.is_superuser, ada.is_staff, ada.check_password(PASSWORD)) == ("ada", True, True, True)
    assert client.get("/admin/").status_code == 200
    for method in (client.get, client.post):
        assert method(link).status_code == 404


def test_the_page_tells_nothing_to_other_sites(client: Client, link: str) -> None:
    page = client.get(link).content.decode()
    loaded = re.findall(r"""(?:src|href|action)\s*=\s*["']([^"']+)""", page)
    assert loaded
    assert [address for address in loaded if re.match(r"(?:[a-z]+:)?//", address)] == []
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%FF", "?tokens=x", "?token=%00"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_wrong_token_finds_nothing(client: Client, link: str, method: str, query: str) -> None:
    data = FORM if method == "post" else {}
    assert getattr(client, method)("/setup" + query, data, query_params=None).status_code == 404
    assert not User.objects.exists()


def test_without_a_token_in_the_folder_there_is_no_page(client: Client, db: None) -> None:
    assert client.get("/setup?token=").status_code == 404


@pytest.mark.parametrize("active", [True, False])
def test_with_an_administrator_there_is_no_page(client: Client, link: str, active: bool) -> None:
    User.objects.create_superuser("root", is_active=active)
    assert client.get(link).status_code == 404
    assert client.post(link, FORM).status_code == 404
    assert User.objects.count() == 1


def test_other_users_do_not_close_it(client: Client, link: str) -> None:
    User.objects.create_user("reader", is_staff=True)
    assert client.get(link).status_code == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password2": "another"}, "The two password fields didn’t match."),
        ({"password1": "12345678", "password2": "12345678"}, "This password is too common."),
        ({"password1": "adalovelace", "password2": "adalovelace", "username": "adalovelace"}, "too similar"),
        ({"username": ""}, "This field is required."),
        ({"username": "two words"}, "Enter a valid username."),
        ({"username": "READER"}, "A user with that username already exists."),
        ({"password1": "", "password2": ""}, "This field is required."),
    ],
)
def test_a_bad_form_is_shown_again_and_keeps_the_token(
    client: Client, link: str, change: dict[str, str], message: str
) -> None:
    User.objects.create_user("reader")
    page = client.post(link, FORM | change)
    assert page.status_code == 200
    assert_private(page)
    assert message in page.content.decode().replace("&#x27;", "'")
    assert PASSWORD not in page.content.decode()
    assert not User.objects.filter(is_superuser=True).exists()
    assert client.get(link).status_code == 200


def test_other_methods_are_refused(client: Client, link: str) -> None:
    assert client.put(link).status_code == 405
    assert client.delete(link).status_code == 405


def test_a_foreign_origin_is_no_matter(link: str) -> None:
    """A browser that is told to send no referrer sends `Origin: null`; the token is what counts."""
    browser = Client(enforce_csrf_checks=True)
    assert browser.post(link, FORM, headers={"origin": "null"}).status_code == 302


def test_two_at_once_make_one_administrator(server: str) -> None:
    address = f"{server}/setup?token={SetupToken().offer()}"
    count = 6
    together = Barrier(count)

    def send(number: int) -> int:
        with httpx.Client(timeout=60, trust_env=False) as browser:
            together.wait(60)
            return browser.post(address, data=FORM | {"username": f"admin{number}"}).status_code

    with ThreadPoolExecutor(count) as threads:
        statuses = list(threads.map(send, range(count)))
    assert sorted(statuses) == [302] + [404] * (count - 1)
    assert User.objects.filter(is_superuser=True).count() == 1


def test_in_a_browser(server: str) -> None:
    link = f"{server}/setup?token={SetupToken().offer()}"
    with chromium() as browser:
        for width, dark in ((WIDE, False), (NARROW, True)):
            visitor = Visitor(browser, server, width=width, dark=dark)
            page = visitor.page
            page.goto(link)
            page.fill("#id_username", "ada")
            page.fill("#id_password1", PASSWORD)
            page.fill("#id_password2", PASSWORD + "!")
            page.get_by_role("button", name="Create administrator").click()
            expect(page.get_by_text("The two password fields didn’t match.")).to_be_visible()
            visitor.assert_fits(width)
            visitor.shot(f"setup-{width}")
        page.fill("#id_password1", PASSWORD)
        page.fill("#id_password2", PASSWORD)
        page.get_by_role("button", name="Create administrator").click()
        page.wait_for_url("**/admin/")
        assert visitor.complaints == []
    assert [(user.username, user.is_superuser) for user in User.objects.all()] == [("ada", True)]
