"""With files in a bucket: spoken, heard, dubbed, exported, removed, and what people see when the bucket fails."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile

from banks import scratch
from banks.images import avatar_image
from banks.models import Bank, Character, ReferenceAudio
from banks.speak import _read_reference
from banks.storage import StorageFailed, private_storage
from providers.audio import probe
from providers.errors import ProviderUnavailable
from providers.models import Provider
from providers.speech import AudioFormat
from studio import exporter, exports, files, housekeeping
from studio.export_options import ExportOptions, What
from studio.models import Export, Footage, Project, Take, TakeState
from tests.books import picture
from tests.conftest import add_character
from tests.films import film
from tests.hearing import assert_heard
from tests.jobs import SOUND, house
from tests.object_storage import Bucket
from tests.projects import PROJECTS, address, voiced
from tests.sounds import tone, wav_file
from tests.studio import ask, browser_of, claimed, done, ended, signed_in, somebody
from tests.test_api_streams import eventually
from tests.test_uploads import begun, uploaded

TEXT = "The night train leaves at seven."


@pytest.fixture(autouse=True)
def nothing_left(bucket: Bucket) -> Iterator[None]:
    yield
    assert not list(scratch.place().glob("*")), "a copy on this machine was left behind"


@pytest.fixture
def ann(db: None) -> User:
    return somebody("ann", superuser=True)


@pytest.fixture
def heart(db: None) -> Character:
    tales = Bank.objects.create(name="Stories")
    return add_character(tales, Provider.objects.create(name="Embedded", kind="embedded"), "Heart")


def script(owner: User, speaker: Character, kind: str = "phase") -> Project:
    bank = speaker.memberships.get().bank
    return Project.objects.create(name="Script", kind=kind, owner=owner, bank=bank, format="wav")


def made(project: Project, owner: User, options: ExportOptions) -> Export:
    """Here and now, as the server's exporter does it."""
    export = exports.ask(project, owner, options)
    running = Export.objects.claim_next()
    if running is not None and running.pk == export.pk:
        exporter.make(running, threading.Event())
    # Else a server that still runs here was faster.
    eventually(lambda: not Export.objects.get(pk=export.pk).is_open)
    export.refresh_from_db()
    return export


def local_files() -> set[str]:
    """Others' tests may leave some."""
    return {path.name for path in files.folder().iterdir()} if files.folder().exists() else set()


# End to end.


def test_a_take_is_spoken_heard_and_exported(server: str, bucket: Bucket, bank: Bank) -> None:
    ann, before = somebody("bea", superuser=True), local_files()
    with browser_of(ann, server) as browser:
        take = ended(ask(browser, bank.characters.get(), TEXT))
        assert take.state == TakeState.DONE, take.error
        assert bucket.names() == {take.file.name} and len(bucket.content(take.file.name or "")) == take.size
        heard = browser.get(f"/studio/takes/{take.pk}/audio")
        assert heard.status_code == 200 and heard.content == bucket.content(take.file.name or "")
        assert_heard(TEXT, heard.content)
        project = script(ann, bank.characters.get())
        voiced(project, ann, bank.characters.get(), "One.", "Two.")
        export = made(project, ann, ExportOptions(What.AUDIO, "mp3"))
        assert export.state == TakeState.DONE, export.error
        file = browser.get(f"{PROJECTS}{project.pk}/exports/{export.pk}/file")
        assert file.status_code == 200 and len(file.content) == export.size
        assert probe(file.content).duration == pytest.approx(export.duration, abs=0.2)
    assert local_files() <= before, "nothing of it lies in the data folder"


def test_a_job_is_spoken_and_fetched(server: str, bucket: Bucket) -> None:
    with house(server) as (caller, _upstream):
        job = caller.ended(caller.several("One.", "Two."))
        assert job["status"] == "completed", job
        one = caller.get(job, "/audio?item=0")
        assert one.content == SOUND and len(bucket.names("takes/")) == 2
        with ZipFile(io.BytesIO(caller.get(job, "/audio").content)) as archive:
            assert archive.testzip() is None
            named = [name for name in archive.namelist() if name.endswith(".wav")]
            assert [archive.read(name) for name in named] == [SOUND, SOUND]
        bucket.way.fail("HEAD", 403, "403")
        refused = caller.get(job, "/audio?item=0")
        assert (refused.status_code, refused.json()["error"]["code"]) == (500, "storage_failed")
        bucket.way.heal()
        bucket.client.delete_object(Bucket=bucket.name, Key=f"{bucket.prefix}/{Take.objects.earliest('pk').file.name}")
        with ZipFile(io.BytesIO(caller.get(job, "/audio").content)) as archive:
            told = json.loads(archive.read("manifest.json"))["items"]
            assert [bool(one["file"]) for one in told] == [False, True]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("what", "format"), [(What.FILES, "zip"), (What.SUBTITLES, "srt"), (What.CHAPTERS, "zip"), (What.AUDIO, "wav")]
)
def test_exports_of_each_kind(ann: User, heart: Character, bucket: Bucket, what: What, format: str) -> None:
    project = script(ann, heart)
    voiced(project, ann, heart, "One.", "Two.", "Three.")
    export = made(project, ann, ExportOptions(what, format))
    assert export.state == TakeState.DONE, export.error
    content = bucket.content(export.file.name or "")
    assert len(content) == export.size and bucket.names("exports/") == {export.file.name}
    if what is What.FILES:
        with ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None and "0003 Heart.wav" in archive.namelist()


@pytest.mark.django_db(transaction=True)
def test_a_line_whose_file_is_gone_is_named(ann: User, heart: Character, bucket: Bucket) -> None:
    project = script(ann, heart)
    _one, two = voiced(project, ann, heart, "One.", "Two.")
    assert two.take is not None
    private_storage().delete(two.take.file.name or "")
    export = made(project, ann, ExportOptions(What.AUDIO, "wav"))
    assert export.state == TakeState.FAILED and export.error.startswith("Line 2 (Heart)")
    assert bucket.names("exports/") == set()


@pytest.mark.django_db(transaction=True)
def test_an_export_whose_bucket_fails_says_so_and_can_be_made_again(
    ann: User, heart: Character, bucket: Bucket
) -> None:
    project = script(ann, heart)
    voiced(project, ann, heart, "One.", "Two.")
    for method, pattern in (("GET", "takes/"), ("PUT", "exports/")):
        bucket.way.fail(method, 403, "AccessDenied", pattern=pattern)
        export = made(project, ann, ExportOptions(What.AUDIO, "wav"))
        assert (export.state, export.error_code) == (TakeState.FAILED, "storage_failed")
        assert "file storage refuses the access key" in export.error and bucket.names("exports/") == set()
        bucket.way.heal()
    assert made(project, ann, ExportOptions(What.AUDIO, "wav")).state == TakeState.DONE


@pytest.mark.django_db(transaction=True)
def test_footage_comes_in_pieces_is_watched_and_dubbed(
    ann: User, heart: Character, bucket: Bucket, tmp_path: Path
) -> None:
    client, dub = signed_in(ann), script(ann, heart, "dub")
    content = film(tmp_path, 3).read_bytes()
    bucket.way.fail("PUT", 403, "AccessDenied")
    refused = uploaded(client, dub, content)
    assert refused.status_code == 500 and refused.json()["error"]["code"] == "storage_failed"
    assert refused.json()["received"] == len(content), "it need not be sent again"
    bucket.way.heal()
    place = begun(client, dub, len(content)).json()
    assert place["received"] == len(content) and client.post(f"{place['address']}end/").status_code == 200
    footage = Footage.objects.get()
    assert bucket.content(footage.file.name or "") == content
    assert not list(files.folder(files.UPLOADS).iterdir())
    (line,) = voiced(dub, ann, heart, "One.", seconds=0.5)
    line.start_ms, line.end_ms = 500, 1500
    line.save()
    export = made(dub, ann, ExportOptions(What.VIDEO, "mp4"))
    assert export.state == TakeState.DONE, export.error
    assert probe_ok(bucket.content(export.file.name or ""))
    client.post(address(dub, "footage/remove/"))
    assert bucket.names("footage/") == set()


def probe_ok(content: bytes) -> bool:
    return content[4:8] == b"ftyp"


# Ranges.


@pytest.fixture
def long_take(server: str, bucket: Bucket, bank: Bank) -> Take:
    take = done(somebody("bea", superuser=True), bank.characters.get())
    take.size = 40_000_000
    take.save(update_fields=["size"])
    private_storage().put(take.file.name or "", bytes(range(250)) * 160_000)
    bucket.way.seen.clear()
    return take


def test_a_part_is_all_that_is_asked_of_the_service(server: str, bucket: Bucket, long_take: Take) -> None:
    path, content = f"/studio/takes/{long_take.pk}/audio", bytes(range(250)) * 160_000
    with browser_of(User.objects.get(username="bea"), server) as browser:
        whole = browser.head(path)
        assert whole.headers["content-length"] == "40000000" and whole.headers["accept-ranges"] == "bytes"
        part = browser.get(path, headers={"Range": "bytes=39999000-"})
        assert (part.status_code, part.content) == (206, content[39_999_000:])
        assert part.headers["content-range"] == "bytes 39999000-39999999/40000000"
        asked = [asked for method, _target, asked in bucket.way.seen if method == "GET"]
        assert asked == ["bytes=39999000-"]
        beyond = browser.get(path, headers={"Range": "bytes=40000000-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */40000000")


def test_a_part_of_another_file_is_not_gone_on_with(server: str, bucket: Bucket, long_take: Take) -> None:
    path = f"/studio/takes/{long_take.pk}/audio"
    with browser_of(User.objects.get(username="bea"), server) as browser:
        tag = browser.head(path).headers["etag"]
        same = browser.get(path, headers={"Range": "bytes=0-9", "If-Range": tag})
        assert (same.status_code, len(same.content)) == (206, 10)
        other = browser.head(path, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
        assert (other.status_code, other.headers["content-length"]) == (200, "40000000")


def test_who_leaves_gives_the_connection_back(server: str, bucket: Bucket, long_take: Take) -> None:
    with (
        browser_of(User.objects.get(username="bea"), server) as browser,
        browser.stream("GET", f"/studio/takes/{long_take.pk}/audio") as answer,
    ):
        assert next(answer.iter_raw(1000))
    # The service could not have sent all of it to nobody: its answer ended because nobody takes it any more.
    bucket.way.wait_until_idle()


def test_an_answer_that_breaks_never_ends_well(server: str, bucket: Bucket, long_take: Take) -> None:
    bucket.way.fail("GET", cut=1_000_000, times=1)
    bucket.way.fail("GET", 403, "AccessDenied")
    with browser_of(User.objects.get(username="bea"), server) as browser, pytest.raises(httpx.RemoteProtocolError):
        browser.get(f"/studio/takes/{long_take.pk}/audio")


# What fails.


@pytest.mark.django_db(transaction=True)
def test_a_take_that_can_not_be_stored_can_be_tried_again(ann: User, heart: Character, bucket: Bucket) -> None:
    bucket.way.fail("PUT", 403, "AccessDenied")
    take = claimed(ann, heart)
    with pytest.raises(StorageFailed, match="file storage refuses the access key"):
        take.complete(files.finished(wav_file(tone(24_000, 0.1), 24_000), AudioFormat.WAV))
    assert bucket.names() == set() and not StorageFailed("").permanent


def test_a_take_fails_with_a_reason_and_is_spoken_anew(server: str, bucket: Bucket, bank: Bank) -> None:
    ann = somebody("bea", superuser=True)
    with browser_of(ann, server) as browser:
        bucket.way.fail("PUT", 503, "SlowDown")
        take = ended(ask(browser, bank.characters.get(), TEXT))
        assert (take.state, take.error_code, take.retry_helps) == (TakeState.FAILED, "storage_failed", True)
        assert "is overloaded (SlowDown)" in take.error
        bucket.way.heal()
        again = ended(ask(browser, bank.characters.get(), TEXT))
        assert again.state == TakeState.DONE and bucket.names() == {again.file.name}


@pytest.mark.django_db(transaction=True)
def test_pages_say_what_is_wrong(ann: User, heart: Character, bucket: Bucket) -> None:
    take, client = done(ann, heart), signed_in(ann)
    bucket.way.fail("HEAD", 403, "403")
    for path in (f"/studio/takes/{take.pk}/audio", f"/studio/takes/{take.pk}/audio?download"):
        page = client.get(path)
        assert page.status_code == 503
        assert b"Files can&#x27;t be used now" in page.content and b"refuses the access key" in page.content
    told = client.get(f"/api/takes/{take.pk}/audio/")
    assert (told.status_code, told.json()["error"]["code"]) == (500, "storage_failed")
    bucket.way.fail("PUT", 403, "AccessDenied")
    told = client.post(f"/api/characters/{heart.pk}/avatar/", {"file": ContentFile(picture(), "a.png")})
    assert (told.status_code, told.json()["error"]["code"]) == (500, "storage_failed"), told.content
    heart.refresh_from_db()
    assert not heart.avatar and bucket.names("avatars/") == set()


# What is removed.


@pytest.mark.django_db(transaction=True)
def test_files_go_with_their_rows(ann: User, heart: Character, bucket: Bucket) -> None:
    take = done(ann, heart)
    heart.avatar.save("a.webp", avatar_image(picture()))
    recording = ReferenceAudio(name="Ann")
    recording.keep(wav_file(tone(24_000, 3), 24_000))
    recording.save()
    assert {name.partition("/")[0] for name in bucket.names()} == {"takes", "avatars", "references"}
    stored = bucket.content(str(recording.file.name))
    assert signed_in(ann).get(recording.url).content == recording.recording() == stored
    assert signed_in(ann).get(recording.url, headers={"Range": "bytes=10-19"}).content == recording.recording()[10:20]
    take.delete()
    recording.delete()
    assert bucket.names() == {heart.avatar.name}


@pytest.mark.django_db(transaction=True)
def test_a_file_that_can_not_be_fetched_now_is_not_called_gone(ann: User, heart: Character, bucket: Bucket) -> None:
    recording = ReferenceAudio(name="Ann")
    recording.keep(wav_file(tone(24_000, 3), 24_000))
    recording.save()
    client, path = signed_in(ann), f"/api/references/{recording.pk}/audio/"
    bucket.way.fail("GET", 403, "AccessDenied")
    assert client.get(path).json()["error"]["code"] == "storage_failed"
    with pytest.raises(StorageFailed, match="refuses the access key"):
        _read_reference(recording.file.name or "")
    bucket.way.heal()
    assert client.get(path).content == _read_reference(recording.file.name or "").audio
    private_storage().delete(recording.file.name or "")
    assert client.get(path).status_code == 404
    with pytest.raises(ProviderUnavailable, match="missing: upload it again"):
        _read_reference(recording.file.name or "")


@pytest.mark.django_db(transaction=True)
def test_a_row_goes_even_where_its_file_can_not(ann: User, heart: Character, bucket: Bucket) -> None:
    take = done(ann, heart)
    bucket.way.fail("DELETE", 403, "AccessDenied")
    take.delete()
    assert not Take.objects.exists() and len(bucket.names()) == 1
    assert files.remove_orphans(lambda names: []) == 0, "it may be one that is just being finished"


@pytest.mark.django_db(transaction=True)
def test_what_no_row_names_is_removed(
    ann: User, heart: Character, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = done(ann, heart)
    heart.avatar.save("a.webp", avatar_image(picture()))
    kept = {take.file.name, heart.avatar.name}
    for name in ("takes/x.wav", "exports/x.zip", "footage/x.mp4", "avatars/x.webp", "references/x.wav", "covers/x.jpg"):
        private_storage().save(name, ContentFile(b"1"))
    housekeeping.sweep()
    assert len(bucket.names()) == 8, "they may be about to be named"
    monkeypatch.setattr(files, "ORPHAN_AGE", timedelta(days=-1))
    monkeypatch.setattr(files, "IMPORTED_AGE", timedelta(days=-1))
    bucket.way.fail("DELETE", 403, "AccessDenied", pattern="exports/")
    housekeeping.sweep()
    assert bucket.names() == kept | {"exports/x.zip"}, "what can't be removed stops nothing"


@pytest.mark.django_db(transaction=True)
def test_a_bucket_that_is_down_does_not_keep_a_server_from_recovering(
    ann: User, heart: Character, bucket: Bucket, settings: Any
) -> None:
    take = claimed(ann, heart)
    bucket.way.fail("GET", 403, "AccessDenied")
    with pytest.raises(OSError, match="refuses"):
        housekeeping.recover()
    take.refresh_from_db()
    assert take.state == TakeState.QUEUED
