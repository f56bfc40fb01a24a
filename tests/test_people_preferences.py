"""Language and time zone, as each person chooses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from api.models import ApiKey, Preferences
from banks.models import Bank
from providers.audit import AuditEntry
from tests.admin_pages import person

PAGE = "/admin/preferences/"
CHINESE = {"accept-language": "zh-CN,zh;q=0.9"}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """A request leaves its language behind in the test's thread."""
    yield
    translation.deactivate()
    timezone.deactivate()


@pytest.fixture
def client() -> Client:
    return person("banks.view_bank")


def user_of(client: Client) -> User:
    return User.objects.get(pk=client.session["_auth_user_id"])


def language(response: Any) -> str:
    return str(response["Content-Language"])


def save(client: Client, language: str = "", zone: str = "") -> Any:
    return client.post(PAGE, {"language": language, "time_zone": zone})


def test_the_browser_decides_until_somebody_chooses(client: Client) -> None:
    assert language(client.get("/admin/")) == "en"
    chinese = client.get("/admin/", headers=CHINESE)
    assert language(chinese) == "zh-hans" and '<html lang="zh-hans"' in chinese.content.decode()
    assert language(client.get("/admin/", headers={"accept-language": "fr"})) == "en"
    assert language(Client().get("/admin/login/", headers=CHINESE)) == "zh-hans"


@pytest.mark.parametrize(("chosen", "asked"), [("en", "zh-CN"), ("zh-hans", "en")])
def test_a_chosen_language_wins_over_the_browser(client: Client, chosen: str, asked: str) -> None:
    assert save(client, chosen)["Location"] == PAGE
    assert language(client.get("/admin/", headers={"accept-language": asked})) == chosen
    assert language(person().get("/admin/", headers={"accept-language": asked})) != chosen
    save(client)
    assert language(client.get("/admin/", headers={"accept-language": asked})) != chosen
    assert Preferences.objects.count() == 1


def test_a_page_after_a_chinese_one_is_english_again(client: Client) -> None:
    client.get("/admin/", headers=CHINESE)
    assert language(client.get("/admin/")) == "en"


@pytest.fixture
def signed_in_at(client: Client) -> str:
    """A page that shows the time 2026-07-01 22:30 UTC, which is another day elsewhere."""
    user = user_of(client)
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    seen = User.objects.create(username="seen", last_login=datetime(2026, 7, 1, 22, 30, tzinfo=UTC))
    return f"/admin/auth/user/?q={seen.username}"


@pytest.mark.parametrize(
    ("chosen", "cookie", "shown"),
    [
        ("", "", "July 1, 2026, 10:30 p.m."),
        ("", "Asia/Shanghai", "July 2, 2026, 6:30 a.m."),
        ("Europe/Berlin", "", "July 2, 2026, 12:30 a.m."),
        ("Europe/Berlin", "Asia/Shanghai", "July 2, 2026, 12:30 a.m."),
        ("", "Nowhere/At_All", "July 1, 2026, 10:30 p.m."),
        ("", "../../../etc/passwd", "July 1, 2026, 10:30 p.m."),
        ("", "America", "July 1, 2026, 10:30 p.m."),
        ("", "x" * 4000, "July 1, 2026, 10:30 p.m."),
    ],
    ids=["none", "browser", "chosen", "both", "unknown", "path", "folder", "long"],
)
def test_times_are_shown_in_the_person_s_zone(
    client: Client, signed_in_at: str, chosen: str, cookie: str, shown: str
) -> None:
    save(client, zone=chosen)
    if cookie:
        client.cookies["neiroha_zone"] = cookie
    assert shown in client.get(signed_in_at).content.decode()
    assert timezone.get_current_timezone_name() == "UTC", "the next request starts anew"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"language": "fr"}, "language"),
        ({"language": "<script>"}, "language"),
        ({"language": "e" * 5000}, "language"),
        ({"zone": "Nowhere/At_All"}, "time_zone"),
        ({"zone": "../../../etc/passwd"}, "time_zone"),
        ({"zone": "UTC\x00"}, "time_zone"),
    ],
    ids=range(6),
)
def test_what_can_not_be_chosen_is_said_at_its_field(client: Client, values: dict[str, str], field: str) -> None:
    response = save(client, **values)
    assert response.status_code == 200 and list(response.context["form"].errors) == [field]
    assert "<script>" not in response.content.decode().split("nr-error")[1]
    assert not Preferences.objects.exists()


def test_everybody_has_own_ones_and_nobody_else_s(client: Client) -> None:
    other = person()
    Preferences.objects.create(user=user_of(other), language="zh-hans")
    client.post(PAGE, {"language": "en", "time_zone": "", "user": user_of(other).pk, "id": 1, "pk": 1})
    chosen = dict(Preferences.objects.values_list("user__username", "language"))
    assert chosen == {user_of(other).username: "zh-hans", user_of(client).username: "en"}
    for outsider in (Client(), person(staff=False)):
        assert outsider.get(PAGE).status_code == 302
        assert save(outsider, "en").status_code == 302
    assert Client(enforce_csrf_checks=True).post(PAGE, {}).status_code == 403


def test_they_are_no_configuration_so_the_trail_does_not_name_them(client: Client) -> None:
    save(client, "zh-hans")
    assert not AuditEntry.objects.exists()


def test_they_go_with_the_person(client: Client) -> None:
    save(client, "zh-hans")
    user_of(client).delete()
    assert not Preferences.objects.exists()


def test_the_menus_lead_there(client: Client) -> None:
    page = client.get("/admin/").content.decode()
    assert page.count(f'href="{PAGE}"') >= 2, "the sidebar and the person's menu"
    assert 'href="/admin/password_change/"' in page


def test_the_api_stays_english(client_http: httpx.Client, bank: Bank) -> None:
    user = User.objects.create_superuser("root")
    Preferences.objects.create(user=user, language="zh-hans")
    _key, secret = ApiKey.objects.issue(name="Kitchen", owner_id=user.pk)
    for headers in (CHINESE, {**CHINESE, "authorization": f"Bearer {secret}"}):
        answer = client_http.post("/v1/audio/speech", headers=headers, json={"voice": "Heart"})
        message = answer.json()["error"]["message"]
        assert message.isascii() or "“" in message
        assert "content-language" not in answer.headers


def test_the_rest_api_stays_english_and_in_utc(client: Client) -> None:
    Bank.objects.create(name="Stories")
    save(client, "zh-hans", "Asia/Shanghai")
    client.cookies["neiroha_zone"] = "Asia/Shanghai"
    answer = client.get("/api/banks", headers=CHINESE)
    assert (answer.status_code, language(answer)) == (200, "en")
    assert answer.json()["results"][0]["created_at"].endswith("Z")
    refused = client.post("/api/banks", {}, content_type="application/json", headers=CHINESE)
    assert refused.status_code == 403 and refused.json()["error"]["message"].isascii()


def test_they_cost_one_query(client: Client) -> None:
    save(client, "en", "Europe/Berlin")
    for visitor, count in ((client, 1), (Client(), 0)):
        with CaptureQueriesContext(connection) as asked:
            visitor.get("/admin/login/")
        assert sum("api_preferences" in query["sql"] for query in asked) == count
