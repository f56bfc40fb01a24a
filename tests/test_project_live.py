"""The live page of a project: what it is sent as lines are spoken, and who may listen."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from api import runtime
from banks.models import Bank, Character
from providers.database import in_database
from providers.models import Provider
from studio import lines, live
from studio.generate import Outcome, Want, cancel, generate
from studio.models import Line, Project
from tests.conftest import add_character
from tests.sounds import tone, wav_file
from tests.studio import signed_in, somebody
from tests.test_lines import written
from tests.test_live import end_of, socket
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import WAIT_SECONDS, serve

RIGHTS = ("studio.view_project", "studio.change_project")


@pytest.fixture
def upstream(server: str, bank: Bank) -> Iterator[OpenAIUpstream]:
    """Answers at once with a short tone, unless it is held."""
    app = OpenAIUpstream(speech=wav_file(tone(24_000, 0.1), 24_000))
    with serve(app) as url:
        provider = Provider.objects.create(name="Up", kind="openai", base_url=f"{url}/v1", max_concurrency=4)
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        yield app
        app.switches.held = False
        app.release(1000)


@pytest.fixture
def alloy(upstream: OpenAIUpstream) -> Character:
    return Character.objects.get(name="Alloy")


@pytest.fixture
def ann(server: str) -> User:
    return somebody("ann", *RIGHTS)


@pytest.fixture
def play(ann: User, bank: Bank) -> Project:
    return Project.objects.create(name="Play", kind="phase", owner=ann, bank=bank, format="wav")


def on_server[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """As a page of the server does it, in a thread of its loop: only from there do the open pages hear of it."""
    (loop,) = runtime._runtimes
    return asyncio.run_coroutine_threadsafe(in_database(work, *args, **kwargs), loop).result(WAIT_SECONDS)


def speak_all(project: Project, user: User) -> Outcome:
    return on_server(generate, project, project.lines.all(), Want.MISSING, user)


class Page:
    """An open page: what it was sent, and what it shows by now."""

    def __init__(self, made: ClientConnection, shown: list[Line]) -> None:
        self.socket = made
        self.rows: dict[str, str] = {}
        self.summary = ""
        self.messages: list[dict[str, Any]] = []
        self.heard_at = 0.0
        self.structures = 0
        self.show(shown)

    def show(self, shown: list[Line], stamp: str = "") -> None:
        self.socket.send(json.dumps({"lines": [line.pk for line in shown], "stamp": stamp}))

    def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=WAIT_SECONDS))
        assert message and set(message) <= {"rows", "summary", "structure"}, message
        self.messages.append(message)
        self.heard_at = time.monotonic()
        self.rows |= message.get("rows", {})
        self.summary = message.get("summary", self.summary)
        self.structures += bool(message.get("structure"))
        return message

    def until(self, condition: Callable[[Page], object]) -> None:
        while not condition(self):
            self.hear()

    def row(self, line: Line) -> str:
        return self.rows.get(str(line.pk), "")


def address(project: Project) -> str:
    return f"/studio/projects/{project.pk}/live/"


def test_what_is_shown_is_told_as_it_is_spoken(
    server: str, play: Project, ann: User, alloy: Character, upstream: OpenAIUpstream
) -> None:
    upstream.switches.held = True
    shown, hidden = written(play, "<b>Hello.", "Unseen.", character_id=alloy.pk)
    with socket(server, signed_in(ann), address(play)) as made:
        page = Page(made, [shown])
        page.until(lambda page: "No audio yet" in page.row(shown) and "0 of 2 lines done" in page.summary)
        assert "&lt;b&gt;Hello." in page.row(shown) and "<b>Hello." not in page.row(shown)
        speak_all(play, ann)
        page.until(lambda page: "Speaking" in page.row(shown) and "Cancel all 2" in page.summary)
        # That the lines came may still have been told to the page that was just opened.
        structures = page.structures
        upstream.release(100)
        page.until(lambda page: "nr-light-ok" in page.row(shown) and "2 of 2 lines done" in page.summary)
        assert "/audio" in page.row(shown)
        assert set(page.rows) == {str(shown.pk)}, "nothing of lines that it does not show"
        assert page.structures == structures


def test_a_failure_comes_with_its_reason(
    server: str, play: Project, ann: User, alloy: Character, upstream: OpenAIUpstream
) -> None:
    upstream.switches.refusals = [Refusal(400, "Only on <i>Sundays</i>.")]
    (line,) = written(play, "Hello.", character_id=alloy.pk)
    with socket(server, signed_in(ann), address(play)) as made:
        page = Page(made, [line])
        speak_all(play, ann)
        page.until(lambda page: "Only on &lt;i&gt;Sundays&lt;/i&gt;." in page.row(line))
        assert "will fail in the same way" in page.row(line)
        page.until(lambda page: "Retry 1 failed" in page.summary)


def test_who_waits_for_a_place_and_why(
    server: str, play: Project, ann: User, alloy: Character, upstream: OpenAIUpstream
) -> None:
    upstream.switches.held = True
    Provider.objects.filter(name="Up").update(max_concurrency=1)
    one, two = written(play, "One.", "Two.", character_id=alloy.pk)
    with socket(server, signed_in(ann), address(play)) as made:
        page = Page(made, [one, two])
        speak_all(play, ann)
        page.until(lambda page: "Speaking" in page.row(one) and "Waiting for a place" in page.row(two))
        upstream.release(1)
        # Nobody changed the second line: it only moved on in the queue.
        page.until(lambda page: "Speaking" in page.row(two))
        upstream.release(1)
        page.until(lambda page: "2 of 2 lines done" in page.summary)


def test_a_provider_that_pauses_says_how_long_and_why(
    server: str, play: Project, ann: User, alloy: Character, upstream: OpenAIUpstream
) -> None:
    Provider.objects.filter(name="Up").update(requests_per_minute=1)
    one, two = written(play, "One.", "Two.", character_id=alloy.pk)
    with socket(server, signed_in(ann), address(play)) as made:
        page = Page(made, [one, two])
        speak_all(play, ann)
        page.until(lambda page: "“Up” waits" in page.summary and "requests per minute" in page.summary)
        page.until(lambda page: "requests per minute" in page.row(two))
        page.until(lambda page: "lines a minute" in page.summary)
        on_server(cancel, play)
        page.until(lambda page: "waits" not in page.summary and "Cancel" not in page.summary)


def test_a_batch_is_told_in_few_messages(
    server: str, play: Project, ann: User, alloy: Character, upstream: OpenAIUpstream
) -> None:
    Provider.objects.filter(name="Up").update(max_concurrency=32)
    made_lines = written(play, *(f"Number {number}." for number in range(200)), character_id=alloy.pk)
    began = time.monotonic()
    with socket(server, signed_in(ann), address(play)) as made:
        page = Page(made, made_lines[:100])
        page.until(lambda page: len(page.rows) == 100)
        speak_all(play, ann)
        page.until(lambda page: "200 of 200 lines done" in page.summary)
        page.until(lambda page: all("nr-light-ok" in page.row(line) for line in made_lines[:100]))
        seconds = page.heard_at - began
        assert len(page.messages) <= 10 * seconds + 1, f"{len(page.messages)} messages in {seconds:.1f} s"
        figures = sum("summary" in message for message in page.messages)
        assert figures <= 4 * seconds + 1, f"{figures} summaries in {seconds:.1f} s"


def test_a_page_that_comes_back_is_told_what_it_missed(
    server: str, play: Project, ann: User, alloy: Character, upstream: OpenAIUpstream
) -> None:
    one, two = written(play, "One.", "Two.", character_id=alloy.pk)
    client, stamp = signed_in(ann), ""
    with socket(server, client, address(play)) as made:
        page = Page(made, [one, two])
        page.until(lambda page: len(page.rows) == 2)
        play.refresh_from_db()
        stamp = play.changed_at.isoformat()
    lines.edit(one, text="Changed.")
    written(play, "Three.", character_id=alloy.pk)
    with socket(server, client, address(play)) as made:
        page = Page(made, [])
        page.show([one, two], stamp)
        page.until(lambda page: "Changed." in page.row(one) and page.structures and "0 of 3" in page.summary)


def test_a_page_that_was_read_again_is_told_its_figures_too(server: str, play: Project, ann: User) -> None:
    """What it was answered may be older than what its socket said meanwhile."""
    written(play, "One.")
    with socket(server, signed_in(ann), address(play)) as made:
        page = Page(made, list(play.lines.all()))
        page.until(lambda page: page.summary and page.rows)
        page.summary, page.rows = "", {}
        page.show(list(play.lines.all()))
        page.until(lambda page: page.summary and page.rows)
    assert "0 of 1 line" in page.summary


def test_lines_that_come_go_or_move_let_the_page_be_read_again(server: str, play: Project, ann: User) -> None:
    one, two = written(play, "One.", "Two.")
    changes: list[Callable[[], object]] = [
        lambda: written(play, "Three."),
        lambda: lines.move(play, [two.pk], before=one),
        lambda: lines.edit(one, chapter="The end"),
        lambda: lines.remove(play, play.lines.filter(pk=two.pk)),
    ]
    with socket(server, signed_in(ann), address(play)) as made:
        page = Page(made, [one, two])
        page.until(lambda page: len(page.rows) == 2)
        for count, change in enumerate(changes, start=1):
            on_server(change)
            while page.structures < count:
                page.hear()
        on_server(lines.edit, Line.objects.get(pk=one.pk), text="Other words.")
        page.until(lambda page: "Other words." in page.row(one))
        assert page.structures == len(changes), "other words move nothing"


def test_a_shared_take_is_told_to_all_its_lines(
    server: str, play: Project, ann: User, alloy: Character, upstream: OpenAIUpstream
) -> None:
    Project.objects.update(reuse=True)
    play.refresh_from_db()
    upstream.switches.held = True
    first, second = written(play, "Yes.", "Yes.", character_id=alloy.pk)
    with socket(server, signed_in(ann), address(play)) as made:
        page = Page(made, [first, second])
        page.until(lambda page: len(page.rows) == 2)
        assert speak_all(play, ann).queued == 1
        page.until(lambda page: "Speaking" in page.row(first) and "Speaking" in page.row(second))
        upstream.release(1)
        page.until(lambda page: "nr-light-ok" in page.row(first) and "nr-light-ok" in page.row(second))


def test_viewers_are_shown_no_buttons(server: str, play: Project, ann: User) -> None:
    (line,) = written(play, "Hello.")
    viewer = somebody("viewer", "studio.view_project")
    play.members.add(viewer)
    for who, buttons in ((ann, True), (viewer, False)):
        with socket(server, signed_in(who), address(play)) as made:
            page = Page(made, [line])
            page.until(lambda page: page.rows and page.summary)
            assert ('name="act"' in page.row(line) + page.summary) is buttons


def test_a_page_of_another_language_stays_in_it(server: str, play: Project, ann: User) -> None:
    (line,) = written(play, "Hello.")
    with socket(server, signed_in(ann), f"{address(play)}?language=no-such") as made:
        page = Page(made, [line])
        page.until(lambda page: "No audio yet" in page.row(line))


# Who may listen.


def test_nobody_hears_of_projects_that_are_not_theirs(server: str, play: Project, ann: User) -> None:
    (line,) = written(play, "Secret.")
    bob = somebody("bob", *RIGHTS)
    with socket(server, signed_in(bob), address(play)) as made:
        made.send(json.dumps({"lines": [line.pk]}))
        assert end_of(made) == live.FORBIDDEN
    without_right = somebody("carl")
    play.members.add(without_right)
    for client in (signed_in(without_right), Client()):
        if client.cookies:
            with socket(server, client, address(play)) as made:
                assert end_of(made) == live.FORBIDDEN
    with socket(server, None, address(play)) as made:
        assert end_of(made) == live.SIGNED_OUT
    for nowhere in (0, 999_999, 10**30):
        with socket(server, signed_in(ann), f"/studio/projects/{nowhere}/live/") as made:
            assert end_of(made) == live.FORBIDDEN


def test_lines_of_other_projects_are_not_told(server: str, play: Project, ann: User, bank: Bank) -> None:
    other = Project.objects.create(name="Other", kind="phase", owner=somebody("bob"), bank=bank)
    (secret,) = written(other, "Secret.")
    (line,) = written(play, "Hello.")
    with socket(server, signed_in(ann), address(play)) as made:
        page = Page(made, [secret, line])
        page.until(lambda page: page.row(line))
        on_server(lines.edit, secret, text="Still secret.")
        on_server(lines.edit, line, text="Hello again.")
        page.until(lambda page: "Hello again." in page.row(line))
        assert not page.row(secret)


def test_somebody_who_is_removed_hears_no_more(server: str, play: Project, ann: User) -> None:
    (line,) = written(play, "Hello.")
    bob = somebody("bob", *RIGHTS)
    play.members.add(bob)
    with socket(server, signed_in(bob), address(play)) as made:
        page = Page(made, [line])
        page.until(lambda page: page.row(line))
        play.members.remove(bob)
        on_server(lines.edit, line, text="Between us.")
        with pytest.raises(ConnectionClosed) as closed:
            page.until(lambda page: "Between us." in page.row(line))
        assert closed.value.rcvd is not None and closed.value.rcvd.code == live.FORBIDDEN


@pytest.mark.parametrize("end", ["is removed", "is deactivated", "loses the right"])
def test_an_idle_page_ends_too(server: str, play: Project, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(live, "RECHECK_SECONDS", 0.2)
    bob = somebody("bob", *RIGHTS)
    play.members.add(bob)
    with socket(server, signed_in(bob), address(play)) as made:
        page = Page(made, [])
        page.until(lambda page: page.summary)
        match end:
            case "is removed":
                play.members.remove(bob)
            case "is deactivated":
                User.objects.filter(pk=bob.pk).update(is_active=False)
            case _:
                bob.user_permissions.clear()
        assert end_of(made) == (live.FORBIDDEN if end == "is removed" else live.SIGNED_OUT)


def test_a_change_that_nobody_told_of_is_found_by_an_idle_page(
    server: str, play: Project, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RECHECK_SECONDS", 0.2)
    (line,) = written(play, "Hello.")
    with socket(server, signed_in(ann), address(play)) as made:
        page = Page(made, [line])
        page.until(lambda page: page.row(line) and page.summary)
        told = page.structures
        Line.objects.filter(pk=line.pk).update(text="Good evening.")
        play.touch()
        page.until(lambda page: page.structures > told)
        # The page then looks anew; and is not asked to again and again.
        page.show([line])
        page.until(lambda page: "Good evening." in page.row(line))
        assert page.structures == told + 1


@pytest.mark.parametrize(
    "nonsense",
    ["", "no json", "[]", "7", '{"lines": 3}', '{"lines": ["1", null, -1, 1e400, true, 99999999999999999999]}',
     '{"lines": [], "stamp": 5}', "[" * 5000, '{"lines": [' + "1," * 20_000 + "1]}"],
)  # fmt: skip
def test_nonsense_of_a_page_is_left_alone(server: str, play: Project, ann: User, nonsense: str) -> None:
    (line,) = written(play, "Hello.")
    with socket(server, signed_in(ann), address(play)) as made:
        made.send(nonsense)
        page = Page(made, [line])
        page.until(lambda page: page.row(line))


def test_bytes_of_a_page_are_left_alone(server: str, play: Project, ann: User) -> None:
    (line,) = written(play, "Hello.")
    with socket(server, signed_in(ann), address(play)) as made:
        made.send(b"\x00\xff")
        page = Page(made, [line])
        page.until(lambda page: page.row(line))


def test_a_page_that_is_read_is_told_of_sentences_and_chapters(
    server: str, play: Project, ann: User, alloy: Character
) -> None:
    first, second = written(play, "One.", "Two.", character_id=alloy.pk)
    on_server(lines.edit, Line.objects.get(pk=second.pk), chapter="<Next>")
    with socket(server, signed_in(ann), f"{address(play)}?page=read") as made:
        made.send(json.dumps({"lines": [first.pk], "stamp": ""}))
        told: dict[str, Any] = {"rows": {}, "parts": {}}

        def until(condition: Callable[[], object]) -> None:
            while not condition():
                message = json.loads(made.recv(timeout=WAIT_SECONDS))
                told["rows"] |= message.get("rows", {})
                told["parts"] |= message.get("parts", {})
                told["summary"] = message.get("summary", told.get("summary", ""))
                told["changed"] = set(message.get("parts", {}))

        until(lambda: len(told["parts"]) == 2 and told["rows"])
        assert 'class="nr-say nr-say-none"' in told["rows"][str(first.pk)]
        assert "&lt;Next&gt;" in told["parts"]["nr-chapter-2"]
        on_server(generate, play, play.lines.filter(pk=first.pk), Want.MISSING, ann)
        until(lambda: "1 of 1 ready" in told["parts"]["nr-chapter-1"] and "nr-say-ok" in told["rows"][str(first.pk)])
        assert told["changed"] == {"nr-chapter-1"}, "only what changed"
        assert "1 of 2 sentences ready" in told["summary"]
