"""The import of a novel in a real Chromium: from an empty project to its lines, a folder, and a cover."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, expect

from banks.models import Bank
from banks.storage import private_storage
from providers.models import Provider
from studio.import_drafts import FOLDER
from studio.models import Project
from tests.books import FOLDER as IN_BOOK
from tests.books import epub, picture
from tests.browser import NARROW, WIDE, Visitor, chromium
from tests.conftest import add_character
from tests.projects import PROJECTS, address
from tests.test_accessibility import violations

PASSWORD = "correct horse battery staple"
COVER = '<item id="c" href="c.png" media-type="image/png" properties="cover-image"/>'
BOOK = epub(
    {
        "title.xhtml": "<p>A Book by Ann Author</p>",
        "one.xhtml": "<h1>The Rain</h1><p>It rained. “Come in,” she said.</p>",
        "two.xhtml": "<h1>The Sun</h1><p>It shone. ‘At last,’ he said.</p>",
    },
    contents=(("title.xhtml", "Title"), ("one.xhtml", "1. The Rain"), ("two.xhtml", "2. The Sun")),
    items=COVER,
    files={IN_BOOK + "c.png": picture(size=(400, 600))},
)
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as environment:
        # Playwright's own loop runs in this thread; Django would take it for an asynchronous caller.
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with chromium() as started:
            yield started


@pytest.fixture
def visit(browser: Browser, server: str, bank: Bank) -> Iterator[Visit]:
    """Opens a window on the running application, signed in; at the end no window's console has complained."""
    User.objects.create_superuser("admin", password=PASSWORD)
    add_character(bank, Provider.objects.get(), "Soul")
    opened: list[Visitor] = []

    def open_window(*, width: int = WIDE, dark: bool = False) -> Visitor:
        visitor = Visitor(browser, server, width=width, dark=dark)
        opened.append(visitor)
        visitor.sign_in("admin", PASSWORD)
        return visitor

    try:
        yield open_window
        assert [complaint for visitor in opened for complaint in visitor.complaints] == []
    finally:
        for visitor in opened:
            visitor.close()
        storage = private_storage()
        for folder in (FOLDER, "covers"):
            for name in storage.listdir(folder)[1] if storage.exists(folder) else []:
                storage.delete(f"{folder}/{name}")


def test_a_book_from_nothing_to_its_lines(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(f"{PROJECTS}new/")
    page.get_by_label("Novel").check()
    page.fill("#id_name", "New")
    page.get_by_role("button", name="Go on with a text").click()
    page.set_input_files("#id_uploads", {"name": "book.epub", "mimeType": "application/epub+zip", "buffer": BOOK})
    visitor.shot("novel-import")
    assert violations(page) == []
    page.get_by_role("button", name="Go on").click()
    preview = page.locator("#nr-preview")
    expect(page.get_by_text("A Book · Ann Author")).to_be_visible()
    page.get_by_label("Call the project like the book").check()
    preview.get_by_text("3 chapters").click()
    preview.get_by_label("A Book by Ann Author").check()
    # The preview follows by itself, and the list of chapters stays open.
    expect(preview.get_by_text("7 lines")).to_be_visible()
    expect(preview.get_by_label("A Book by Ann Author")).to_be_checked()
    page.get_by_label("‘…’").check()
    expect(preview.get_by_text("8 lines")).to_be_visible()
    preview.get_by_label("Narrator").select_option(label="Heart")
    preview.get_by_label("Dialogue").select_option(label="Soul")
    expect(preview.get_by_text("Dialogue · Soul").first).to_be_visible()
    expect(page.get_by_label("Pattern of headings")).to_be_hidden()
    page.get_by_label("Lines that a pattern of your own matches").check()
    expect(page.get_by_label("Pattern of headings")).to_be_visible()
    expect(preview.get_by_text("Pattern of headings: Enter a pattern.")).to_be_visible()
    page.get_by_label("Headings such as").check()
    expect(preview.get_by_text("8 lines")).to_be_visible()
    expect(preview.get_by_label("A Book by Ann Author")).to_be_checked()
    visitor.shot("novel-cut")
    assert violations(page) == []
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("8 lines were imported.")).to_be_visible()
    project = Project.objects.get()
    assert (project.name, project.author, project.language) == ("A Book", "Ann Author", "en")
    assert [(line.chapter, line.speaker, str(line.character), line.text) for line in project.lines.all()] == [
        ("1. The Rain", "Narrator", "Heart", "The Rain"),
        ("", "Narrator", "Heart", "It rained."),
        ("", "Dialogue", "Soul", "“Come in,”"),
        ("", "Narrator", "Heart", "she said."),
        ("2. The Sun", "Narrator", "Heart", "The Sun"),
        ("", "Narrator", "Heart", "It shone."),
        ("", "Dialogue", "Soul", "‘At last,’"),
        ("", "Narrator", "Heart", "he said."),
    ]
    page.get_by_role("link", name="Settings", exact=True).click()
    cover = page.get_by_alt_text("Cover of “A Book”")
    expect(cover).to_be_visible()
    assert cover.evaluate("each => each.naturalWidth") == 400
    assert violations(page) == []
    page.get_by_role("button", name="Remove the cover").click()
    expect(page.get_by_text("The cover is removed.")).to_be_visible()
    expect(cover).to_have_count(0)


def test_a_folder_is_chosen_and_only_texts_of_it_are_sent(visit: Visit, tmp_path: Path, bank: Bank) -> None:
    folder = tmp_path / "novel"
    files = {"b/2.txt": "二。", "b/10.txt": "十。", "a/11.txt": "十一。", "a.jpg": "x", ".x.txt": "x"}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    project = Project.objects.create(name="Folder", kind="novel", owner=User.objects.get(), bank=bank)
    visitor = visit()
    page = visitor.page
    page.goto(address(project, "import/"))
    page.set_input_files("#id_folder", folder)
    told = page.locator("[data-nr-chosen]")
    expect(told).to_contain_text("novel/a.jpg")
    expect(told).to_contain_text("novel/.x.txt")
    assert page.evaluate("document.getElementById('id_folder').files.length") == 3
    visitor.shot("novel-folder")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#nr-preview").get_by_text("3 lines")).to_be_visible()
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("3 lines were imported.")).to_be_visible()
    assert list(project.lines.values_list("chapter", "text")) == [("11", "十一。"), ("2", "二。"), ("10", "十。")]


@pytest.mark.parametrize(("width", "dark"), [(WIDE, True), (NARROW, False)], ids=["wide-dark", "narrow-light"])
def test_the_pages_fit(visit: Visit, bank: Bank, width: int, dark: bool) -> None:
    visitor = visit(width=width, dark=dark)
    page = visitor.page
    long = "averylongwordwithoutanyblank" * 3
    project = Project.objects.create(name=long, author=long, kind="novel", owner=User.objects.get(), bank=bank)
    pages = {
        f"{number}.xhtml": f"<h1>{long} {number}</h1><p>{long * 4}. “{long},” he said.</p>" for number in range(40)
    }
    book = epub(pages, metadata=f"<dc:title>{long}</dc:title>", items=COVER, files={IN_BOOK + "c.png": picture()})
    page.goto(address(project, "import/"))
    visitor.assert_fits(width)
    page.set_input_files("#id_uploads", {"name": f"{long}.epub", "mimeType": "application/epub+zip", "buffer": book})
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("40 chapters").click()
    visitor.assert_fits(width)
    assert violations(page) == []
    visitor.shot(f"novel-cut-{width}")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("were imported.")).to_be_visible()
    page.goto(address(project, "settings/"))
    visitor.assert_fits(width)
    assert violations(page) == []
    visitor.shot(f"novel-settings-{width}")
