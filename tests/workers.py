"""Workers as real processes, with a Redis and a PostgreSQL of their own and an upstream that counts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any

import psutil
import psycopg

from tests.chaos import SOUND
from tests.server_process import MANAGE, environment
from tests.services import PostgresServer, RedisServer, running_postgres, running_redis
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import serve

# Whatever is waited for comes by itself; on a busy machine it takes its time.
WAIT_SECONDS = 240
AT_ONCE = 4
# In the command of the process above those that speak.
SPEAKS = "--queues neiroha.speak"

PREPARE = """
import json, sys
from django.contrib.auth.models import User
from banks.models import Bank, Character
from providers.models import Provider
from studio.models import Project
user = User.objects.filter(username="admin").first() or User.objects.create_superuser("admin")
provider = Provider.objects.create(name="Up {number}", kind="openai", base_url="{url}/v1", max_concurrency={at_once})
bank = Bank.objects.create(name="Bank {number}")
character = bank.characters.create(name="Voice {number}", provider=provider, voice="alloy", model="tts-1")
project = Project.objects.create(name="Script {number}", kind="{kind}", owner=user, bank=bank, format="wav")
print(json.dumps([project.pk, character.pk]))
"""
GENERATE = """
from studio.generate import Want, generate
from studio.lines import Draft, add
from studio.models import Project
project = Project.objects.get(pk={project})
add(project, [Draft(f"Line {{n}}.", character_id={character}) for n in range({lines})])
assert generate(project, project.lines.all(), Want.MISSING, project.owner).queued == {lines}
"""
AGAIN = """
from studio.generate import Want, generate
from studio.models import Project
project = Project.objects.get(pk={project})
generate(project, project.lines.all(), Want.MISSING, project.owner)
"""


def wait_until(holds: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    end = monotonic() + seconds
    while not holds():
        assert monotonic() < end, "it never came to that"
        sleep(0.1)


class Worker:
    """`manage.py work`, with all that it starts."""

    def __init__(self, folder: Path, log: Path, variables: dict[str, str], *arguments: str) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(MANAGE), "work", *arguments],
                env=environment(folder, variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def speaker(self) -> psutil.Process | None:
        return speaker_of(self.process.pid)

    def speaking(self) -> list[psutil.Process]:
        speaker = self.speaker()
        return children_of(speaker.pid) if speaker else []

    def wait_until_ready(self, processes: int) -> None:
        wait_until(lambda: self.process.poll() is not None or len(self.speaking()) >= processes)
        assert self.process.poll() is None, self.output

    def kill_speaker(self) -> None:
        """The whole of it at once."""
        speaker = self.speaker()
        assert speaker is not None
        _kill([speaker, *speaker.children(recursive=True)])

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        """All of it, whatever a test did to it."""
        try:
            all_of_it = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            all_of_it = []
        self.process.kill()
        self.process.wait()
        _kill(all_of_it)


def speaker_of(worker: int) -> psutil.Process | None:
    """Of a worker's process the one above those that speak."""
    return next((one for one in children_of(worker) if SPEAKS in " ".join(_command(one))), None)


def children_of(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=WAIT_SECONDS)


class Batch:
    """A project whose lines an upstream of its own speaks."""

    def __init__(self, shop: Shop, upstream: OpenAIUpstream, project: int, character: int) -> None:
        self.shop, self.upstream, self.project, self.character = shop, upstream, project, character

    def generate(self, lines: int) -> None:
        self.shop.shell(GENERATE.format(project=self.project, character=self.character, lines=lines))

    def generate_again(self) -> None:
        """What has no audio."""
        self.shop.shell(AGAIN.format(project=self.project))

    def states(self) -> Counter[str]:
        rows = self.shop.rows("SELECT state, count(*) FROM studio_take WHERE project_id = %s GROUP BY 1", self.project)
        return Counter(dict(rows))

    def is_done(self) -> bool:
        return not {"queued", "running"} & self.states().keys()

    def done(self) -> int:
        return self.states()["done"]

    def asked(self) -> Counter[str]:
        return Counter(body["input"] for body in self.upstream.spoken)

    def judge(self, lines: int) -> list[str]:
        """What is wrong where each of so many lines has to be spoken, and finished once."""
        takes = self.shop.rows("SELECT line_id, state, file FROM studio_take WHERE project_id = %s", self.project)
        heard = self.shop.rows("SELECT take_id, attempt_id FROM studio_line WHERE project_id = %s", self.project)
        files = [Path(file).name for _line, _state, file in takes]
        there = {path.name for path in self.shop.takes.iterdir()}
        wrong = {
            f"states: {self.states()}": {state for _line, state, _file in takes} == {"done"},
            f"{len(takes)} takes": len(takes) == len({line for line, _state, _file in takes}) == lines,
            "a line doesn't have its take": all(take and take == attempt for take, attempt in heard),
            "a file is missing": len(set(files)) == len(files) and set(files) <= there,
            "a line was never asked for": len(self.asked()) == lines,
        }
        return [text for text, holds in wrong.items() if not holds]


class Shop:
    """An installation that several processes share."""

    def __init__(self, folder: Path, redis: RedisServer, postgres: PostgresServer) -> None:
        self.folder, self.redis, self.postgres = folder, redis, postgres
        self.variables = {"NEIROHA_REDIS_URL": redis.url, "NEIROHA_DATABASE_URL": postgres.url}
        self.number = 0
        self.manage("migrate", "--verbosity", "0")

    @property
    def takes(self) -> Path:
        return self.folder / "files" / "takes"

    def manage(self, *arguments: str) -> str:
        finished = subprocess.run(
            [sys.executable, str(MANAGE), *arguments],
            env=environment(self.folder, self.variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def shell(self, script: str) -> Any:
        """What a script prints at its end, as JSON."""
        said = self.manage("shell", "--no-imports", "-c", script).strip()
        return json.loads(said.splitlines()[-1]) if said else None

    def rows(self, query: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.postgres.url) as connection:
            return connection.execute(query, values).fetchall()  # ours, no user's

    @contextmanager
    def worker(
        self, *arguments: str, processes: int = 1, variables: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[Worker]:
        arguments = ("--processes", str(processes), *arguments)
        worker = Worker(self.folder, self.folder / "work.log", {**self.variables, **variables}, *arguments)
        try:
            worker.wait_until_ready(processes)
            yield worker
        finally:
            worker.kill()

    @contextmanager
    def batch(self, *, at_once: int = AT_ONCE, kind: str = "phase", **switches: Any) -> Iterator[Batch]:
        self.number += 1
        upstream = OpenAIUpstream(speech=SOUND, speech_type="audio/wav", **switches)
        with serve(upstream) as url:
            script = PREPARE.format(number=self.number, url=url, at_once=at_once, kind=kind)
            yield Batch(self, upstream, *self.shell(script))
            upstream.switches.held = False
            upstream.release(1000)


@contextmanager
def shop(folder: Path) -> Iterator[Shop]:
    with running_redis() as redis, running_postgres() as postgres:
        yield Shop(folder, redis, postgres)
