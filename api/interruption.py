"""Ending the work of a task from outside, told apart from the server ending the task."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Interruption:
    """A block of the current task's work that `leave` or `stop` ends, whichever comes first; it then ends without an
    exception. A task of its own for the work would say the same at a higher price."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._open = True
        self._cancellations = 0
        self.left = self.stopped = False

    def leave(self) -> None:
        """The client went away."""
        self.left = self._interrupt() or self.left

    def stop(self) -> None:
        """Somebody who watches the queue ended it."""
        self.stopped = self._interrupt() or self.stopped

    def _interrupt(self) -> bool:
        if not self._open:
            return False
        self._open = False
        return self._task.cancel()

    def __enter__(self) -> None:
        self._cancellations = self._task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._open = False
        if not (self.left or self.stopped):
            return False
        # More of them: the server ends the task too. What the work raised on its way out is the interruption's doing.
        ours_alone = self._task.uncancel() <= self._cancellations
        return ours_alone and kind is not None and issubclass(kind, (asyncio.CancelledError, Exception))
