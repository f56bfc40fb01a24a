"""The page of a project in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Locator, Page, expect

from banks.models import Bank, Character
from neiroha_site.roles import Role
from providers.models import Provider
from studio import lines
from studio.lines import Draft
from studio.models import Line, LineState, Project, Take
from tests.browser import NARROW, WIDE, Visitor, chromium
from tests.conftest import add_character
from tests.people import PASSWORD, member
from tests.test_accessibility import violations

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
    """Opens a window on the running application for somebody; at the end no window's console has complained."""
    opened: list[Visitor] = []

    def open_window(user: User, *, width: int = WIDE, dark: bool = False) -> Visitor:
        visitor = Visitor(browser, server, width=width, dark=dark)
        opened.append(visitor)
        visitor.sign_in(user.username, PASSWORD)
        return visitor

    try:
        yield open_window
        assert [complaint for visitor in opened for complaint in visitor.complaints] == []
    finally:
        for visitor in opened:
            visitor.close()


@pytest.fixture
def ann(server: str) -> User:
    return member(Role.PRODUCER, "ann")


@pytest.fixture
def soul(bank: Bank) -> Character:
    return add_character(bank, Provider.objects.get(), "Soul", speed=1.2)


def project_of(owner: User, bank: Bank, kind: str, **values: object) -> Project:
    return Project.objects.create(name="The bridge", kind=kind, owner=owner, bank=bank, format="wav", **values)


def open_project(visitor: Visitor, project: Project) -> Page:
    visitor.page.goto(f"/studio/projects/{project.pk}/")
    expect(visitor.page.locator("#nr-live")).to_have_text("Live")
    return visitor.page


def say(page: Page, who: str, text: str) -> None:
    """Write a line with the composer, by the keyboard."""
    page.locator("#id_new-character").select_option(label=who)
    page.locator("#id_new-text").fill(text)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#id_new-text")).to_have_value("")


def place(page: Page, text: str) -> Locator:
    return page.locator(".nr-place", has_text=text)


@pytest.mark.parametrize("kind", ["dialogue", "phase"])
def test_from_an_empty_project_to_spoken_lines(
    visit: Visit, ann: User, bank: Bank, soul: Character, kind: str
) -> None:
    visitor = visit(ann)
    page = open_project(visitor, project_of(ann, bank, kind))
    expect(page.get_by_text("Nothing is written yet.")).to_be_visible()
    visitor.shot(f"project-{kind}-empty")
    say(page, "Heart", "Who goes there?")
    expect(page.locator("#id_new-text")).to_be_focused()
    say(page, "Soul", "Only me, and I am late.")
    page.get_by_label("Generate at once").check()
    say(page, "Heart", "Come in then.")
    expect(place(page, "Come in then.").get_by_text("Done")).to_be_visible()
    page.get_by_role("button", name="Generate 2 missing").click()
    expect(page.locator("#nr-summary").get_by_text("3 of 3 lines done")).to_be_visible()
    expect(page.locator("[data-nr-play]")).to_have_count(3)
    # What the dock hides in part is too small to be hit.
    page.mouse.wheel(0, 10_000)
    assert violations(page) == []
    visitor.shot(f"project-{kind}")
