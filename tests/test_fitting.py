"""Where the speech of cues is heard."""

from __future__ import annotations

import math
from dataclasses import astuple

import pytest

from studio.fitting import Cue, Fit, fit, overlaps


def only(*cues: Cue, stretch_most: float = 1.2, total: float | None = None) -> Fit:
    """The first one's."""
    return fit(cues, stretch_most=stretch_most, total=total)[0]


def test_speech_that_is_short_enough_is_left_alone() -> None:
    assert only(Cue(1, 3, 1.5), Cue(3, 4, 1)) == Fit(1, 1.0, 2.5, 0)
    assert only(Cue(1, 3, 2), Cue(3, 4, 1)) == Fit(1, 1.0, 3, 0)


def test_speech_uses_the_silence_behind_it_before_it_is_stretched() -> None:
    assert only(Cue(1, 3, 3.5), Cue(5, 6, 1)) == Fit(1, 1.0, 4.5, 0)
    assert astuple(only(Cue(1, 3, 4.4), Cue(5, 6, 1))) == pytest.approx((1, 1.1, 5, 0))


def test_speech_that_is_still_too_long_is_stretched_as_far_as_it_may_and_told_of() -> None:
    fitted = only(Cue(1, 2, 3.6), Cue(3, 4, 1))

    assert (fitted.stretch, fitted.end, fitted.over) == pytest.approx((1.2, 4, 1))
    assert fitted.speed_needed == pytest.approx(1.8)


def test_a_factor_of_one_stretches_nothing() -> None:
    fitted = only(Cue(0, 1, 1.5), Cue(1, 2, 1), stretch_most=1)

    assert (fitted.stretch, fitted.over, fitted.speed_needed) == (1, 0.5, 1.5)


def test_the_last_cue_has_until_the_end_of_the_whole() -> None:
    assert only(Cue(1, 2, 9)) == Fit(1, 1.0, 10, 0)
    assert only(Cue(1, 2, 9), total=10) == Fit(1, 1.0, 10, 0)
    assert astuple(only(Cue(1, 2, 9.9), total=10)) == pytest.approx((1, 1.1, 10, 0))
    assert only(Cue(1, 2, 18), total=10).over == pytest.approx(6)


def test_a_cue_behind_the_end_has_no_room_at_all() -> None:
    fitted = only(Cue(11, 12, 1.2), total=10)

    assert (fitted.start, fitted.stretch, fitted.over) == pytest.approx((11, 1.2, 2))
    assert math.isinf(fitted.speed_needed)


def test_a_cue_without_speech_fits_anywhere() -> None:
    assert only(Cue(1, 2, 0), Cue(2, 3, 1)) == Fit(1, 1.0, 1, 0)
    assert only(Cue(1, 2, 0)).speed_needed == 1


def test_cues_that_overlap_keep_their_own_starts_and_times() -> None:
    first, second, third = fit([Cue(0, 5, 5.5), Cue(3, 6, 3.3), Cue(9, 10, 1)], stretch_most=1.2)

    assert astuple(first) == pytest.approx((0, 1.1, 5, 0))
    assert astuple(second) == pytest.approx((3, 1.0, 6.3, 0))
    assert third == Fit(9, 1.0, 10, 0)


def test_a_cue_inside_another_has_its_own_time_alone() -> None:
    outer, inner, _ = fit([Cue(0, 5, 6), Cue(1, 2, 1.5), Cue(7, 8, 1)], stretch_most=1.2)

    assert outer == Fit(0, 1.0, 6, 0)
    assert (inner.stretch, inner.over) == pytest.approx((1.2, 0.25))


def test_the_order_of_cues_does_not_matter() -> None:
    cues = [Cue(4, 5, 1), Cue(0, 1, 3), Cue(2, 3, 2.2)]

    fitted = fit(cues, stretch_most=1.2)

    assert [one.start for one in fitted] == [4, 0, 2]
    assert [one.stretch for one in fitted] == pytest.approx([1, 1.2, 1.1])
    assert [one.over for one in fitted] == pytest.approx([0, 0.5, 0])


def test_what_is_too_long_by_less_than_can_be_heard_fits() -> None:
    fitted = only(Cue(0, 1, 1.0004), Cue(1, 2, 1))

    assert (fitted.stretch, fitted.over, fitted.speed_needed) == (1, 0, 1)


def test_the_speed_that_is_needed_counts_what_is_stretched() -> None:
    assert only(Cue(0, 1, 1.1), Cue(1, 2, 1)).speed_needed == pytest.approx(1.1)


def test_no_cues() -> None:
    assert fit([], stretch_most=1.2) == []
    assert overlaps([]) == set()


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([(0, 1), (1, 2)], set()),
        ([(0, 2), (1, 3)], {0, 1}),
        ([(1, 3), (0, 2)], {0, 1}),
        ([(0, 9), (1, 2), (3, 4), (9, 10)], {0, 1, 2}),
        ([(0, 1), (0, 1), (5, 6)], {0, 1}),
    ],
)
def test_overlaps(times: list[tuple[float, float]], expected: set[int]) -> None:
    assert overlaps([Cue(start, end, 1) for start, end in times]) == expected


def test_twenty_thousand_cues_are_fitted_one_by_one() -> None:
    cues = [Cue(place, place + 0.5, 1.1) for place in range(20_000)]

    fitted = fit(cues, stretch_most=1.2)

    assert {round(each.stretch, 6) for each in fitted[:-1]} == {1.1}
    assert [each.start for each in fitted] == list(range(20_000))
