"""Where the speech of cues is heard, so that each starts at its own time. Times are seconds."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

# Less than this too long is heard by nobody.
_UNHEARD = 0.001


@dataclass(frozen=True, slots=True)
class Cue:
    """`duration` is that of its speech, 0 where there is none."""

    start: float
    end: float
    duration: float


@dataclass(frozen=True, slots=True)
class Fit:
    """Where the speech is heard. `stretch`, 1 or more, is how much faster it is played; `over` is by how much it ends
    too late, 0 where it fits."""

    start: float
    stretch: float
    end: float
    over: float

    @property
    def speed_needed(self) -> float:
        """How much faster it would have to be spoken to fit without being stretched: 1 where it does, infinite where
        there is no room at all."""
        spoken, room = (self.end - self.start) * self.stretch, self.end - self.over - self.start
        if spoken <= room + _UNHEARD:
            return 1.0
        return spoken / room if room > 0 else math.inf


def fit(cues: Sequence[Cue], *, stretch_most: float, total: float | None = None) -> list[Fit]:
    """One for each cue, in the order of the cues, which may be any. A cue has its own time and the silence behind it,
    up to the next cue or the end of the whole; where another is still speaking there is no silence."""
    return [_fit(cue, limit, stretch_most) for cue, limit in zip(cues, _limits(cues, total or math.inf), strict=True)]


def overlaps(cues: Sequence[Cue]) -> set[int]:
    """The places of those that are on at the same time as another."""
    found: set[int] = set()
    last = -1
    for place in sorted(range(len(cues)), key=lambda place: cues[place].start):
        if last >= 0 and cues[place].start < cues[last].end:
            found |= {last, place}
        if last < 0 or cues[place].end > cues[last].end:
            last = place
    return found


def _limits(cues: Sequence[Cue], total: float) -> list[float]:
    ordered = sorted(cues, key=lambda cue: cue.start)
    starts = [cue.start for cue in ordered]
    # The latest end of the first so many.
    ends = [-math.inf, *accumulate((cue.end for cue in ordered), max)]

    def limit(cue: Cue) -> float:
        following = bisect_left(starts, cue.end)
        if ends[following] > cue.end:
            return cue.end
        return starts[following] if following < len(starts) else math.inf

    return [min(limit(cue), total) for cue in cues]


def _fit(cue: Cue, limit: float, stretch_most: float) -> Fit:
    room = limit - cue.start
    if cue.duration <= room + _UNHEARD:
        return Fit(cue.start, 1.0, cue.start + cue.duration, 0.0)
    if cue.duration <= room * stretch_most:
        return Fit(cue.start, cue.duration / room, limit, 0.0)
    end = cue.start + cue.duration / stretch_most
    return Fit(cue.start, stretch_most, end, max(end - limit, 0.0))
