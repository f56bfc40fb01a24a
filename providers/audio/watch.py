"""Long work that is watched: it tells how far it is, and ends when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from providers.errors import SpeechError

# Of the whole: whoever is told writes it down, which costs more than some samples do.
_STEP = 0.002


class Cancelled(SpeechError):
    """What was being made was not wanted any more."""

    status = 503
    code = "cancelled"
    permanent = True

    def __init__(self) -> None:
        super().__init__("This was cancelled.")


class Watch:
    """`progress` hears the share that is done, from 0 to 1, never less than before; `cancelled` is asked for every
    second of audio or file of a line, so it must be cheap."""

    def __init__(self, progress: Callable[[float], None], cancelled: Callable[[], bool]) -> None:
        self._progress, self._cancelled = progress, cancelled
        self._told = -1.0

    def at(self, share: float) -> None:
        if self._cancelled():
            raise Cancelled
        if share >= self._told + _STEP or share >= 1 > self._told:
            self._told = share
            self._progress(share)


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of watched work, from one share of the whole to another."""

    watch: Watch
    start: float = 0.0
    end: float = 1.0

    def at(self, share: float) -> None:
        self.watch.at(self.start + (self.end - self.start) * min(share, 1.0))

    def between(self, start: float, end: float) -> Stage:
        width = self.end - self.start
        return replace(self, start=self.start + width * start, end=self.start + width * end)
