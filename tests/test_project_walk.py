"""The whole way in a real browser: from an empty project to an exported file that says what the script says."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from playwright.sync_api import Browser, Page, expect

from banks.models import Bank
from neiroha_site.roles import Role
from providers.models import Provider
from tests.browser import NARROW, WIDE, Visitor
from tests.conftest import add_character
from tests.hearing import assert_heard
from tests.people import PASSWORD, member
from tests.projects import PROJECTS
from tests.studio import clear_files
from tests.test_accessibility import violations
from tests.test_project_browser import browser  # noqa: F401 - a fixture

SPOKEN = [
    "Good morning, my old friend.",
    "The train leaves the station at noon.",
    "Then we should hurry and find a good seat.",
]
TURNS = "Anna: {}\n\nBob: {}\n\nAnna: {}\n".format(*SPOKEN)
WALKS = [("Dialogue", TURNS, WIDE, False), ("Script", "\n\n".join(SPOKEN), NARROW, True)]


class Producer:
    """Somebody at the pages of projects, who looks at each."""

    def __init__(self, visitor: Visitor, width: int) -> None:
        self.visitor, self.page, self.width = visitor, visitor.page, width

    def look(self) -> Page:
        self.visitor.assert_fits(self.width)
        assert violations(self.page) == [], self.page.url
        return self.page

    def press(self, name: str) -> Page:
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=name, exact=True).click()
        return self.look()

    def tab(self, name: str) -> Page:
        with self.page.expect_navigation():
            self.page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        return self.look()

    def begin(self, kind: str) -> None:
        self.page.goto(PROJECTS)
        self.look().get_by_role("link", name="Make the first project").click()
        self.look().get_by_label(kind).check()
        self.page.fill("#id_name", "The journey")
        self.press("Go on with a text")

    def write(self, text: str, voices: dict[str, str]) -> None:
        self.page.fill("#id_text", text)
        self.press("Go on")
        preview = self.page.locator("#nr-preview")
        expect(preview.get_by_text("3 lines", exact=True)).to_be_visible()
        for speaker, character in voices.items():
            preview.get_by_label(speaker).select_option(label=character)
            # The preview follows by itself.
            expect(preview.get_by_label(speaker).locator("option:checked")).to_have_text(character)
        self.press("Import")

    def speak(self) -> None:
        with self.page.expect_navigation():
            self.page.get_by_role("link", name="To the lines").or_(
                self.page.get_by_role("link", name="Lines")
            ).first.click()
        expect(self.page.locator("#nr-live")).to_have_text("Live")
        self.page.get_by_role("button", name="Generate 3 missing").click()
        expect(self.page.locator("#nr-summary").get_by_text("3 of 3 lines done")).to_be_visible()

    def export(self, what: str, format: str | None = None) -> bytes:
        """The file that comes, once it is made."""
        self.page.get_by_label(what, exact=True).check()
        if format:
            self.page.get_by_label("Format").locator("visible=true").select_option(label=format)
        made = self.page.get_by_role("link", name="Download")
        before = made.count()
        self.press("Export")
        expect(made).to_have_count(before + 1)
        with self.page.expect_download() as saved:
            made.first.click()
        return Path(saved.value.path()).read_bytes()


@pytest.mark.parametrize(("kind", "text", "width", "dark"), WALKS, ids=["dialogue", "script"])
def test_from_an_empty_project_to_exported_files(
    browser: Browser,  # noqa: F811
    server: str,
    bank: Bank,
    kind: str,
    text: str,
    width: int,
    dark: bool,
) -> None:
    add_character(bank, Provider.objects.get(), "Soul", speed=1.1)
    member(Role.PRODUCER, "ann")
    visitor = Visitor(browser, server, width=width, dark=dark)
    try:
        visitor.sign_in("ann", PASSWORD)
        producer = Producer(visitor, width)
        producer.begin(kind)
        producer.write(text, {"Anna": "Heart", "Bob": "Soul"} if kind == "Dialogue" else {"All lines": "Heart"})
        producer.speak()
        producer.tab("Export")
        assert_heard(" ".join(SPOKEN), producer.export("One audio file", "MP3"))
        visitor.shot(f"walk-{kind}")
        with ZipFile(BytesIO(producer.export("A file for each line, in a zip"))) as archive:
            rows = json.loads(archive.read("manifest.json"))["lines"]
            assert [row["text"] for row in rows] == SPOKEN
            for row in rows:
                assert_heard(row["text"], archive.read(row["file"]))
        subtitles = producer.export("Subtitles", "SRT").decode()
        assert [line for line in subtitles.splitlines() if line in SPOKEN] == SPOKEN
        assert visitor.complaints == []
    finally:
        visitor.close()
        clear_files()
