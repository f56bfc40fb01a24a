"""A batch of many lines against an upstream that takes 50 ms for each: how fast it goes, and what else goes meanwhile.

While it runs, the project's page is opened again and again, its socket is listened to, and the API is asked for speech
through another provider.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect

from benchmarks.configure import CONCURRENCY
from benchmarks.figures import Table, percentile
from benchmarks.processes import ROOT, START_SECONDS, BenchmarkError, Memory, Server, environment, python
from benchmarks.speech_server import PACED_SECONDS
from benchmarks.stage import Stage, speech

PAUSE_SECONDS = 0.5
SHOWN_LINES = 100
BATCH_SECONDS = 600.0
IDEAL = CONCURRENCY / PACED_SECONDS


@dataclass
class Batch:
    """Times in seconds. `events`: from a line's end in the record to the page's hearing of it."""

    lines: int
    seconds: float = 0.0
    cpu: float = 0.0
    pages: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.lines / self.seconds


def measure(stage: Stage) -> Batch:
    queued = _queue(stage)
    with stage.neiroha() as server:
        return asyncio.run(_watch(stage, server, queued))


def table(batch: Batch) -> Table:
    memory = [one.resident / 1e6 for one in batch.memory]
    rows = [
        ["lines a second", f"{batch.rate:.0f} of {IDEAL:.0f}"],
        ["CPU ms a line", f"{1000 * batch.cpu / batch.lines:.2f}"],
        ["memory MB: start, highest, end", f"{memory[0]:.0f}, {max(memory):.0f}, {memory[-1]:.0f}"],
        *(
            [f"{name} ms: median, p99", f"{_ms(times, 0.5)}, {_ms(times, 0.99)}"]
            for name, times in (
                ("the project's page", batch.pages),
                ("speech through the API", batch.answers),
                ("a line's end to its event", batch.events),
            )
        ),
    ]
    return Table(
        f"A batch of {batch.lines} lines",
        ["figure", "value"],
        rows,
        note=f"{CONCURRENCY} at once, {1000 * PACED_SECONDS:.0f} ms and 4 s of WAV each, stored as FLAC. Meanwhile"
        f" every {PAUSE_SECONDS:g} s the page is opened and the API asked; {len(batch.events)} events came.",
    )


def _ms(times: Sequence[float], share: float) -> str:
    return f"{1000 * percentile(times, share):.0f}" if times else "-"


def _queue(stage: Stage) -> dict[str, Any]:
    finished = subprocess.run(
        python("-m", "benchmarks.queue_batch", str(stage.settings.lines)),
        cwd=ROOT,
        env=environment({"NEIROHA_DATA_DIR": str(stage.data_dir)}),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        start_new_session=True,
    )
    if finished.returncode:
        raise BenchmarkError(f"The batch could not be queued:\n{finished.stderr}")
    queued: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return queued


async def _watch(stage: Stage, server: Server, queued: dict[str, Any]) -> Batch:
    """Until every line is done."""
    batch, heard = Batch(len(queued["lines"])), dict[int, float]()
    cpu, over = server.cpu_seconds(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_listen(server, queued, heard, over))
        group.create_task(_open_pages(server, queued, batch, over))
        group.create_task(_ask(stage, server, batch, over))
        await _come_to_the_end(stage.data_dir, server, queued["project"], batch)
        over.set()
    batch.cpu = server.cpu_seconds() - cpu
    ends = _ends(stage.data_dir, queued["project"])
    batch.events = [heard[line] - end for line, end in ends.items() if line in heard]
    return batch


async def _come_to_the_end(data_dir: Path, server: Server, project: int, batch: Batch) -> None:
    started, deadline = time.time(), time.monotonic() + BATCH_SECONDS
    while done := _rows(data_dir, "SELECT count(*) FROM studio_take WHERE project_id = ? AND state != 'done'", project):
        batch.memory.append(server.memory())
        if not done[0][0]:
            break
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{done[0][0]} lines were not done in {BATCH_SECONDS:.0f} seconds.")
        await asyncio.sleep(PAUSE_SECONDS)
    batch.seconds = max(_ends(data_dir, project).values()) - started


async def _open_pages(server: Server, queued: dict[str, Any], batch: Batch, over: asyncio.Event) -> None:
    cookies = {"sessionid": queued["session"]}
    async with httpx.AsyncClient(base_url=server.url, cookies=cookies, trust_env=False, timeout=60) as client:
        while not over.is_set():
            started = time.monotonic()
            page = await client.get(f"/studio/projects/{queued['project']}/")
            if page.status_code != 200:
                raise BenchmarkError(f"The project's page answered {page.status_code}.")
            batch.pages.append(time.monotonic() - started)
            await asyncio.sleep(PAUSE_SECONDS)


async def _ask(stage: Stage, server: Server, batch: Batch, over: asyncio.Event) -> None:
    plan = stage.plan(server, 1, 1, voice="instant")
    headers = {"Authorization": f"Bearer {plan.key}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=60) as client:
        while not over.is_set():
            started = time.monotonic()
            answer = await client.post(plan.url, json=speech("instant"))
            if answer.status_code != 200:
                raise BenchmarkError(f"The API answered {answer.status_code}: {answer.text}")
            batch.answers.append(time.monotonic() - started)
            await asyncio.sleep(PAUSE_SECONDS)


async def _listen(server: Server, queued: dict[str, Any], heard: dict[int, float], over: asyncio.Event) -> None:
    """Note when the page hears that a line of its last hundred has its audio."""
    address = f"ws{server.url.removeprefix('http')}/studio/projects/{queued['project']}/live/"
    headers = {"Cookie": f"sessionid={queued['session']}"}
    async with connect(address, additional_headers=headers, origin=server.url, max_size=None, proxy=None) as socket:  # type: ignore[arg-type]
        await socket.send(json.dumps({"lines": queued["lines"][-SHOWN_LINES:]}))
        while not (over.is_set() and len(heard) >= min(SHOWN_LINES, len(queued["lines"]))):
            try:
                message = json.loads(await asyncio.wait_for(socket.recv(), 5))
            except TimeoutError:
                if over.is_set():
                    return
                continue
            for line, html in message.get("rows", {}).items():
                if "data-nr-play" in html:
                    heard.setdefault(int(line), time.time())


def _ends(data_dir: Path, project: int) -> dict[int, float]:
    """When each line was done, in the record."""
    rows = _rows(data_dir, "SELECT line_id, finished_at FROM studio_take WHERE project_id = ?", project)
    return {line: datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() for line, at in rows}


def _rows(data_dir: Path, query: str, *values: object) -> list[Any]:
    connection = sqlite3.connect(data_dir / "neiroha.sqlite3", timeout=30)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()
