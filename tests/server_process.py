"""`manage.py serve` as a real process, with a data folder of its own on a free port."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

MANAGE = Path(__file__).resolve().parent.parent / "manage.py"
START_SECONDS = 600
END_SECONDS = 120


def environment(data_dir: Path, variables: dict[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEIROHA_")}
    return kept | {"NEIROHA_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1", **(variables or {})}


def manage(
    data_dir: Path, *arguments: str, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One management command, run to its end."""
    return subprocess.run(
        [sys.executable, str(MANAGE), *arguments],
        env=environment(data_dir, variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


class ServerProcess:
    """A running server; `url` is the address that it printed, `lines` all that it said."""

    def __init__(self, data_dir: Path, *arguments: str, variables: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, str(MANAGE), "serve", "--port", "0", *arguments],
            env=environment(data_dir, variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # So that a signal to the tests is not one to the server.
            start_new_session=True,
        )
        self._unread: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="server-output")
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._unread.put(line)
        self._unread.put(None)

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """The next line of output that the pattern is found in."""
        while (line := self._unread.get(timeout=START_SECONDS)) is not None:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"the server ended with {self.process.wait()} and said:\n" + self.output)

    def wait_until_ready(self) -> None:
        self.url = self.wait_for_line(r"ready at (http://\S+)")[1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def memory(self) -> int:
        """Resident bytes of the server."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once everything it said is read."""
        code = self.process.wait(timeout=END_SECONDS)
        self._reader.join(END_SECONDS)
        return code

    def end(self) -> int:
        self.send(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def running_server(data_dir: Path, *arguments: str, variables: dict[str, str] | None = None) -> Iterator[ServerProcess]:
    """A server that answers; whatever a test did to it, nothing of it is left behind."""
    server = ServerProcess(data_dir, *arguments, variables=variables)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.kill()
