"""The import of a text on its pages: two steps, a preview, and nothing stored before."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from banks.models import Bank, Character
from banks.storage import private_storage
from providers.models import Provider
from studio import import_drafts, lines
from studio.import_drafts import FOLDER, KEPT, MOST_PROJECTS
from studio.import_forms import MOST_FILES
from studio.lines import Draft
from studio.models import Project
from tests.conftest import add_character
from tests.projects import RIGHTS, address, said
from tests.sounds import tone, wav_file
from tests.studio import signed_in, somebody

pytestmark = pytest.mark.django_db
JAPANESE = "「あなたは誰ですか」と彼女は尋ねた。"
SCRIPT = "Anna: Come here.\nBob (softly): I come.\n\nIt rained."


@pytest.fixture(autouse=True)
def no_drafts() -> Iterator[None]:
    """Nor those that other tests have left."""
    empty()
    yield
    empty()


def empty() -> None:
    for name in stored():
        private_storage().delete(f"{FOLDER}/{name}")


def stored() -> list[str]:
    storage = private_storage()
    return storage.listdir(FOLDER)[1] if storage.exists(FOLDER) else []


@pytest.fixture
def stories() -> Bank:
    bank = Bank.objects.create(name="Stories")
    provider = Provider.objects.create(name="Inside", kind="embedded")
    add_character(bank, provider, "Anna")
    add_character(bank, provider, "Heart")
    return bank


@pytest.fixture
def ann() -> User:
    return somebody("ann", *RIGHTS)


@pytest.fixture
def client(ann: User) -> Client:
    return signed_in(ann)


@pytest.fixture
def play(ann: User, stories: Bank) -> Project:
    return Project.objects.create(name="Play", kind="dialogue", owner=ann, bank=stories)


@pytest.fixture
def book(ann: User, stories: Bank) -> Project:
    return Project.objects.create(name="Book", kind="phase", owner=ann, bank=stories)


def begin(client: Client, project: Project, text: str = "", *files: tuple[str, bytes]) -> Any:
    uploads = [SimpleUploadedFile(name, content) for name, content in files]
    return client.post(address(project, "import/"), {"text": text, "uploads": uploads, "begin": ""})


def cut(**values: Any) -> dict[str, Any]:
    return {"how": "paragraph", "pattern": "", "longest": "500", "where": "append", **values}


def finish(client: Client, project: Project, **values: Any) -> Any:
    return client.post(address(project, "import/"), cut(**{"import": "", **values}))


def look(client: Client, project: Project, **values: Any) -> str:
    return said(client.post(address(project, "import/preview/"), cut(**values)))


def texts(project: Project) -> list[str]:
    return list(project.lines.values_list("text", flat=True))


# Both kinds, from the text to the lines.


def test_a_script_becomes_turns_and_unknown_names_are_asked_once(client: Client, play: Project) -> None:
    assert begin(client, play, SCRIPT)["Location"] == address(play, "import/")
    page = said(client.get(address(play, "import/")))
    assert "3 lines" in page and "softly" in page and not play.lines.exists()
    names = [part.split('"')[0] for part in page.split('name="speaker" value="')[1:]]
    assert names == ["Bob", "", "Anna"], "unknown ones first"
    heart, anna = Character.objects.get(name="Heart"), Character.objects.get(name="Anna")
    assert f'value="{anna.pk}" selected>Anna' in page
    done = finish(client, play, speaker=names, character=[heart.pk, "", anna.pk])
    assert done["Location"] == address(play)
    assert list(play.lines.values_list("text", "speaker", "character", "instruction")) == [
        ("Come here.", "Anna", anna.pk, ""),
        ("I come.", "Bob", heart.pk, "softly"),
        ("It rained.", "", None, ""),
    ]
    assert stored() == []
    begin(client, play, "Bob: Again.")
    page = said(client.get(address(play, "import/")))
    assert f'value="{heart.pk}" selected' in page and "data-nr-missing" not in page


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["One. Two.", "“Three,” he said."]),
        ({"how": "sentence"}, ["One.", "Two.", "“Three,” he said."]),
        ({"how": "quotes"}, ["One. Two.", "“Three,”", "he said."]),
        ({"how": "pattern", "pattern": r"\.\s"}, ["One", "Two", "“Three,” he said."]),
    ],
    ids=["paragraphs", "sentences", "quotes", "pattern"],
)
def test_a_text_becomes_segments(client: Client, book: Project, values: dict[str, str], expected: list[str]) -> None:
    begin(client, book, "One. Two.\n\n“Three,” he said.")
    heart = Character.objects.get(name="Heart")
    preview = look(client, book, **values)
    assert f"{len(expected)} lines" in preview and "All lines" in preview and not book.lines.exists()
    finish(client, book, speaker="", character=heart.pk, **values)
    assert texts(book) == expected
    assert set(book.lines.values_list("character__name", flat=True)) == {"Heart"}


def test_labels_of_speakers_are_read_where_it_is_asked(client: Client, book: Project) -> None:
    begin(client, book, SCRIPT)
    assert "Anna: Come here." in look(client, book)
    finish(client, book, labels="on")
    assert list(book.lines.values_list("speaker", flat=True)) == ["Anna", "Bob", ""]


def test_what_is_no_name_is_asked(client: Client, book: Project) -> None:
    begin(client, book, "It was late.\n\nNote: nobody came.\n\nIt rained.\n\nIt stopped.")
    preview = look(client, book, labels="on")
    assert 'name="no_name" value="Note"' in preview
    preview = look(client, book, labels="on", no_name="Note")
    assert 'value="Note" id="nr-no-name-1" checked' in preview and "Note: nobody came." in preview
    finish(client, book, labels="on", no_name="Note")
    assert not book.lines.exclude(speaker="").exists()


def test_other_lines_are_replaced_only_by_who_is_sure(client: Client, book: Project) -> None:
    lines.add(book, [Draft("Old.")])
    begin(client, book, "New.")
    refused = finish(client, book, where="replace")
    assert list(refused.context["form"].errors) == ["sure"] and texts(book) == ["Old."]
    assert "New." in said(refused), "the preview stays"
    finish(client, book, where="replace", sure="on")
    assert texts(book) == ["New."]
    begin(client, book, "Newer.")
    finish(client, book)
    assert texts(book) == ["New.", "Newer."]


# What may be wrong with a text.


@pytest.mark.parametrize(
    ("text", "files", "field", "reason"),
    [
        ("", [], "text", "Paste a text"),
        (" \n ", [], "text", "Paste a text"),
        ("a\0b", [], "text", "Null characters"),
        ("word " * 1_700_000, [], "text", "too long"),
        ("Text.", [("a.txt", b"File.")], "__all__", "choose one of them"),
        ("", [("a.wav", wav_file(tone(8000, 0.1), 8000))], "uploads", "a.wav: This is no text file"),
        ("", [("a.txt", bytes(range(256)) * 40)], "uploads", "a.txt: This is no text file"),
        ("", [("a.docx", b"PK\x03\x04" + bytes(200))], "uploads", "a.docx: This is no text file"),
        ("", [("a.txt", b"")], "uploads", "empty"),
        ("", [("a.txt", b"a " * (5 << 20))], "uploads", "more than 8 MB"),
        ("", [(f"{one}.txt", b"a " * (3 << 20)) for one in "ab"], "uploads", "Together the files are too large"),
        ("", [(f"{number}.txt", b"a") for number in range(MOST_FILES + 1)], "uploads", "At most 50"),
    ],
    ids=["nothing", "blank", "null", "long", "both", "wav", "binary", "docx", "empty", "huge", "huge together", "many"],
)
def test_what_is_no_text_is_refused_in_clear_words(
    client: Client, book: Project, text: str, files: list[tuple[str, bytes]], field: str, reason: str
) -> None:
    page = begin(client, book, text, *files)
    errors = page.context["form"].errors
    assert list(errors) == [field] and reason in errors[field][0]
    assert stored() == [] and "Import a text" in said(page)


@pytest.mark.parametrize("text", ["…", "***\n\n—", "\n\n\n."])
def test_a_text_without_words_makes_nothing(client: Client, book: Project, text: str) -> None:
    begin(client, book, text)
    assert "There are no words in this text." in said(client.get(address(book, "import/")))
    assert "There are no words in this text." in said(finish(client, book))
    assert not book.lines.exists()


@pytest.mark.parametrize(
    ("content", "looks", "line"),
    [
        ("Schöne Grüße.".encode(), "UTF-8", "Schöne Grüße."),
        (codecs.BOM_UTF8 + "Grüße.".encode(), "UTF-8", "Grüße."),
        (codecs.BOM_UTF16_LE + "Grüße, 你好。".encode("utf-16-le"), "UTF-16 LE", "Grüße, 你好。"),
        ("“你是谁？”她问道。他沉默了一会儿。".encode("gbk"), "GB18030", "“你是谁？”她问道。他沉默了一会儿。"),
        (
            "「あなたは誰ですか」と彼女は尋ねた。".encode("shift_jis"),
            "Shift-JIS",
            "「あなたは誰ですか」と彼女は尋ねた。",
        ),
    ],
    ids=["utf-8", "bom", "utf-16", "gbk", "shift-jis"],
)
def test_files_are_read_as_they_are_written(
    client: Client, book: Project, content: bytes, looks: str, line: str
) -> None:
    begin(client, book, "", ("text.txt", content))
    page = said(client.get(address(book, "import/")))
    assert looks in page.split('name="encoding_0"')[1].split("</option>")[0] and line in page
    finish(client, book)
    assert texts(book) == [line]


def test_another_encoding_is_chosen(client: Client, book: Project) -> None:
    begin(client, book, "", ("text.txt", "Мир и покой.".encode("koi8_r")))
    assert "Мир и покой." in look(client, book, encoding_0="koi8_r")
    wrong = look(client, book, encoding_0="utf-8")
    assert "choose another encoding" in wrong
    finish(client, book, encoding_0="koi8_r")
    assert texts(book) == ["Мир и покой."]
    assert "encoding_0" in finish_again(client, book).context["form"].errors


def finish_again(client: Client, project: Project) -> Any:
    begin(client, project, "", ("text.txt", "Мир".encode("koi8_r")))
    return finish(client, project, encoding_0="exe")


def test_several_files_are_chapters_and_headings_too(client: Client, book: Project) -> None:
    begin(client, book, "", ("1 Begin.txt", b"One."), ("2 End.txt", b"Two.\n\nThree."))
    finish(client, book)
    begin(client, book, "", ("more.md", b"# Part\n\nSome *more*."))
    finish(client, book)
    assert list(book.lines.values_list("chapter", "text")) == [
        ("1 Begin", "One."),
        ("2 End", "Two."),
        ("", "Three."),
        ("Part", "Part"),
        ("", "Some more."),
    ]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"how": "pattern", "pattern": "("}, "pattern"),
        ({"how": "pattern", "pattern": ""}, "pattern"),
        ({"how": "pattern", "pattern": "a" * 501}, "pattern"),
        ({"how": "pattern", "pattern": r"(a+)+$|(a|aa)+?b|(.*.*)*="}, "pattern"),
        ({"how": "film"}, "how"),
        ({"how": ""}, "how"),
        ({"longest": "19"}, "longest"),
        ({"longest": "5001"}, "longest"),
        ({"longest": ""}, "longest"),
        ({"longest": "٣x"}, "longest"),
        ({"where": "nowhere"}, "where"),
        ({"speaker": "", "character": "999999"}, "__all__"),
    ],
    ids=range(12),
)
def test_a_mistake_is_told_at_its_field(client: Client, book: Project, values: dict[str, str], field: str) -> None:
    begin(client, book, "a" * 200 + "! One.")
    page = finish(client, book, **values)
    assert list(page.context["form"].errors) == [field]
    assert 'class="nr-error"' in said(page) and not book.lines.exists()
    look(client, book, **values)


def test_a_pattern_that_is_not_asked_for_is_not_read(client: Client, book: Project) -> None:
    begin(client, book, "One.")
    finish(client, book, pattern="(" * 600)
    assert texts(book) == ["One."]


def test_hostile_names_and_texts_stay_text(client: Client, play: Project) -> None:
    begin(client, play, "Ann<script>: <img src=x onerror=alert(1)>\nBob & Co: Yes.\nAnn<b>: No.")
    page = said(client.get(address(play, "import/"))).split('id="nr-cut"')[1]
    assert "<img" not in page and "<b>" not in page and "<script>" not in page.split('id="nr-preview"')[1]
    names = [f"Name {chr(0x4E00 + number)}" for number in range(300)]
    begin(client, play, "\n".join(f"{name}: Yes." for name in names))
    page = said(client.get(address(play, "import/")))
    assert page.count('name="speaker"') == 50 and "250 more names" in page
    finish(client, play)
    assert play.lines.count() == 300


def test_fifty_thousand_lines_come_in(client: Client, book: Project) -> None:
    begin(client, book, "", ("long.txt", b"Yes, indeed.\n" * 50_000))
    assert "50000 lines" in look(client, book, how="line").replace(",", "")
    finish(client, book, how="line")
    assert book.lines.count() == 50_000
    begin(client, book, "One more.")
    assert "at most 50000 lines" in said(finish(client, book))
    assert book.lines.count() == 50_000


# What waits between the steps.


def test_the_text_waits_for_whoever_brought_it(client: Client, play: Project, book: Project) -> None:
    begin(client, book, "Mine alone.")
    other = somebody("bob", *RIGHTS)
    book.members.add(other)
    assert "Mine alone." not in said(signed_in(other).get(address(book, "import/")))
    assert "Mine alone." not in said(client.get(address(play, "import/")))
    assert signed_in(other).post(address(book, "import/preview/"), cut()).status_code == 410
    assert "Mine alone." in said(client.get(address(book, "import/")))
    begin(client, book, "Another.")
    assert len(stored()) == 1 and "Another." in said(client.get(address(book, "import/")))
    client.post(address(book, "import/"), {"forget": ""})
    assert stored() == [] and 'name="begin"' in said(client.get(address(book, "import/")))


def test_a_text_that_is_gone_is_asked_for_again(client: Client, book: Project) -> None:
    begin(client, book, "One.")
    private_storage().delete(f"{FOLDER}/{stored()[0]}")
    assert "The text is not here any more" in said(finish(client, book))
    assert not book.lines.exists()


def test_no_more_waits_than_a_few_and_not_for_ever(client: Client, ann: User) -> None:
    for number in range(MOST_PROJECTS + 2):
        begin(client, Project.objects.create(name=f"{number}", kind="phase", owner=ann), f"Text {number}.")
    assert len(stored()) == MOST_PROJECTS
    import_drafts.sweep()
    assert len(stored()) == MOST_PROJECTS
    old = (timezone.now() - KEPT - timedelta(minutes=1)).timestamp()
    for name in stored():
        os.utime(private_storage().path(f"{FOLDER}/{name}"), (old, old))
    import_drafts.sweep()
    assert stored() == []


def test_only_who_may_change_the_project_imports(client: Client, book: Project) -> None:
    begin(client, book, "One.")
    viewer, outsider = somebody("viewer", "studio.view_project", "studio.add_project"), somebody("out", *RIGHTS)
    book.members.add(viewer)
    for path in ("import/", "import/preview/"):
        assert signed_in(viewer).post(address(book, path), cut()).status_code == 403
        assert signed_in(outsider).post(address(book, path), cut()).status_code == 404
    assert signed_in(viewer).get(address(book, "import/")).status_code == 403
    assert "import/" not in said(signed_in(viewer).get(address(book, "cast/")))
    assert client.get(address(book, "import/preview/")).status_code == 405
