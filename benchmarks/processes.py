"""The processes of a run: started with a log, watched from outside, ended by their id whatever happens."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 300.0
END_SECONDS = 20.0
POLL_SECONDS = 0.05
CALM_SECONDS = 0.5
# A server that only waits uses less; its background work polls once a second.
CALM_SHARE = 0.1
REST_SECONDS = 60.0
ORDER_SECONDS = 600.0
OPEN_FILES = 8192


class BenchmarkError(Exception):
    """The run can't go on, or what it measured is not what it set out to measure."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `unique` is what ending the process would free; where the system can't tell, it equals `resident`."""

    resident: int
    unique: int
    threads: int

    def shown(self) -> str:
        """Megabytes, resident (own)."""
        return f"{self.resident / 1e6:.0f} ({self.unique / 1e6:.0f})"


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds of the system: `files` are all open descriptors, `connections` those of TCP among them."""

    memory: Memory
    files: int
    connections: int

    def row(self) -> list[str]:
        return [self.memory.shown(), f"{self.files}", f"{self.connections}", f"{self.memory.threads}"]


class Server:
    """A server process; `url` is the address that it printed, or for one that prints none, where it listens."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, url: str = "") -> None:
        self._process = process
        self._watched = psutil.Process(process.pid)
        self._log = log
        self._given = url
        self.url = self._wait_for_url()

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children."""
        times = [one.cpu_times() for one in self._family()]
        return sum(one.user + one.system for one in times)

    def memory(self) -> Memory:
        with self._watched.oneshot():
            # Only some systems tell a process's own memory from what it shares.
            full = self._watched.memory_full_info()
            return Memory(full.rss, getattr(full, "uss", full.rss), self._watched.num_threads())

    def own_memory(self) -> Memory:
        """Of the process and its children together, where what they share counts for each in `resident`."""
        known = [one.memory_full_info() for one in self._family()]
        threads = sum(one.num_threads() for one in self._family())
        return Memory(sum(one.rss for one in known), sum(getattr(one, "uss", one.rss) for one in known), threads)

    def held(self) -> Held:
        """What the process itself holds now."""
        return Held(self.memory(), self._watched.num_fds(), len(self._watched.net_connections("tcp")))

    def wait_until_calm(self) -> None:
        """Wait until the server does next to nothing: then all that was sent has come to where it waits."""
        deadline = time.monotonic() + REST_SECONDS
        spent = self.cpu_seconds()
        while True:
            time.sleep(CALM_SECONDS)
            before, spent = spent, self.cpu_seconds()
            if spent - before <= CALM_SHARE * CALM_SECONDS:
                return
            if time.monotonic() > deadline:
                raise BenchmarkError("The server did not come to rest.")

    def _family(self) -> list[psutil.Process]:
        return [self._watched, *self._watched.children(recursive=True)]

    def _wait_for_url(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            said = self._log.read_text(errors="replace")
            if self._given and _listens(self._given):
                return self._given
            if not self._given and (found := re.search(r"ready at (http://\S+)", said)):
                return found[1]
            if self._process.poll() is not None:
                raise BenchmarkError(f"A server ended with {self._process.returncode} and said:\n{said}")
            time.sleep(POLL_SECONDS)
        raise BenchmarkError(f"A server did not start within {START_SECONDS:g} seconds.")


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without its own Neiroha settings."""
    # Unbuffered, Python may drop what a pipe does not take at once.
    dropped = ("NEIROHA_", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | dict(variables or {})


@contextmanager
def started(
    command: Sequence[str], log: Path, variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The running command, its output in `log`; ended when the block is left."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches this process only, which then ends the others in order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


@contextmanager
def server(
    command: Sequence[str], log: Path, variables: Mapping[str, str] | None = None, *, url: str = ""
) -> Iterator[Server]:
    with started(command, log, variables) as process:
        yield Server(process, log, url)


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1):
            return True
    except OSError:
        return False


def answer_of(module: str, order: Mapping[str, Any], *, seconds: float = ORDER_SECONDS) -> Any:
    """What `python -m module`, in a process of its own, prints as JSON when it reads the order as JSON."""
    finished = subprocess.run(
        python("-m", module),
        cwd=ROOT,
        env=environment(),
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=seconds,
        start_new_session=True,
    )
    if finished.returncode:
        raise BenchmarkError(f"{module} ended with {finished.returncode} and said:\n{finished.stderr}")
    return json.loads(finished.stdout)


def end(process: subprocess.Popen[bytes]) -> None:
    """The process, and whatever it started and left behind."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except BaseException as error:
        process.kill()
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
    finally:
        _kill_group(process.pid)


def _kill_group(leader: int) -> None:
    # Windows has no groups; elsewhere the leader's is its session.
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


def allow_many_connections() -> None:
    """Raise this process's limit of open files, which those it starts inherit, as far as the system lets it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
