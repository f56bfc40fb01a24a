"""Where measurements take place: an upstream, a configured data folder, and servers between them on demand."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from benchmarks.configure import BANK, CONCURRENCY
from benchmarks.load import Plan
from benchmarks.processes import (
    POLL_SECONDS,
    REST_SECONDS,
    ROOT,
    START_SECONDS,
    BenchmarkError,
    Server,
    allow_many_connections,
    environment,
    python,
    server,
)

SENTENCE = "The quick brown fox jumps over the lazy dog, and then it walks home through the quiet evening woods."


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured."""

    rounds: int = 5
    requests: int = 1000
    concurrencies: tuple[int, ...] = (1, 16, 64)
    crowds: tuple[int, ...] = (1, 64, 256)
    webs: tuple[int, ...] = (1, 2, 4)
    minutes: float = 30.0
    held: tuple[int, ...] = (300, 1000)
    waiting: tuple[int, ...] = (100, 1000)
    idle_seconds: float = 5.0
    tickets: tuple[int, ...] = (100, 1000, 5000)
    answers: int = 2000
    export_hours: float = 10.0
    dub_hours: float = 2.0
    lines: int = 5000
    installation: str = "large"

    @property
    def providers(self) -> int:
        """How many it takes to bring every held request to the upstream."""
        return -(-max(self.held) // CONCURRENCY)


class Stage:
    """`profile`, when set, is the file for a Neiroha server's cProfile statistics, written when it ends."""

    profile: Path | None = None

    def __init__(self, folder: Path, upstream: Server, settings: Settings) -> None:
        self.upstream = upstream
        self.settings = settings
        self.data_dir = folder / "data"
        self.folder = folder
        self._logs = count(1)
        self._data = {"NEIROHA_DATA_DIR": str(self.data_dir)}
        self.key = self._configure()
        self.audio_bytes: int = self.control("state")["audio_bytes"]

    def neiroha(self) -> AbstractContextManager[Server]:
        """A fresh Neiroha server; one at a time, since they share the data folder."""
        serve = [str(ROOT / "manage.py"), "serve", "--port", "0"]
        profiled = ["-m", "benchmarks.profiled", str(self.profile)]
        return server(python(*(profiled if self.profile else serve)), self.log(), self._data)

    def bare(self, mode: str) -> AbstractContextManager[Server]:
        """The pass-through to the upstream's paths below `mode`."""
        command = python("-m", "benchmarks.run_server", "bare", f"{self.upstream.url}/{mode}")
        return server(command, self.log())

    def plan(self, server: Server, requests: int, concurrency: int, **body: Any) -> Plan:
        return self.plan_of(server, requests, concurrency, [speech(**body)])

    def plan_of(
        self, server: Server, requests: int, concurrency: int, bodies: list[dict[str, Any]], *, numbered: bool = False
    ) -> Plan:
        return Plan(f"{server.url}/v1/audio/speech", self.key, bodies, requests, concurrency, numbered)

    def control(self, order: str) -> dict[str, Any]:
        """Tell the upstream something; what it knows."""
        answer = httpx.post(f"{self.upstream.url}/control/{order}", trust_env=False).raise_for_status()
        known: dict[str, Any] = answer.json()
        return known

    def wait_for_held(self, requests: int) -> None:
        """Wait until the upstream holds exactly so many requests."""
        deadline = time.monotonic() + REST_SECONDS
        while (held := self.control("state")["held"]) != requests:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"The upstream holds {held} requests instead of {requests}.")
            time.sleep(POLL_SECONDS)

    def log(self) -> Path:
        return self.folder / f"server-{next(self._logs)}.log"

    def _configure(self) -> str:
        command = python("-m", "benchmarks.configure", self.upstream.url, str(self.settings.providers))
        finished = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(self._data),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            start_new_session=True,
        )
        if finished.returncode:
            raise BenchmarkError(f"The data folder could not be configured:\n{finished.stderr}")
        return finished.stdout.split()[-1]


def speech(voice: str, text: str = SENTENCE, model: str = BANK, **fields: Any) -> dict[str, Any]:
    return {"model": model, "voice": voice, "input": text, "response_format": "mp3", **fields}


@contextmanager
def stage(settings: Settings) -> Iterator[Stage]:
    allow_many_connections()
    with tempfile.TemporaryDirectory(prefix="neiroha-bench-") as name:
        folder = Path(name)
        with server(python("-m", "benchmarks.run_server", "upstream"), folder / "upstream.log") as upstream:
            yield Stage(folder, upstream, settings)
