"""The times of lines that are spoken in time with a recording: as people write them, and how speech fits into them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from studio.fitting import Cue, fit, overlaps
from studio.models import Footage, Line, Project
from studio.subtitle_reading import LATEST

# Of a line that is written by hand, unless the next one comes sooner.
USUAL_MS, LEAST_MS = 2_000, 100
_CLOCK = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,6})(?:[.,](\d{1,3}))?", re.ASCII)


def clock(milliseconds: int) -> str:
    """0:00:01.200"""
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}.{rest:03}"


def span(start: int | None, end: int | None) -> str:
    """Empty without times."""
    return "" if start is None or end is None else f"{clock(start)} – {clock(end)}"


def read_clock(text: str) -> int:
    """Milliseconds of 1:02:03.5, 2:03 or 75.25. ValidationError."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise ValidationError(_("Write a time as hours, minutes and seconds: 0:01:02.500."))
    hours, minutes, seconds, fraction = match.groups()
    whole = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds)
    found = 1000 * whole + int((fraction or "").ljust(3, "0"))
    if found > LATEST:
        raise ValidationError(_("A time is between 0 and 100 hours."))
    return found


def check_times(start: int | None, end: int | None) -> None:
    """ValidationError, by field, where they can't be a line's."""
    if start is None and end is None:
        return
    if start is None or end is None:
        missing = "start_ms" if start is None else "end_ms"
        raise ValidationError({missing: _("A line has both times, or neither.")})
    if not 0 <= start <= LATEST or end > LATEST:
        raise ValidationError({"end_ms": _("A time is between 0 and 100 hours.")})
    if end <= start:
        raise ValidationError(
            {"end_ms": _("The line ends before it starts: give it a later end, or an earlier start.")}
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line's speech stands in the recording, in seconds. `speech`: how long it is, 0 where there is none yet;
    `stretch`, from 1, is how much faster it is played, and `over` by how much it ends too late even so."""

    start: float
    end: float
    speech: float
    stretch: float
    over: float
    overlaps: bool

    @property
    def length(self) -> float:
        return self.end - self.start

    @property
    def late(self) -> float:
        """`over` as it is shown: whatever is too long is shown as at least a tenth of a second."""
        return math.ceil(self.over * 10) / 10


def places(project: Project) -> dict[int, Place]:
    """Of all lines with times, by their keys: what fits depends on all of them."""
    return overview(project)[0]


def overview(project: Project) -> tuple[dict[int, Place], dict[int, str]]:
    """The places of all lines with times, and who speaks the lines, as studio.rows.speakers_of has it. One query."""
    columns = ("pk", "start_ms", "end_ms", "take__duration", "character", "character__name")
    listed = list(project.lines.order_by("position", "pk").values_list(*columns))
    cues = {
        pk: Cue(start / 1000, end / 1000, speech or 0.0)
        for pk, start, end, speech, _character, _name in listed
        if start is not None and end is not None
    }
    most, total = terms(project)
    crossed, fits = overlaps(list(cues.values())), fit(list(cues.values()), stretch_most=most, total=total)
    placed = {
        pk: Place(cue.start, cue.end, cue.duration, fitted.stretch, fitted.over, at in crossed)
        for at, ((pk, cue), fitted) in enumerate(zip(cues.items(), fits, strict=True))
    }
    return placed, {row[4]: row[5] for row in listed if row[4]}


def footage_of(project: Project) -> Footage | None:
    try:
        return project.footage
    except Footage.DoesNotExist:
        return None


def terms(project: Project) -> tuple[float, float | None]:
    """How much faster speech may be played, and the seconds of the recording, None where there is none."""
    footage = footage_of(project)
    if footage is None:
        return float(Footage._meta.get_field("stretch_most").get_default()), None
    return footage.stretch_most, footage.duration


def time_behind(project: Project, line: Line | None, *, first: bool = False) -> tuple[int, int]:
    """The time of another line behind this one, the last one where there is none, or before all; as long as is usual,
    or up to the line that follows."""
    timed = project.lines.exclude(start_ms=None).order_by("start_ms", "position")
    if line is None and not first:
        line = timed.order_by("end_ms").last()
    start = line.end_ms or 0 if line else 0
    following = timed.filter(start_ms__gte=start + LEAST_MS).first()
    end = start + USUAL_MS
    return start, min(end, following.start_ms) if following and following.start_ms else end


def in_time(rows: Iterable[tuple[int, int, int | None]]) -> dict[int, int]:
    """New positions of lines that don't stand in the order of their times; `rows` are (key, position, start) by
    position. One without a time stays behind the line that it stands behind."""
    listed = list(rows)
    keys, latest = [], 0
    for at, (_pk, _position, start) in enumerate(listed):
        latest = latest if start is None else start
        keys.append((latest, at))
    order = [at for _start, at in sorted(keys)]
    return {listed[at][0]: listed[to][1] for to, at in enumerate(order) if to != at}
