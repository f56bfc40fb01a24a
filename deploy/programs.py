"""Processes that belong together: each with a log of its own, waited for, watched, and ended with all it started."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 600.0
END_SECONDS = 30.0
POLL_SECONDS = 0.1
# One that dies so soon, so often in a row, will not do better the next time.
SHORT_LIFE_SECONDS, MOST_SHORT_LIVES = 5.0, 3
LAST_LINES = 15


class ScaleError(Exception):
    """What keeps the processes from running, for people to read."""


@dataclass
class Program:
    """`ready` tells whether it answers; `user` is whom it runs as, when this process is root."""

    name: str
    command: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    variables: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    end_signal: signal.Signals = signal.SIGTERM
    _process: subprocess.Popen[bytes] | None = None
    _started = 0.0
    _short_lives = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self._started = monotonic()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT if self.user is None else "/",
                env=environment(self.variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches this process only, which then ends the others in order.
                start_new_session=True,
                user=self.user,
                group=_group(self.user),
                extra_groups=_no_others(self.user),
            )

    def wait_until_ready(self) -> None:
        while not self.ready():
            if self._process is None or self._process.poll() is not None:
                raise ScaleError(f"{self.name} ended at once. {self.last_words()}")
            if monotonic() - self._started > START_SECONDS:
                raise ScaleError(f"{self.name} did not start in {START_SECONDS:.0f} seconds. {self.last_words()}")
            sleep(POLL_SECONDS)

    def revive(self) -> bool:
        """Start it again if it has died; True if so. ScaleError when that does not help."""
        if self._process is None or self._process.poll() is None:
            return False
        self._kill_group()
        lived = monotonic() - self._started
        self._short_lives = self._short_lives + 1 if lived < SHORT_LIFE_SECONDS else 0
        if self._short_lives >= MOST_SHORT_LIVES:
            raise ScaleError(f"{self.name} dies as soon as it is started. {self.last_words()}")
        self.start()
        return True

    def ask_to_end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.end_signal)

    def end(self, seconds: float = END_SECONDS) -> None:
        """Wait for its end, and leave nothing of it behind however it ends."""
        if self._process is None:
            return
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        finally:
            self._kill_group()
            self._process.wait()
            self._process = None

    def _kill_group(self) -> None:
        assert self._process is not None
        # As a rule all of it has ended by itself.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def last_words(self) -> str:
        said = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:] if self.log.exists() else []
        return "It said:\n" + "\n".join(said)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without its own Neiroha settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEIROHA_")}
    return kept | {"PYTHONUNBUFFERED": "1"} | dict(variables)


def program(name: str, package: str, *folders: str) -> str:
    """Where a program of the system is; Debian keeps those of servers off the path. ScaleError when it is missing."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise ScaleError(f"{name} is missing; on Debian: apt-get install {package}")
    return found


def other_user(name: str) -> str | None:
    """Whom servers run as that refuse to be root, or need not be: nobody else unless this process is root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError as error:
        raise ScaleError(f"As root, this needs the system user {name}, and there is none.") from error


def folder_for(path: Path, user: str | None) -> Path:
    """The folder, made when missing, closed to all but the user who is to write to it."""
    path.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


def run(command: Sequence[str], user: str | None) -> None:
    """A program that ends by itself. ScaleError when it fails."""
    finished = subprocess.run(
        command,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        user=user,
        group=_group(user),
        extra_groups=_no_others(user),
    )
    if finished.returncode:
        raise ScaleError(f"{command[0]} failed: {finished.stderr.strip()}")


def _group(user: str | None) -> int | None:
    return None if user is None else pwd.getpwnam(user).pw_gid


def _no_others(user: str | None) -> list[int] | None:
    """Of root's further groups, none; None leaves them as they are."""
    return None if user is None else []
