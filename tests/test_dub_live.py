"""What the open page of a dub is told: all cues that change, shown or not, and how well the shown ones fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from banks.models import Bank, Character
from studio import events, lines
from studio.lines import Draft
from studio.models import Line, Project
from tests.studio import signed_in
from tests.test_live import socket
from tests.test_project_live import address, alloy, ann, on_server, speak_all, upstream  # noqa: F401 - fixtures
from tests.upstreams.serving import WAIT_SECONDS


@pytest.fixture
def film(ann: User, bank: Bank) -> Project:  # noqa: F811
    return Project.objects.create(name="Film", kind="dub", owner=ann, bank=bank, format="wav")


class Page:
    def __init__(self, made: Any, shown: list[Line]) -> None:
        self.socket = made
        self.rows: dict[str, str] = {}
        self.cues: dict[int, list[Any]] = {}
        self.renewed = 0
        made.send(json.dumps({"lines": [line.pk for line in shown], "stamp": ""}))

    def hear(self) -> None:
        message = json.loads(self.socket.recv(timeout=WAIT_SECONDS))
        self.rows |= message.get("rows", {})
        self.renewed += "cues" in message and message["cues"] is None
        self.cues |= {cue[0]: cue[1:] for cue in message.get("cues") or ()}

    def until(self, condition: Any) -> None:
        while not condition(self):
            self.hear()


def written(project: Project, *times: tuple[int, int], **values: Any) -> list[Line]:
    return lines.add(project, [Draft("Hello.", start_ms=start, end_ms=end, **values) for start, end in times])


def test_cues_are_told_whether_or_not_their_lines_are_shown(
    server: str,
    film: Project,
    ann: User,  # noqa: F811
    alloy: Character,  # noqa: F811
) -> None:
    shown, hidden = written(film, (0, 1000), (2000, 3000), character_id=alloy.pk)
    with socket(server, signed_in(ann), address(film)) as made:
        page = Page(made, [shown])
        page.until(lambda page: shown.pk in page.cues)
        on_server(lines.retime, film, {hidden.pk: (2500, 2600)})
        page.until(lambda page: page.cues.get(hidden.pk, [0])[0] == 2500)
        assert set(page.rows) == {str(shown.pk)}
        speak_all(film, ann)
        page.until(lambda page: page.cues[hidden.pk][4] == "ok" and page.cues[shown.pk][4] == "ok")
        assert (
            round(page.cues[hidden.pk][2], 1) == 0.1 and page.cues[hidden.pk][3] == film.lines.get(pk=hidden.pk).take_id
        )


def test_the_neighbour_of_a_line_that_moves_is_painted_anew(
    server: str,
    film: Project,
    ann: User,  # noqa: F811
    alloy: Character,  # noqa: F811
) -> None:
    first, second = written(film, (0, 20), (1000, 2000), character_id=alloy.pk)
    speak_all(film, ann)
    with socket(server, signed_in(ann), address(film)) as made:
        page = Page(made, [first, second])
        page.until(lambda page: "nr-light-ok" in page.rows.get(str(first.pk), ""))
        assert "over by" not in page.rows[str(first.pk)]
        on_server(lines.retime, film, {second.pk: (30, 2000)})
        page.until(lambda page: "over by 0.1 s" in page.rows[str(first.pk)])


def test_more_changes_than_are_named_have_all_cues_read_again(
    server: str,
    film: Project,
    ann: User,  # noqa: F811
) -> None:
    made_lines = written(film, *((at * 100, at * 100 + 50) for at in range(events.MOST_LINES + 2)))
    with socket(server, signed_in(ann), address(film)) as made:
        page = Page(made, made_lines[:1])
        page.until(lambda page: page.cues)
        on_server(lines.retime, film, {line.pk: (100 * at + 1, 100 * at + 50) for at, line in enumerate(made_lines)})
        page.until(lambda page: page.renewed)


def test_pages_of_other_kinds_hear_of_no_cues(server: str, film: Project, ann: User) -> None:  # noqa: F811
    (line,) = written(film, (0, 1000))
    Project.objects.update(kind="phase")
    with socket(server, signed_in(ann), address(film)) as made:
        page = Page(made, [line])
        page.until(lambda page: page.rows)
        assert page.cues == {} and not page.renewed
