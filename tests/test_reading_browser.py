"""A project read aloud, in a real Chromium."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Locator, Page, expect

from banks.models import Bank, Character
from neiroha_site.roles import Role
from studio import lines, projects
from studio.generate import Want, generate
from studio.lines import Draft
from studio.models import Project, ReadingPlace, StudioSettings, Take
from tests.browser import NARROW, WIDE, Visitor
from tests.people import member
from tests.projects import voiced
from tests.sounds import tone, wav_file
from tests.test_accessibility import violations
from tests.test_api_streams import eventually
from tests.test_project_browser import Visit, aside, browser, visit  # noqa: F401 - fixtures
from tests.test_project_live import on_server, upstream  # noqa: F401 - a fixture
from tests.upstreams.openai import OpenAIUpstream, Refusal

# What the page measures by itself, before its own scripts hear of it: which sentences are heard, and at the end of each
# whether the next one's audio is loaded already.
WATCH = """() => {
    window.heard = [];
    window.ends = [];
    const voices = [...document.querySelectorAll("[data-nr-voice]")];
    const marked = () => document.querySelector(".nr-read-main > .nr-spread .nr-say[aria-current]").textContent;
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
CHINESE = {
    "第一章 雨": ["雨停了。", "桥上没有人。", "一盏灯灭了。", "她等了一会儿。"],
    "第二章 早晨": ["早上他来了。", "他们什么也没说。", "然后他们笑了。"],
}


@pytest.fixture
def ann(server: str) -> User:
    return member(Role.PRODUCER, "ann")


@pytest.fixture
def heart(bank: Bank) -> Character:
    return bank.characters.get(name="Heart")


def book_of(owner: User, voice: Character, chapters: dict[str, list[str]], **values: Any) -> Project:
    bank = voice.banks.get()
    project = Project.objects.create(name="The bridge", kind="novel", owner=owner, bank=bank, format="wav", **values)
    drafts = [
        Draft(text, chapter="" if place else title, character_id=voice.pk)
        for title, texts in chapters.items()
        for place, text in enumerate(texts)
    ]
    aside(lines.add, project, drafts)
    return project


def heard_book(owner: User, voice: Character, *texts: str, seconds: float = 30.0) -> Project:
    """Whose sentences have audio already."""
    project = book_of(owner, voice, {})
    aside(voiced, project, owner, voice, *texts, seconds=seconds)
    return project


def open_book(visitor: Visitor, project: Project, query: str = "") -> Page:
    visitor.page.goto(f"/studio/projects/{project.pk}/read/{query}")
    expect(visitor.page.locator("#nr-live")).to_have_text("Live")
    visitor.page.evaluate(WATCH)
    return visitor.page


def sentence(page: Page, text: str) -> Locator:
    return page.locator(".nr-read-main > .nr-spread .nr-say", has_text=text)


def told(page: Page) -> Locator:
    return page.locator("#nr-reader-news")


def is_heard(page: Page, text: str) -> None:
    expect(page.locator(".nr-say[aria-current]")).to_have_text(text)
    page.wait_for_function(
        "[...document.querySelectorAll('[data-nr-voice]')].some((one) => one.currentTime > 0 && !one.paused)"
    )


def assert_read_without_a_break(page: Page, texts: list[str]) -> None:
    """From the first sentence to the last; each next one was loaded before the one before had ended."""
    expect(told(page)).to_have_text("The end.")
    assert page.evaluate("window.heard") == texts
    ends = page.evaluate("window.ends")
    assert [one["line"] for one in ends] == texts
    assert [one for one in ends[:-1] if not one["next"] or one["loaded"] < HAVE_ENOUGH_DATA] == []


def test_an_english_book_is_read_without_a_break(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = book_of(ann, heart, BOOK)
    visitor = visit(ann)
    page = open_book(visitor, project)
    visitor.shot("read-begin")
    page.get_by_role("button", name="Listen").click()
    assert_read_without_a_break(page, [*BOOK["One"], *BOOK["Two"]])
    expect(page.get_by_role("heading", name="Two")).to_be_visible()
    assert page.url.endswith("?chapter=2"), "the chapter turned by itself"
    expect(page.locator("#nr-summary")).to_contain_text("7 of 7 sentences ready")
    expect(page.locator("#nr-chapter-1")).to_contain_text("4 of 4 ready")
    assert violations(page) == []
    page.reload()
    expect(page.locator(".nr-say[aria-current]")).to_have_text("Then they laughed.")


def test_a_chinese_book_is_read_without_a_break(
    visit: Visit,  # noqa: F811
    ann: User,
    bank: Bank,
    upstream: OpenAIUpstream,  # noqa: F811
) -> None:
    # As long as sentences of this length are spoken.
    upstream.switches.speech = wav_file(tone(24_000, 2.5), 24_000)
    alloy = Character.objects.get(name="Alloy")
    project = book_of(ann, alloy, CHINESE, language="zh")
    visitor = visit(ann, width=NARROW, dark=True)
    page = open_book(visitor, project)
    page.get_by_role("button", name="Listen").click()
    assert_read_without_a_break(page, [text for texts in CHINESE.values() for text in texts])
    asked = [body["input"] for body in upstream.spoken]
    # They are asked for together, and may come to the provider in another order.
    assert set(asked[:6]) == {*CHINESE["第一章 雨"], *CHINESE["第二章 早晨"][:2]}, "the first and five behind it"
    # Without spaces between sentences.
    assert page.locator(".nr-read-main > .nr-spread .nr-spread-text p").inner_text() == "".join(CHINESE["第二章 早晨"])
    visitor.assert_fits(NARROW)
    assert violations(page) == []


def test_a_page_of_a_long_chapter_turns_by_itself(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    texts = [f"Line {number}." for number in range(1, 104)]
    project = book_of(ann, heart, {"Long": texts})
    page = open_book(visit(ann), project, f"?line={project.lines.get(text='Line 99.').pk}")
    expect(page.get_by_text("Part 1 of 2")).to_be_visible()
    page.get_by_role("button", name="Listen").click()
    assert_read_without_a_break(page, texts[98:])
    expect(page.get_by_text("Part 2 of 2")).to_be_visible()


def test_what_is_not_made_in_time_is_waited_for(
    visit: Visit,  # noqa: F811
    ann: User,
    bank: Bank,
    upstream: OpenAIUpstream,  # noqa: F811
) -> None:
    upstream.switches.held = True
    project = book_of(ann, Character.objects.get(name="Alloy"), {"One": ["First.", "Second.", "Third."]})
    visitor = visit(ann)
    page = open_book(visitor, project)
    sentence(page, "Second.").click()
    expect(told(page)).to_contain_text("Waiting for this sentence to be made")
    expect(sentence(page, "Third.")).to_have_attribute("data-nr-state", "running")
    expect(sentence(page, "First.")).to_have_attribute("data-nr-state", "missing")
    assert violations(page) == []
    upstream.switches.held = False
    upstream.release(10)
    expect(told(page)).to_have_text("The end.")
    assert page.evaluate("window.heard") == ["Second.", "Third."]


def test_what_cannot_be_made_is_skipped_after_its_reason(
    visit: Visit,  # noqa: F811
    ann: User,
    bank: Bank,
    upstream: OpenAIUpstream,  # noqa: F811
) -> None:
    alloy = Character.objects.get(name="Alloy")
    project = heard_book(ann, alloy, "First.", seconds=0.2)
    aside(lines.add, project, [Draft("Nobody speaks this."), Draft("***"), Draft("Third.", character_id=alloy.pk)])
    page = open_book(visit(ann), project)
    page.get_by_role("button", name="Listen").click()
    expect(told(page)).to_have_text("Skipped: No character is chosen.")
    expect(told(page)).to_have_text("The end.")
    assert page.evaluate("window.heard") == ["First.", "Third."]
    # What failed says why, and is tried again when it is pressed.
    aside(lines.edit, project.lines.get(text="Third."), text="Fourth.")
    upstream.switches.refusals = [Refusal(400, "Not this word.")]
    page.reload()
    page.evaluate(WATCH)
    sentence(page, "Fourth.").click()
    expect(sentence(page, "Fourth.")).to_have_attribute("data-nr-state", "failed")
    # Its earlier audio is still there.
    is_heard_once(page, "Fourth.")
    sentence(page, "Fourth.").click()
    expect(sentence(page, "Fourth.")).to_have_attribute("data-nr-state", "done")


def is_heard_once(page: Page, text: str) -> None:
    page.wait_for_function("(text) => window.heard.includes(text)", arg=text)


def test_it_stops_where_nothing_can_be_made(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = book_of(ann, heart, {})
    aside(lines.add, project, [Draft(f"Line {number}.") for number in range(9)])
    page = open_book(visit(ann), project)
    page.get_by_role("button", name="Listen").click()
    expect(told(page)).to_contain_text("Several sentences in a row could not be heard, so it stopped.")
    expect(page.locator(".nr-say[aria-current]")).to_have_text("Line 2.")
    expect(page.get_by_role("button", name="Listen")).to_be_visible()


def test_viewers_hear_what_is_there_and_make_nothing(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = heard_book(ann, heart, "First.", seconds=0.3)
    aside(lines.add, project, [Draft(text, character_id=heart.pk) for text in ("Second.", "Third.")])
    aside(voiced, project, ann, heart, "Fourth.", seconds=0.3)
    viewer = member(Role.VIEWER, "viewer")
    project.members.add(viewer)
    visitor = visit(viewer)
    page = open_book(visitor, project)
    expect(page.get_by_role("button", name="Generate")).to_have_count(0)
    page.get_by_role("button", name="Listen").click()
    expect(told(page)).to_have_text("The end.")
    assert page.evaluate("window.heard") == ["First.", "Fourth."]
    sentence(page, "Second.").click()
    expect(told(page)).to_contain_text("your role does not let you have it made")
    expect(told(page)).to_have_text("The end.")
    assert page.evaluate("window.heard") == ["First.", "Fourth.", "Fourth."]
    assert violations(page) == []
    assert project.takes.count() == 2


def test_two_listeners_are_each_somewhere_else(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = book_of(ann, heart, BOOK)
    bob = member(Role.PRODUCER, "bob")
    project.members.add(bob)
    one, other = open_book(visit(ann), project), open_book(visit(bob), project, "?chapter=2")
    one.get_by_role("button", name="Listen").click()
    other.get_by_role("button", name="Listen").click()
    expect(told(other)).to_have_text("The end.")
    assert_read_without_a_break(one, [*BOOK["One"], *BOOK["Two"]])
    assert project.takes.count() == 7, "nothing was spoken twice"
    assert other.evaluate("window.heard") == BOOK["Two"]
    expect(one.locator("#nr-summary")).to_contain_text("7 of 7 sentences ready")
    expect(other.locator("#nr-chapter-1")).to_contain_text("4 of 4 ready")
    eventually(lambda: ReadingPlace.objects.count() == 2)


# Place, speed, timer, keys.


def test_place_and_speed_are_there_again(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = heard_book(ann, heart, "First.", "Second.", "Third.")
    on_server(lines.edit, project.lines.get(text="Third."), chapter="Two")
    visitor = visit(ann)
    page = open_book(visitor, project)
    page.get_by_label("Speed").select_option("1.5")
    sentence(page, "Second.").click()
    is_heard(page, "Second.")
    rates = "[...document.querySelectorAll('[data-nr-voice]')].map((one) => [one.playbackRate, one.preservesPitch])"
    assert page.evaluate(rates) == [[1.5, True], [1.5, True]]
    page.reload()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.locator(".nr-say[aria-current]")).to_have_text("Second.")
    expect(page.get_by_label("Speed")).to_have_value("1.5")
    page.get_by_role("button", name="Resume").click()
    is_heard(page, "Second.")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.locator("#nr-chapters").get_by_role("link", name="Two").click()
    expect(page.locator(".nr-say[aria-current]")).to_have_text("Third.")
    expect(page.locator("#nr-to-chapter-2")).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="Back to the sentence").click()
    expect(page.locator(".nr-say[aria-current]")).to_have_text("Second.")
    place = ReadingPlace.objects.get()
    assert (place.user, place.line.text if place.line else "", place.speed) == (ann, "Second.", 1.5)


def test_the_keyboard_leads_through_the_book(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = heard_book(ann, heart, "First.", "Second.", "Third.")
    on_server(lines.edit, project.lines.get(text="Third."), chapter="Two")
    visitor = visit(ann)
    page = open_book(visitor, project)
    page.keyboard.press("Space")
    is_heard(page, "First.")
    page.keyboard.press("ArrowRight")
    is_heard(page, "Second.")
    page.keyboard.press("n")
    is_heard(page, "Third.")
    page.keyboard.press("ArrowLeft")
    is_heard(page, "First.")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator(".nr-say[aria-current]")).to_have_text("Third.")
    page.keyboard.press("p")
    expect(page.locator(".nr-say[aria-current]")).to_have_text("First.")
    # The text is one stop of the tab key, with arrows within.
    sentence(page, "First.").focus()
    page.keyboard.press("ArrowDown")
    expect(sentence(page, "Second.")).to_be_focused()
    page.keyboard.press("Enter")
    is_heard(page, "Second.")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert page.evaluate("navigator.mediaSession.metadata.album") == "The bridge"
    assert page.evaluate("navigator.mediaSession.playbackState") == "playing"
    page.go_back()
    expect(page.locator(".nr-read-main > .nr-spread")).to_be_visible()


def test_the_timer_ends_with_a_sentence_or_a_chapter(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = heard_book(ann, heart, "First.", "Second.", seconds=0.3)
    on_server(lines.edit, project.lines.get(text="Second."), chapter="Two")
    page = open_book(visit(ann), project)
    page.get_by_label("Stop").select_option("after the chapter")
    page.get_by_role("button", name="Listen").click()
    expect(told(page)).to_have_text("Good night: the timer stopped it here.")
    expect(page.locator(".nr-say[aria-current]")).to_have_text("Second.")
    assert page.evaluate("window.heard") == ["First."]
    expect(page.get_by_label("Stop")).to_have_value("")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".nr-say[aria-current]")).to_have_text("First.")
    now = page.evaluate("Date.now()")
    page.clock.set_fixed_time(now)
    page.get_by_label("Stop").select_option("in 5 minutes")
    expect(page.locator("#nr-sleep-left")).to_have_text("5:00")
    page.clock.set_fixed_time(now + 301_000)
    page.get_by_role("button", name="Resume").click()
    page.wait_for_function("window.heard.length === 2")
    expect(told(page)).to_have_text("Good night: the timer stopped it here.")
    assert page.evaluate("window.heard") == ["First."] * 2


# What others do meanwhile.


def test_a_book_that_changes_meanwhile_is_followed(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = heard_book(ann, heart, "First.", "Second.", "Third.", "Fourth.", seconds=5.0)
    page = open_book(visit(ann), project)
    page.get_by_role("button", name="Listen").click()
    is_heard(page, "First.")
    on_server(lines.edit, project.lines.get(text="Second."), text="Second, in other words.")
    on_server(lines.remove, project, project.lines.filter(text="Third."))
    on_server(lines.add, project, [Draft("Between.", character_id=heart.pk)], after=project.lines.get(text="First."))
    expect(sentence(page, "Third.")).to_have_count(0)
    expect(sentence(page, "Between.")).to_be_visible()
    page.wait_for_function("window.heard.length === 4")
    assert page.evaluate("window.heard") == ["First.", "Between.", "Second, in other words.", "Fourth."]
    assert Take.objects.get(lines_heard__text__startswith="Second").text == "Second, in other words."


def test_the_sentence_that_is_heard_may_go(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = heard_book(ann, heart, "First.", "Second.", "Third.", seconds=4.0)
    page = open_book(visit(ann), project)
    page.get_by_role("button", name="Listen").click()
    is_heard(page, "First.")
    on_server(lines.remove, project, project.lines.filter(text="First."))
    expect(page.locator(".nr-say[aria-current]")).to_have_text("Second.")
    page.wait_for_function("window.heard.length === 3")
    assert page.evaluate("window.ends.map((one) => one.line)") == ["Second.", "Second."], (
        "the first was heard to its end"
    )


def test_audio_that_was_deleted_is_made_anew(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = heard_book(ann, heart, "First.", "Second.", "Third.", seconds=2.0)
    visitor = visit(ann)
    page = open_book(visitor, project)
    aside(Take.objects.filter(text="Second.").delete)
    page.get_by_role("button", name="Listen").click()
    expect(told(page)).to_have_text("The end.")
    assert page.evaluate("window.heard") == ["First.", "Second.", "Third."]
    assert all("/audio" in one or "404" in one for one in visitor.complaints), visitor.complaints
    visitor.complaints.clear()


def test_a_project_that_is_deleted_ends_the_listening(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = heard_book(ann, heart, "First.", "Second.", "Third.", seconds=2.0)
    visitor = visit(ann)
    page = open_book(visitor, project)
    page.get_by_role("button", name="Listen").click()
    is_heard(page, "First.")
    on_server(projects.remove, project, ann)
    expect(page.locator("#nr-live")).to_have_text("You have no access to this project any more.")
    expect(told(page)).to_have_text("This project is not there any more.")
    assert all("404" in one for one in visitor.complaints), visitor.complaints
    visitor.complaints.clear()


def test_a_lost_connection_is_told_and_waited_for(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = heard_book(ann, heart, "First.", "Second.", "Third.", seconds=1.5)
    visitor = visit(ann)
    page = open_book(visitor, project)
    page.get_by_role("button", name="Listen").click()
    is_heard(page, "First.")
    visitor.context.set_offline(True)
    expect(told(page)).to_have_text("The connection is lost. It goes on once it is back.")
    visitor.context.set_offline(False)
    expect(told(page)).to_have_text("The end.")
    assert list(dict.fromkeys(page.evaluate("window.heard"))) == ["First.", "Second.", "Third."]
    assert all("ERR_INTERNET_DISCONNECTED" in one or "/audio" in one for one in visitor.complaints), visitor.complaints
    visitor.complaints.clear()


# How it looks.


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (WIDE, True), (NARROW, True)], ids=str)
def test_every_state_shows_in_every_light(
    visit: Visit,  # noqa: F811
    ann: User,
    bank: Bank,
    upstream: OpenAIUpstream,  # noqa: F811
    width: int,
    dark: bool,
) -> None:
    alloy = Character.objects.get(name="Alloy")
    long = "The old man looked at the water for a long time, as if somebody might come out of it and speak to him."
    project = heard_book(ann, alloy, "It was late.", "Nobody spoke.", long, "Then a bell rang.", "She counted.", long)
    aside(lines.edit, project.lines.get(text="It was late."), chapter="The first chapter, which has a longer title")
    aside(lines.edit, project.lines.get(text="Nobody spoke."), text="Nobody spoke at all.")
    drafts = [Draft(f"Somewhere a dog barked {n} times.", character_id=alloy.pk) for n in range(2, 12)]
    aside(lines.add, project, [*drafts, Draft("It rained again.", chapter="The second", character_id=alloy.pk)])
    StudioSettings.load()
    StudioSettings.objects.update(read_ahead=0)
    visitor = visit(ann, width=width, dark=dark)
    page = open_book(visitor, project)
    upstream.switches.refusals = [Refusal(400, "Not this word.")]
    on_server(generate, project, project.lines.filter(text="Then a bell rang."), Want.ALL, ann)
    expect(sentence(page, "Then a bell rang.")).to_have_attribute("data-nr-state", "failed")
    upstream.switches.held = True
    on_server(generate, project, project.lines.filter(text__contains="barked 2"), Want.ALL, ann)
    expect(sentence(page, "barked 2")).to_have_attribute("data-nr-state", "running")
    sentence(page, "It was late.").click()
    is_heard(page, "It was late.")
    states = page.locator(".nr-spread-text .nr-say").evaluate_all("(all) => all.map((one) => one.dataset.nrState)")
    assert set(states) == {"done", "stale", "missing", "running", "failed"}
    visitor.assert_fits(width)
    assert violations(page) == []
    visitor.shot(f"read-{width}-{'dark' if dark else 'light'}")
    if width == NARROW:
        page.locator("#nr-chapters > summary").click()
        assert violations(page) == []
        visitor.shot("read-narrow-chapters")
    page.get_by_role("button", name="Pause").click()


def test_a_chapter_is_generated_while_the_page_stays(visit: Visit, ann: User, heart: Character) -> None:  # noqa: F811
    project = book_of(ann, heart, BOOK)
    visitor = visit(ann)
    page = open_book(visitor, project, "?chapter=2")
    page.get_by_role("button", name="Generate this chapter").click()
    expect(page.get_by_text("3 lines are queued.")).to_be_visible()
    expect(page.locator("#nr-chapter-2")).to_contain_text("3 of 3 ready")
    expect(page.locator("#nr-chapter-1")).to_contain_text("4 missing")
    page.get_by_role("button", name="Generate the book (4)").click()
    expect(page.locator("#nr-summary")).to_contain_text("7 of 7 sentences ready")
    assert page.url.endswith("?chapter=2")
    page.get_by_role("link", name="Export this chapter").click()
    expect(page.get_by_label("From the chapter")).to_have_value("2")
    page.get_by_label("A file for each chapter, in a zip").check()
    visitor.shot("read-export")
    assert violations(page) == []
