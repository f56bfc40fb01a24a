"""The import from the desktop application in a real Chromium, on the server as it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, expect

from providers.models import Provider
from studio.models import Line, LineState, Project
from studio.pages import desktop
from tests.browser import NARROW, WIDE, Visitor, chromium
from tests.desktop import audio_folder, database, zipped
from tests.projects import PROJECTS
from tests.studio import clear_files
from tests.test_accessibility import violations

PASSWORD = "correct horse battery staple"
PAGE = "/studio/desktop/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as environment:
        # Playwright's own loop runs in this thread; Django would take it for an asynchronous caller.
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with chromium() as started:
            yield started


def test_from_the_files_to_a_line_that_is_heard(
    browser: Browser, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that the page of the progress is seen, which goes on by itself.
    monkeypatch.setattr(desktop, "STEP_SECONDS", 0.0)
    User.objects.create_superuser("admin", password=PASSWORD)
    path, audio = database(tmp_path), zipped(audio_folder(tmp_path))
    visitor = Visitor(browser, server)
    try:
        visitor.sign_in("admin", PASSWORD)
        page = visitor.page
        page.goto(PROJECTS)
        page.get_by_role("link", name="Import from the desktop application").click()
        assert violations(page) == []
        visitor.shot("desktop-files")
        page.set_input_files("#id_database", path)
        page.set_input_files("#id_audio", audio)
        page.get_by_role("button", name="Look at what would come").click()
        expect(page.get_by_role("heading", name="What would come")).to_be_visible()
        expect(page.get_by_text("5 new lines, 2 recordings")).to_be_visible()
        assert violations(page) == []
        visitor.shot("desktop-plan")
        assert not Provider.objects.exists()
        page.get_by_label("Take the providers' keys too").check()
        page.get_by_role("button", name="Import", exact=True).click()
        expect(page.get_by_role("heading", name="This is here now")).to_be_visible()
        assert violations(page) == []
        visitor.shot("desktop-done")
        assert Line.objects.in_state([LineState.DONE]).count() == 4
        assert Provider.objects.get(name="Azure").api_key == "azure-key"
        page.reload()
        expect(page.locator("#id_database")).to_be_attached()
        page.goto(f"{PROJECTS}{Project.objects.get(name='The visit').pk}/")
        expect(page.get_by_role("link", name="Listen to “The quick brown")).to_be_visible()
        with page.expect_response(lambda answer: answer.url.endswith("/audio")) as heard:
            page.locator("[data-nr-play]").first.click()
        assert heard.value.ok
        assert visitor.complaints == []
    finally:
        visitor.close()
        clear_files()


@pytest.mark.parametrize(("width", "dark"), [(WIDE, True), (NARROW, False)], ids=["wide-dark", "narrow-light"])
def test_how_it_looks(browser: Browser, server: str, tmp_path: Path, width: int, dark: bool) -> None:
    User.objects.create_superuser("admin", password=PASSWORD)
    visitor = Visitor(browser, server, width=width, dark=dark)
    try:
        visitor.sign_in("admin", PASSWORD)
        page = visitor.page
        page.goto(PAGE)
        visitor.assert_fits(width)
        page.set_input_files("#id_database", database(tmp_path))
        page.get_by_role("button", name="Look at what would come").click()
        expect(page.get_by_role("heading", name="What would come")).to_be_visible()
        visitor.assert_fits(width)
        assert violations(page) == []
        visitor.shot(f"desktop-plan-{width}-{'dark' if dark else 'light'}")
        page.get_by_role("button", name="Take other files").click()
        expect(page.locator("#id_database")).to_be_attached()
        assert visitor.complaints == []
    finally:
        visitor.close()
