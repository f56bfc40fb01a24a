"""Recordings over the native API: what is kept of an upload, and what is not."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from banks.models import Bank, Character, Membership, ReferenceAudio
from providers.audit import AuditEntry
from providers.models import Provider
from tests.admin_pages import picture, recording
from tests.native_api import Caller, answer, code, keyed, names, param, session, without_limits

RIGHTS = [f"banks.{verb}_referenceaudio" for verb in ("view", "add", "change", "delete")]
CONSENT = {"may_be_cloned": "true", "consent_note": "Ann agreed in writing."}


@pytest.fixture(autouse=True)
def unlimited(db: None) -> None:
    without_limits()


@pytest.fixture
def producer() -> Caller:
    return keyed(*RIGHTS)


def file(content: bytes, name: str = "voice.wav") -> BytesIO:
    upload = BytesIO(content)
    upload.name = name
    return upload


def form(content: bytes | None = None, file_name: str = "voice.wav", **fields: Any) -> dict[str, Any]:
    upload = file(recording() if content is None else content, file_name)
    return {"name": "Ann", "file": upload, **CONSENT, **fields}


def stored_files() -> set[Path]:
    return set((Path(settings.DATA_DIR) / "files" / "references").glob("*"))


@pytest.fixture
def ann(producer: Caller) -> Any:
    return producer.upload("references/", form(transcript="Hello there.", language="en"))


def test_the_whole_life_of_a_recording(producer: Caller, ann: Any, django_capture_on_commit_callbacks: Any) -> None:
    assert (ann["name"], ann["transcript"], ann["language"], ann["duration"]) == ("Ann", "Hello there.", "en", 1.0)
    assert ann["may_be_cloned"] is True and "file" not in ann and ann["characters"] == []
    path = f"references/{ann['id']}/"
    assert producer.get(path) == ann
    changed = producer.patch(path, {"name": "Anna", "language": ""})
    assert (changed["name"], changed["language"], changed["transcript"]) == ("Anna", "", "Hello there.")
    heard = producer.ask("GET", path + "audio/")
    assert heard["Content-Type"] == "audio/wav" and heard.content[:4] == b"RIFF"
    kept = Path(ReferenceAudio.objects.get().file.path)
    assert kept.exists() and "Ann" not in kept.name
    with django_capture_on_commit_callbacks(execute=True):
        producer.delete(path)
    assert not kept.exists()
    assert [entry.change for entry in AuditEntry.objects.order_by("pk")] == ["added", "changed", "deleted"]


def test_a_new_file_takes_the_place_of_the_old(producer: Caller, ann: Any) -> None:
    before = ReferenceAudio.objects.get().file.name
    response = producer.client.generic(
        "PATCH",
        f"/api/references/{ann['id']}/",
        *multipart({"file": file(recording(2.0)), **CONSENT}),
        headers=producer.headers,
    )
    assert answer(response, 200)["duration"] == 2.0
    assert ReferenceAudio.objects.get().file.name != before


def multipart(fields: dict[str, Any]) -> tuple[Any, str]:
    from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

    return encode_multipart(BOUNDARY, fields), MULTIPART_CONTENT


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (form(b""), "file"),
        (form(b"RIFF\x00\x00\x00\x00WAVE"), "file"),
        (form(b"no sound at all"), "file"),
        (form(picture(), "voice.wav"), "file"),
        (form(b"ffconcat version 1.0\nfile /etc/passwd\n", "voice.wav"), "file"),
        (form(b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "voice.m3u8"), "file"),
        ({**form(), "file": "text instead of a file"}, "file"),
        ({name: value for name, value in form().items() if name != "file"}, "file"),
        (form(may_be_cloned="false"), "may_be_cloned"),
        (form(may_be_cloned="maybe"), "may_be_cloned"),
        (form(consent_note=""), "consent_note"),
        (form(name=""), "name"),
        (form(name="n" * 101), "name"),
        (form(language="l" * 36), "language"),
        (form(transcript="t" * 100_001), "transcript"),
        (form(duration="9"), "duration"),
        (form(waveform="[]"), "waveform"),
        (form(teapot="1"), "teapot"),
    ],
    ids=range(18),
)
def test_what_is_no_recording_is_refused_and_not_kept(producer: Caller, fields: dict[str, Any], field: str) -> None:
    before = stored_files()
    assert param(producer.upload("references/", fields, 400)) == field
    assert not ReferenceAudio.objects.exists() and stored_files() == before


@pytest.mark.parametrize("name", ["../../evil.wav", "/etc/passwd", "a\x00b.wav", "<script>.wav", "x" * 500 + ".wav"])
def test_a_files_name_means_nothing(producer: Caller, name: str) -> None:
    made = producer.upload("references/", form(file_name=name))
    kept = Path(ReferenceAudio.objects.get(pk=made["id"]).file.path).resolve()
    assert kept.parent == (Path(settings.DATA_DIR) / "files" / "references").resolve()
    assert "evil" not in kept.name and "script" not in kept.name


def test_an_upload_is_a_form_with_an_end(producer: Caller) -> None:
    content, kind = multipart(form())
    refused = [
        (content[: len(content) // 2], kind),
        (content, "multipart/form-data"),
        (b"", kind),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
        (b"\xff\xfe" * 100, "multipart/form-data; boundary=BoUnDaRyStRiNg"),
    ]
    for raw, content_type in refused:
        answer(producer.ask("POST", "references/", raw=raw, content_type=content_type), 400)
    answer(producer.ask("POST", "references/", {"name": "Ann"}), 415)
    many = {f"f{number}": "x" for number in range(1500)}
    answer(producer.ask("POST", "references/", raw=multipart(many)[0], content_type=kind), 400)


def test_words_can_be_changed_as_json_only_in_their_types(producer: Caller, ann: Any) -> None:
    path = f"references/{ann['id']}/"
    for values in ({"name": 5}, {"may_be_cloned": 1}, {"may_be_cloned": "yes"}, {"transcript": None}, {"file": "x"}):
        assert param(producer.patch(path, values, 400)) == next(iter(values))
    assert producer.patch(path, {"may_be_cloned": False})["may_be_cloned"] is False


def test_a_used_recording_stays(producer: Caller, ann: Any) -> None:
    provider = Provider.objects.create(name="Cloner", kind="gpt_sovits", base_url="http://127.0.0.1:9880")
    twin = Character.objects.create(name="Twin", provider=provider, task_mode="clone", reference_id=ann["id"])
    assert producer.get(f"references/{ann['id']}/")["characters"] == [twin.pk]
    assert code(producer.delete(f"references/{ann['id']}/", 409)) == "conflict"
    assert ReferenceAudio.objects.exists()
    assert [entry.change for entry in AuditEntry.objects.all()] == ["added"], "what did not happen is not noted"


def test_a_recording_whose_file_is_gone(producer: Caller, ann: Any) -> None:
    Path(ReferenceAudio.objects.get().file.path).unlink()
    assert code(producer.get(f"references/{ann['id']}/audio/", 404)) == "not_found"


def test_recordings_are_found(producer: Caller, ann: Any) -> None:
    producer.upload("references/", form(name="Bert", language="de-DE"))
    producer.patch(f"references/{ann['id']}/", {"may_be_cloned": False})
    assert names(producer.get("references/?ordering=-name")) == ["Bert", "Ann"]
    assert names(producer.get("references/?language=de")) == ["Bert"]
    assert names(producer.get("references/?search=HELLO")) == ["Ann"]
    assert names(producer.get("references/?may_be_cloned=false")) == ["Ann"]


def test_only_who_may_brings_or_hears_recordings(ann: Any) -> None:
    path = f"references/{ann['id']}/"
    outsider, viewer = session("banks.view_character"), session("banks.view_referenceaudio")
    for asked in (path, path + "audio/", "references/"):
        outsider.get(asked, 403)
        assert viewer.ask("GET", asked).status_code == 200
    for caller in (outsider, viewer):
        caller.upload("references/", form(), 403)
        caller.patch(path, {"name": "x"}, 403)
        caller.delete(path, 403)
    assert ReferenceAudio.objects.get().name == "Ann"


def test_a_limited_key_hears_what_its_characters_speak_like(ann: Any) -> None:
    provider = Provider.objects.create(name="Cloner", kind="gpt_sovits", base_url="http://127.0.0.1:9880")
    other = ReferenceAudio.objects.create(name="Other", file="references/none.wav")
    bank, secret = Bank.objects.create(name="Stories"), Bank.objects.create(name="Secret")
    for character, place in (("Twin", bank), ("Spy", secret)):
        row = Character.objects.create(name=character, provider=provider, reference_id=ann["id"], task_mode="clone")
        Membership.objects.create(bank=place, character=row)
    limited = keyed(*RIGHTS, banks=[bank])
    assert names(limited.get("references/")) == ["Ann"]
    assert limited.get(f"references/{ann['id']}/")["characters"] == [Character.objects.get(name="Twin").pk]
    limited.get(f"references/{other.pk}/", 404)
    limited.get(f"references/{other.pk}/audio/", 404)
    limited.upload("references/", form(), 403)
    limited.patch(f"references/{ann['id']}/", {"name": "x"}, 403)
    limited.delete(f"references/{ann['id']}/", 403)
