"""The page of a dub in a real Chromium: from subtitles to speech at its times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Locator, Page, expect

from banks.models import Bank, Character
from providers.models import Provider
from studio import lines
from studio.lines import Draft
from studio.models import Line, Project
from tests.browser import Visitor
from tests.conftest import add_character
from tests.sounds import tone, wav_file
from tests.test_accessibility import violations
from tests.test_project_browser import Visit, ann, aside, browser, open_project, visit  # noqa: F401 - fixtures
from tests.test_project_live import on_server
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import serve

SUBTITLES = """1
00:00:01,000 --> 00:00:03,000
Anna: Come here.

2
00:00:03,500 --> 00:00:04,000
Bob: I am coming.

3
00:00:04,100 --> 00:00:06,000
Anna: Then come.
"""


@pytest.fixture
def alloy(server: str, bank: Bank) -> Any:
    """Speaks for a second and a half, whatever it is."""
    with serve(OpenAIUpstream(speech=wav_file(tone(24_000, 1.5), 24_000))) as url:
        provider = Provider.objects.create(name="Up", kind="openai", base_url=f"{url}/v1", max_concurrency=4)
        yield add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")


@pytest.fixture
def film(ann: User, bank: Bank) -> Project:  # noqa: F811
    return Project.objects.create(name="The film", kind="dub", owner=ann, bank=bank, format="wav")


def timed(project: Project, *times: tuple[int, int], **values: Any) -> list[Line]:
    drafts = [Draft(f"Line {at}.", start_ms=start, end_ms=end, **values) for at, (start, end) in enumerate(times, 1)]
    return on_server(lines.add, project, drafts)


def cue(page: Page, words: str) -> Locator:
    return page.locator(".nr-cue", has_text=words)


def times(line: Line) -> tuple[int | None, int | None]:
    found = Line.objects.get(pk=line.pk)
    return found.start_ms, found.end_ms


def saved(page: Page) -> None:
    """Wait until no change of times is under way."""
    page.wait_for_function("!NrCues.pending.size && !NrCues.saving")


def open_film(visitor: Visitor, project: Project) -> Page:
    page = open_project(visitor, project)
    expect(page.locator("#nr-timeline")).not_to_have_attribute("aria-busy", "true")
    return page


def drag(page: Page, what: Locator, by: int, *, at: float = 0.5, key: str = "") -> None:
    box = what.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * at, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    if key:
        page.keyboard.down(key)
    page.mouse.move(x + by / 2, y)
    page.mouse.move(x + by, y)
    page.mouse.up()
    if key:
        page.keyboard.up(key)


def test_from_subtitles_to_speech_at_its_times(
    visit: Visit,  # noqa: F811
    film: Project,
    ann: User,  # noqa: F811
    alloy: Character,
    tmp_path: Path,
) -> None:
    file = tmp_path / "film.srt"
    file.write_text(SUBTITLES)
    visitor = visit(ann)
    page = open_film(visitor, film)
    expect(page.get_by_text("No line has a time yet")).to_be_visible()
    page.get_by_role("link", name="Import").click()
    page.locator("#id_uploads").set_input_files(file)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("0:00:03.500 – 0:00:04.000")).to_be_visible()
    for select in page.locator("select[name='character']").all():
        select.select_option(label="Alloy")
    assert violations(page) == []
    visitor.shot("dub-import")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".nr-cue")).to_have_count(3)
    page.get_by_role("button", name="Generate 3 missing").click()
    expect(page.locator("#nr-summary").get_by_text("3 of 3 lines done")).to_be_visible()
    # Its own half second and the silence behind it are not enough, even if it is played faster.
    late = page.locator(".nr-place", has_text="I am coming.")
    expect(late.get_by_text("over by 0.7 s")).to_be_visible()
    expect(late.get_by_text("played 1.20× as fast")).to_be_visible()
    expect(cue(page, "I am coming.")).to_have_attribute(
        "aria-label", "0:00:03.500 – 0:00:04.000 Alloy: I am coming., over by 0.7 s, played 1.20× as fast"
    )
    assert violations(page) == []
    visitor.shot("dub")

    # The next one moves away: it fits.
    before, after = film.lines.get(speaker="Bob"), film.lines.last()
    assert after is not None
    drag(page, cue(page, "Then come."), 120)
    saved(page)
    assert times(after) == (6100, 8000)
    expect(late.get_by_text("over by")).to_have_count(0)
    expect(page.locator(".nr-place", has_text="Then come.").get_by_text("0:00:06.100 – 0:00:08.000")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    saved(page)
    assert times(after) == (4100, 6000) and times(before) == (3500, 4000)
    expect(late.get_by_text("over by 0.7 s")).to_be_visible()

    page.get_by_role("button", name="Play the dub").click()
    expect(page.locator(".nr-cue-heard", has_text="Come here.")).to_be_visible()
    expect(page.locator(".nr-cue-heard", has_text="Then come.")).to_be_visible()
    expect(page.locator("#nr-timeline")).to_have_attribute("data-nr-playing", "no")
