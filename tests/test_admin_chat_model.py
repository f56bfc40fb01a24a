"""The page of the chat model: who may open it, what it refuses, its key, and its test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection
from django.test import Client

from neiroha_site.roles import Role
from providers.audit import AuditEntry
from providers.models import ChatModel
from tests.admin_pages import errors, person
from tests.people import client_of, member, text
from tests.suggestions import SECRET, forget_usage, set_up
from tests.test_docs import ROOT, rows
from tests.upstreams.chat_model import MODEL, ChatModelUpstream
from tests.upstreams.common import Refusal
from tests.upstreams.serving import closed_port, serve

PAGE, TEST = "/admin/providers/chatmodel/1/change/", "/admin/providers/chatmodel/1/test/"
ANOTHER = "sk-another-secret-key-9876543210"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin(transactional_db: None) -> Client:
    return person(superuser=True)


def data(**values: Any) -> dict[str, Any]:
    row = {
        "enabled": "on",
        "base_url": "http://127.0.0.1:9/v1",
        "model": MODEL,
        "key": "",
        "answer_format": "json_object",
        "window_characters": "6000",
        "max_concurrency": "2",
        "requests_per_minute": "0",
        "requests_per_day": "0",
        "time_zone": "UTC",
        "timeout_seconds": "120",
        **values,
    }
    return {name: value for name, value in row.items() if value is not None}


def save(client: Client, **values: Any) -> Any:
    client.get("/admin/providers/chatmodel/", follow=True)
    return client.post(PAGE, data(**values))


def stored_key() -> str:
    return ChatModel.load().setup().config.key


def shown(client: Client) -> str:
    response = client.get(PAGE)
    assert response.status_code == 200
    return text(response)


def test_the_list_is_the_page_and_starts_switched_off(admin: Client) -> None:
    response = admin.get("/admin/providers/chatmodel/", follow=True)
    assert response.redirect_chain == [(PAGE, 302)]
    page = text(response)
    assert "Not tested yet" in page and "the texts of projects can be sent to its server" in page
    assert "Test it" not in page, "there is nothing to test yet"
    assert not ChatModel.load().is_ready
    assert "/admin/providers/chatmodel/" in text(admin.get("/admin/"))


@pytest.mark.parametrize("role", [Role.PRODUCER, Role.VIEWER])
def test_it_is_for_administrators(role: Role) -> None:
    set_up()
    client = client_of(member(role))
    assert client.get(PAGE).status_code in (302, 403) and client.post(TEST).status_code == 403
    assert client.post(PAGE, data(base_url="http://elsewhere.example/v1")).status_code == 403
    assert ChatModel.load().base_url == "http://127.0.0.1:9/v1"
    assert "chatmodel" not in text(client.get("/studio/"))


def test_who_may_only_look_sees_no_key_and_no_button() -> None:
    set_up()
    client = person("providers.view_chatmodel")
    page = shown(client)
    assert "A key is stored." in page and SECRET not in page and "Test it" not in page and 'name="key"' not in page
    assert client.post(TEST).status_code == 403


def test_saving_it_is_in_force_and_in_the_audit_trail_without_values(admin: Client) -> None:
    assert save(admin, key=SECRET, requests_per_minute="7").status_code == 302
    chat = ChatModel.load()
    assert chat.is_ready and stored_key() == SECRET and chat.requests_per_minute == 7
    entry = AuditEntry.objects.latest("pk")
    assert entry.object_name == "chat model" and "API key" in entry.details
    assert SECRET not in entry.message and MODEL not in entry.message
    with connection.cursor() as cursor:
        cursor.execute("SELECT api_key FROM providers_chatmodel")
        assert SECRET not in cursor.fetchone()[0]


def test_the_key_is_kept_removed_and_never_shown(admin: Client) -> None:
    save(admin, key=SECRET)
    assert "A key is stored." in shown(admin) and SECRET not in shown(admin)
    save(admin, model="reader-2")
    assert stored_key() == SECRET
    save(admin, key=ANOTHER)
    assert stored_key() == ANOTHER
    assert "key" in "".join(errors(save(admin, base_url="http://elsewhere.example/v1")))
    assert stored_key() == ANOTHER and ChatModel.load().base_url == "http://127.0.0.1:9/v1"
    assert "remove_key" in errors(save(admin, key=SECRET, remove_key="on"))
    save(admin, base_url="http://elsewhere.example/v1", remove_key="on")
    assert stored_key() == "" and ChatModel.load().destination == "http://elsewhere.example"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"base_url": ""}, "base_url"),
    ({"model": ""}, "model"),
    ({"base_url": "ftp://127.0.0.1/v1"}, "base_url"),
    ({"base_url": "127.0.0.1:9"}, "base_url"),
    ({"base_url": "http://me:word@127.0.0.1/v1"}, "base_url"),
    ({"base_url": "http://169.254.169.254/v1"}, "base_url"),
    ({"base_url": "http://metadata.google.internal/v1"}, "base_url"),
    ({"base_url": "http://[fe80::1]/v1"}, "base_url"),
    ({"answer_format": "xml"}, "answer_format"),
    ({"window_characters": "10"}, "window_characters"),
    ({"window_characters": "1000000"}, "window_characters"),
    ({"max_concurrency": "0"}, "max_concurrency"),
    ({"timeout_seconds": "0"}, "timeout_seconds"),
    ({"requests_per_day": "-1"}, "requests_per_day"),
    ({"time_zone": "Mars/Base"}, "time_zone"),
]


@pytest.mark.parametrize(("values", "field"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_stands_at_its_field(admin: Client, values: dict[str, Any], field: str) -> None:
    assert list(errors(save(admin, **values))) == [field]
    assert not ChatModel.load().enabled


def test_switched_off_it_may_be_incomplete(admin: Client) -> None:
    assert save(admin, enabled=None, base_url="", model="").status_code == 302


def test_the_form_is_checked_while_it_is_filled_in(admin: Client) -> None:
    set_up()
    answer = admin.post(f"{PAGE}live-check/", data(base_url="nowhere"))
    assert sorted(answer.json()["errors"]) == ["base_url", "key"] and SECRET not in text(answer)


# The test.


@pytest.fixture
def chief(server: str) -> Iterator[Client]:
    forget_usage()
    yield person(superuser=True)


def pressed(client: Client) -> str:
    response = client.post(TEST, follow=True)
    assert response.status_code == 200 and SECRET not in text(response)
    return text(response)


def test_a_test_asks_once_and_keeps_what_came_of_it(chief: Client) -> None:
    upstream = ChatModelUpstream(key=SECRET)
    with serve(upstream) as url:
        set_up(f"{url}/v1", enabled=False)
        page = pressed(chief)
    assert "The chat model works." in page and "nr-light-ok" in page and re.search(r"\d+ ms", page)
    assert len(upstream.requests) == 1 and upstream.asked[0]["model"] == MODEL


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"key": ANOTHER}, "answered 401"),
    ({"refusals": [Refusal(500, "Oh.")]}, "answered 500"),
    ({"content": "I work well, thank you."}, "with other words than the JSON"),
    ({"raw": b"<html>Hello</html>"}, "did not answer with JSON"),
    ({"prefix": "/elsewhere"}, "answered 404"),
]


@pytest.mark.parametrize(("switches", "problem"), BROKEN, ids=range(len(BROKEN)))
def test_what_does_not_work_is_told(chief: Client, switches: dict[str, Any], problem: str) -> None:
    with serve(ChatModelUpstream(**switches)) as url:
        set_up(f"{url}/v1")
        assert problem in pressed(chief)
    page = shown(chief)
    assert problem in page and "Does not work" in page
    assert problem in ChatModel.load().problem


def test_a_server_that_is_not_there(chief: Client) -> None:
    with closed_port() as port:
        set_up(f"http://127.0.0.1:{port}/v1")
        for _ in range(6):
            # However often it failed, the next test asks again.
            assert "nothing accepts connections there" in pressed(chief)


def test_refused_json_mode_is_remembered_until_it_is_another_server(chief: Client) -> None:
    upstream = ChatModelUpstream(formats=())
    with serve(upstream) as url:
        set_up(f"{url}/v1", api_key="")
        assert "The chat model works." in pressed(chief) and "It refused JSON mode" in shown(chief)
        pressed(chief)
        assert ["response_format" in body for body in upstream.asked] == [True, False, False]
        save(chief, base_url=f"{url}/v1", requests_per_day="9")
        assert ChatModel.load().json_refused and ChatModel.load().checked_at
        save(chief, base_url=f"{url}/v1", requests_per_day="9", answer_format="json_schema")
        assert not ChatModel.load().json_refused and "Not tested yet" in shown(chief)


def test_a_test_is_pressed_not_opened(admin: Client) -> None:
    set_up()
    assert admin.get(TEST).status_code == 405


# The key at rest.


def test_a_key_that_can_not_be_read_breaks_no_page(admin: Client, settings: Any) -> None:
    set_up()
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    assert "A key is stored." in shown(admin)
    assert "enter it again" in pressed(admin)
    assert save(admin, key=ANOTHER).status_code == 302 and stored_key() == ANOTHER


def test_its_key_is_rotated_with_the_others(transactional_db: None, settings: Any) -> None:
    set_up()
    old, new = settings.FIELD_KEYS[0], Fernet.generate_key().decode()
    settings.FIELD_KEYS = [new, old]
    call_command("rotate_keys", stdout=StringIO())
    settings.FIELD_KEYS = [new]
    assert stored_key() == SECRET


def test_every_setting_is_documented() -> None:
    edited = [field for field in ChatModel._meta.concrete_fields if field.editable and not field.primary_key]
    named = {(str(field.verbose_name), f"`{field.name}`") for field in edited}
    table = [row for row in rows(ROOT / "docs" / "providers.md", "The chat model") if len(row) == 4 and row[1]]
    assert {(row[0], row[1]) for row in table} == named
