"""The page of a dub: its rows, its timeline's data, and what is sent to whoever has it open."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from banks.models import Character
from neiroha_site.roles import Role
from providers.models import Provider
from studio import lines
from studio.generate import Want, generate
from studio.lines import Draft
from studio.models import Footage, Line, Project
from studio.pages.cues import MOST_CUES
from tests.people import client_of, member
from tests.projects import RIGHTS, voiced
from tests.studio import clear_files, signed_in, somebody
from tests.test_lines import ann, heart, stories  # noqa: F401 - fixtures
from tests.test_project_page import AIM_QUERIES, act, add, address, edit, order_on, shown
from tests.test_timing import film, timed, times  # noqa: F401 - fixture

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def producer(film: Project) -> Client:  # noqa: F811
    user = member(Role.PRODUCER, "producer")
    film.members.add(user)
    return client_of(user)


@pytest.fixture
def viewer(film: Project) -> Client:  # noqa: F811
    user = member(Role.VIEWER, "viewer")
    film.members.add(user)
    return client_of(user)


def cues_of(client: Client, project: Project) -> dict[str, Any]:
    response = client.get(f"{address(project)}lines/cues/")
    assert response.status_code == 200
    return dict(response.json())


def send(client: Client, project: Project, body: Any) -> Any:
    data = body if isinstance(body, str) else json.dumps(body)
    return client.post(f"{address(project)}lines/cues/", data, content_type="application/json")


def change(line: Line, now: Any, was: Any = None) -> dict[str, Any]:
    return {"line": line.pk, "was": was or [line.start_ms, line.end_ms], "now": now}


def row(page: str, line: Line) -> str:
    found = re.search(rf'id="nr-line-{line.pk}".*?</article>', page, re.DOTALL)
    assert found is not None
    return found[0]


# Rows.


def test_a_row_says_when_it_is_spoken_and_how_that_fits(
    film: Project,  # noqa: F811
    heart: Character,  # noqa: F811
    ann: User,  # noqa: F811
    producer: Client,
    viewer: Client,
) -> None:
    fits, stretched, over = voiced(film, ann, heart, "Fits.", "Stretched.", "Over.", seconds=1.0)
    (silent,) = timed(film, (3000, 4000))
    lines.retime(film, {fits.pk: (0, 1500), stretched.pk: (1500, 2400), over.pk: (2400, 2500)})
    page = shown(producer, film)
    assert order_on(page) == [str(line.pk) for line in (fits, stretched, over, silent)]
    assert "0:00:00.000 – 0:00:01.500" in row(page, fits) and "1.00 s of speech in 1.50 s" in row(page, fits)
    assert "as fast" not in row(page, fits) and "over by" not in row(page, fits)
    assert "played 1.11× as fast" in row(page, stretched) and "over by" not in row(page, stretched)
    assert "over by 0.3 s" in row(page, over) and "played 1.20× as fast" in row(page, over)
    assert "of speech" not in row(page, silent) and "same time" not in page.split('id="nr-lines"')[1]
    lines.retime(film, {silent.pk: (1000, 1200)})
    assert "at the same time as another" in row(shown(viewer, film), fits)
    assert "data-nr-edit" not in shown(viewer, film) and "data-nr-may" not in shown(viewer, film)
    clear_files()


def test_a_line_without_a_time_says_so_and_is_given_one(film: Project, producer: Client) -> None:  # noqa: F811
    (line,) = lines.add(film, [Draft("Free.")])
    assert "No time yet" in row(shown(producer, film), line)
    page = edit(producer, line, start_ms="0:01:02.5", end_ms="63")
    assert page.status_code == 302
    assert times(film) == [(62_500, 63_000)]


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("soon", "2", "Write a time as hours, minutes and seconds"),
        ("2", "1", "ends before it starts"),
        ("2", "2", "ends before it starts"),
        ("", "2", "both times, or neither"),
        ("1", "", "both times, or neither"),
        ("1", "101:00:00", "between 0 and 100 hours"),
    ],
)
def test_a_bad_time_is_told_at_its_field_and_the_rest_stays(
    film: Project,  # noqa: F811
    producer: Client,
    start: str,
    end: str,
    words: str,
) -> None:
    (line,) = timed(film, (0, 1000))
    page = edit(producer, line, start_ms=start, end_ms=end, text="Mine")
    text = page.content.decode()
    assert page.status_code == 200 and words in text and ">Mine</textarea>" in text.replace("\nMine", "Mine")
    assert "_ms_error" in text and times(film) == [(0, 1000)]


def test_times_are_of_lines_in_time_alone(film: Project, producer: Client) -> None:  # noqa: F811
    (line,) = timed(film, (0, 1000))
    form = producer.get(f"{address(film)}lines/{line.pk}/").content.decode()
    assert 'value="0:00:00.000"' in form and "Move up" not in form
    Project.objects.update(kind="phase")
    form = producer.get(f"{address(film)}lines/{line.pk}/").content.decode()
    assert "start_ms" not in form and "Move up" in form
    page = shown(producer, film)
    assert "nr-timeline" not in page and "timeline.js" not in page
    edit(producer, line, text="Other words.")
    assert times(film) == [(0, 1000)], "nothing is lost"


def test_a_line_that_is_written_has_a_time_at_once(film: Project, producer: Client) -> None:  # noqa: F811
    add(producer, film, "First.")
    add(producer, film, "Second.")
    assert times(film) == [(0, 2000), (2000, 4000)]
    second = film.lines.get(text="Second.")
    assert add(producer, film, "Between.", place=f"before:{second.pk}").status_code == 302
    assert film.lines.get(text="Between.").start_ms == 2000
    add(producer, film, "Zero.", place=f"before:{film.lines.first().pk}")  # type: ignore[union-attr]
    assert film.lines.get(text="Zero.").start_ms == 0


def test_a_cue_leads_to_its_line(film: Project, producer: Client) -> None:  # noqa: F811
    made = timed(film, *((at * 100, at * 100 + 50) for at in range(250)))
    response = producer.get(address(film, f"?key={made[149].pk}"))
    assert response["Location"] == f"{address(film)}?page=2#nr-line-{made[149].pk}"
    assert producer.get(address(film, "?key=999999")).status_code == 200


def test_the_footage_is_played_beside_the_lines(film: Project, producer: Client) -> None:  # noqa: F811
    timed(film, (0, 1000))
    assert "nr-footage" not in shown(producer, film).split('id="nr-timeline"')[1]
    values = {"file": "x.mp4", "name": "A <film>.mp4", "size": 1, "duration": 9.0, "frame_rate": 25.0}
    footage = Footage.objects.create(project=film, duck_db=-9.5, **values)
    page = shown(producer, film)
    assert f'preload="metadata" src="{address(film)}footage/file"' in page and '<video class="nr-footage"' in page
    assert 'data-nr-sound="duck" data-nr-duck="-9.5"' in page and "A &lt;film&gt;.mp4" in page
    Footage.objects.filter(pk=footage.pk).update(frame_rate=None)
    assert '<audio class="nr-footage"' in shown(producer, film)


# The timeline.


def test_the_timeline_has_all_cues_and_what_decides_how_they_fit(
    film: Project,  # noqa: F811
    heart: Character,  # noqa: F811
    ann: User,  # noqa: F811
    viewer: Client,
) -> None:
    (spoken,) = voiced(film, ann, heart, "Spoken. " * 20, seconds=0.5)
    lines.retime(film, {spoken.pk: (2000, 3000)})
    silent, _free = lines.add(film, [Draft("Silent.", "Bob", start_ms=0, end_ms=1000), Draft("No time.")])
    assert cues_of(viewer, film) == {
        "cues": [
            [silent.pk, 0, 1000, 0.0, 0, "none", "Bob", "Silent."],
            [spoken.pk, 2000, 3000, 0.5, spoken.take_id, "ok", "Heart", ("Spoken. " * 20)[:80]],
        ],
        "stretch": 1.2,
        "total": None,
    }
    Footage.objects.create(project=film, file="x.mp4", name="x", size=1, duration=9.5, stretch_most=1.5)
    told = cues_of(viewer, film)
    assert (told["stretch"], told["total"]) == (1.5, 9.5)
    clear_files()


def test_times_are_changed_together_and_those_of_others_come_back(film: Project, producer: Client) -> None:  # noqa: F811
    first, second, third = timed(film, (0, 1000), (2000, 3000), (4000, 5000))
    lines.retime(film, {second.pk: (2100, 3000)})
    lines.remove(film, film.lines.filter(pk=third.pk))
    body = {"cues": [change(first, [5000, 6000]), change(second, [7000, 8000]), change(third, [9, 10])]}
    answer = send(producer, film, body)
    assert answer.json() == {"met": {str(second.pk): [2100, 3000], str(third.pk): None}}
    assert times(film) == [(2100, 3000), (5000, 6000)]


def asking(line: str = "1", was: str = "[0, 1]", now: str = "[0, 1]") -> str:
    return f'{{"cues": [{{"line": {line}, "was": {was}, "now": {now}}}]}}'


BAD = ["", "[]", "{}", "{", "[" * 100_000, "\ud800", '{"cues": 5}']
BAD += ['{"cues": [5]}', '{"cues": [{}]}', '{"cues": {"a": 1}}', '{"cues": {}}', '{"cues": ""}']
BAD += [asking(line=line) for line in ('"1"', "0", "-1", "1.5", "true", "null", "99999999999999999999")]
NO_TIMES = ("[0]", "[0, 1.5]", "[0, true]", '"01"', "[2, 1]", "[-2, 1]", "[0, 1e99]", "[0, 9999999999]")
BAD += [asking(now=now) for now in NO_TIMES]
BAD += [asking(was="null"), json.dumps({"cues": [{"line": 1, "was": [0, 1], "now": [0, 1]}] * (MOST_CUES + 1)})]


def test_times_that_are_not_taken_leave_the_project_untouched(film: Project, producer: Client) -> None:  # noqa: F811
    first = timed(film, (0, 1000))[0]
    film.refresh_from_db()
    before = film.changed_at
    answer = send(producer, film, {"cues": [change(first, [2000, 3000], was=[1, 2])]})
    assert answer.json() == {"met": {str(first.pk): [0, 1000]}}
    film.refresh_from_db()
    assert film.changed_at == before


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_what_are_no_times_is_refused(film: Project, producer: Client, body: str) -> None:  # noqa: F811
    timed(film, (0, 1000))
    answer = producer.generic("POST", f"{address(film)}lines/cues/", body.encode("utf-8", "surrogatepass"))
    assert answer.status_code == 400 and answer.json()["error"]
    assert times(film) == [(0, 1000)]


def test_only_people_of_the_project_see_and_who_may_changes(
    film: Project,  # noqa: F811
    producer: Client,
    viewer: Client,
) -> None:
    (line,) = timed(film, (0, 1000))
    outsider, path = signed_in(somebody("out", *RIGHTS)), f"{address(film)}lines/cues/"
    body = {"cues": [change(line, [5, 6])]}
    assert outsider.get(path).status_code == 404 and send(outsider, film, body).status_code == 404
    assert viewer.get(path).status_code == 200 and send(viewer, film, body).status_code == 403
    assert (
        send(Client(), film, body).status_code == 302
        and send(signed_in(somebody("idle")), film, body).status_code == 403
    )
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = producer.cookies
    assert send(strict, film, body).status_code == 403 and times(film) == [(0, 1000)]
    assert producer.put(path).status_code == 405
    assert send(producer, film, body).json() == {"met": {}}
    Project.objects.update(kind="phase")
    assert producer.get(path).status_code == 404 and send(producer, film, body).status_code == 404


def test_pages_of_a_dub_ask_the_database_no_more_often_however_many_cues_there_are(
    film: Project,  # noqa: F811
    heart: Character,  # noqa: F811
    ann: User,  # noqa: F811
    producer: Client,
) -> None:
    timed(film, *((at * 1000, at * 1000 + 900) for at in range(5000)), character_id=heart.pk)
    generate(film, film.lines.filter(position__lte=200 * lines.STEP), Want.MISSING, ann)
    shown(producer, film)
    for query in ("", "?page=7", "?state=queued", f"?character={heart.pk}", "?page=50&edit=1"):
        with CaptureQueriesContext(connection) as asked:
            assert len(order_on(shown(producer, film, query))) == 100, query
        assert len(asked) <= AIM_QUERIES, (query, [each["sql"][:120] for each in asked])
    with CaptureQueriesContext(connection) as asked:
        assert len(cues_of(producer, film)["cues"]) == 5000
    assert len(asked) <= AIM_QUERIES
    one = film.lines.first()
    assert one is not None
    with CaptureQueriesContext(connection) as asked:
        assert send(producer, film, {"cues": [change(one, [4_500_500, 4_501_000])]}).json() == {"met": {}}
    # The lines that it has passed move up by one place.
    assert len(asked) <= AIM_QUERIES + 5000 // lines.BATCH


def test_selected_lines_of_a_dub_are_handled_as_all_lines_are(film: Project, producer: Client) -> None:  # noqa: F811
    first, second = timed(film, (0, 1000), (2000, 3000))
    act(producer, film, f"join:{first.pk}")
    assert times(film) == [(0, 3000)]
    act(producer, film, "delete", first)
    assert not film.lines.exists()


def test_what_is_too_long_is_spoken_faster(
    film: Project,  # noqa: F811
    heart: Character,  # noqa: F811
    ann: User,  # noqa: F811
    producer: Client,
    viewer: Client,
) -> None:
    Provider.objects.update(kind="openai", base_url="http://127.0.0.1:9/v1")
    first, second, fits = voiced(film, ann, heart, "One.", "Two.", "Three.", seconds=1.5)
    lines.retime(film, {first.pk: (0, 1000), second.pk: (1000, 2000), fits.pk: (2000, 4000)})
    assert f'value="faster:{first.pk}"' not in shown(viewer, film)
    page = shown(producer, film)
    assert "2 too long: speak them faster" in page and "faster:" not in row(page, fits)
    assert "1 line is queued." in act(producer, film, f"faster:{first.pk}")
    assert film.lines.get(pk=first.pk).speed == 1.5 and film.lines.get(pk=second.pk).speed == 1
    assert f'value="faster:{first.pk}"' not in shown(producer, film), "it waits already"
    assert "1 line is queued." in act(producer, film, "faster_all")
    assert list(film.lines.values_list("speed", flat=True)) == [1.5, 1.5, 1.0]
    clear_files()
