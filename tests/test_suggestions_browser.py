"""Suggested speakers in a real Chromium: from setting up the chat model to lines that have their speakers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, expect

from banks.models import Bank
from providers.models import ChatModel
from studio import lines
from studio.models import Project
from tests.browser import NARROW, WIDE, Visitor
from tests.projects import address
from tests.suggestions import SECRET, STORY, forget_usage, set_up, written
from tests.test_accessibility import violations
from tests.test_projects_browser import PASSWORD, browser  # noqa: F401 - a fixture
from tests.upstreams.chat_model import MODEL, ChatModelUpstream
from tests.upstreams.serving import serve

Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser, server: str, bank: Bank) -> Iterator[Visit]:  # noqa: F811
    """Opens a window on the running application, signed in; at the end no window's console has complained."""
    User.objects.create_superuser("admin", password=PASSWORD)
    forget_usage()
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


@pytest.fixture
def story(visit: Visit, bank: Bank) -> Project:
    owner = User.objects.get(username="admin")
    project = Project.objects.create(name="The visit", kind="novel", owner=owner, bank=bank, format="wav")
    lines.cast(project, "Anna", bank.characters.get())
    written(project, *STORY)
    return project


def test_from_setting_up_to_lines_with_their_speakers(visit: Visit, story: Project) -> None:
    visitor = visit()
    page = visitor.page
    upstream = ChatModelUpstream(key=SECRET, held=True)
    with serve(upstream) as url:
        page.goto(address(story, "suggestions/"))
        assert violations(page) == []
        page.get_by_role("link", name="Set up the chat model").click()
        page.fill("#id_base_url", f"{url}/v1")
        page.fill("#id_model", MODEL)
        page.fill("#id_key", SECRET)
        page.check("#id_enabled")
        visitor.save()
        upstream.release()
        page.get_by_role("button", name="Test it").click()
        expect(page.get_by_text("The chat model works.")).to_be_visible()
        assert violations(page) == []
        visitor.shot("chat-model")

        page.goto(address(story, "suggestions/"))
        expect(page.get_by_text("4 lines, about")).to_have_count(2)
        visitor.shot("suggestions-ask")
        assert violations(page) == []
        page.get_by_role("button", name=f"Send to {url}").click()
        expect(page.get_by_text("0 of 4 lines read")).to_be_visible()
        visitor.shot("suggestions-running")
        assert violations(page) == []
        upstream.release()
        # Without loading the page again.
        expect(page.get_by_text("4 of 4 lines were read, in 1 request.")).to_be_visible()
        page.get_by_role("link", name="4 suggestions of it wait for your decision").click()

    expect(page.get_by_label("Speaker of line 2")).to_have_value("Anna")
    visitor.shot("suggestions")
    assert violations(page) == []
    page.get_by_label("Speaker of line 4").fill("Anna")
    page.get_by_label("Speaker of line 4").press("Enter")
    expect(page.get_by_text("1 line has its speaker now.")).to_be_visible()
    page.get_by_label("Accept all that are at least this sure, %").fill("90")
    page.get_by_role("button", name="Accept them").click()
    expect(page.get_by_text("2 lines have their speaker now.")).to_be_visible()
    page.get_by_role("button", name="Reject all of “Narrator”").click()
    expect(page.get_by_text("1 suggestion was rejected.")).to_be_visible()
    assert [(line.speaker, str(line.character or "")) for line in story.lines.all()] == [
        ("", ""),
        ("Anna", "Heart"),
        ("Bob", ""),
        ("Anna", "Heart"),
    ]


@pytest.mark.parametrize(("width", "dark"), [(WIDE, True), (NARROW, False), (NARROW, True)])
def test_how_the_pages_look(visit: Visit, story: Project, width: int, dark: bool) -> None:
    from tests.test_suggestion_pages import suggest

    written(story, "“" + "averylongwordwithoutanyblank" * 20 + "”")
    listed = list(story.lines.all())
    suggest(story, listed, ("Narrator", "Anna", "B" * 100, "The old man of the village", "Anna"), state="done")
    lines.edit(listed[1], text="“Come out,” said Anna.")
    set_up("http://127.0.0.1:9/v1", problem="The chat model answered 401: " + "averylongword" * 20)
    visitor = visit(width=width, dark=dark)
    for name, path in {
        "suggestions": address(story, "suggestions/"),
        "suggestions-of-one": address(story, "suggestions/?speaker=Anna"),
        "chat-model": f"/admin/providers/chatmodel/{ChatModel.load().pk}/change/",
    }.items():
        visitor.page.goto(path)
        visitor.assert_fits(width)
        assert violations(visitor.page) == [], path
        visitor.shot(f"{name}-{width}-{'dark' if dark else 'light'}")
