"""Two webs behind nginx, two workers, PostgreSQL and Redis, one of which dies in the middle of two batches.

`python -m tests.chaos --topology` does it again and again. A test does each fault once.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import psutil
import psycopg

from tests.chaos import SOUND
from tests.scale_process import Scale
from tests.upstreams.common import Received, Send
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import serve
from tests.workers import WAIT_SECONDS, children_of, speaker_of, wait_until

AT_ONCE = 4
UPSTREAM_SECONDS = 0.1
MINUTE = 60.0
CALLERS = 3
# A caller gives up a call that no retry cures in this time.
CURE_SECONDS = 240.0
WEBS, WORKERS = ("web 1", "web 2"), ("worker 1", "worker 2")
# Of each worker, unless told otherwise.
SPEAKERS = psutil.cpu_count() or 1

PREPARE = """
import json
from django.contrib.auth.models import User
from api.models import ApiKey, Scope, ServerSettings
from banks.models import Bank
from providers.models import Provider
from studio.generate import Want, generate
from studio.lines import Draft, add
from studio.models import Project
user = User.objects.filter(username="chaos").first() or User.objects.create_superuser("chaos")
ServerSettings.objects.update(rate_limit_per_minute=0, log_requests=False, queue_deadline_seconds=120)
wanted, projects = json.loads('''{wanted}'''), []
for each in wanted:
    provider = Provider.objects.create(kind="openai", **each["provider"])
    bank = Bank.objects.create(name=each["name"])
    character = bank.characters.create(name=each["name"], provider=provider, voice="alloy", model="tts-1")
    project = Project.objects.create(name=each["name"], kind="phase", owner=user, bank=bank, format="wav")
    add(project, [Draft(f"Line {{n}}.", character_id=character.pk) for n in range(each["lines"])])
    projects.append(project)
for project in projects:
    generate(project, project.lines.all(), Want.MISSING, user)
def key(number):
    return ApiKey.objects.issue(name=f"{prefix} {{number}}", owner_id=user.pk, scope=Scope.MANAGE)[1]
print(json.dumps([[project.pk for project in projects], [key(number) for number in range({callers})]]))
"""

_port: ContextVar[int] = ContextVar("port")


class CountingUpstream(OpenAIUpstream):
    """It knows when each call for speech came, and by which port of whoever asked. `stuck`: these ports wait for their
    answers. A web that looks how the provider is, as each does when it starts, asks for no speech and has no place."""

    def __init__(self, **switches: Any) -> None:
        super().__init__(speech=SOUND, speech_type="audio/wav", **switches)
        self.arrivals: list[float] = []
        self.open_ports: set[int] = set()
        self.stuck: frozenset[int] = frozenset()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "POST":
            self.arrivals.append(monotonic())
        port = scope["client"][1]
        _port.set(port)
        self.open_ports.add(port)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.open_ports.discard(port)

    def counts(self, request: Received) -> bool:
        return request.method == "POST"

    async def route(self, request: Received, send: Send) -> None:
        while _port.get() in self.stuck:
            await asyncio.sleep(0.05)
        await super().route(request, send)

    def stops_at(self, calls: int) -> bool:
        """Whether so many calls wait here, and none of them may go on."""
        with self._changed:
            return not self._released and sum(not turn.done() for _, turn in self._turns) >= calls

    def let_go(self) -> None:
        """All that waits here, and whatever comes."""
        self.switches.held = False
        with self._changed:
            waiting = len(self._turns)
        self.release(waiting)

    @property
    def asked(self) -> Counter[str]:
        return Counter(body["input"] for body in self.spoken)

    def shortest(self, calls: int) -> float:
        """The shortest time, in seconds, in which one more than so many calls came."""
        pairs = zip(self.arrivals, self.arrivals[calls:], strict=False)
        return min((last - first for first, last in pairs), default=float("inf"))


@dataclass
class Part:
    """A provider with a batch of its own."""

    name: str
    lines: int
    upstream: CountingUpstream
    url: str
    at_once: int = AT_ONCE
    a_minute: int = 0
    project: int = 0
    extra: int = 0
    """What was open at the upstream when whoever had asked was frozen: it may run on beside what others begin."""
    once_done: dict[str, int] = field(default_factory=dict)

    @property
    def wanted(self) -> dict[str, Any]:
        limits = {"max_concurrency": self.at_once, "requests_per_minute": self.a_minute}
        provider = {"name": self.name, "base_url": f"{self.url}/v1", **limits}
        return {"name": self.name, "lines": self.lines, "provider": provider}


class Caller(threading.Thread):
    """Asks for one piece of speech after another, and for each again until it has it."""

    def __init__(self, url: str, key: str, parts: list[Part], number: int) -> None:
        super().__init__(name=f"caller {number}")
        self._url, self._key, self._parts, self._number = url, key, parts, number
        self._stop = threading.Event()
        self.answered = 0
        self.refused: Counter[str] = Counter()
        self.longest = 0.0
        """Seconds from the first try to the answer, at most; of the first part, where no minute is waited out."""
        self.wrong: list[str] = []

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self._key}"}
        with httpx.Client(base_url=self._url, headers=headers, timeout=CURE_SECONDS, trust_env=False) as client:
            while not self._stop.is_set():
                part = self._parts[self.answered % len(self._parts)]
                self._ask(client, part, f"Caller {self._number} says {self.answered}.")
                self.answered += 1
                self._stop.wait(0.1)

    def end(self) -> None:
        self._stop.set()
        self.join()

    def _ask(self, client: httpx.Client, part: Part, text: str) -> None:
        body = {"model": part.name, "voice": part.name, "input": text, "response_format": "wav"}
        begun = monotonic()
        while (pause := self._tried(client, body)) is not None:
            if monotonic() - begun > CURE_SECONDS:
                self.wrong.append(f"no retry cured “{text}”: {dict(self.refused)}")
                return
            sleep(pause)
        if part is self._parts[0]:
            self.longest = max(self.longest, monotonic() - begun)

    def _tried(self, client: httpx.Client, body: dict[str, str]) -> float | None:
        """How long to wait before another try; None once it is spoken."""
        try:
            answer = client.post("/v1/audio/speech", json=body)
        except httpx.RemoteProtocolError:
            # The answer had begun: a client sees that it is not whole.
            self.refused["broken off"] += 1
            return 0.1
        if answer.status_code == 200:
            if len(answer.content) < len(SOUND):
                self.wrong.append(f"half an answer, {len(answer.content)} bytes, looked whole")
            return None
        self.refused[str(answer.status_code)] += 1
        if answer.status_code not in (429, 500, 502, 503, 504) or "retry-after" not in answer.headers:
            self.wrong.append(f"{answer.status_code} {dict(answer.headers)} {answer.text[:300]}")
            return 1.0
        return min(float(answer.headers["retry-after"]), 5.0)


class Round:
    """Two batches on their way, and callers. `wrong` lists what must never be."""

    def __init__(self, place: Place, parts: list[Part], keys: list[str]) -> None:
        self.place, self.parts = place, parts
        self.callers = [Caller(place.scale.url, key, parts, number) for number, key in enumerate(keys)]
        self.recovered = 0.0
        """Seconds from the fault until all that the first provider spoke then is done."""

    # On the way.

    def hold(self) -> None:
        """Until all places of both providers are taken, and nothing moves."""
        for part in self.parts:
            part.upstream.switches.held = True
        for part in self.parts:
            wait_until(lambda part=part: part.upstream.stops_at(part.at_once) or self.is_done())  # type: ignore[misc]

    def let_go(self) -> None:
        for part in self.parts:
            part.upstream.let_go()

    def go_on(self, share: float) -> None:
        """So much of both batches, where they are held."""
        for part in self.parts:
            part.upstream.release(int(share * part.lines))
        for part in self.parts:
            wait_until(lambda part=part: part.upstream.stops_at(part.at_once))  # type: ignore[misc]

    def wait_for_calls(self, share: float) -> None:
        """Until so much of both batches has been asked for."""
        for part in self.parts:
            wait_until(lambda part=part: len(part.upstream.asked) >= share * part.lines)  # type: ignore[misc]

    def note_done(self) -> None:
        """What is done now must never be asked for again."""
        for part in self.parts:
            query = "SELECT text FROM studio_take WHERE project_id = %s AND state = 'done'"
            done = {text for (text,) in self.place.rows(query, part.project)}
            asked = part.upstream.asked
            part.once_done |= {text: asked[text] for text in done}

    def running(self) -> set[int]:
        """What the first provider speaks, and what is about to be."""
        query = "SELECT id FROM studio_take WHERE project_id = %s AND state = 'running'"
        return {pk for (pk,) in self.place.rows(query, self.parts[0].project)}

    def wait_until_recovered(self, broken: set[int], since: float) -> None:
        query = "SELECT count(*) FROM studio_take WHERE id = ANY(%s) AND state IN ('queued', 'running')"
        wait_until(lambda: self.place.rows_at_last(query, sorted(broken)) == [(0,)])
        self.recovered = monotonic() - since

    def is_done(self) -> bool:
        query = "SELECT count(*) FROM studio_take WHERE project_id = ANY(%s) AND state IN ('queued', 'running')"
        return self.place.rows_at_last(query, self._projects) == [(0,)]

    def finish(self) -> None:
        """The batches, then what callers still wait for."""
        self.let_go()
        wait_until(self.is_done)
        for caller in self.callers:
            caller.end()

    @property
    def _projects(self) -> list[int]:
        return [part.project for part in self.parts]

    @property
    def longest(self) -> float:
        return max(caller.longest for caller in self.callers)

    @property
    def refused(self) -> Counter[str]:
        return sum((caller.refused for caller in self.callers), Counter())

    # At the end.

    def judge(self) -> list[str]:
        wrong = [f"caller: {text}" for caller in self.callers for text in caller.wrong]
        wrong += [f"{caller.name} got nothing" for caller in self.callers if not caller.answered]
        for part in self.parts:
            wrong += [f"{part.name}: {text}" for text in (*self._record(part), *_limits(part))]
        return wrong

    def _record(self, part: Part) -> list[str]:
        query = "SELECT text, state, file, line_id FROM studio_take WHERE project_id = %s"
        rows = self.place.rows(query, part.project)
        heard = self.place.rows("SELECT take_id, attempt_id FROM studio_line WHERE project_id = %s", part.project)
        names, asked = [Path(row[2]).name for row in rows], part.upstream.asked
        whole = [name for name in names if self.place.is_whole(name)]
        again = [text for text, calls in part.once_done.items() if asked[text] != calls]
        holds = {
            f"states: {Counter(row[1] for row in rows)}": {row[1] for row in rows} == {"done"},
            f"{len(rows)} takes": len(rows) == len({row[3] for row in rows}) == part.lines,
            "a line doesn't have its take": all(take and take == attempt for take, attempt in heard),
            f"{len(whole)} files are whole": len(set(names)) == len(whole) == part.lines,
            f"asked again after they were done: {again}": not again,
            "a line was never asked for": all(asked[row[0]] for row in rows),
        }
        return [text for text, held in holds.items() if not held]


def _limits(part: Part) -> Iterator[str]:
    most = part.at_once + part.extra
    if part.upstream.peak > most:
        yield f"{part.upstream.peak} calls at once, {most} are allowed"
    if part.a_minute and (span := part.upstream.shortest(part.a_minute)) < MINUTE:
        yield f"{part.a_minute + 1} calls in {span:.3f} seconds"


class Place:
    """The topology, and what a test does to it."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        given = scale.variables
        self._database, self._takes = given["NEIROHA_DATABASE_URL"], Path(given["NEIROHA_DATA_DIR"], "files", "takes")
        self._number = 0

    def rows(self, query: str, *values: Any) -> list[Any]:
        with psycopg.connect(self._database) as connection:
            return connection.execute(query, values).fetchall()  # ours, no user's

    def rows_at_last(self, query: str, *values: Any) -> list[Any]:
        """None while the database restarts."""
        try:
            return self.rows(query, *values)
        except psycopg.OperationalError:
            return []

    def is_whole(self, name: str) -> bool:
        path = self._takes / name
        return bool(name) and path.is_file() and path.stat().st_size >= len(SOUND)

    def files(self) -> set[str]:
        return {path.name for path in self._takes.iterdir() if not path.name.endswith(".part")}

    def strays(self) -> set[str]:
        """Files that no take names."""
        return self.files() - {Path(file).name for (file,) in self.rows("SELECT file FROM studio_take")}

    @contextmanager
    def round(self, lines: int, *, held: bool = False, a_minute: int = 0) -> Iterator[Round]:
        """Two batches that have begun; `held`: their providers answer nothing yet. `a_minute` is the second one's."""
        self.wait_until_well()
        self._number += 1
        first, second = (CountingUpstream(delay=UPSTREAM_SECONDS, held=held) for _ in range(2))
        with serve(first) as one, serve(second) as two:
            parts = [
                Part(f"Part {self._number}A", lines, first, one),
                Part(f"Part {self._number}B", lines, second, two, a_minute=a_minute),
            ]
            made = Round(self, parts, self.prepare(parts, CALLERS))
            for caller in made.callers:
                caller.start()
            try:
                yield made
            finally:
                for part in parts:
                    part.upstream.stuck = frozenset()
                made.let_go()
                for caller in made.callers:
                    caller.end()

    def prepare(self, parts: list[Part], callers: int) -> list[str]:
        """What the parts need, their batches queued; the callers' keys."""
        wanted = json.dumps([part.wanted for part in parts])
        script = PREPARE.format(wanted=wanted, prefix=parts[0].name, callers=callers)
        said = self.scale.manage("shell", "--no-imports", "-c", script)
        projects, keys = json.loads(said.splitlines()[-1])
        for part, project in zip(parts, projects, strict=True):
            part.project = project
        return list(keys)

    def cancel(self, part: Part) -> None:
        script = f"from studio.models import Project; cancel(Project.objects.get(pk={part.project}))"
        self.scale.manage("shell", "--no-imports", "-c", f"from studio.generate import cancel; {script}")

    # Processes.

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self.scale.pid(name))

    def speaking(self, worker: str) -> list[psutil.Process]:
        """Those of a worker that speak."""
        speaker = speaker_of(self.scale.pid(worker))
        return children_of(speaker.pid) if speaker else []

    def wait_until_well(self) -> None:
        for web in WEBS:
            wait_until(lambda web=web: self._listens(web))  # type: ignore[misc]
        for worker in WORKERS:
            wait_until(lambda worker=worker: len(self.speaking(worker)) >= SPEAKERS)  # type: ignore[misc]

    def _listens(self, name: str) -> bool:
        with suppress(psutil.Error):
            connections = self.process(name).net_connections("tcp")
            return any(one.status == psutil.CONN_LISTEN for one in connections)
        return False

    def end(self, name: str, deed: Callable[[psutil.Process], object]) -> None:
        """Until another one has been started in its place."""
        old = self.process(name)
        deed(old)
        self.wait_for_another(name, old.pid)

    def wait_for_another(self, name: str, old: int) -> None:
        wait_until(lambda: self.scale.pid(name) != old)


# Faults.

type Fault = Callable[[Place, random.Random], None]


def web_killed(place: Place, dice: random.Random) -> None:
    place.end(dice.choice(WEBS), psutil.Process.kill)


def child_killed(place: Place, dice: random.Random) -> None:
    dice.choice(place.speaking(dice.choice(WORKERS))).kill()


def worker_killed(place: Place, dice: random.Random) -> None:
    place.end(dice.choice(WORKERS), kill_all)


def redis_killed(place: Place, dice: random.Random) -> None:
    place.end("Redis", psutil.Process.kill)


def postgresql_restarted(place: Place, dice: random.Random) -> None:
    place.end("PostgreSQL", lambda process: process.send_signal(signal.SIGINT))


def kill_all(process: psutil.Process) -> None:
    everybody = [*process.children(recursive=True), process]
    for each in everybody:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    # The one that is watched is somebody else's child.
    psutil.wait_procs(everybody[:-1], timeout=60)


def frozen(made: Round, candidates: list[psutil.Process]) -> AbstractContextManager[psutil.Process]:
    """The one that has the most calls open, while all places are taken. What it has open stays so at the upstream until
    it wakes, whatever others begin meanwhile."""
    made.hold()
    return _frozen(made, max(candidates, key=lambda process: len(_calls(made, process))))


@contextmanager
def _frozen(made: Round, process: psutil.Process) -> Iterator[psutil.Process]:
    process.suspend()
    try:
        calls = _calls(made, process)
        for part in made.parts:
            part.upstream.stuck = frozenset(calls & part.upstream.open_ports)
            part.extra = len(part.upstream.stuck)
        yield process
    finally:
        process.resume()
        for part in made.parts:
            part.upstream.stuck = frozenset()


def _calls(made: Round, process: psutil.Process) -> set[int]:
    """The ports by which this process waits for one of the upstreams."""
    mine = {one.laddr.port for one in process.net_connections("tcp") if one.laddr}
    return mine & set().union(*(part.upstream.open_ports for part in made.parts))


FAULTS: dict[str, Fault] = {
    "a web killed": web_killed,
    "a worker's child killed": child_killed,
    "a whole worker killed": worker_killed,
    "Redis killed": redis_killed,
    "PostgreSQL restarted": postgresql_restarted,
}


class Crowd:
    """Callers of one provider, who come one after the other; each is in line before the next one asks."""

    def __init__(self, place: Place, part: Part, keys: list[str]) -> None:
        self._place, self._part, self._keys = place, part, keys
        self._order = threading.Lock()
        self._ended = threading.Event()
        self._known: set[int] = set()
        self.came: list[str] = []
        self.wrong: list[str] = []
        self._threads = [threading.Thread(target=self._ask_on, args=(key,)) for key in keys]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self, key: str) -> None:
        url, headers = self._place.scale.url, {"Authorization": f"Bearer {key}"}
        with (
            httpx.Client(base_url=url, headers=headers, timeout=CURE_SECONDS, trust_env=False) as client,
            ThreadPoolExecutor(1) as pool,
        ):
            while not self._ended.is_set():
                with self._order:
                    text = f"Number {len(self.came)}."
                    self.came.append(text)
                    asked = pool.submit(client.post, "/v1/audio/speech", json=self._body(text))
                    self._wait_until_known(client, asked)
                answer = asked.result()
                if answer.status_code != 200:
                    self.wrong.append(f"{text} {answer.status_code} {answer.text[:300]}")

    def _body(self, text: str) -> dict[str, str]:
        return {"model": self._part.name, "voice": self._part.name, "input": text, "response_format": "wav"}

    def _wait_until_known(self, client: httpx.Client, asked: Future[httpx.Response]) -> None:
        """By its ticket, or its answer."""
        while not asked.done():
            seen = client.get("/api/queue/", params={"limit": 200}).json()
            tickets = [*seen["running"], *seen["waiting"], *seen["recent"]]
            callers = {ticket["id"] for ticket in tickets if not ticket["batch"]}
            if callers - self._known:
                self._known |= callers
                return

    def judge(self) -> list[str]:
        """At any time only as many have started after one who waits as can be on their way beside each other."""
        wrong = list(self.wrong)
        asked = [body["input"] for body in self._part.upstream.spoken]
        numbers = {text: number for number, text in enumerate(self.came)}
        order = [numbers[text] for text in asked if text in numbers]
        if sorted(order) != list(range(len(self.came))):
            wrong.append(f"{len(order)} of {len(self.came)} callers reached the upstream, each once")
        for place, number in enumerate(order):
            if sum(later < number for later in order[place + 1 :]) >= self._part.at_once:
                wrong.append(f"{number} went before those who came first: {order}")
        return wrong


def share_a_minute(place: Place, seconds: float) -> tuple[list[str], int]:
    """Two webs and two workers on one provider with concurrency 3 and 60 requests a minute; what is wrong, and how many
    callers there were."""
    with place.round(10) as warm:
        # A process's first call takes longer to leave it.
        warm.finish()
    upstream = CountingUpstream(delay=2.0)
    lines = 60 + int(seconds)
    with serve(upstream) as url:
        part = Part("One for all", lines, upstream, url, at_once=3, a_minute=60)
        crowd = Crowd(place, part, place.prepare([part], 5))
        crowd.start()
        begun = monotonic()
        try:
            # Beyond the first minute, so that its end is seen too.
            wait_until(
                lambda: monotonic() - begun > seconds and len(upstream.arrivals) > part.a_minute + 5,
                seconds + WAIT_SECONDS,
            )
        finally:
            crowd.end()
            place.cancel(part)
            upstream.switches.delay = 0.0
    batch = sum(text.startswith("Line") for text in upstream.asked)
    wrong = [*_limits(part), *crowd.judge()]
    if not 0 < batch < lines:
        wrong.append(f"{batch} lines of a batch of {lines} were spoken meanwhile")
    return wrong, len(crowd.came)
