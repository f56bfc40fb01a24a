"""Reference audio, and the views that serve stored files."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from banks.images import avatar_image
from banks.models import Character, ReferenceAudio
from banks.storage import private_storage
from providers.audio import probe
from providers.models import Provider
from tests.admin_pages import errors, person, picture, recording

LIST = "/admin/banks/referenceaudio/"
ADD = LIST + "add/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return person(superuser=True)


@pytest.fixture
def reference() -> ReferenceAudio:
    file = ContentFile(recording(), name="grandfather.wav")
    return ReferenceAudio.objects.create(name="Grandfather", file=file, duration=1)


@pytest.fixture
def character() -> Character:
    provider = Provider.objects.create(name="Inside", kind="embedded")
    return Character.objects.create(name="Heart", provider=provider, avatar=avatar_image(picture()))


def add(client: Client, content: bytes, filename: str = "voice.wav", **values: Any) -> Any:
    return client.post(ADD, {"name": "Grandfather", "upload": SimpleUploadedFile(filename, content), **values})


def stored_files() -> set[str]:
    storage = private_storage()
    return set(storage.listdir("references")[1]) if storage.exists("references") else set()


def test_a_recording_is_kept_as_wav_under_a_name_of_ours(admin: Client) -> None:
    response = add(admin, recording(1.5), "../../etc/passwd.mp3", transcript="Once upon a time", language="en")
    assert response.status_code == 302, errors(response)
    reference = ReferenceAudio.objects.get()
    assert re.fullmatch(r"references/[0-9a-f]{32}\.wav", str(reference.file.name))
    assert (reference.transcript, reference.language) == ("Once upon a time", "en")
    assert reference.duration == pytest.approx(1.5, abs=0.05)
    with reference.file.open("rb") as file:
        assert probe(file.read()).duration == pytest.approx(1.5, abs=0.05)
    assert f'src="/media/references/{reference.pk}"' in admin.get(f"{LIST}{reference.pk}/change/").content.decode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(picture(), id="picture"),
        pytest.param(b"ffconcat version 1.0\nfile /etc/passwd\n", id="playlist"),
        pytest.param(b"<script>alert(1)</script>", id="text"),
        pytest.param(recording()[:40], id="header-only"),
        pytest.param(bytes(5000), id="zeros"),
    ],
)
def test_what_is_no_audio_is_refused_whatever_its_name(admin: Client, content: bytes) -> None:
    before = stored_files()
    assert list(errors(add(admin, content))) == ["upload"]
    assert not ReferenceAudio.objects.exists() and stored_files() == before


def test_missing_empty_and_too_large_files_are_refused(admin: Client) -> None:
    assert list(errors(admin.post(ADD, {"name": "Nothing"}))) == ["upload"]
    assert list(errors(add(admin, b""))) == ["upload"]
    assert errors(add(admin, bytes(30 * 1024**2 + 1))) == {"upload": ["The file is larger than 30 MB."]}
    assert list(errors(add(admin, recording(), name="n" * 101))) == ["name"]


@pytest.mark.django_db(transaction=True)
def test_a_new_recording_replaces_the_old_one_and_deleting_leaves_the_disk(admin: Client) -> None:
    before = stored_files()
    add(admin, recording())
    reference = ReferenceAudio.objects.get()
    page = f"{LIST}{reference.pk}/change/"
    first = reference.file.name
    admin.post(page, {"name": "Renamed"})
    reference.refresh_from_db()
    assert (reference.name, reference.file.name) == ("Renamed", first)

    admin.post(page, {"name": "Renamed", "upload": SimpleUploadedFile("b.wav", recording(2))})
    reference.refresh_from_db()
    assert reference.file.name != first and reference.duration == pytest.approx(2, abs=0.05)
    assert len(stored_files() - before) == 1

    admin.post(LIST, {"action": "delete_selected", "_selected_action": [reference.pk], "post": "yes"})
    assert not ReferenceAudio.objects.exists() and stored_files() == before


def test_a_recording_in_use_can_not_be_deleted(admin: Client, reference: ReferenceAudio, character: Character) -> None:
    character.reference = reference
    character.save()
    page = admin.get(f"{LIST}{reference.pk}/delete/").content.decode()
    assert "protected" in page and "Heart" in page
    admin.post(f"{LIST}{reference.pk}/delete/", {"post": "yes"})
    assert ReferenceAudio.objects.exists()


def test_the_owner_of_rights_hears_and_sees(reference: ReferenceAudio, character: Character) -> None:
    listener = person("banks.view_referenceaudio", "banks.change_character")
    audio = listener.get(f"/media/references/{reference.pk}")
    assert audio.content == recording()
    assert audio["Content-Type"] == "audio/wav"
    image = listener.get(f"/media/avatars/{character.pk}")
    assert image["Content-Type"] == "image/webp" and image.content[8:12] == b"WEBP"
    for response in (audio, image):
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Cache-Control"].startswith("private")


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=10-99999999", 206, slice(10, None)),
        ("bytes=0-", 200, slice(None)),
        ("bytes=99999999-", 200, slice(None)),
        ("bytes=9-1", 200, slice(None)),
        ("bytes=-5", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
        ("bytes=0-1,5-6", 200, slice(None)),
    ],
)
def test_players_seek_by_range(admin: Client, reference: ReferenceAudio, asked: str, status: int, part: slice) -> None:
    response = admin.get(f"/media/references/{reference.pk}", headers={"range": asked})
    assert (response.status_code, response.content) == (status, recording()[part])
    if status == 206:
        start, stop, _step = part.indices(len(recording()))
        assert response["Content-Range"] == f"bytes {start}-{stop - 1}/{len(recording())}"


def test_others_get_nothing(reference: ReferenceAudio, character: Character) -> None:
    for path in (f"/media/references/{reference.pk}", f"/media/avatars/{character.pk}"):
        assert person().get(path).status_code == 403
        assert person("banks.view_bank").get(path).status_code == 403
        for outsider in (Client(), person(staff=False)):
            response = outsider.get(path)
            assert response.status_code == 302 and "/admin/login/" in response["Location"]
        assert person(superuser=True).post(path).status_code == 405


def test_files_are_found_by_row_only(admin: Client, character: Character) -> None:
    stored = private_storage().path(str(character.avatar.name))
    for path in (
        "/media/references/999",
        "/media/avatars/..%2f..%2fsecrets",
        "/media/avatars/x.webp",
        f"/media/{stored}",
    ):
        assert admin.get(path).status_code == 404, path
    private_storage().delete(str(character.avatar.name))
    assert admin.get(f"/media/avatars/{character.pk}").status_code == 404
