"""The pronunciation dictionary over the native API."""

from __future__ import annotations

import secrets
from typing import Any

import httpx
import pytest

from api.models import ApiKey, Scope
from banks.dictionary import MOST_RULES
from banks.models import Bank, Pronunciation
from providers.audit import AuditEntry
from tests.hearing import assert_heard
from tests.native_api import Caller, code, keyed, make_user, param, session, without_limits

RIGHTS = [f"banks.{verb}_pronunciation" for verb in ("view", "add", "change", "delete")]


@pytest.fixture
def unlimited(db: None) -> None:
    without_limits()


@pytest.fixture
def producer(unlimited: None) -> Caller:
    return session(*RIGHTS)


def written(found: Any) -> list[str]:
    return [row["written"] for row in found["results"]]


def test_a_rule_is_made_changed_and_removed(producer: Caller) -> None:
    tales = Bank.objects.create(name="Tales")
    made = producer.post("pronunciations/", {"written": " New  York ", "spoken": "Gotham", "bank": tales.pk})
    assert made == {
        "id": made["id"], "written": "New York", "spoken": "Gotham", "is_pattern": False, "match_case": False,
        "language": "", "bank": tales.pk, "enabled": True,
    }  # fmt: skip
    path = f"pronunciations/{made['id']}/"
    assert producer.patch(path, {"spoken": "", "enabled": False}) == {**made, "spoken": "", "enabled": False}
    assert producer.get(path)["enabled"] is False
    producer.delete(path)
    producer.get(path, 404)
    assert AuditEntry.objects.filter(content_type__model="pronunciation").count() == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"spoken": "x"}, "written"),
        ({"written": "  "}, "written"),
        ({"written": 7}, "written"),
        ({"written": "w" * 201}, "written"),
        ({"written": "nul \0"}, "written"),
        ({"written": "a", "spoken": "x" * 201}, "spoken"),
        ({"written": "a", "spoken": None}, "spoken"),
        ({"written": "a", "language": "x" * 36}, "language"),
        ({"written": "(", "is_pattern": True}, "written"),
        ({"written": "a*", "is_pattern": True}, "written"),
        ({"written": "a", "spoken": r"\2", "is_pattern": True}, "written"),
        ({"written": "a", "is_pattern": "yes"}, "is_pattern"),
        ({"written": "a", "bank": 999}, "bank"),
        ({"written": "a", "bank": "1"}, "bank"),
        ({"written": "a", "colour": "red"}, "colour"),
        ({"written": "a", "id": 7}, "id"),
        ({"written": "THERE"}, None),
        ({"written": "there"}, "written"),
    ],
    ids=range(18),
)
def test_what_is_wrong_is_refused_at_its_field(producer: Caller, body: Any, field: str | None) -> None:
    Pronunciation.objects.create(written="there", spoken="x")
    if field is None:
        producer.post("pronunciations/", body)
    else:
        assert param(producer.post("pronunciations/", body, 400)) == field
        assert Pronunciation.objects.count() == 1


def test_a_change_is_checked_with_what_was_there(producer: Caller) -> None:
    word = Pronunciation.objects.create(written="(", spoken="x")
    other = Pronunciation.objects.create(written="there", spoken="x")
    assert param(producer.patch(f"pronunciations/{word.pk}/", {"is_pattern": True}, 400)) == "written"
    assert param(producer.patch(f"pronunciations/{word.pk}/", {"written": "there"}, 400)) == "written"
    assert param(producer.patch(f"pronunciations/{other.pk}/", {"bank": None}, 400)) == "bank"
    producer.patch(f"pronunciations/{word.pk}/", {"written": "there", "language": "en"})


def test_a_scope_has_an_end(producer: Caller) -> None:
    tales = Bank.objects.create(name="Tales")
    Pronunciation.objects.bulk_create(Pronunciation(written=f"w{number}") for number in range(MOST_RULES))
    assert "at most 2000" in producer.post("pronunciations/", {"written": "a"}, 400)["error"]["message"]
    producer.post("pronunciations/", {"written": "a", "bank": tales.pk})
    producer.patch(f"pronunciations/{Pronunciation.objects.filter(bank=None)[0].pk}/", {"spoken": "still changed"})


def test_the_list_is_searched_and_filtered(producer: Caller) -> None:
    tales = Bank.objects.create(name="Tales")
    Pronunciation.objects.create(written="gif", spoken="jif", language="en-US")
    Pronunciation.objects.create(written="Nguyen", spoken="win", bank=tales, enabled=False)
    Pronunciation.objects.create(written="[0-9]+", spoken="number", is_pattern=True)
    asked = {
        "": ["gif", "Nguyen", "[0-9]+"],
        "search=WIN": ["Nguyen"],
        f"bank={tales.pk}": ["Nguyen"],
        "everybody=true": ["gif", "[0-9]+"],
        "everybody=false": ["Nguyen"],
        "language=en": ["gif"],
        "is_pattern=true": ["[0-9]+"],
        "enabled=false": ["Nguyen"],
        "ordering=-id&limit=1": ["[0-9]+"],
    }
    assert {query: written(producer.get(f"pronunciations/?{query}")) for query in asked} == asked


def test_a_key_of_some_banks_reaches_their_rules_alone(unlimited: None) -> None:
    tales, other = (Bank.objects.create(name=name) for name in ("Tales", "Other"))
    gone = Bank.objects.create(name="Gone", active=False, archived_at="2026-01-01T00:00Z")
    rows = {bank: Pronunciation.objects.create(written="x", spoken="y", bank=bank) for bank in (None, tales, other)}
    robot = keyed(*RIGHTS, banks=[tales, gone])
    assert [row["bank"] for row in robot.get("pronunciations/")["results"]] == [tales.pk]
    for bank in (None, other):
        path = f"pronunciations/{rows[bank].pk}/"
        robot.get(path, 404)
        robot.patch(path, {"spoken": "z"}, 404)
        robot.delete(path, 404)
    for body in ({}, {"bank": None}, {"bank": other.pk}, {"bank": gone.pk}):
        assert param(robot.post("pronunciations/", {"written": "new", **body}, 400)) == "bank"
    assert robot.post("pronunciations/", {"written": "new", "bank": tales.pk})["bank"] == tales.pk
    assert param(robot.patch(f"pronunciations/{rows[tales].pk}/", {"bank": None}, 400)) == "bank"
    assert Pronunciation.objects.filter(bank=None).count() == Pronunciation.objects.filter(bank=other).count() == 1


def test_a_viewer_looks_only(unlimited: None) -> None:
    rule = Pronunciation.objects.create(written="x", spoken="y")
    viewer = session(RIGHTS[0])
    viewer.get("pronunciations/")
    assert code(viewer.post("pronunciations/", {"written": "new"}, 403)) == "permission_denied"
    viewer.patch(f"pronunciations/{rule.pk}/", {"spoken": "z"}, 403)
    viewer.delete(f"pronunciations/{rule.pk}/", 403)


@pytest.mark.django_db(transaction=True)
def test_what_is_made_here_is_heard_there(bank: Bank, client_http: httpx.Client) -> None:
    owner = make_user(superuser=True)
    _key, secret = ApiKey.objects.issue(name=secrets.token_hex(4), owner_id=owner.pk, scope=Scope.MANAGE)
    headers = {"Authorization": f"Bearer {secret}"}
    said = {"voice": "Heart", "input": "The zebra walked through the garden.", "response_format": "wav"}
    rule = {"written": "Zebra", "spoken": "elephant", "bank": bank.pk}
    made = client_http.post("/api/pronunciations/", json=rule, headers=headers)
    assert made.status_code == 201, made.text
    audio = client_http.post("/v1/audio/speech", json=said, headers=headers)
    assert_heard("The elephant walked through the garden.", audio.content)
    client_http.patch(f"/api/pronunciations/{made.json()['id']}/", json={"enabled": False}, headers=headers)
    audio = client_http.post("/v1/audio/speech", json=said, headers=headers)
    assert_heard("The zebra walked through the garden.", audio.content)
