"""The page of exports: what is asked for, what stands in the way, the list and the files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.utils import timezone

from banks.models import Bank, Character
from providers.models import Provider
from studio import lines
from studio.export_options import ExportOptions, Material, What
from studio.exports import MOST_OPEN
from studio.lines import Draft
from studio.models import MEGABYTE, Export, Project, StudioSettings, TakeState
from tests.conftest import add_character
from tests.projects import RIGHTS, address, said, voiced
from tests.studio import browser_of, clear_files, signed_in, somebody

pytestmark = pytest.mark.django_db
CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    clear_files()


@pytest.fixture
def stories() -> Bank:
    bank = Bank.objects.create(name="Stories")
    add_character(bank, Provider.objects.create(name="Inside", kind="embedded"), "Heart")
    return bank


@pytest.fixture
def heart(stories: Bank) -> Character:
    return stories.characters.get()


@pytest.fixture
def ann() -> User:
    return somebody("ann", *RIGHTS)


@pytest.fixture
def play(ann: User, stories: Bank) -> Project:
    return Project.objects.create(name="The Play", kind="dialogue", owner=ann, bank=stories, format="wav")


@pytest.fixture
def spoken(play: Project, ann: User, heart: Character) -> Project:
    voiced(play, ann, heart, "One.", "Two.")
    return play


def asked(**values: Any) -> dict[str, Any]:
    data = {"what": "audio", "audio_format": "mp3", "gap_ms": "400", "chapter_gap_ms": "1500", "which": "all"}
    return {**data, "level": "on", "loudness": "-16", **values}


def post(user: User, project: Project, **values: Any) -> Any:
    return signed_in(user).post(address(project, "exports/"), asked(**values))


def made(project: Project, format: str = "mp3", **values: Any) -> Export:
    options = ExportOptions(What.FILES if format == "zip" else What.AUDIO, format).as_json()
    row = Export.objects.create(project=project, owner=project.owner, options_json=options, size=len(CONTENT))
    row.file.save(f"{row.pk}.{format}", ContentFile(CONTENT), save=False)
    row.state, row.duration, row.finished_at = TakeState.DONE, 83.4, timezone.now()
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    return row


ASKED = [
    pytest.param({}, ExportOptions(What.AUDIO, "mp3"), id="mp3"),
    pytest.param(
        {"audio_format": "m4b", "gap_ms": "0", "chapter_gap_ms": "3000", "loudness": "-18.5"},
        ExportOptions(What.AUDIO, "m4b", 0, 3000, -18.5),
        id="m4b",
    ),
    pytest.param({"level": ""}, ExportOptions(What.AUDIO, "mp3", loudness=None), id="as-it-is"),
    pytest.param({"level": "", "loudness": ""}, ExportOptions(What.AUDIO, "mp3", loudness=None), id="no-number"),
    pytest.param({"what": "files"}, ExportOptions(What.FILES, "zip"), id="files"),
    pytest.param(
        {"what": "files", "loudness": "loud", "gap_ms": "-3", "audio_format": "exe"},
        ExportOptions(What.FILES, "zip"),
        id="what-is-not-read",
    ),
    pytest.param(
        {"what": "subtitles", "subtitles_format": "vtt", "speaker_prefix": "on", "gap_ms": "250"},
        ExportOptions(What.SUBTITLES, "vtt", 250, speaker_prefix=True),
        id="vtt",
    ),
    pytest.param(
        {"what": "chapters", "audio_format": "m4b", "loudness": "-18"},
        ExportOptions(What.CHAPTERS, "zip", loudness=-18, chapter_format="m4b"),
        id="chapters",
    ),
    pytest.param({"first_line": "1", "last_line": "99"}, ExportOptions(What.AUDIO, "mp3"), id="all-lines"),
    pytest.param({"which": "current"}, ExportOptions(What.AUDIO, "mp3", only_done=True), id="current"),
]


@pytest.mark.parametrize(("values", "options"), ASKED)
def test_an_export_is_queued_as_it_was_asked_for(
    ann: User, spoken: Project, values: dict[str, str], options: ExportOptions
) -> None:
    answer = post(ann, spoken, **values)
    assert answer.status_code == 302, answer.context["form"].errors
    row = Export.objects.get()
    assert (row.state, row.owner, row.project) == ("queued", ann, spoken)
    assert ExportOptions.read(row.options_json) == options


def test_an_export_of_a_part_begins_and_ends_with_lines(ann: User, play: Project, heart: Character) -> None:
    made = voiced(play, ann, heart, "A.", "B.", "C.", "D.", "E.")
    for line, title in ((made[1], "One"), (made[3], "Two")):
        lines.edit(line, chapter=title)
    page = said(signed_in(ann).get(address(play, "exports/?chapter=2")))
    assert '<option value="2" selected>2. One</option>' in page and "1. Beginning" in page

    def bounds(**values: str) -> tuple[int, int]:
        answer = post(ann, play, **values)
        assert answer.status_code == 302, answer.context["form"].errors
        options = ExportOptions.read(Export.objects.latest("pk").options_json)
        Export.objects.all().delete()
        return options.first, options.last

    keys = [line.pk for line in made]
    assert bounds(first_chapter="2", last_chapter="2") == (keys[1], keys[2])
    assert bounds(first_chapter="2") == (keys[1], 0)
    assert bounds(first_chapter="1", last_chapter="2") == (0, keys[2])
    assert bounds(first_line="2", last_line="4") == (keys[1], keys[3])
    assert bounds(first_chapter="2", first_line="3", last_line="4") == (keys[2], keys[3])
    for values, field in [
        ({"first_chapter": "3", "last_chapter": "2"}, "last_chapter"),
        ({"first_line": "4", "last_line": "2"}, "last_line"),
        ({"first_line": "9"}, "last_line"),
        ({"first_line": "0"}, "first_line"),
        ({"first_chapter": "9"}, "first_chapter"),
    ]:
        assert field in post(ann, play, **values).context["form"].errors, values


def test_only_lines_of_the_part_may_be_missing(ann: User, play: Project, heart: Character) -> None:
    voiced(play, ann, heart, "A.", "B.")
    lines.add(play, [Draft("C.")])
    assert "incomplete" in post(ann, play).context["form"].errors
    assert post(ann, play, last_line="2").status_code == 302


BAD = [
    pytest.param({"what": ""}, "what", id="nothing"),
    pytest.param({"what": "film"}, "what", id="film"),
    pytest.param({"audio_format": "exe"}, "audio_format", id="format"),
    pytest.param({"gap_ms": "-1"}, "gap_ms", id="gap"),
    pytest.param({"gap_ms": "9" * 30}, "gap_ms", id="huge-gap"),
    pytest.param({"chapter_gap_ms": "x"}, "chapter_gap_ms", id="chapter-gap"),
    pytest.param({"loudness": "0"}, "loudness", id="loud"),
    pytest.param({"loudness": "-70"}, "loudness", id="quiet"),
    pytest.param({"loudness": "nan"}, "loudness", id="nan"),
    pytest.param({"loudness": ""}, "loudness", id="no-loudness"),
    pytest.param({"which": "some"}, "which", id="which"),
    pytest.param({"what": "subtitles", "subtitles_format": "ass"}, "subtitles_format", id="subtitles"),
]


@pytest.mark.parametrize(("values", "field"), BAD)
def test_a_mistake_is_told_at_its_field(ann: User, spoken: Project, values: dict[str, str], field: str) -> None:
    page = post(ann, spoken, **values)
    assert list(page.context["form"].errors) == [field]
    said(page)
    assert not Export.objects.exists()


def test_what_would_be_left_out_is_told_first(ann: User, spoken: Project, heart: Character) -> None:
    lines.add(spoken, [Draft("Three.", character_id=heart.pk)])
    lines.edit(spoken.lines.all()[0], text="Other.")
    assert Material.of(spoken.lines.all()) == Material(total=3, missing=1, stale=1)
    page = said(signed_in(ann).get(address(spoken, "exports/")))
    assert "1 of 3 lines has no audio" in page and "1 line has stale audio" in page
    refused = post(ann, spoken)
    assert "1 line would be left out" in refused.context["form"].errors["incomplete"][0]
    refused = post(ann, spoken, which="current")
    assert "2 lines would be left out" in refused.context["form"].errors["incomplete"][0]
    assert post(ann, spoken, which="current", incomplete="on").status_code == 302
    options = ExportOptions.read(Export.objects.get().options_json)
    assert [line.text for line in options.chosen(spoken.lines.all())] == ["Two."]
    assert [line.text for line in ExportOptions(What.AUDIO, "mp3").chosen(spoken.lines.all())] == ["Other.", "Two."]


def test_what_became_stale_behind_the_pages_back_counts(ann: User, spoken: Project, heart: Character) -> None:
    heart.speed = 1.5
    heart.save()
    page = said(signed_in(ann).get(address(spoken, "exports/")))
    assert "2 lines have stale audio" in page
    refused = post(ann, spoken, which="current", incomplete="on")
    assert "No line has audio that is current" in str(refused.context["form"].errors)


def test_without_any_audio_there_is_nothing_to_export(ann: User, play: Project) -> None:
    assert "No line has audio yet" in said(signed_in(ann).get(address(play, "exports/")))
    assert "No line has audio yet" in str(post(ann, play, incomplete="on").context["form"].errors)
    assert not Export.objects.exists()


def test_whoever_has_no_room_is_told(ann: User, spoken: Project) -> None:
    StudioSettings.load()
    StudioSettings.objects.update(quota_mb=1)
    big = made(spoken, size=MEGABYTE)
    assert "all of the 1 MB that they may" in said(post(ann, spoken))
    Export.objects.filter(pk=big.pk).update(size=1)
    for _number in range(MOST_OPEN):
        assert post(ann, spoken).status_code == 302
    assert f"{MOST_OPEN} exports of this project are not made yet" in said(post(ann, spoken))


# The list.


def test_the_list_shows_how_far_each_is(ann: User, spoken: Project) -> None:
    waiting, running, failed = (made(spoken, state=state, file="") for state in ("queued", "running", "failed"))
    Export.objects.filter(pk=running.pk).update(progress=0.42)
    Export.objects.filter(pk=failed.pk).update(error="Line 3 is <b>broken</b>.", error_code="bad_audio")
    done = made(spoken)
    client = signed_in(ann)
    page = said(client.get(address(spoken, "exports/")))
    assert 'value="42"' in page and "Waits for its turn" in page
    assert "Line 3 is &lt;b&gt;broken&lt;/b&gt;." in page and "bad_audio" in page
    assert "83 s" in page and "-16 LUFS" in page
    for row in (waiting, running, failed, done):
        article = said(client.get(address(spoken, f"exports/{row.pk}/")))
        assert f'id="nr-export-{row.pk}"' in article
        assert ("data-nr-open" in article) == (row in (waiting, running))
        assert ("Download" in article) == (row == done)


def test_one_is_cancelled_and_deleted(ann: User, spoken: Project) -> None:
    running, done = made(spoken, state="running", file=""), made(spoken)
    client = signed_in(ann)
    assert client.post(address(spoken, f"exports/{running.pk}/act/"), {"act": "cancel"}).status_code == 302
    running.refresh_from_db()
    assert running.state == TakeState.CANCELLED
    for odd in ("", "explode", "delete:1"):
        assert client.post(address(spoken, f"exports/{done.pk}/act/"), {"act": odd}).status_code == 403
    client.post(address(spoken, f"exports/{done.pk}/act/"), {"act": "delete"})
    assert list(Export.objects.all()) == [running]


def test_exports_are_for_the_projects_people(ann: User, spoken: Project) -> None:
    row = made(spoken)
    other = Project.objects.create(name="Other", kind="phase", owner=ann)
    paths = [f"exports/{row.pk}/", f"exports/{row.pk}/file"]
    bob = somebody("bob", *RIGHTS)
    for path in paths:
        assert signed_in(bob).get(address(spoken, path)).status_code == 404
        assert signed_in(ann).get(address(other, path)).status_code == 404, "another project's"
    assert signed_in(bob).post(address(spoken, f"exports/{row.pk}/act/"), {"act": "delete"}).status_code == 404
    eve = somebody("eve", "studio.view_project")
    spoken.members.add(eve)
    assert "Delete" not in said(signed_in(eve).get(address(spoken, paths[0])))
    assert signed_in(eve).post(address(spoken, f"exports/{row.pk}/act/"), {"act": "delete"}).status_code == 403
    assert Export.objects.exists()


# The files, on the running server.


def test_a_file_is_downloaded_whole_and_in_parts(server: str, bank: Bank) -> None:
    ann = somebody("ann", *RIGHTS)
    play = Project.objects.create(name='Play: "One" / two', kind="dialogue", owner=ann, bank=bank, format="wav")
    row, packed = made(play), made(play, "zip")
    path = address(play, f"exports/{row.pk}/file")
    with browser_of(ann, server) as browser:
        answer = browser.get(path)
        assert answer.content == CONTENT and answer.headers["content-type"] == "audio/mpeg"
        assert answer.headers["content-disposition"] == 'attachment; filename="Play One two.mp3"'
        part = browser.get(f"{path}?listen", headers={"Range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, CONTENT[100:200])
        assert part.headers["content-disposition"].startswith("inline")
        assert browser.get(path, headers={"Range": "bytes=99999-"}).status_code == 416
        assert browser.head(path).headers["content-length"] == str(len(CONTENT))
        packed_answer = browser.get(address(play, f"exports/{packed.pk}/file"))
        assert packed_answer.headers["content-type"] == "application/zip"
        Path(row.file.path).unlink()
        assert browser.get(path).status_code == 404
        Export.objects.filter(pk=packed.pk).update(state="running")
        assert browser.get(address(play, f"exports/{packed.pk}/file")).status_code == 404
    with browser_of(somebody("bob", *RIGHTS), server) as browser:
        assert browser.get(path).status_code == 404
    with browser_of(somebody("none"), server) as browser:
        assert browser.get(path).status_code == 403
