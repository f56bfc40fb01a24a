"""Pictures of characters and parts of recordings over the native API: the same doors as on the pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from api.models import Scope
from banks.images import AVATAR_BYTES, AVATAR_SIDE, avatar_image
from banks.models import Bank, Character, Membership, ReferenceAudio
from providers.audit import AuditEntry
from providers.models import Provider
from tests.admin_pages import picture, recording
from tests.native_api import Caller, answer, code, keyed, param, session, without_limits
from tests.test_native_references import file

VERBS = ("view", "add", "change", "delete")
RIGHTS = [f"banks.{verb}_{model}" for verb in VERBS for model in ("character", "referenceaudio")]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
Committed = Callable[..., Any]


@pytest.fixture(autouse=True)
def unlimited(db: None) -> None:
    without_limits()


@pytest.fixture
def producer() -> Caller:
    return keyed(*RIGHTS)


@pytest.fixture
def heart() -> Character:
    provider = Provider.objects.create(name="Here", kind="embedded")
    return Character.objects.create(name="Heart", provider=provider)


@pytest.fixture
def ann() -> ReferenceAudio:
    row = ReferenceAudio(name="Ann", transcript="One two.", language="en", may_be_cloned=True, consent_note="Yes.")
    row.keep(recording(2.0))
    row.save()
    return row


def avatar(row: Character) -> str:
    return f"characters/{row.pk}/avatar/"


def trim(row: ReferenceAudio) -> str:
    return f"references/{row.pk}/trim/"


def kept(folder: str) -> set[Path]:
    return set((Path(settings.DATA_DIR) / "files" / folder).glob("*"))


def shown(caller: Caller, row: Character) -> Image.Image:
    response = caller.ask("GET", avatar(row))
    assert (response.status_code, response["Content-Type"]) == (200, "image/webp")
    return Image.open(BytesIO(response.content))


# Avatars.


def test_the_whole_life_of_an_avatar(
    producer: Caller, heart: Character, django_capture_on_commit_callbacks: Committed
) -> None:
    before = kept("avatars")
    assert code(producer.get(avatar(heart), 404)) == "not_found"
    row = producer.upload(avatar(heart), {"file": file(picture(), "<b>.png")}, 200)
    assert row["avatar"] == reverse("avatar", args=[heart.pk])
    first = shown(producer, heart)
    assert (first.format, max(first.size)) == ("WEBP", AVATAR_SIDE)
    (stored,) = kept("avatars") - before
    assert "<" not in stored.name
    with django_capture_on_commit_callbacks(execute=True):
        producer.upload(avatar(heart), {"file": file(picture((100, 50), "JPEG"), "a.jpg")}, 200)
    assert shown(producer, heart).size == (100, 50)
    assert not stored.exists(), "the picture before it is gone"
    with django_capture_on_commit_callbacks(execute=True):
        producer.delete(avatar(heart))
    assert producer.get(f"characters/{heart.pk}/")["avatar"] is None
    producer.get(avatar(heart), 404)
    assert kept("avatars") == before
    producer.delete(avatar(heart))
    assert {entry.message for entry in AuditEntry.objects.all()} == {'[{"changed": {"fields": ["avatar"]}}]'}


@pytest.mark.parametrize(
    "fields",
    [
        {"file": file(SVG, "a.svg")},
        {"file": file(SVG, "a.png")},
        {"file": file(b"", "a.png")},
        {"file": file(recording(), "a.png")},
        {"file": file(b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "a.png")},
        {"file": file(b"\0" * (AVATAR_BYTES + 1), "a.png")},
        {"file": "a.png"},
        {},
    ],
    ids=["svg", "svg as png", "empty", "sound", "broken", "large", "text", "nothing"],
)
def test_what_is_no_picture_is_refused_and_not_kept(producer: Caller, heart: Character, fields: dict[str, Any]) -> None:
    before = kept("avatars")
    assert param(producer.upload(avatar(heart), fields, 400)) == "file"
    assert not Character.objects.get().avatar and kept("avatars") == before


def test_a_picture_comes_as_a_form_with_nothing_else(producer: Caller, heart: Character) -> None:
    assert param(producer.upload(avatar(heart), {"file": file(picture()), "name": "x"}, 400)) == "name"
    answer(producer.ask("POST", avatar(heart), {"file": "x"}), 415)
    answer(producer.ask("POST", avatar(heart), raw=b"--x\r\n", content_type="multipart/form-data"), 400)
    producer.upload(avatar(Character(pk=heart.pk + 1)), {"file": file(picture())}, 404)


def test_an_archived_character_keeps_its_picture(producer: Caller, heart: Character) -> None:
    Character.objects.update(archived_at=timezone.now(), avatar=avatar_image(picture()).name)
    for refused in (
        producer.upload(avatar(heart), {"file": file(picture())}, 409),
        producer.delete(avatar(heart), 409),
    ):
        assert code(refused) == "conflict"


def test_a_picture_whose_file_is_gone(producer: Caller, heart: Character) -> None:
    producer.upload(avatar(heart), {"file": file(picture())}, 200)
    Path(Character.objects.get().avatar.path).unlink()
    assert code(producer.get(avatar(heart), 404)) == "not_found"


def test_only_who_may_sees_or_changes_a_picture(producer: Caller, heart: Character) -> None:
    producer.upload(avatar(heart), {"file": file(picture())}, 200)
    viewer, outsider = session("banks.view_character"), session("banks.view_bank", "banks.change_referenceaudio")
    speech, reader = keyed(*RIGHTS, scope=Scope.SPEECH), keyed(*RIGHTS, scope=Scope.READ)
    for caller in (viewer, reader):
        assert shown(caller, heart).format == "WEBP"
    for caller in (outsider, speech):
        caller.get(avatar(heart), 403)
    for caller in (viewer, outsider, speech, reader):
        caller.upload(avatar(heart), {"file": file(picture())}, 403)
        caller.delete(avatar(heart), 403)
    assert Character.objects.get().avatar


def test_a_limited_key_touches_what_is_in_its_banks_alone(heart: Character) -> None:
    own, other = Bank.objects.create(name="Own"), Bank.objects.create(name="Other")
    limited = keyed(*RIGHTS, banks=[own])
    limited.upload(avatar(heart), {"file": file(picture())}, 404)
    Membership.objects.create(bank=own, character=heart)
    limited.upload(avatar(heart), {"file": file(picture())}, 200)
    assert shown(limited, heart).format == "WEBP"
    Membership.objects.create(bank=other, character=heart)
    limited.delete(avatar(heart), 403)


def test_a_session_needs_its_token(heart: Character) -> None:
    client = Client(enforce_csrf_checks=True)
    user = session(*RIGHTS).user
    assert user
    client.force_login(user)
    assert client.post(f"/api/{avatar(heart)}", {"file": file(picture())}).status_code == 403
    assert not Character.objects.get().avatar


# Parts of recordings.


def test_a_part_becomes_a_recording_of_its_own(producer: Caller, ann: ReferenceAudio) -> None:
    whole = ann.recording()
    made = producer.post(trim(ann), {"start": 0.5, "end": 1.25, "name": "Two", "transcript": "Two."})
    assert (made["name"], made["transcript"], made["language"], made["duration"]) == ("Two", "Two.", "en", 0.75)
    assert made["may_be_cloned"] is True and made["consent_note"] == "Yes."
    part = ReferenceAudio.objects.get(pk=made["id"])
    assert part.recording()[44:] == whole[44:][2 * 8000 : 2 * 20_000]
    ann.refresh_from_db()
    assert (ann.duration, ann.recording()) == (2.0, whole)
    named = producer.post(trim(ann), {"start": 0, "end": 1})
    assert (named["name"], named["transcript"]) == ("Ann (part)", "One two.")
    assert [entry.change for entry in AuditEntry.objects.all()] == ["added", "added"]


def test_a_part_takes_the_place_of_the_whole(producer: Caller, ann: ReferenceAudio) -> None:
    asked = {"start": 0, "end": 1, "keep_as": "in_place", "transcript": "One."}
    row = producer.post(trim(ann), asked, 200)
    assert (row["id"], row["name"], row["duration"], row["transcript"]) == (ann.pk, "Ann", 1.0, "One.")
    original = ReferenceAudio.objects.exclude(pk=ann.pk).get()
    assert (original.name, original.duration, original.transcript) == ("Ann (untrimmed)", 2.0, "One two.")
    assert {entry.change for entry in AuditEntry.objects.all()} == {"changed", "added"}


def test_the_whole_goes_where_that_is_asked(
    producer: Caller, ann: ReferenceAudio, django_capture_on_commit_callbacks: Committed
) -> None:
    before = Path(ann.file.path)
    with django_capture_on_commit_callbacks(execute=True):
        producer.post(trim(ann), {"start": 0, "end": 1, "keep_as": "in_place", "delete_original": True}, 200)
    assert ReferenceAudio.objects.get().duration == 1.0 and not before.exists()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"end": 1}, "start"),
        ({"start": 0}, "end"),
        ({"start": -1, "end": 1}, "start"),
        ({"start": 0, "end": 2.5}, "end"),
        ({"start": 1, "end": 1.05}, "end"),
        ({"start": 1, "end": 0}, "end"),
        ({"start": "0", "end": 1}, "start"),
        ({"start": 0, "end": True}, "end"),
        ({"start": 0, "end": 10**400}, "end"),
        ({"start": 0, "end": 1, "name": ""}, "name"),
        ({"start": 0, "end": 1, "name": "n" * 101}, "name"),
        ({"start": 0, "end": 1, "name": "a\0b"}, "name"),
        ({"start": 0, "end": 1, "keep_as": "both"}, "keep_as"),
        ({"start": 0, "end": 1, "delete_original": "yes"}, "delete_original"),
        ({"start": 0, "end": 1, "transcript": None}, "transcript"),
        ({"start": 0, "end": 1, "teapot": 1}, "teapot"),
    ],
)
def test_what_is_no_part_is_refused_at_its_field(
    producer: Caller, ann: ReferenceAudio, asked: dict[str, Any], field: str
) -> None:
    before = kept("references")
    assert param(producer.post(trim(ann), asked, 400)) == field
    assert ReferenceAudio.objects.get().duration == 2.0 and kept("references") == before


def test_a_part_of_a_file_that_is_gone(producer: Caller, ann: ReferenceAudio) -> None:
    Path(ann.file.path).unlink()
    assert code(producer.post(trim(ann), {"start": 0, "end": 1}, 404)) == "not_found"
    assert ReferenceAudio.objects.count() == 1


def test_a_part_is_asked_for_in_json(producer: Caller, ann: ReferenceAudio) -> None:
    answer(producer.client.post(f"/api/{trim(ann)}", {"start": "0", "end": "1"}, headers=producer.headers), 415)
    answer(producer.ask("POST", trim(ann), raw=json.dumps([1])), 400)


def test_only_who_may_change_and_add_trims(ann: ReferenceAudio) -> None:
    view, change, add = (f"banks.{verb}_referenceaudio" for verb in ("view", "change", "add"))
    limited = keyed(change, add, banks=[Bank.objects.create(name="Own")])
    outsiders = [session(view, change), session(view, add), session("banks.change_character"), limited]
    outsiders += [keyed(*RIGHTS, scope=scope) for scope in (Scope.SPEECH, Scope.READ)]
    for caller in outsiders:
        response = caller.ask("POST", trim(ann), {"start": 0, "end": 1})
        assert response.status_code in (403, 404), response.content
    assert ReferenceAudio.objects.get().duration == 2.0
    keyed(change, add).post(trim(ann), {"start": 0, "end": 1})
