"""A novel from its file to its lines: chapters, voices, what a book says of itself, and covers."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from PIL import Image

from banks.models import Bank, Character
from banks.storage import private_storage
from providers.models import Provider
from studio.import_drafts import FOLDER
from studio.models import Project
from studio.projects import cover_of, duplicate, remove
from tests.books import FOLDER as IN_BOOK
from tests.books import chinese_novel, english_novel, epub, picture
from tests.conftest import add_character
from tests.projects import RIGHTS, address, said
from tests.studio import signed_in, somebody

pytestmark = pytest.mark.django_db
COVER = '<item id="c" href="c.png" media-type="image/png" properties="cover-image"/>'
FORM = {
    "how": "sentence", "longest": "250", "headings": "known", "heading_pattern": "", "voices": "on",
    "marks": ["double", "corner"], "quote_pattern": "", "narrator": "Narrator", "dialogue": "Dialogue",
    "where": "append",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    """Nor those that other tests have left."""
    empty()
    yield
    empty()


def empty() -> None:
    storage = private_storage()
    for folder in (FOLDER, "covers"):
        for name in storage.listdir(folder)[1] if storage.exists(folder) else []:
            storage.delete(f"{folder}/{name}")


def covers() -> list[str]:
    storage = private_storage()
    return storage.listdir("covers")[1] if storage.exists("covers") else []


@pytest.fixture
def ann() -> User:
    return somebody("ann", *RIGHTS)


@pytest.fixture
def client(ann: User) -> Client:
    return signed_in(ann)


@pytest.fixture
def novel(ann: User) -> Project:
    bank, provider = Bank.objects.create(name="Stories"), Provider.objects.create(name="Inside", kind="embedded")
    add_character(bank, provider, "Heart")
    add_character(bank, provider, "Soul", aliases=["Narrator"])
    return Project.objects.create(name="Novel", kind="novel", owner=ann, bank=bank)


def begin(client: Client, project: Project, *files: tuple[str, bytes], **values: Any) -> Any:
    uploads = [SimpleUploadedFile(name, content) for name, content in files]
    return client.post(address(project, "import/"), {"text": "", "uploads": uploads, "begin": "", **values})


def in_folder(client: Client, project: Project, *files: tuple[str, bytes], paths: bool = True) -> Any:
    sent = [SimpleUploadedFile(path.rpartition("/")[2], content) for path, content in files]
    values = {"folder_path": [path for path, _content in files]} if paths else {}
    return client.post(address(project, "import/"), {"text": "", "folder": sent, "begin": "", **values})


def look(client: Client, project: Project, **values: Any) -> Any:
    return client.post(address(project, "import/preview/"), FORM | values)


def finish(client: Client, project: Project, **values: Any) -> Any:
    return client.post(address(project, "import/"), FORM | {"import": ""} | values)


def lines(project: Project) -> list[tuple[str, str, str]]:
    return list(project.lines.values_list("chapter", "speaker", "text"))


# From a book to its lines.


def test_a_book_becomes_lines_of_who_tells_and_who_speaks(client: Client, novel: Project) -> None:
    content = epub(
        contents=(("one.xhtml", "1. Rain"), ("two.xhtml", "2. Sun")), items=COVER, files={IN_BOOK + "c.png": picture()}
    )
    assert begin(client, novel, ("book.epub", content))["Location"] == address(novel, "import/")
    page = said(client.get(address(novel, "import/")))
    assert "A Book" in page and "Ann Author" in page and "2 chapters" in page and "6 lines" in page
    assert 'name="encoding_0"' not in page and not novel.lines.exists()
    soul, heart = Character.objects.get(name="Soul"), Character.objects.get(name="Heart")
    assert f'value="{soul.pk}" selected' in page, "the bank knows who tells"
    finish(client, novel, rename="on", speaker=["Narrator", "Dialogue"], character=[soul.pk, heart.pk])
    assert lines(novel) == [
        ("1. Rain", "Narrator", "The Rain"),
        ("", "Narrator", "It rained."),
        ("", "Dialogue", "“Come in,”"),
        ("", "Narrator", "she said."),
        ("2. Sun", "Narrator", "The Sun"),
        ("", "Narrator", "It shone."),
    ]
    assert set(novel.lines.values_list("speaker", "character__name")) == {("Narrator", "Soul"), ("Dialogue", "Heart")}
    assert not novel.lines.filter(wanted="").exists(), "each can be spoken at once"
    novel.refresh_from_db()
    assert (novel.name, novel.author, novel.language) == ("A Book", "Ann Author", "en")
    with Image.open(BytesIO(cover_of(novel))) as image:
        assert (image.format, image.size) == ("JPEG", (60, 90))


def test_what_the_project_says_of_itself_stays(client: Client, novel: Project) -> None:
    Project.objects.filter(pk=novel.pk).update(author="Bob", language="de")
    begin(client, novel, ("book.epub", epub()))
    finish(client, novel)
    novel.refresh_from_db()
    assert (novel.name, novel.author, novel.language) == ("Novel", "Bob", "de") and not novel.cover


@pytest.mark.parametrize(
    ("name", "content"),
    [("c.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>x</script></svg>"), ("c.png", b"broken")],
    ids=["svg", "broken"],
)
def test_a_cover_that_is_no_picture_is_left_out(client: Client, novel: Project, name: str, content: bytes) -> None:
    kind = "image/svg+xml" if name == "c.svg" else "image/png"
    items = COVER.replace("c.png", name).replace("image/png", kind)
    begin(client, novel, ("book.epub", epub(items=items, files={IN_BOOK + name: content})))
    page = client.post(address(novel, "import/"), FORM | {"import": ""}, follow=True)
    assert "The cover is left out" in said(page) and novel.lines.exists()
    novel.refresh_from_db()
    assert not novel.cover and covers() == []


def test_chapters_are_left_out(client: Client, novel: Project) -> None:
    begin(client, novel, ("book.epub", epub()))
    (rain, sun) = look(client, novel).context["plan"].chapters
    assert (rain.title, rain.lines, rain.opening) == ("The Rain", 4, "The Rain It rained. “Come in,” she said.")
    again = look(client, novel, left_out=[rain.key, "9 Unknown"])
    assert [one.lines for one in again.context["plan"].chapters] == [0, 2] and "checked" in said(again)
    finish(client, novel, left_out=[rain.key])
    assert [text for _chapter, _speaker, text in lines(novel)] == ["The Sun", "It shone."]
    begin(client, novel, ("book.epub", epub()))
    assert "There are no words" in said(finish(client, novel, left_out=[rain.key, sun.key]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, [("Day 1", 2), ("Chapter 2", 2)]),
        ({"headings": "none"}, [("", 4)]),
        ({"headings": "pattern", "heading_pattern": "^Day"}, [("Day 1", 4)]),
    ],
    ids=["known", "none", "pattern"],
)
def test_chapters_of_a_text(client: Client, novel: Project, values: dict[str, str], expected: list[Any]) -> None:
    client.post(address(novel, "import/"), {"text": "Day 1\n\nOne.\n\nChapter 2\n\nTwo.", "begin": ""})
    found = [(one.title, one.lines) for one in look(client, novel, **values).context["plan"].chapters]
    assert found == (expected if values else [("", 2), ("Chapter 2", 2)])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"voices": ""}, [("", "“One,” she said."), ("", "‘Two.’")]),
        ({"marks": ["single"]}, [("Narrator", "“One,” she said."), ("Dialogue", "‘Two.’")]),
        ({"narrator": "Teller", "dialogue": "All"}, [("All", "“One,”"), ("Teller", "she said."), ("Teller", "‘Two.’")]),
        (
            {"marks": [], "quote_pattern": "“One"},
            [("Dialogue", "“One,”"), ("Narrator", "she said."), ("Narrator", "‘Two.’")],
        ),
    ],
    ids=["off", "single", "names", "pattern"],
)  # fmt: skip
def test_voices(client: Client, novel: Project, values: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    client.post(address(novel, "import/"), {"text": "“One,” she said.\n\n‘Two.’", "begin": ""})
    drafts = look(client, novel, **values).context["plan"].drafts
    assert [(one.speaker, one.text) for one in drafts] == expected


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"headings": "pattern", "heading_pattern": "("}, "heading_pattern"),
        ({"headings": "pattern"}, "heading_pattern"),
        ({"headings": "pattern", "heading_pattern": "(a+)+$"}, "heading_pattern"),
        ({"headings": "exe"}, "headings"),
        ({"quote_pattern": "("}, "quote_pattern"),
        ({"quote_pattern": "(a+)+$"}, "quote_pattern"),
        ({"how": "pattern", "pattern": "(a+)+$"}, "pattern"),
        ({"how": "quotes"}, "how"),
        ({"marks": ["exe"]}, "marks"),
        ({"narrator": ""}, "narrator"),
        ({"dialogue": "x" * 101}, "dialogue"),
        ({"longest": "1"}, "longest"),
    ],
)
def test_bad_choices_are_told_at_their_fields(
    client: Client, novel: Project, values: dict[str, Any], field: str
) -> None:
    client.post(address(novel, "import/"), {"text": "a" * 4000 + "!", "begin": ""})
    for send in (look, finish):
        assert list(send(client, novel, **values).context["form"].errors) == [field]
    assert not novel.lines.exists()


def test_what_was_chosen_outlives_a_bad_pattern(client: Client, novel: Project) -> None:
    begin(client, novel, ("book.epub", epub()))
    chosen = {"speaker": ["Narrator", "Dialogue"], "character": ["7", ""], "left_out": ["0 The <Rain>"]}
    page = said(look(client, novel, quote_pattern="(", **chosen))
    for name, value in (("speaker", "Dialogue"), ("character", "7"), ("left_out", "0 The &lt;Rain&gt;")):
        assert f'<input type="hidden" name="{name}" value="{value}">' in page


def test_what_does_not_count_is_not_complained_about(client: Client, novel: Project) -> None:
    client.post(address(novel, "import/"), {"text": "One.", "begin": ""})
    idle = {"heading_pattern": "(", "pattern": "(", "voices": "", "quote_pattern": "(", "narrator": "", "marks": ["x"]}
    finish(client, novel, **idle)
    assert lines(novel) == [("", "", "One.")]


def test_other_kinds_are_asked_what_concerns_them(client: Client, novel: Project, ann: User) -> None:
    for kind, asked, unasked in (
        ("novel", {"voices", "headings", "how"}, {"labels", "rename"}),
        ("phase", {"labels", "how"}, {"voices", "headings"}),
        ("dialogue", {"longest"}, {"voices", "headings", "how", "labels"}),
    ):
        project = Project.objects.create(name=kind, kind=kind, owner=ann)
        client.post(address(project, "import/"), {"text": "Anna: One.", "begin": ""})
        fields = set(client.get(address(project, "import/")).context["form"].fields)
        assert asked <= fields and not unasked & fields, kind


# Files and folders.


def test_files_stand_in_the_order_of_their_numbers(client: Client, novel: Project) -> None:
    begin(
        client, novel, ("10.txt", b"Ten."), ("9.md", b"# Nine\n\nText."), ("2.txt", "第三章\n\n二。".encode("gb18030"))
    )
    finish(client, novel)
    assert [(chapter, text) for chapter, _speaker, text in lines(novel)] == [
        ("第三章", "第三章"), ("", "二。"), ("Nine", "Nine"), ("", "Text."), ("10", "Ten."),
    ]  # fmt: skip


def test_a_folder_is_read_and_what_is_no_text_is_named(client: Client, novel: Project) -> None:
    files = [
        ("b/b/2.txt", b"Two."),
        ("b/b/10.txt", b"Ten."),
        ("b/a.jpg", b"x"),
        ("b/.hidden.txt", b""),
        ("b/a/11.txt", b"Eleven."),
    ]
    in_folder(client, novel, *files)
    page = said(client.get(address(novel, "import/")))
    assert "2 files are no texts, and left out: b/a.jpg, b/.hidden.txt" in page
    finish(client, novel)
    assert [text for _chapter, _speaker, text in lines(novel)] == ["Eleven.", "Two.", "Ten."]


def test_a_folder_without_paths_or_with_wrong_ones_is_read_by_names(client: Client, novel: Project) -> None:
    files = [("b/2.txt", b"Two."), ("a/10.txt", b"Ten.")]
    in_folder(client, novel, *files, paths=False)
    finish(client, novel)
    sent = [SimpleUploadedFile("1.txt", b"One."), SimpleUploadedFile("0.txt", b"Zero.")]
    client.post(address(novel, "import/"), {"folder": sent, "begin": "", "folder_path": ["0.txt", "1.txt"]})
    finish(client, novel)
    assert [text for _chapter, _speaker, text in lines(novel)] == ["Two.", "Ten.", "Zero.", "One."]


def test_a_folder_without_texts_is_refused(client: Client, novel: Project) -> None:
    errors = in_folder(client, novel, ("b/a.jpg", b"x"), ("b/.x.txt", b"x")).context["form"].errors
    assert list(errors) == ["folder"] and "There is no text in this folder" in errors["folder"][0]
    errors = in_folder(client, novel, ("b/a.txt", bytes(range(256)) * 40)).context["form"].errors
    assert list(errors) == ["folder"] and "b/a.txt: This is no text file" in errors["folder"][0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"nothing", "no EPUB book, or it is damaged"),
        (epub({}), "no text in this book"),
        (epub(files={IN_BOOK + "x.xhtml": b"0" * (5 << 20)}), "packed more tightly"),
        (epub()[:300], "damaged"),
    ],
    ids=["no zip", "no pages", "bomb", "cut off"],
)
def test_books_that_cannot_be_read_are_refused(client: Client, novel: Project, content: bytes, reason: str) -> None:
    errors = begin(client, novel, ("book.epub", content)).context["form"].errors
    assert list(errors) == ["uploads"] and errors["uploads"][0].startswith("book.epub: ")
    assert reason in errors["uploads"][0]


def test_many_files_are_asked_for_their_encodings_in_groups(client: Client, novel: Project) -> None:
    files = [(f"{number}.txt", f"“你是谁？”她问道。他沉默了一会儿{number}。".encode("gbk")) for number in range(12)]
    files += [("12.txt", b"Plain."), ("13.txt", "Мир.".encode("koi8_r"))]
    begin(client, novel, *files)
    form = client.get(address(novel, "import/")).context["form"]
    assert [field.label for field in form.encodings][0] == "Encoding of “0.txt” and 11 others"
    assert len(form.encodings) == 3
    wrong = look(client, novel, encoding_0="utf-8").context["form"]
    (error,) = wrong.errors["encoding_0"]
    assert error.startswith("0.txt: ") and wrong.plan is None
    finish(client, novel, encoding_13="koi8_r")
    assert novel.lines.filter(chapter="13", text="Мир.").exists()


@pytest.mark.parametrize("novel_of", [english_novel, chinese_novel])
def test_a_whole_novel_is_stored_in_few_queries(client: Client, novel: Project, novel_of: Any) -> None:
    text = novel_of(1_000_000)
    begin(client, novel, ("novel.txt", text.encode()))
    names = {"speaker": ["Narrator", "Dialogue"], "character": list(Character.objects.values_list("pk", flat=True))}
    with CaptureQueriesContext(connection) as queries:
        finish(client, novel, **names)
    count = novel.lines.count()
    assert count > 9_000 and len(queries) < 150, (count, len(queries))
    assert novel.lines.exclude(chapter="").count() == (text.count("Chapter ") or text.count("章 "))
    stored = "".join(novel.lines.values_list("text", flat=True))
    assert "".join(stored.split()) == "".join(text.split())
    assert not novel.lines.filter(wanted="").exists()


# Covers and authors in the settings.


def set_cover(client: Client, project: Project, content: bytes | None, **values: str) -> Any:
    files = {} if content is None else {"cover": SimpleUploadedFile("c.png", content)}
    return client.post(address(project, "cover/"), {**files, **values})


def test_a_cover_is_shown_replaced_and_removed(
    client: Client, novel: Project, django_capture_on_commit_callbacks: Any
) -> None:
    assert client.get(address(novel, "cover")).status_code == 404
    set_cover(client, novel, picture(size=(2400, 600)))
    page = said(client.get(address(novel, "settings/")))
    shown = client.get(page.split('class="nr-cover" src="')[1].split('"')[0])
    assert shown["Content-Type"] == "image/jpeg" and "private" in shown["Cache-Control"]
    with Image.open(BytesIO(shown.content)) as image:
        assert image.size == (1200, 300)
    with django_capture_on_commit_callbacks(execute=True):
        set_cover(client, novel, picture())
    assert len(covers()) == 1
    copy = duplicate(Project.objects.get(pk=novel.pk), novel.owner)
    assert cover_of(copy) and len(covers()) == 2
    with django_capture_on_commit_callbacks(execute=True):
        set_cover(client, novel, None, remove="")
        remove(copy, novel.owner)
    assert covers() == [] and 'nr-cover" src' not in said(client.get(address(novel, "settings/")))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "Choose a picture"), (b"<svg/>", "not a picture"), (b"x" * (11 << 20), "larger than 10 MB")],
    ids=["nothing", "svg", "huge"],
)
def test_what_is_no_cover_is_refused(client: Client, novel: Project, content: bytes | None, reason: str) -> None:
    page = said(set_cover(client, novel, content))
    assert reason in page and covers() == []


def test_only_its_people_see_a_cover_and_only_some_change_it(client: Client, novel: Project) -> None:
    set_cover(client, novel, picture())
    viewer, outsider = somebody("viewer", "studio.view_project"), somebody("out", *RIGHTS)
    novel.members.add(viewer)
    assert signed_in(viewer).get(address(novel, "cover")).status_code == 200
    assert "Save the cover" not in said(signed_in(viewer).get(address(novel, "settings/")))
    assert set_cover(signed_in(viewer), novel, picture()).status_code == 403
    assert signed_in(outsider).get(address(novel, "cover")).status_code == 404
    assert set_cover(signed_in(outsider), novel, picture()).status_code == 404
    assert Client().get(address(novel, "cover")).status_code == 302


def test_an_author_is_set(client: Client, novel: Project) -> None:
    values = {"name": "Novel", "author": "Eve", "bank": novel.bank_id, "language": "", "format": "flac"}
    client.post(address(novel, "settings/"), values)
    novel.refresh_from_db()
    assert novel.author == "Eve" and "Eve" in said(client.get(address(novel, "settings/")))
