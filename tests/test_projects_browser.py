"""Projects in a real Chromium: both kinds from nothing to their lines, the cast, and how the pages look."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, expect

from banks.models import Bank
from banks.storage import private_storage
from providers.models import Provider
from studio import lines
from studio.export_options import ExportOptions, What
from studio.import_drafts import FOLDER
from studio.lines import Draft
from studio.models import Export, Project
from tests.browser import NARROW, WIDE, Visitor, chromium
from tests.conftest import add_character
from tests.projects import PROJECTS, address, voiced
from tests.studio import clear_files
from tests.test_accessibility import violations

PASSWORD = "correct horse battery staple"
Visit = Callable[..., Visitor]
SCRIPT = "Anna: Come here.\nBob (softly): I come.\nAnna: Good.\n"
STORY = "It rained.\n\n“Come in,” she said. He came.\n\nThe end."


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
    add_character(bank, Provider.objects.get(), "Soul", aliases=["Anna"])
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
        clear_files()
        storage = private_storage()
        for name in storage.listdir(FOLDER)[1] if storage.exists(FOLDER) else []:
            storage.delete(f"{FOLDER}/{name}")


def test_a_dialogue_from_nothing_to_its_lines(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(PROJECTS)
    assert violations(page) == []
    visitor.shot("projects-empty")
    page.get_by_role("link", name="Make the first project").click()
    page.get_by_label("Dialogue").check()
    page.fill("#id_name", "The visit")
    visitor.shot("projects-new")
    assert violations(page) == []
    page.get_by_role("button", name="Go on with a text").click()
    page.fill("#id_text", SCRIPT)
    visitor.shot("import-text")
    assert violations(page) == []
    page.get_by_role("button", name="Go on").click()
    preview = page.locator("#nr-preview")
    expect(preview.get_by_text("3 lines")).to_be_visible()
    expect(preview.get_by_label("Anna").locator("option:checked")).to_have_text("Soul")
    preview.get_by_label("Bob").select_option(label="Heart")
    # The preview follows by itself.
    expect(preview.get_by_text("Bob · Heart")).to_be_visible()
    expect(preview.get_by_label("Bob").locator("option:checked")).to_have_text("Heart")
    visitor.shot("import-dialogue")
    assert violations(page) == []
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("3 lines were imported.")).to_be_visible()
    project = Project.objects.get()
    assert [(line.speaker, str(line.character), line.text) for line in project.lines.all()] == [
        ("Anna", "Soul", "Come here."),
        ("Bob", "Heart", "I come."),
        ("Anna", "Soul", "Good."),
    ]
    page.get_by_role("link", name="Cast").click()
    page.get_by_label("Bob").select_option(label="Soul")
    page.get_by_role("button", name="Save the cast").click()
    expect(page.get_by_text("it changed 1 line")).to_be_visible()
    page.get_by_role("button", name="Listen to the voice").first.click()
    expect(page.get_by_role("button", name="Stop the voice")).to_be_visible()


def test_a_text_is_cut_in_the_way_that_the_preview_shows(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(f"{PROJECTS}new/")
    page.get_by_label("Script").check()
    page.fill("#id_name", "The rain")
    page.get_by_role("button", name="Go on with a text").click()
    page.set_input_files(
        "#id_uploads", {"name": "rain.txt", "mimeType": "text/plain", "buffer": STORY.encode("utf-16")}
    )
    page.get_by_role("button", name="Go on").click()
    preview = page.locator("#nr-preview")
    expect(preview.get_by_text("3 lines")).to_be_visible()
    expect(page.get_by_label("Pattern", exact=True)).to_be_hidden()
    page.get_by_label("Quotes").check()
    expect(preview.get_by_text("4 lines")).to_be_visible()
    page.get_by_label("A pattern of your own").check()
    expect(preview.get_by_text("Pattern: Enter a pattern.")).to_be_visible()
    page.get_by_label("Pattern", exact=True).fill("(")
    expect(preview.get_by_text("can't be read")).to_be_visible()
    page.get_by_label("Pattern", exact=True).fill(r"\.\s+")
    expect(preview.get_by_text("4 lines")).to_be_visible()
    visitor.shot("import-phase")
    assert violations(page) == []
    preview.get_by_label("All lines").select_option(label="Heart")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("4 lines were imported.")).to_be_visible()
    assert set(Project.objects.get().lines.values_list("character__name", flat=True)) == {"Heart"}


def test_an_export_is_watched_and_cancelled(visit: Visit, bank: Bank) -> None:
    visitor = visit()
    page = visitor.page
    admin = User.objects.get()
    play = Project.objects.create(name="Play", kind="dialogue", owner=admin, bank=bank, format="wav")
    voiced(play, admin, bank.characters.get(name="Heart"), "One.", "Two.")
    lines.add(play, [Draft("Three.")])
    options = ExportOptions(What.AUDIO, "m4b").as_json()
    row = Export.objects.create(project=play, owner=admin, options_json=options, state="running", progress=0.25)
    page.goto(address(play, "exports/"))
    expect(page.get_by_text("25 %")).to_be_visible()
    Export.objects.filter(pk=row.pk).update(progress=0.5)
    expect(page.get_by_text("50 %")).to_be_visible()
    page.get_by_label("Subtitles", exact=True).check()
    expect(page.get_by_label("Say who speaks")).to_be_visible()
    expect(page.get_by_label("Loudness, LUFS")).to_be_hidden()
    visitor.shot("exports")
    assert violations(page) == []
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled")).to_be_visible()
    row.refresh_from_db()
    assert row.state == "cancelled"
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Nothing yet.")).to_be_visible()


@pytest.mark.parametrize(("width", "dark"), [(WIDE, True), (NARROW, False)], ids=["wide-dark", "narrow-light"])
def test_the_pages_fit(visit: Visit, bank: Bank, width: int, dark: bool) -> None:
    visitor = visit(width=width, dark=dark)
    page = visitor.page
    admin, long = User.objects.get(), "averylongwordwithoutanyblank" * 3
    play = Project.objects.create(name=long, kind="dialogue", owner=admin, bank=bank, format="wav")
    for name in ("bob", "eve", f"user-{long}"[:100]):
        User.objects.create(username=name, is_staff=True)
    voiced(play, admin, bank.characters.get(name="Heart"), "One.", "Two.")
    lines.add(play, [Draft(long * 9, long[:90]), Draft("Three.", "Anna"), Draft("Four.", "Bob")])
    Project.objects.create(name="Empty", kind="phase", owner=User.objects.get(username="bob"))
    for state in ("queued", "failed"):
        Export.objects.create(
            project=play, owner=admin, state=state, error=long * 3, error_code="storage_full",
            options_json=ExportOptions(What.AUDIO, "m4b").as_json(),
        )  # fmt: skip
    paths = ["", "new/", *(f"{play.pk}/{name}/" for name in ("import", "cast", "exports", "settings", "delete"))]
    for path in paths:
        page.goto(PROJECTS + path)
        visitor.assert_fits(width)
        assert violations(page) == [], path
        visitor.shot(f"projects-{re.sub(r'[0-9/]', '', path)}-{width}")
    page.goto(address(play, "import/"))
    page.fill("#id_text", f"{long}: {long * 20}\nBob: Yes.\n\nNote: {long}")
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("In place of all lines that are there").click()
    expect(page.get_by_label("Remove the lines that are there")).to_be_visible()
    visitor.assert_fits(width)
    assert violations(page) == []
    visitor.shot(f"projects-import-cut-{width}")
