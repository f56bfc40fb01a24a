"""Exports that are asked for are made, by a server, from the lines as they are."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import av
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from banks.images import cover_image
from banks.models import Bank, Character
from banks.storage import private_storage
from providers.audio import probe
from providers.models import Provider
from studio import exporter, exports, files, housekeeping
from studio.export_options import ExportOptions, What
from studio.generate import Want, generate
from studio.lines import Draft, add, edit
from studio.models import Export, Project, StudioSettings, TakeState
from studio.projects import cover_of
from tests.books import picture
from tests.conftest import add_character
from tests.hearing import assert_heard
from tests.projects import voiced
from tests.studio import somebody
from tests.test_api_streams import eventually

pytestmark = pytest.mark.django_db(transaction=True)
AUDIO = ExportOptions(What.AUDIO, "mp3", gap_ms=200)


@pytest.fixture(autouse=True)
def empty_folders() -> Iterator[None]:
    """Before the test too: others leave what they put there."""
    empty()
    yield
    empty()


def empty() -> None:
    for name in (files.FOLDER, files.EXPORTS):
        for path in files.folder(name).iterdir() if files.folder(name).is_dir() else ():
            path.unlink()


@pytest.fixture
def ann() -> User:
    return somebody("ann", superuser=True)


@pytest.fixture
def tales(db: None) -> Bank:
    return Bank.objects.create(name="Tales")


@pytest.fixture
def heart(tales: Bank) -> Character:
    return add_character(tales, Provider.objects.create(name="Embedded", kind="embedded"), "Heart")


@pytest.fixture
def script(ann: User, tales: Bank) -> Project:
    return Project.objects.create(name="Script", kind="phase", owner=ann, bank=tales, format="wav")


def made(export: Export) -> Export:
    """Here and now, as the server's exporter does it."""
    running = Export.objects.claim_next()
    assert running is not None and running.pk == export.pk
    exporter.make(running, threading.Event())
    export.refresh_from_db()
    return export


def content(export: Export) -> bytes:
    return Path(private_storage().path(export.file.name or "")).read_bytes()


def stored() -> list[str]:
    folder = files.folder(files.EXPORTS)
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def test_a_project_is_spoken_and_exported_by_the_server(
    server: str, script: Project, heart: Character, ann: User
) -> None:
    texts = ["The quick brown fox jumps over the lazy dog.", "Then it walks home through the quiet evening woods."]
    add(script, [Draft(one, character_id=heart.pk) for one in texts])
    generate(script, script.lines.all(), Want.MISSING, ann)
    eventually(lambda: script.lines.counts() == {"done": 2})
    export = exports.ask(script, ann, AUDIO)
    eventually(lambda: not Export.objects.get(pk=export.pk).is_open)
    export.refresh_from_db()
    assert (export.state, export.error) == (TakeState.DONE, "")
    assert export.size == len(content(export)) and (export.duration or 0) > 4
    assert_heard(" ".join(texts), content(export))


def test_a_zip_holds_a_file_for_each_line(script: Project, heart: Character, ann: User) -> None:
    voiced(script, ann, heart, "One.", "Two.", "Three.")
    export = made(exports.ask(script, ann, ExportOptions(What.FILES, "zip")))
    assert export.state == TakeState.DONE
    with ZipFile(io.BytesIO(content(export))) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert [line["text"] for line in manifest["lines"]] == ["One.", "Two.", "Three."]
        assert {line["file"] for line in manifest["lines"]} <= set(archive.namelist())


def test_a_zip_holds_a_file_for_each_chapter(script: Project, heart: Character, ann: User) -> None:
    made_lines = voiced(script, ann, heart, "Motto.", "One.", "Two.", "Three.", seconds=0.5)
    for line, title in ((made_lines[1], "The storm: I"), (made_lines[3], "../Calm")):
        edit(line, chapter=title)
    options = ExportOptions(What.CHAPTERS, "zip", gap_ms=500, chapter_format="flac")
    export = made(exports.ask(script, ann, options))
    assert (export.state, export.error) == (TakeState.DONE, "")
    with ZipFile(io.BytesIO(content(export))) as archive:
        assert archive.namelist() == ["01 chapter.flac", "02 The storm I.flac", "03 Calm.flac"]
        lengths = [probe(archive.read(name)).duration for name in archive.namelist()]
    assert lengths == pytest.approx([0.5, 1.5, 0.5], abs=0.01)
    assert export.duration == pytest.approx(2.5, abs=0.02)
    assert stored() == [Path(export.file.name or "").name], "nothing of the chapters is left beside it"


def test_a_part_is_exported_with_the_numbers_of_its_lines(script: Project, heart: Character, ann: User) -> None:
    made_lines = voiced(script, ann, heart, "One.", "Two.", "Three.", "Four.")
    options = ExportOptions(What.FILES, "zip", first=made_lines[1].pk, last=made_lines[2].pk)
    export = made(exports.ask(script, ann, options))
    with ZipFile(io.BytesIO(content(export))) as archive:
        assert [line["order"] for line in json.loads(archive.read("manifest.json"))["lines"]] == [2, 3]
    waiting = exports.ask(script, ann, options)
    made_lines[2].delete()
    assert (made(waiting).state, waiting.error_code) == (TakeState.FAILED, "invalid_value")
    with pytest.raises(ValidationError, match="not there any more"):
        exports.ask(script, ann, options)


def test_subtitles_follow_the_real_durations(script: Project, heart: Character, ann: User) -> None:
    voiced(script, ann, heart, "One.", "Two.", seconds=0.5)
    export = made(exports.ask(script, ann, ExportOptions(What.SUBTITLES, "srt", gap_ms=250)))
    assert content(export).decode().splitlines()[1] == "00:00:00,000 --> 00:00:00,500"
    assert content(export).decode().splitlines()[5] == "00:00:00,750 --> 00:00:01,250"


def test_what_was_cancelled_leaves_nothing(script: Project, heart: Character, ann: User) -> None:
    voiced(script, ann, heart, "One.")
    export = exports.ask(script, ann, AUDIO)
    running = Export.objects.claim_next()
    assert running is not None
    assert exports.cancel(Export.objects.filter(pk=export.pk)) == 1
    exporter.make(running, threading.Event())
    export.refresh_from_db()
    assert export.state == TakeState.CANCELLED and stored() == []


def test_a_closing_server_leaves_the_export_to_the_next(script: Project, heart: Character, ann: User) -> None:
    voiced(script, ann, heart, "One.", "Two.")
    export, closing = exports.ask(script, ann, AUDIO), threading.Event()
    closing.set()
    running = Export.objects.claim_next()
    assert running is not None
    exporter.make(running, closing)
    export.refresh_from_db()
    assert export.state == TakeState.RUNNING and stored() == []
    housekeeping.recover()
    assert made(export).state == TakeState.DONE


def test_a_line_whose_file_is_gone_is_named(script: Project, heart: Character, ann: User) -> None:
    voiced(script, ann, heart, "One.", "Two.")
    export = exports.ask(script, ann, AUDIO)
    second = script.lines.all()[1].take
    assert second is not None
    Path(private_storage().path(second.file.name or "")).unlink()
    made(export)
    assert export.state == TakeState.FAILED and "Line 2" in export.error
    assert stored() == []


def test_an_export_beyond_the_quota_fails_with_the_reason(script: Project, heart: Character, ann: User) -> None:
    voiced(script, ann, heart, "One.", seconds=12)
    StudioSettings.load()
    StudioSettings.objects.update(quota_mb=1)
    export = made(exports.ask(script, ann, ExportOptions(What.AUDIO, "wav")))
    assert (export.state, export.error_code) == (TakeState.FAILED, "quota_spent")
    assert stored() == []


@pytest.mark.parametrize("format", ["m4b", "mp3"])
def test_a_book_carries_its_author_and_its_cover(
    ann: User, tales: Bank, heart: Character, script: Project, format: str
) -> None:
    voiced(script, ann, heart, "One.", "Two.")
    export = made(exports.ask(script, ann, ExportOptions(What.AUDIO, format)))
    with av.open(io.BytesIO(content(export)), "r") as container:
        assert container.metadata["artist"] == "ann" and not container.streams.video, "the owner's name where none is"
    cover = cover_image(picture(size=(200, 300)))
    script.cover.save(cover.name or "", cover, save=False)
    script.name, script.author = "The Rain", "Eve Author"
    script.save()
    export = made(exports.ask(script, ann, ExportOptions(What.AUDIO, format)))
    with av.open(io.BytesIO(content(export)), "r") as container:
        assert (container.metadata["title"], container.metadata["artist"]) == ("The Rain", "Eve Author")
        (stream,) = container.streams.video
        assert (stream.width, stream.height) == (200, 300)
        assert next(bytes(packet) for packet in container.demux(stream) if packet.size) == cover_of(script)
    script.show(None)
