"""The load, in a process of its own: `python -m benchmarks.load` reads a Plan as JSON and prints the answers.

Times are seconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import aiohttp

from benchmarks.processes import ROOT, BenchmarkError, end, environment, python

PLAN_SECONDS = 600.0
SENT = "sent"


@dataclass(frozen=True, slots=True)
class Plan:
    """`requests` POSTs, `concurrency` at a time, each on a kept connection. `bodies` take turns.

    `numbered` puts the request's number in front of its `input`, so that the upstream can tell them apart.
    """

    url: str
    key: str
    bodies: list[dict[str, Any]]
    requests: int
    concurrency: int
    numbered: bool = False

    def body(self, number: int) -> dict[str, Any]:
        body = self.bodies[number % len(self.bodies)]
        return body | {"input": self.text(number)} if self.numbered else body

    def text(self, number: int) -> str:
        return f"{number}. {self.bodies[number % len(self.bodies)]['input']}"


@dataclass(frozen=True, slots=True)
class Answer:
    number: int
    size: int
    sent: float
    first_byte: float
    finished: float

    @property
    def seconds(self) -> float:
        return self.finished - self.sent


def run(plan: Plan) -> list[Answer]:
    """All answers of the plan, in the order they ended. BenchmarkError when one is not a 200 with a body."""
    with running(plan) as process:
        return finish(process)


@contextmanager
def running(plan: Plan) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        python("-m", "benchmarks.load"),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(plan)).encode() + b"\n")
        process.stdin.flush()
        yield process
    finally:
        end(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def wait_until_sent(process: subprocess.Popen[bytes]) -> None:
    """Wait until every request is on its way; for plans that send all at once."""
    assert process.stdout is not None
    if process.stdout.readline().decode().strip() != SENT:
        raise BenchmarkError("The load ended before all requests were sent.")


def finish(process: subprocess.Popen[bytes]) -> list[Answer]:
    output, _ = process.communicate(timeout=PLAN_SECONDS)
    if process.returncode:
        raise BenchmarkError(f"The load ended with {process.returncode}.")
    return [Answer(**answer) for answer in json.loads(output.splitlines()[-1])]


async def _send_all(plan: Plan) -> list[Answer]:
    answers: list[Answer] = []
    numbers = iter(range(plan.requests))
    async with _session(plan) as session, asyncio.TaskGroup() as group:
        for _ in range(min(plan.concurrency, plan.requests)):
            group.create_task(_send_in_turn(session, plan, numbers, answers))
    return answers


def _session(plan: Plan) -> aiohttp.ClientSession:
    tracing, sent = aiohttp.TraceConfig(), count(1)

    async def note(session: aiohttp.ClientSession, context: object, parameters: object) -> None:
        if next(sent) == plan.requests:
            print(SENT, flush=True)

    tracing.on_request_chunk_sent.append(note)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        headers={"Authorization": f"Bearer {plan.key}"},
        timeout=aiohttp.ClientTimeout(total=PLAN_SECONDS),
        trace_configs=[tracing],
    )


async def _send_in_turn(
    session: aiohttp.ClientSession, plan: Plan, numbers: Iterator[int], answers: list[Answer]
) -> None:
    for number in numbers:
        answers.append(await _send(session, plan, number))


async def _send(session: aiohttp.ClientSession, plan: Plan, number: int) -> Answer:
    sent = time.monotonic()
    async with session.post(plan.url, json=plan.body(number)) as response:
        first = await response.content.readany()
        first_byte = time.monotonic()
        rest = await response.content.read()
    if response.status != 200 or not first:
        raise BenchmarkError(f"{plan.url} answered {response.status}: {(first + rest)[:500]!r}")
    return Answer(number, len(first) + len(rest), sent, first_byte, time.monotonic())


def main() -> None:
    plan = Plan(**json.loads(sys.stdin.readline()))
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        answers = runner.run(_send_all(plan))
    print(json.dumps([asdict(answer) for answer in answers]))


def loop_factory() -> Any:
    """As the servers: uvloop where there is one."""
    try:
        import uvloop
    except ImportError:  # not on Windows
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
