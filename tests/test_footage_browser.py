"""The page of footage in a real Chromium: an upload whose connection breaks, which is paused, and comes to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Route, expect

from banks.models import Bank
from studio.models import Footage, Project
from studio.uploads import PIECE_BYTES
from tests.browser import NARROW, WIDE, Visitor, chromium
from tests.films import film
from tests.projects import address
from tests.test_accessibility import violations

PASSWORD = "correct horse battery staple"
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
    User.objects.create_superuser("admin", password=PASSWORD)
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


def long_film(folder: Path) -> Path:
    """With so much behind it that it takes three pieces; players skip such a box."""
    path = film(folder, 2)
    spare = 2 * PIECE_BYTES
    path.write_bytes(path.read_bytes() + (spare + 8).to_bytes(4, "big") + b"free" + bytes(spare))
    return path


def test_an_upload_goes_on_after_a_break_and_a_pause(visit: Visit, tmp_path: Path) -> None:
    project = Project.objects.create(name="A film", kind="dub", owner=User.objects.get())
    visitor, path, asked = visit(), long_film(tmp_path), list[str]()
    page = visitor.page

    def unreliable(route: Route) -> None:
        asked.append(route.request.url.split("offset=")[-1])
        if len(asked) == 2:
            route.abort()
        else:
            route.continue_()

    page.route("**/uploads/*/?offset=*", unreliable)
    page.goto(address(project, "footage/"))
    visitor.shot("footage-empty")
    assert violations(page) == []
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("Choose a file first.")).to_be_visible()
    page.get_by_label("Video or sound recording").set_input_files(path)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("“film.mp4” is there.")).to_be_visible()
    assert asked == ["0", str(PIECE_BYTES), str(PIECE_BYTES), str(2 * PIECE_BYTES)]
    assert Path(Footage.objects.get().file.path).read_bytes() == path.read_bytes()
    assert [one for one in visitor.complaints if "ERR_FAILED" not in one] == []
    visitor.complaints.clear()
    visitor.settle()
    visitor.shot("footage")
    assert violations(page) == []


def test_what_is_no_film_is_told_at_the_field(visit: Visit, tmp_path: Path) -> None:
    project = Project.objects.create(name="A film", kind="dub", owner=User.objects.get())
    visitor, path = visit(width=NARROW, dark=True), tmp_path / "film.mp4"
    path.write_bytes(b"#EXTM3U\nfile:///etc/passwd\n")
    page = visitor.page
    page.goto(address(project, "footage/"))
    page.get_by_label("Video or sound recording").set_input_files(path)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("This is no recording that can be read")).to_be_visible()
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_enabled()
    visitor.assert_fits(NARROW)
    visitor.shot("footage-refused")
    assert violations(page) == []
    assert [one for one in visitor.complaints if "400" not in one] == []
    visitor.complaints.clear()
