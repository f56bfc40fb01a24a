"""A process that shares the queue with others: obeys lines on its standard input, tells what happens on its output.

Run as `python -m tests.queue_process <redis url> <prefix> <lease> <grace>`; it imports no more than the queue.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from redis.asyncio import Redis

from providers.errors import SpeechError
from providers.limits import Cost
from providers.queue import Priority, QueueRules
from providers.redis_queue import RedisQueue
from providers.speech import ProviderConfig

WAIT_SECONDS = 240
PROVIDER = ProviderConfig(id=1, name="One", kind="embedded", max_concurrency=1)


class Worker:
    """In the process itself."""

    def __init__(self, url: str, prefix: str, lease: float, grace: float) -> None:
        self._queue = RedisQueue(url, prefix, lease=lease, grace=grace)
        self._url, self._prefix = url, prefix
        self._doors: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await self._queue.snapshot()
        say(event="ready")
        while line := await reader.readline():
            order = json.loads(line)
            task = loop.create_task(getattr(self, order.pop("do"))(**order))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._queue.close()

    async def enter(self, name: str, batch: bool = False, deadline: float | None = None) -> None:
        door = self._doors[name] = asyncio.Event()
        try:
            async with self._queue.slot(
                PROVIDER,
                Cost(),
                priority=Priority.BATCH if batch else Priority.INTERACTIVE,
                rules=QueueRules(deadline=deadline),
                source=name,
            ):
                say(event="started", name=name)
                await door.wait()
        except SpeechError as error:
            say(event="refused", name=name, code=error.code, retry_after=error.retry_after)
        else:
            say(event="ended", name=name)

    async def leave(self, name: str) -> None:
        self._doors[name].set()

    async def look(self) -> None:
        seen = await self._queue.snapshot()
        running = [ticket.source for ticket in seen.running]
        say(event="seen", running=running, waiting=[one.ticket.source for one in seen.waiting])

    async def hammer(self, calls: int, places: int) -> None:
        """So many calls as soon as they may; tells the most that were ever under way in all processes together."""
        provider = ProviderConfig(id=2, name="Two", kind="embedded", max_concurrency=places)
        counts: list[int] = []
        async with Redis.from_url(self._url) as redis:

            async def call(number: int) -> None:
                priority = Priority.BATCH if number % 3 else Priority.INTERACTIVE
                async with self._queue.slot(provider, Cost(), priority=priority, rules=QueueRules(deadline=None)):
                    counts.append(await redis.incr(f"{self._prefix}-under-way"))
                    await redis.ping()
                    await redis.decr(f"{self._prefix}-under-way")

            await asyncio.gather(*(call(number) for number in range(calls)))
        say(event="hammered", calls=len(counts), most=max(counts))


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


class Process:
    """Of the test: one such process; `events` are what it told so far."""

    def __init__(self, url: str, prefix: str, lease: float, grace: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.queue_process", url, prefix, str(lease), str(grace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parent.parent,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.events: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.events.append(json.loads(line))

    def do(self, order: str, **values: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": order, **values}) + "\n")
        self._process.stdin.flush()

    def wait_for(self, event: str, **values: object) -> dict[str, Any]:
        """The first event of this kind with these values, once it has come."""
        wanted = {"event": event, **values}
        wait_until(lambda: any(wanted.items() <= told.items() for told in list(self.events)), str(wanted))
        return next(told for told in self.events if wanted.items() <= told.items())

    def told(self, event: str) -> list[str]:
        return [told["name"] for told in list(self.events) if told["event"] == event]

    def look(self) -> dict[str, Any]:
        before = len([told for told in self.events if told["event"] == "seen"])
        self.do("look")
        wait_until(lambda: len([told for told in list(self.events) if told["event"] == "seen"]) > before, "a look")
        return [told for told in self.events if told["event"] == "seen"][-1]

    def enter(self, name: str, **values: object) -> None:
        """Come into line, behind all that stand there."""
        self.do("enter", name=name, **values)
        wait_until(lambda: self._is_known(name), f"{name} in line")

    def _is_known(self, name: str) -> bool:
        seen = self.look()
        return name in seen["running"] + seen["waiting"]

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        assert self._process.stdin is not None
        self.signal(signal.SIGCONT)
        self._process.stdin.close()
        try:
            self._process.wait(WAIT_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            assert self._process.stdout is not None
            self._process.stdout.close()


def wait_until(holds: Callable[[], bool], what: str) -> None:
    end = monotonic() + WAIT_SECONDS
    while not holds():
        assert monotonic() < end, f"it never came to {what}"
        sleep(0.02)


@contextmanager
def processes(url: str, prefix: str, number: int, lease: float = 60.0, grace: float = 0.0) -> Iterator[list[Process]]:
    started: list[Process] = []
    try:
        started += [Process(url, prefix, lease, grace) for _ in range(number)]
        for each in started:
            each.wait_for("ready")
        yield started
    finally:
        for each in started:
            each.close()


if __name__ == "__main__":
    asyncio.run(Worker(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])).run())
