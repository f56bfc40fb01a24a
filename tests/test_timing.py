"""Lines with times: how these are written and kept in order, and how speech fits into them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from banks.models import Bank, Character
from studio import lines
from studio.lines import Draft, EditConflict
from studio.models import Footage, Line, Project
from studio.subtitle_reading import LATEST
from studio.timing import check_times, clock, in_time, places, read_clock, time_behind
from tests.projects import voiced
from tests.studio import clear_files
from tests.test_lines import ann, heart, stories, texts  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def film(ann: User, stories: Bank) -> Project:  # noqa: F811
    return Project.objects.create(name="Film", kind="dub", owner=ann, bank=stories, format="wav")


def timed(project: Project, *times: tuple[int | None, int | None], **values: Any) -> list[Line]:
    """Lines that are called after their places."""
    return lines.add(
        project,
        [Draft(str(at), start_ms=start, end_ms=end, **values) for at, (start, end) in enumerate(times, 1)],
    )


def times(project: Project) -> list[tuple[int | None, int | None]]:
    return list(project.lines.values_list("start_ms", "end_ms"))


# As people write them.


@pytest.mark.parametrize(
    ("typed", "milliseconds"),
    [
        ("0:00:01.200", 1200), ("1:02:03.5", 3_723_500), ("2:03", 123_000), ("75.25", 75_250), ("75,25", 75_250),
        (" 0:0:7 ", 7_000), ("90:00", 5_400_000), ("100:00:00", LATEST),
    ],
)  # fmt: skip
def test_a_time_is_read_as_it_is_written(typed: str, milliseconds: int) -> None:
    assert read_clock(typed) == milliseconds
    assert read_clock(clock(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    "typed", ["soon", "1:2:3:4", "-1", "1.2.3", "1:60:x", "", "٣", "1e3", "100:00:00.001", "9" * 30]
)
def test_what_is_no_time_is_told(typed: str) -> None:
    with pytest.raises(ValidationError):
        read_clock(typed)


def test_times_are_written_in_full() -> None:
    assert clock(1200) == "0:00:01.200" and clock(LATEST) == "100:00:00.000"


@pytest.mark.parametrize("pair", [(None, 5), (5, None), (5, 5), (6, 5), (-1, 5), (5, LATEST + 1)])
def test_a_line_has_both_times_the_later_behind_the_earlier(pair: tuple[int | None, int | None], film: Project) -> None:
    with pytest.raises(ValidationError):
        check_times(*pair)
    with pytest.raises(ValidationError):
        timed(film, (0, 1000), pair)
    assert not film.lines.exists()
    (line,) = timed(film, (0, 1000))
    with pytest.raises(ValidationError):
        lines.edit(line, start_ms=pair[0], end_ms=pair[1])
    assert times(film) == [(0, 1000)]


# In their order.


def test_lines_stand_in_the_order_of_their_times(film: Project) -> None:
    timed(film, (5000, 6000), (1000, 2000), (3000, 4000), (None, None))
    assert texts(film) == ["2", "3", "4", "1"], "one without a time stays behind the one before it"
    first = film.lines.get(text="2")
    lines.edit(first, start_ms=4500, end_ms=4600)
    assert texts(film) == ["3", "4", "2", "1"]
    lines.move(film, [first.pk], before=None)
    assert texts(film) == ["3", "4", "2", "1"]


def test_only_what_is_out_of_order_moves() -> None:
    assert in_time([(1, 10, 0), (2, 20, 5), (3, 30, None), (4, 40, 7)]) == {}
    assert in_time([(1, 10, 6), (2, 20, 5), (3, 30, None), (4, 40, 7)]) == {2: 10, 3: 20, 1: 30}
    assert in_time([]) == {}


def test_a_new_line_comes_behind_another_with_a_time_of_its_own(film: Project) -> None:
    assert time_behind(film, None) == (0, 2000)
    first, second = timed(film, (1000, 2000), (3000, 4000))
    assert time_behind(film, first) == (2000, 3000), "no further than the next"
    assert time_behind(film, second) == time_behind(film, None) == (4000, 6000)
    assert time_behind(film, None, first=True) == (0, 1000)


def test_a_split_line_shares_its_time_and_joined_it_has_it_again(film: Project) -> None:
    line, _after = timed(film, (1000, 5000), (6000, 7000))
    lines.edit(line, text="One two. Three.")
    second = lines.split(line, 9)
    line.refresh_from_db()
    assert times(film) == [(1000, line.end_ms), (line.end_ms, 5000), (6000, 7000)]
    assert line.end_ms == 1000 + round(4000 * 8 / 14) == second.start_ms
    lines.join(line)
    assert times(film) == [(1000, 5000), (6000, 7000)] and texts(film)[0] == "One two. Three."
    lines.join(line)
    assert times(film) == [(1000, 7000)]


def test_a_line_of_a_moment_is_not_split_and_one_without_times_may_be(film: Project) -> None:
    (moment,) = timed(film, (1000, 1001))
    lines.edit(moment, text="One two.")
    with pytest.raises(ValidationError, match="too short in time"):
        lines.split(moment, 4)
    assert texts(film) == ["One two."]
    (free,) = lines.add(film, [Draft("Three four.")])
    assert lines.split(free, 6).start_ms is None
    lines.join(moment)
    assert times(film)[0] == (1000, 1001)


# Changed together.


def test_several_times_change_at_once(film: Project, heart: Character, ann: User) -> None:  # noqa: F811
    first, second = voiced(film, ann, heart, "One.", "Two.")
    timed(film, (0, 500))
    met = lines.retime(film, {first.pk: (5000, 6000), second.pk: (3000, 4000)})
    assert met == {} and texts(film) == ["1", "Two.", "One."]
    assert {line.state for line in film.lines.with_state().exclude(take=None)} == {"done"}, "times make nothing stale"
    clear_files()


def test_times_that_somebody_else_changed_stay(film: Project) -> None:
    first, second = timed(film, (0, 1000), (2000, 3000))
    lines.retime(film, {first.pk: (100, 1000)})
    was = {first.pk: (0, 1000), second.pk: (2000, 3000), 99: (0, 1)}
    new = {first.pk: (500, 900), second.pk: (2500, 3000), 99: (5, 6)}
    assert lines.retime(film, new, was) == {first.pk: (100, 1000), 99: (None, None)}
    assert times(film) == [(100, 1000), (2500, 3000)]


def test_whoever_writes_meanwhile_is_told_of_new_times(film: Project) -> None:
    (line,) = timed(film, (0, 1000))
    lines.retime(film, {line.pk: (100, 1000)})
    with pytest.raises(EditConflict):
        lines.edit(line, line.revision, text="Mine")


def test_one_bad_time_stores_none(film: Project) -> None:
    first, second = timed(film, (0, 1000), (2000, 3000))
    with pytest.raises(ValidationError):
        lines.retime(film, {first.pk: (10, 20), second.pk: (30, 20)})
    assert times(film) == [(0, 1000), (2000, 3000)]


def test_lines_of_others_are_not_touched(film: Project, ann: User) -> None:  # noqa: F811
    other = Project.objects.create(name="Other", kind="dub", owner=ann)
    (line,) = timed(other, (0, 1000))
    assert lines.retime(film, {line.pk: (5, 6)}) == {line.pk: (None, None)}
    assert times(other) == [(0, 1000)]


# How speech fits.


def test_speech_is_stretched_then_told_to_be_over(film: Project, heart: Character, ann: User) -> None:  # noqa: F811
    spoken = voiced(film, ann, heart, "Fits.", "Stretched.", "Over.", "Crosses.", "Last.", seconds=1.0)
    starts = [(0, 900), (2000, 2500), (2900, 3200), (3400, 5000), (4000, 4200)]
    lines.retime(film, {line.pk: pair for line, pair in zip(spoken, starts, strict=True)})
    found = [places(film)[line.pk] for line in spoken]
    assert [(round(one.stretch, 2), round(one.over, 2), one.overlaps) for one in found] == [
        (1.0, 0.0, False),
        (1.11, 0.0, False),
        (1.2, 0.33, False),
        (1.0, 0.0, True),
        (1.2, 0.63, True),
    ]
    assert [one.late for one in found] == [0, 0, 0.4, 0, 0.7] and found[1].length == 0.5
    Footage.objects.create(project=film, file="x.mp4", name="x", size=1, duration=4.0, stretch_most=2.0)
    again = places(Project.objects.get(pk=film.pk))
    assert round(again[spoken[3].pk].stretch, 2) == 1.67, "nothing is heard behind the end of the recording"
    clear_files()


def test_lines_without_times_or_speech_have_no_fault(film: Project) -> None:
    first, second = timed(film, (0, 1000), (None, None))
    found = places(film)
    assert second.pk not in found and (found[first.pk].speech, found[first.pk].over) == (0.0, 0.0)
