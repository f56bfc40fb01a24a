"""The processes of `manage.py work`: kept running, and ended together."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

LOOK_SECONDS = 0.2
# Before one that ended by itself is started again.
RESTART_SECONDS = 2.0
_PARENT_DIED = 1


class Supervisor:
    """Starts commands, and each again that ends by itself, until SIGTERM or SIGINT: then all are asked to end. The
    second signal ends them at once."""

    def __init__(self, commands: Mapping[str, Sequence[str]], say: Callable[[str], None]) -> None:
        self._commands, self._say = commands, say
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._due: dict[str, float] = dict.fromkeys(commands, 0.0)
        self._asked = 0

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._end())
        try:
            while not self._asked:
                self._look()
                time.sleep(LOOK_SECONDS)
            while any(process.poll() is None for process in self._running.values()):
                time.sleep(LOOK_SECONDS)
        finally:
            for process in self._running.values():
                process.kill()
                process.wait()

    def _look(self) -> None:
        for name, command in self._commands.items():
            process = self._running.get(name)
            if process is not None and process.poll() is not None:
                self._say(f"The {name} ended with {process.returncode}, and is started again.")
                del self._running[name]
                self._due[name] = time.monotonic() + RESTART_SECONDS
            elif process is None and time.monotonic() >= self._due[name]:
                # A session of its own: Ctrl-C is for this process, which passes it on.
                self._running[name] = subprocess.Popen(command, start_new_session=True, preexec_fn=end_with_parent)

    def _end(self) -> None:
        self._asked += 1
        for process in self._running.values():
            process.send_signal(signal.SIGTERM if self._asked == 1 else signal.SIGQUIT)


def end_with_parent() -> None:
    """For a process that was just begun: on Linux it gets SIGTERM once the one that began it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGTERM)
