"""Servers that are killed in the middle of a batch, and what the record says at its end.

`python -m tests.chaos` is `make chaos`: many kills at random moments. A test does the same once. With `--topology` it
is two webs, two workers, PostgreSQL and Redis that die in turn: see tests/chaos_topology.py.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.server_process import manage, running_server
from tests.sounds import tone, wav_file
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import serve

AT_ONCE = 8
UPSTREAM_SECONDS = 0.05
WAIT_SECONDS = 240
# The sound is the same for all; only who asked, how often and for what matters here.
SOUND = wav_file(tone(24_000, 0.2), 24_000)

PREPARE = """
from django.contrib.auth.models import User
from api.models import ApiKey, Scope
from banks.models import Bank, Character
from providers.models import Provider
from studio.generate import Want, generate
from studio.lines import Draft, add
from studio.models import Project
user = User.objects.create_superuser("admin")
provider = Provider.objects.create(name="Up", kind="openai", base_url="%(url)s/v1", max_concurrency=%(at_once)d)
character = Character.objects.create(name="Alloy", provider=provider, voice="alloy", model="tts-1")
bank = Bank.objects.create(name="Chaos")
project = Project.objects.create(name="Chaos", kind="phase", owner=user, bank=bank, format="wav")
add(project, [Draft(f"Line number {n}.", character_id=character.pk) for n in range(%(lines)d)])
assert generate(project, project.lines.all(), Want.MISSING, user).queued == %(lines)d
print(ApiKey.objects.issue(name="chaos", owner_id=user.pk, scope=Scope.MANAGE)[1])
"""


@dataclass
class Report:
    """What is left to say when the batch is done. `wrong` lists what must never be."""

    lines: int
    kills: int = 0
    calls: int = 0
    attempts: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def repeated(self) -> int:
        """Upstream calls beyond one for each line: those that a kill cut off."""
        return self.calls - self.lines

    def __str__(self) -> str:
        said = f"{self.lines} lines, {self.kills} kills, {self.calls} upstream calls ({self.repeated} repeated)"
        return f"{said}, {self.attempts} claims; " + ("; ".join(self.wrong) or "every line done exactly once")


class Batch:
    """A data folder with a project whose lines are all queued, and the upstream that speaks them."""

    def __init__(self, folder: Path, upstream: OpenAIUpstream, url: str, lines: int) -> None:
        self.folder, self.upstream = folder, upstream
        self.report = Report(lines)
        self._once_done: dict[str, int] = {}
        _run(folder, "migrate")
        values = {"url": url, "at_once": AT_ONCE, "lines": lines}
        self.key = _run(folder, "shell", "--no-imports", "-c", PREPARE % values).split()[-1]

    def run_and_kill(self, calls: int) -> None:
        """Let a server work until the upstream was asked so many times more, then kill it."""
        seen = len(self.upstream.requests)
        with running_server(self.folder) as server:
            self.upstream.wait_for(lambda app: len(app.requests) >= seen + calls or self.states()["done"] == self.lines)
            server.kill()
        self.report.kills += 1
        self._note_done()

    def run_to_the_end(self) -> None:
        with running_server(self.folder) as server:
            wait_until(lambda: not {"queued", "running"} & self.states().keys())
            queue = httpx.get(
                f"{server.url}/api/queue", headers={"Authorization": f"Bearer {self.key}"}, trust_env=False, timeout=60
            ).json()
            if queue["running"] or queue["waiting"]:
                self.report.wrong.append(f"slots were not given back: {queue}")
            server.end()

    @property
    def lines(self) -> int:
        return self.report.lines

    def states(self) -> Counter[str]:
        return Counter(state for (state,) in self._rows("SELECT state FROM studio_take"))

    def failures(self) -> set[str]:
        return {code for (code,) in self._rows("SELECT DISTINCT error_code FROM studio_take WHERE state = 'failed'")}

    def broken_files(self) -> list[str]:
        """Of what is done."""
        named = [Path(name).name for (name,) in self._rows("SELECT file FROM studio_take WHERE state = 'done'")]
        return [name for name in named if (self._takes / name).stat().st_size < len(SOUND)]

    @property
    def _takes(self) -> Path:
        return self.folder / "files" / "takes"

    def judge(self) -> Report:
        report, asked = self.report, self._asked()
        report.calls = sum(asked.values())
        rows = self._rows("SELECT text, state, file, attempts, line_id FROM studio_take")
        report.attempts = sum(row[3] for row in rows)
        heard = self._rows("SELECT take_id, attempt_id FROM studio_line")
        files = {path.name for path in self._takes.iterdir()}
        named = [Path(row[2]).name for row in rows]
        self._require({row[1] for row in rows} == {"done"}, f"states: {dict(self.states())}")
        self._require(len({row[4] for row in rows}) == len(rows) == report.lines, f"{len(rows)} takes")
        self._require(all(take and take == attempt for take, attempt in heard), "a line doesn't have its take")
        self._require(len(set(named)) == len(named) and set(named) <= files, "a take's file is missing")
        self._require(not any(name.endswith(".part") for name in files), "half a file was left")
        broken = self.broken_files()
        self._require(not broken, f"{len(broken)} files are not whole")
        again = [text for text, calls in self._once_done.items() if asked[text] != calls]
        self._require(not again, f"{len(again)} lines were spoken again after they were done")
        return report

    def _require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.report.wrong.append(otherwise)

    def _note_done(self) -> None:
        """What is done now must never be asked for again."""
        asked = self._asked()
        for (text,) in self._rows("SELECT text FROM studio_take WHERE state = 'done'"):
            self._once_done.setdefault(text, asked[text])

    def _asked(self) -> Counter[str]:
        return Counter(body["input"] for body in self.upstream.spoken)

    def _rows(self, query: str) -> list[Any]:
        connection = sqlite3.connect(self.folder / "neiroha.sqlite3", timeout=30)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


def wait_until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(WAIT_SECONDS * 10):
        if holds():
            return
        pause.wait(0.1)
    raise AssertionError("the batch never came to its end")


def _run(folder: Path, *arguments: str) -> str:
    finished = manage(folder, *arguments)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@contextmanager
def batch(folder: Path, lines: int) -> Iterator[Batch]:
    upstream = OpenAIUpstream(speech=SOUND, speech_type="audio/wav", delay=UPSTREAM_SECONDS)
    with serve(upstream) as url:
        yield Batch(folder, upstream, url, lines)


def play(folder: Path, lines: int, kills: int, dice: random.Random) -> Report:
    """Kill so many servers, each after a random number of calls, then let one come to the end."""
    with batch(folder, lines) as made:
        for _ in range(kills):
            made.run_and_kill(dice.randint(1, max(2 * lines // (kills + 1) - AT_ONCE, AT_ONCE)))
        made.run_to_the_end()
        return made.judge()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--lines", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="For the same moments once more.")
    parser.add_argument("--topology", action="store_true", help="Several processes, each of which has its faults.")
    parser.add_argument("--times", type=int, default=3, help="How often each fault of several processes.")
    parser.add_argument("--minutes", type=float, default=10.0, help="How long several processes share one provider.")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    if options.topology:
        # It stands on this module.
        from tests import chaos_topology

        print(json.dumps({"seed": seed}), flush=True)
        return 0 if chaos_topology.play(options.lines, options.times, options.minutes, random.Random(seed)) else 1
    with tempfile.TemporaryDirectory(prefix="neiroha-chaos-") as folder:
        report = play(Path(folder), options.lines, options.kills, random.Random(seed))
    print(json.dumps({"seed": seed}), report)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
