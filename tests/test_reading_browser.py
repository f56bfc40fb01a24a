"""A project read aloud, in a real Chromium."""

from __future__ import annotations

from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from banks.models import Bank
from studio import lines
from studio.lines import Draft
from studio.models import Project
from tests.browser import Visitor
from tests.test_accessibility import violations
from tests.test_project_browser import Visit, ann, aside, browser, visit  # noqa: F401 - fixtures
from tests.test_project_live import on_server

# What the page measures by itself: at the end of each sentence, whether the next one's audio is loaded already.
WATCH = """() => {
    window.heard = [];
    window.ends = [];
    const voices = [...document.querySelectorAll("[data-nr-voice]")];
    const marked = () => document.querySelector(".nr-spread .nr-say[aria-current]").dataset.nrLine;
    // In the capturing phase, before the page itself hears of it.
    document.addEventListener("playing", () => window.heard.push(marked()), true);
    document.addEventListener("ended", (event) => {
        const other = voices.find((one) => one !== event.target);
        window.ends.push({ line: marked(), next: other.dataset.nrSound ?? "", loaded: other.readyState });
    }, true);
}"""
HAVE_ENOUGH_DATA = 4
BOOK = {
    "One": ["The rain had stopped.", "Nobody was on the bridge.", "A light went out.", "She waited for a while."],
    "Two": ["In the morning he came.", "They said nothing.", "Then they laughed."],
}


def book_of(owner: User, bank: Bank, chapters: dict[str, list[str]] = BOOK, **values: object) -> Project:
    kind = str(values.pop("kind", "novel"))
    project = Project.objects.create(name="The bridge", kind=kind, owner=owner, bank=bank, format="wav", **values)
    character = bank.characters.get()
    drafts = [
        Draft(text, chapter=title if not place else "", character_id=character.pk)
        for title, texts in chapters.items()
        for place, text in enumerate(texts)
    ]
    on_server(lines.add, project, drafts)
    return project


def open_book(visitor: Visitor, project: Project, query: str = "") -> Page:
    visitor.page.goto(f"/studio/projects/{project.pk}/read/{query}")
    expect(visitor.page.locator("#nr-live")).to_have_text("Live")
    visitor.page.evaluate(WATCH)
    return visitor.page


def test_a_book_is_read_from_its_first_sentence_to_its_last(visit: Visit, ann: User, bank: Bank) -> None:  # noqa: F811
    project = book_of(ann, bank)
    visitor = visit(ann)
    page = open_book(visitor, project)
    visitor.shot("read-begin")
    page.get_by_role("button", name="Listen").click()
    expect(page.locator("#nr-reader-news")).to_have_text("The end.")
    keys = [str(pk) for pk in project.lines.values_list("pk", flat=True)]
    assert page.evaluate("window.heard") == keys
    ends = page.evaluate("window.ends")
    print(ends)
    assert [one["line"] for one in ends] == keys
    assert all(one["next"] and one["loaded"] == HAVE_ENOUGH_DATA for one in ends[:-1]), ends
    expect(page.get_by_role("heading", name="Two")).to_be_visible()
    assert page.url.endswith("?chapter=2")
    assert violations(page) == []
    visitor.shot("read-end")
