"""The page of a dub in a real Chromium: from subtitles to speech at its times."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files import File
from playwright.sync_api import Locator, Page, expect

from banks.models import Bank, Character
from providers.models import Provider
from studio import lines
from studio.lines import Draft
from studio.models import Footage, Line, Project
from tests import films
from tests.browser import NARROW, Visitor
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
    # Once nothing moves it any more, and nothing lies above it.
    what.hover()
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


def test_cues_are_moved_sized_and_drawn_to_others_with_the_pointer(
    visit: Visit,  # noqa: F811
    film: Project,
    ann: User,  # noqa: F811
) -> None:
    first, second = timed(film, (1000, 3000), (5000, 7000))
    page = open_film(visit(ann), film)
    # 60 pixels are a second.
    drag(page, cue(page, "Line 1."), 60)
    saved(page)
    assert times(first) == (2000, 4000)
    drag(page, cue(page, "Line 1."), 57)
    saved(page)
    assert times(first) == (3000, 5000), "its end is drawn to the start of the next"
    drag(page, cue(page, "Line 1."), -57, key="Alt")
    saved(page)
    assert times(first) == (2050, 4050)
    drag(page, cue(page, "Line 2."), 30, at=0.99)
    saved(page)
    assert times(second) == (5000, 7500)
    drag(page, cue(page, "Line 2."), -60, at=0.01, key="Alt")
    saved(page)
    assert times(second) == (4000, 7500)
    expect(page.locator(".nr-cue-crossed")).to_have_count(2)
    expect(page.locator(".nr-place").first.get_by_text("at the same time as another")).to_be_visible()
    drag(page, cue(page, "Line 2."), 3000, at=0.01)
    saved(page)
    assert times(second) == (7400, 7500), "no cue is turned around"
    drag(page, cue(page, "Line 1."), -900)
    saved(page)
    assert times(first) == (0, 2000), "nothing begins before the beginning"
    for _each in range(7):
        page.get_by_role("button", name="Undo").click()
    saved(page)
    assert times(first) == (1000, 3000) and times(second) == (5000, 7000)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    page.get_by_role("button", name="Do again").click()
    saved(page)
    assert times(first) == (2000, 4000)


def test_everything_is_done_with_the_keyboard_too(
    visit: Visit,  # noqa: F811
    film: Project,
    ann: User,  # noqa: F811
) -> None:
    first, second = timed(film, (1000, 3000), (5000, 7000))
    page = open_film(visit(ann), film)
    cue(page, "Line 1.").focus()
    expect(page.locator(".nr-cue[tabindex='0']")).to_have_count(1)
    for key in ["ArrowRight", "ArrowRight", "Control+ArrowRight", "Shift+ArrowLeft"]:
        page.keyboard.press(key)
    saved(page)
    assert times(first) == (1100, 3300)
    expect(page.locator(".nr-time-news")).to_have_text("0:00:01.100 – 0:00:03.300")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    saved(page)
    assert times(first) == (1200, 3200), "nudges in a row are one change"
    page.keyboard.press("Control+Shift+Z")
    saved(page)
    assert times(first) == (1200, 3300)
    page.keyboard.press("ArrowDown")
    expect(cue(page, "Line 2.")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    saved(page)
    assert times(second) == (4900, 6900)
    page.keyboard.press("Home")
    expect(cue(page, "Line 1.")).to_be_focused()
    page.keyboard.press(" ")
    expect(page.locator("#nr-timeline")).to_have_attribute("data-nr-playing", "yes")
    page.keyboard.press(" ")
    expect(page.locator("#nr-timeline")).to_have_attribute("data-nr-playing", "no")
    page.keyboard.press("Enter")
    panel = page.locator(".nr-edit")
    expect(panel.get_by_label("Start")).to_be_focused()
    panel.get_by_label("Start").fill("0:00:08.5")
    panel.get_by_label("End").fill("7")
    page.keyboard.press("Control+Enter")
    expect(panel.get_by_text("ends before it starts")).to_be_visible()
    panel.get_by_label("End").fill("9.25")
    page.keyboard.press("Control+Enter")
    expect(panel).to_have_count(0)
    expect(page.locator(".nr-place").last.get_by_text("0:00:08.500 – 0:00:09.250")).to_be_visible()
    expect(cue(page, "Line 1.")).to_have_attribute("aria-label", "0:00:08.500 – 0:00:09.250 Line 1.")


def test_two_people_see_each_other_s_changes_and_none_is_lost(
    visit: Visit,  # noqa: F811
    film: Project,
    ann: User,  # noqa: F811
) -> None:
    first, second = timed(film, (1000, 3000), (5000, 7000))
    page = open_film(visit(ann), film)
    drag(page, cue(page, "Line 1."), 30)
    saved(page)
    on_server(lines.retime, film, {first.pk: (10_000, 11_000)})
    expect(cue(page, "Line 1.")).to_have_attribute("aria-label", "0:00:10.000 – 0:00:11.000 Line 1.")
    expect(page.locator(".nr-place").last.get_by_text("0:00:10.000")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".nr-time-news")).to_have_text(
        "There is nothing to undo, or somebody else has changed it since."
    )
    assert times(first) == (10_000, 11_000)

    # Somebody is faster, and the page has not heard of it.
    page.evaluate("NrCues.take = () => {}")
    on_server(lines.retime, film, {second.pk: (5500, 7000)})
    drag(page, cue(page, "Line 2."), 120)
    expect(page.locator(".nr-time-news")).to_have_text(
        "Somebody else moved this line meanwhile: it stands now as they left it."
    )
    assert times(second) == (5500, 7000)
    expect(cue(page, "Line 2.")).to_have_attribute("aria-label", "0:00:05.500 – 0:00:07.000 Line 2.")


def test_new_lines_and_removed_ones_come_and_go_on_the_timeline(
    visit: Visit,  # noqa: F811
    film: Project,
    ann: User,  # noqa: F811
) -> None:
    first, _second = timed(film, (1000, 3000), (5000, 7000))
    page = open_film(visit(ann), film)
    timed(film, (20_000, 21_000))
    expect(page.locator(".nr-cue")).to_have_count(3)
    on_server(lines.remove, film, film.lines.filter(pk=first.pk))
    expect(page.locator(".nr-cue")).to_have_count(2)


def test_thousands_of_cues_are_drawn_as_far_as_they_are_in_sight(
    visit: Visit,  # noqa: F811
    film: Project,
    ann: User,  # noqa: F811
) -> None:
    made = timed(film, *((at * 1000, at * 1000 + 900) for at in range(5000)))
    page = open_film(visit(ann), film)
    expect(cue(page, "Line 1.")).to_be_visible()
    assert page.locator(".nr-cue").count() < 100
    page.locator(".nr-cue").first.focus()
    page.keyboard.press("End")
    last = cue(page, "Line 5000.")
    expect(last).to_be_focused()
    assert page.locator(".nr-cue").count() < 100
    page.keyboard.press("ArrowRight")
    saved(page)
    assert times(made[-1]) == (4_999_100, 5_000_000)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/studio/projects/{film.pk}/?page=50#nr-line-{made[-1].pk}")
    page.get_by_role("button", name="Show more time").click()
    page.get_by_role("button", name="Show less time").click()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone_has_room_for_it(
    visit: Visit,  # noqa: F811
    film: Project,
    ann: User,  # noqa: F811
    alloy: Character,
    dark: bool,
) -> None:
    timed(film, (1000, 3000), (2500, 3500), (3600, 4000), (4200, 9000), character_id=alloy.pk)
    visitor = visit(ann, width=NARROW, dark=dark)
    page = open_film(visitor, film)
    page.get_by_role("button", name="Generate 4 missing").click()
    expect(page.locator("#nr-summary").get_by_text("4 of 4 lines done")).to_be_visible()
    expect(page.get_by_role("button", name="2 too long: speak them faster")).to_be_visible()
    page.get_by_text("How to use the timeline").click()
    visitor.assert_fits(NARROW)
    assert violations(page) == []
    visitor.shot(f"dub-phone-{'dark' if dark else 'light'}")
    page.set_viewport_size({"width": 1400, "height": 900})
    visitor.settle()
    assert violations(page) == []
    visitor.shot(f"dub-wide-{'dark' if dark else 'light'}")


def store_footage(project: Project, path: Path, **values: Any) -> Footage:
    known = {"name": path.name, "size": path.stat().st_size, "duration": 8.0, "duck_db": -20.0, **values}
    with path.open("rb") as content:
        return Footage.objects.create(project=project, file=File(content, name=path.name), **known)


HEARD = """() => ({
  time: document.getElementById("nr-footage").currentTime,
  volume: Math.round(100 * document.getElementById("nr-footage").volume),
  muted: document.getElementById("nr-footage").muted,
})"""


@pytest.mark.parametrize(("sound", "quiet", "muted"), [("duck", 10, False), ("keep", 100, False), ("off", 100, True)])
def test_the_dub_is_heard_with_the_recording(
    visit: Visit,  # noqa: F811
    film: Project,
    ann: User,  # noqa: F811
    alloy: Character,
    tmp_path: Path,
    sound: str,
    quiet: int,
    muted: bool,
) -> None:
    (line, _later) = timed(film, (3000, 4000), (4000, 6000), character_id=alloy.pk)
    recorded = tmp_path / "recorded.wav"
    recorded.write_bytes(wav_file(tone(24_000, 8.0), 24_000))
    footage = store_footage(film, recorded, sound=sound)
    page = open_film(visit(ann), film)
    page.get_by_role("button", name="Generate 2 missing").click()
    expect(page.locator("#nr-summary").get_by_text("2 of 2 lines done")).to_be_visible()
    cue(page, "Line 1.").focus()
    page.keyboard.press(" ")
    expect(cue(page, "Line 1.")).to_have_class(re.compile("nr-cue-heard"))
    heard = page.evaluate(HEARD)
    assert (heard["volume"], heard["muted"]) == (quiet, muted) and 3 <= heard["time"] < 5.5
    # A second and a half in a second: as fast as is allowed, and still too long.
    expect(cue(page, "Line 2.")).to_have_class(re.compile("nr-cue-heard"))
    page.wait_for_function("!document.querySelector('.nr-cue-heard')")
    assert page.evaluate(HEARD)["volume"] == 100, "behind the speech the recording is as loud as it was"
    page.get_by_role("button", name="Pause the dub").click()
    expect(page.locator("#nr-footage")).to_have_js_property("paused", True)
    page.locator(".nr-time-scroll").click(position={"x": 61, "y": 10})
    page.wait_for_function("Math.abs(document.getElementById('nr-footage').currentTime - 1) < 0.1")
    assert violations(page) == []
    footage.delete()


def test_a_recording_that_the_browser_does_not_know_is_left_out(
    visit: Visit,  # noqa: F811
    film: Project,
    ann: User,  # noqa: F811
    tmp_path: Path,
) -> None:
    timed(film, (100, 600))
    broken = tmp_path / "film.mkv"
    broken.write_bytes(b"\x1aE\xdf\xa3" + bytes(2000))
    footage = store_footage(film, broken, frame_rate=25.0)
    page = open_film(visit(ann), film)
    expect(page.get_by_text("This browser can’t play the recording")).to_be_visible()
    page.get_by_role("button", name="Play the dub").click()
    expect(page.locator(".nr-time-clock")).not_to_have_text("0:00:00.0")
    expect(page.locator("#nr-timeline")).to_have_attribute("data-nr-playing", "no")
    footage.delete()


def test_a_film_plays_in_the_page(
    visit: Visit,  # noqa: F811
    film: Project,
    ann: User,  # noqa: F811
    tmp_path: Path,
) -> None:
    timed(film, (1000, 2000))
    footage = store_footage(film, films.film(tmp_path, 8, container="webm"), frame_rate=10.0)
    visitor = visit(ann)
    page = open_film(visitor, film)
    page.wait_for_function("document.getElementById('nr-footage').readyState >= 2")
    cue(page, "Line 1.").focus()
    page.keyboard.press(" ")
    page.wait_for_function("document.getElementById('nr-footage').currentTime > 1.2")
    page.keyboard.press(" ")
    assert violations(page) == []
    visitor.shot("dub-film")
    footage.delete()
