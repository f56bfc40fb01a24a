"""The page of a project in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from banks.models import Bank, Character
from neiroha_site.roles import Role
from providers.errors import UpstreamBusy
from providers.models import Provider
from studio import lines
from studio.generate import Want, generate
from studio.models import Line, Project, Take
from tests.browser import NARROW, WIDE, Visitor, chromium
from tests.conftest import add_character
from tests.people import PASSWORD, member
from tests.test_accessibility import violations
from tests.test_lines import spoken, written
from tests.test_project_live import on_server

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


def aside[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """In a thread without a loop, of which the server hears nothing."""

    def alone() -> R:
        try:
            return work(*args, **kwargs)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(alone).result()


def write(project: Project, *texts: str, **values: Any) -> list[Line]:
    return on_server(written, project, *texts, **values)


def change_line(line: Line, **values: Any) -> Line:
    return on_server(lines.edit, Line.objects.get(pk=line.pk), **values)


def place(page: Page, text: str) -> Locator:
    return page.locator(".nr-place", has_text=text)


@pytest.mark.parametrize("kind", ["dialogue", "phase"])
def test_from_an_empty_project_to_spoken_lines(visit: Visit, ann: User, bank: Bank, soul: Character, kind: str) -> None:
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


def test_a_line_is_edited_split_and_written_between_by_the_keyboard(
    visit: Visit, ann: User, bank: Bank, soul: Character
) -> None:
    project = project_of(ann, bank, "phase")
    write(project, "Come here, please.", "The end.", character_id=soul.pk)
    visitor = visit(ann)
    page = open_project(visitor, project)
    page.locator(".nr-line").first.focus()
    page.keyboard.press("Enter")
    text = page.locator(".nr-edit textarea")
    expect(text).to_be_focused()
    page.keyboard.type(" Now!")
    expect(place(page, "The end.").locator(".nr-edit")).to_have_count(0)
    visitor.shot("project-edit")
    assert violations(page) == []
    page.keyboard.press("Control+Enter")
    expect(page.locator(".nr-edit")).to_have_count(0)
    expect(page.locator(".nr-line").first).to_be_focused()
    expect(page.locator(".nr-line-text").first).to_have_text("Come here, please. Now!")
    page.keyboard.press("Enter")
    text.evaluate("text => text.setSelectionRange(11, 11)")
    page.keyboard.press("Control+Shift+Enter")
    expect(page.locator(".nr-line-text")).to_have_text(["Come here,", "please. Now!", "The end."])
    # By its name the character is chosen.
    page.get_by_title("Choose a character").nth(1).click()
    expect(page.locator(".nr-edit select")).to_be_focused()
    page.keyboard.type("Hea")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".nr-segment-name")).to_have_text(["Soul", "Heart", "Soul"])
    place(page, "The end.").get_by_title("Edit").click()
    page.locator("#id_new-text").fill("Almost there.")
    page.get_by_role("link", name="Insert before").click()
    expect(page.get_by_text("Goes before “The end.”")).to_be_visible()
    expect(page.locator("#id_new-text")).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".nr-line-text")).to_have_text(["Come here,", "please. Now!", "Almost there.", "The end."])
    expect(page.locator(".nr-composer-place")).to_have_count(0)
    place(page, "Almost there.").get_by_title("Edit").click()
    page.get_by_role("button", name="Join with the next").click()
    expect(page.locator(".nr-line-text")).to_have_text(["Come here,", "please. Now!", "Almost there. The end."])
    place(page, "Almost there.").get_by_title("Edit").click()
    page.locator(".nr-edit").get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete this line").click()
    expect(page.locator(".nr-line-text")).to_have_text(["Come here,", "please. Now!"])


def test_wrong_words_stay_in_their_boxes(visit: Visit, ann: User, bank: Bank) -> None:
    project = project_of(ann, bank, "dialogue")
    (line,) = write(project, "Old words.")
    page = open_project(visit(ann), project)
    page.locator("#id_new-text").fill("")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("A line needs a text.")).to_be_visible()
    expect(page.locator("#id_new-text")).to_be_focused()
    say(page, "Heart", "Right words.")
    expect(page.get_by_text("A line needs a text.")).to_have_count(0)
    place(page, "Old words.").get_by_title("Edit").click()
    page.locator(".nr-edit textarea").fill("My words.")
    change_line(line, text="The other's words.")
    # What somebody else does leaves the open box alone.
    expect(page.locator(".nr-line-text").first).to_have_text("The other's words.")
    expect(page.locator(".nr-edit textarea")).to_have_value("My words.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Somebody else changed this line meanwhile")).to_be_visible()
    expect(page.locator(".nr-edit .nr-reason")).to_contain_text("The other's words.")
    expect(page.locator(".nr-edit textarea")).to_have_value("My words.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".nr-line-text").first).to_have_text("My words.")
    # Lines come and go meanwhile; the box and the focus stay.
    place(page, "My words.").get_by_title("Edit").click()
    page.locator(".nr-edit textarea").fill("More words.")
    write(project, "Somebody's line.")
    expect(place(page, "Somebody's line.")).to_be_visible()
    expect(page.locator(".nr-edit textarea")).to_have_value("More words.")
    expect(page.locator(".nr-edit textarea")).to_be_focused()
    on_server(lines.remove, project, project.lines.filter(pk=line.pk))
    expect(page.locator(".nr-line-text:visible")).to_have_text(["Right words.", "Somebody's line."])
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Somebody removed this line meanwhile")).to_be_visible()
    expect(page.locator("#id_new-text")).to_have_value("More words.")
    page.locator("#id_new-text").fill("")


def test_lines_are_dragged_moved_and_ticked(visit: Visit, ann: User, bank: Bank, soul: Character) -> None:
    project = project_of(ann, bank, "phase")
    write(project, *(f"Line {letter}." for letter in "abcde"))
    page = open_project(visit(ann), project)
    texts = page.locator(".nr-line-text")
    handle, target = place(page, "Line a.").locator(".nr-handle"), place(page, "Line c.")
    handle.hover()
    page.mouse.down()
    box = target.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] - 4, steps=5)
    page.mouse.up()
    expect(texts).to_have_text([f"Line {letter}." for letter in "bcade"])
    expect(page.locator(".nr-number")).to_have_text(["1", "2", "3", "4", "5"])
    assert [line.text[5] for line in project.lines.all()] == list("bcade")
    place(page, "Line e.").locator(".nr-line").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(texts).to_have_text([f"Line {letter}." for letter in "bcaed"])
    expect(place(page, "Line e.").locator(".nr-line")).to_be_focused()
    page.keyboard.press("Alt+ArrowUp")
    expect(texts).to_have_text([f"Line {letter}." for letter in "bcead"])
    page.keyboard.press("ArrowDown")
    expect(place(page, "Line a.").locator(".nr-line")).to_be_focused()
    page.keyboard.press("Alt+ArrowDown")
    expect(texts).to_have_text([f"Line {letter}." for letter in "bceda"])

    page.get_by_label("Choose line 2").check()
    page.get_by_label("Choose line 4").click(modifiers=["Shift"])
    expect(page.locator("[data-nr-ticked]")).to_have_text("3")
    page.get_by_text("With the ticked…").click()
    page.locator("#id_ticked-character").select_option(label="Soul")
    page.get_by_role("button", name="Assign").click()
    expect(page.locator(".nr-segment-name")).to_have_text(["No character", "Soul", "Soul", "Soul", "No character"])
    expect(page.locator("[data-nr-ticked]")).to_have_text("3")
    page.locator("#id_ticked-speed").fill("9")
    page.get_by_role("button", name="Set speed").click()
    expect(page.locator("#nr-tools .nr-error")).to_contain_text("less than or equal to 4")
    expect(page.get_by_label("Choose line 2")).to_be_checked()
    page.locator("#id_ticked-speed").fill("1.5")
    page.get_by_role("button", name="Set speed").click()
    expect(page.get_by_text("Speed 1.5")).to_have_count(3)
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Generate them").click()
    expect(page.get_by_text("3 lines are queued.")).to_be_visible()
    expect(page.get_by_text("2 lines can't be spoken. No character is chosen.")).to_be_visible()
    expect(page.locator("#nr-summary").get_by_text("3 of 5 lines done")).to_be_visible()


def test_lines_are_heard_one_after_another(visit: Visit, ann: User, bank: Bank) -> None:
    project = project_of(ann, bank, "dialogue")
    heart = bank.characters.get()
    made = write(project, *(f"Line {number}." for number in range(1, 104)), character_id=heart.pk)
    heard = [line.pk for line in made if line in (made[0], made[1], made[99], made[100])]
    aside(generate, project, project.lines.filter(pk__in=heard), Want.ALL, ann)
    aside(spoken, project)
    visitor = visit(ann)
    page = open_project(visitor, project)
    # The element and its state are followed without looking away: each line is heard for a moment only.
    page.evaluate("""() => {
        window.heard = [];
        document.querySelector("#nr-player audio").addEventListener("playing", () => {
            window.heard.push(document.querySelector(".nr-place[data-nr-playing] .nr-number").textContent);
        });
    }""")
    place(page, "Line 2.").first.get_by_title("Play from here").click()
    page.wait_for_function("window.heard.length === 3")
    assert page.evaluate("window.heard") == ["2", "100", "101"]
    assert page.url.endswith("?page=2"), "on the next page it goes on"
    expect(page.locator("#nr-player")).to_be_hidden()
    expect(page.locator("#nr-live")).to_have_text("Live")
    page.go_back()
    expect(place(page, "Line 100.")).to_be_visible()
    # One alone, by the space bar; a second press would go on with it.
    page.locator(".nr-line").first.focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.locator(".nr-line").first.focus()
    page.keyboard.press("Space")
    page.wait_for_function("window.heard.length === 4")
    assert page.evaluate("window.heard")[3] == "1"


def test_what_is_heard_goes_on_while_the_page_changes(visit: Visit, ann: User, bank: Bank) -> None:
    project = project_of(ann, bank, "dialogue")
    (line,) = write(project, "Listen.", character_id=bank.characters.get().pk)
    aside(generate, project, project.lines.all(), Want.ALL, ann)
    aside(spoken, project, 120.0)
    page = open_project(visit(ann), project)
    page.locator("[data-nr-play]").click()
    page.wait_for_function("document.querySelector('#nr-player audio').currentTime > 0.2")
    change_line(line, text="Listen well.")
    expect(page.locator(".nr-line-text")).to_have_text("Listen well.")
    write(project, "And this.")
    expect(page.locator(".nr-place")).to_have_count(2)
    assert page.evaluate("!document.querySelector('#nr-player audio').paused")
    expect(page.locator(".nr-place").first).to_have_attribute("data-nr-playing", "yes")
    page.locator("#nr-summary").click()
    page.keyboard.press("Space")
    expect(page.locator(".nr-place").first).to_have_attribute("data-nr-playing", "paused")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-nr-playing]")).to_have_count(0)


def test_two_people_see_each_others_progress(visit: Visit, ann: User, bank: Bank, soul: Character) -> None:
    project = project_of(ann, bank, "dialogue")
    bob = member(Role.PRODUCER, "bob")
    project.members.add(bob)
    one, other = open_project(visit(ann), project), open_project(visit(bob), project)
    say(one, "Heart", "Who goes there?")
    expect(place(other, "Who goes there?")).to_be_visible()
    say(other, "Soul", "Me.")
    expect(place(one, "Me.")).to_be_visible()
    one.get_by_role("button", name="Generate 2 missing").click()
    for page in (one, other):
        expect(page.get_by_text("2 of 2 lines done")).to_be_visible()
        expect(page.locator("[data-nr-play]")).to_have_count(2)
    project.members.remove(bob)
    change_line(project.lines.get(text="Who goes there?"), text="Between us.")
    expect(place(one, "Between us.")).to_be_visible()
    expect(other.get_by_text("You have no access to this project any more.")).to_be_visible()
    expect(place(other, "Between us.")).to_have_count(0)


def test_a_connection_that_was_cut_comes_back(visit: Visit, ann: User, bank: Bank) -> None:
    project = project_of(ann, bank, "dialogue")
    first, _second = write(project, "One.", "Two.")
    visitor = visit(ann)
    open_sockets: list[WebSocketRoute] = []
    cut = False

    def through(route: WebSocketRoute) -> None:
        if cut:
            route.close(code=1001)
        else:
            route.connect_to_server()
            open_sockets.append(route)

    visitor.page.route_web_socket("**/live/**", through)
    page = open_project(visitor, project)
    cut = True
    for route in open_sockets:
        route.close(code=1001)
    expect(page.locator("#nr-live")).to_have_text("Connecting again…")
    change_line(first, text="Changed.")
    write(project, "Three.")
    cut = False
    expect(page.locator("#nr-live")).to_have_text("Live")
    expect(page.locator(".nr-line-text")).to_have_text(["Changed.", "Two.", "Three."])
    expect(page.locator("#nr-summary").get_by_text("0 of 3 lines done")).to_be_visible()


def test_viewers_look_and_listen(visit: Visit, ann: User, bank: Bank) -> None:
    project = project_of(ann, bank, "phase")
    write(project, "Hello.", character_id=bank.characters.get().pk)
    aside(generate, project, project.lines.all(), Want.ALL, ann)
    aside(spoken, project)
    viewer = member(Role.VIEWER, "viewer")
    project.members.add(viewer)
    visitor = visit(viewer)
    page = open_project(visitor, project)
    expect(page.locator("#nr-part button:visible, #nr-composer")).to_have_count(2)
    page.locator("[data-nr-play]").click()
    page.wait_for_function("document.querySelector('#nr-player audio').readyState >= 2")
    visitor.shot("project-viewer")
    assert violations(page) == []


@pytest.mark.parametrize(
    ("kind", "width", "dark"),
    [
        ("dialogue", WIDE, False),
        ("dialogue", NARROW, True),
        ("phase", WIDE, True),
        ("phase", NARROW, False),
    ],
)
def test_the_page_fits(visit: Visit, ann: User, bank: Bank, soul: Character, kind: str, width: int, dark: bool) -> None:
    project = project_of(ann, bank, kind)
    aside(every_state, project, ann, bank.characters.get(name="Heart"), soul)
    visitor = visit(ann, width=width, dark=dark)
    page = open_project(visitor, project)
    name = f"project-{kind}-states-{width}{'-dark' if dark else ''}"
    visitor.assert_fits(width)
    visitor.shot(name)
    page.mouse.wheel(0, 20_000)
    assert violations(page) == []
    page.get_by_text("All anew…").click()
    page.get_by_text("With the ticked…").click()
    page.get_by_title("Edit").nth(4).click()
    expect(page.locator(".nr-edit textarea")).to_be_focused()
    page.locator(".nr-edit").get_by_text("Takes of this line").click()
    visitor.assert_fits(width)
    visitor.shot(f"{name}-open")
    page.mouse.wheel(0, 20_000)
    assert violations(page) == []


@transaction.atomic
def every_state(project: Project, user: User, heart: Character, soul: Character) -> None:
    """Lines in each state, of each length: in one step, since the server's own runner speaks what it sees queued."""
    words = ["Nobody speaks this.", "Who goes there?", "A word " * 60, "averylongwordwithoutanyblank" * 12]
    spoken_words = ["Only me, and I am late.", "Old words.", "It will fail.", "It waits."]
    written(project, words[0])
    for number, text in enumerate(words[1:]):
        written(project, text, character_id=(heart, soul)[number % 2].pk, chapter="The bridge" if not number else "")
    made = [written(project, text, character_id=(soul, heart)[n % 2].pk)[0] for n, text in enumerate(spoken_words)]
    lines.change(project, project.lines.filter(pk=made[0].pk), speed=1.25, instruction="whispering, as at night")
    for _ in range(2):
        generate(project, project.lines.filter(pk__in=[line.pk for line in made[:2]]), Want.ALL, user)
        spoken(project, 3.0)
    lines.edit(Line.objects.get(pk=made[1].pk), text="Other words.")
    generate(project, project.lines.filter(pk=made[2].pk), Want.ALL, user)
    (failing,) = Take.objects.claim(list(project.takes.queued().values_list("pk", flat=True)))
    failing.fail(UpstreamBusy("The backend is busy: too many requests at once."))
    generate(project, project.lines.filter(pk=made[3].pk), Want.ALL, user)
