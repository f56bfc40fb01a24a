"""`python -m deploy.scale`, which is `make scale`, as a real process with all that it starts."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import psutil

from tests.server_process import MANAGE

ROOT = MANAGE.parent
START_SECONDS, END_SECONDS = 900, 240


class Scale:
    """The processes by the names that were printed; `temporary` is where its folder is made."""

    def __init__(self, temporary: Path, *arguments: str) -> None:
        self.output = temporary / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.scale", *arguments],
                cwd=ROOT,
                env=_environment(temporary),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, pattern: str) -> re.Match[str]:
        end = monotonic() + START_SECONDS
        while not (found := re.search(pattern, self.said)):
            assert self.process.poll() is None, self.said
            assert monotonic() < end, self.said
            sleep(0.05)
        return found

    def wait_until_ready(self) -> None:
        self.url = self.wait_for(r"Neiroha is ready at (http://\S+)[\s\S]*Ctrl-C ends")[1]

    def pid(self, name: str) -> int:
        return int(re.findall(rf"{name} .*process (\d+)", self.said)[-1])

    def all_processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    @property
    def variables(self) -> dict[str, str]:
        """What a web gets, for commands that work on the same installation."""
        given = psutil.Process(self.pid("web 1")).environ()
        return {name: value for name, value in given.items() if name.startswith("NEIROHA_")}

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, str(MANAGE), *arguments]
        finished = subprocess.run(
            command,
            env=_environment(self.output.parent) | self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.strip()

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(END_SECONDS)


def _environment(temporary: Path) -> dict[str, str]:
    kept = {name: value for name, value in psutil.Process().environ().items() if not name.startswith("NEIROHA_")}
    return kept | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}


@contextmanager
def running_scale(temporary: Path, *arguments: str) -> Iterator[Scale]:
    """One that is ready; nothing of it is left, whatever a test did to it."""
    # Servers that are not root's have to find their folders in it.
    temporary.chmod(0o711)
    scale = Scale(temporary, *arguments)
    started: list[psutil.Process] = []
    try:
        scale.wait_until_ready()
        yield scale
    finally:
        if scale.process.poll() is None:
            started = scale.all_processes()
            scale.process.kill()
            scale.process.wait()
        for process in started:
            if process.is_running():
                process.kill()
