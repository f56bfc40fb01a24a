"""How loud a background is while somebody speaks over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from providers.audio.parts import Floats

# It goes down before a word and comes back after it, too slowly to be heard as a step.
_DOWN_SECONDS, _UP_SECONDS = 0.15, 0.4
# It stays down in a pause that is shorter than this.
_PAUSE_SECONDS = 1.0


class Ducking:
    """`spans`: where somebody speaks, in samples; `low` is the factor there, 1 elsewhere."""

    def __init__(self, spans: Sequence[tuple[int, int]], sample_rate: int, low: float) -> None:
        down, up = round(_DOWN_SECONDS * sample_rate), round(_UP_SECONDS * sample_rate)
        corners = [
            corner
            for start, end in _joined(spans, round(_PAUSE_SECONDS * sample_rate))
            for corner in ((start - down, 1.0), (start, low), (end, low), (end + up, 1.0))
        ]
        self._places = np.array([place for place, _ in corners], np.float64)
        self._factors = np.array([factor for _, factor in corners], np.float64)

    def gains(self, start: int, length: int) -> Floats:
        """For so many samples from `start` on."""
        # No more than the corners that count: there may be many thousands.
        first = max(int(np.searchsorted(self._places, start)) - 1, 0)
        last = int(np.searchsorted(self._places, start + length)) + 1
        places, factors = self._places[first:last], self._factors[first:last]
        if not len(places):
            return np.ones(length, np.float32)
        return np.interp(np.arange(start, start + length), places, factors).astype(np.float32)


def _joined(spans: Sequence[tuple[int, int]], pause: int) -> Iterator[tuple[int, int]]:
    """In order, those that follow each other so soon as one."""
    begun: tuple[int, int] | None = None
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if begun is None or start > begun[1] + pause:
            if begun:
                yield begun
            begun = (start, end)
        else:
            begun = (begun[0], max(begun[1], end))
    if begun:
        yield begun
