"""What runs beside the requests of one event loop: writing the request log, noticing other processes' changes, speaking
takes, telling of jobs."""

from __future__ import annotations

import asyncio
import logging
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections

from api.jobs.forgetting import forget_old_jobs
from api.jobs.watching import Watcher
from api.jobs.webhooks import Webhooks
from api.record import RequestRecorder
from api.throttling import close_windows
from banks.speech_cache import SpeechCache
from providers import metrics, versions
from providers.catalogue import watch_health
from providers.engine import close_engine, current_engine
from studio import events
from studio.runner import close_runner, open_runner

logger = logging.getLogger(__name__)

# What another process changes is in force here within a second.
POLL_SECONDS = 0.5


class Runtime:
    def __init__(self) -> None:
        self.engine = current_engine()
        self.runner = open_runner(self.engine)
        self.recorder = RequestRecorder()
        self.speech_cache = SpeechCache(self.engine)
        self.watcher, self.webhooks = Watcher(), Webhooks()
        self._unlisten = events.listen(self.webhooks.wake)
        loop = asyncio.get_running_loop()
        work = (
            self.recorder.run(),
            self.engine.ledger.run(),
            self.speech_cache.run(),
            watch_configuration(),
            watch_health(self.engine),
            self.webhooks.run(),
            events.hear_others(),
            forget_old_jobs(),
            metrics.watch_loop(),
        )
        self._tasks = [loop.create_task(each) for each in work]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._unlisten()
        await self.watcher.close()
        await self.speech_cache.close()
        await close_runner()
        await close_engine()
        await close_windows()


async def watch_configuration() -> None:
    while True:
        try:
            await sync_to_async(_poll, thread_sensitive=False)()
        except DatabaseError:
            logger.exception("The configuration's version could not be read.")
        await asyncio.sleep(POLL_SECONDS)


def _poll() -> None:
    try:
        versions.poll()
    finally:
        close_old_connections()


_runtimes: WeakKeyDictionary[asyncio.AbstractEventLoop, Runtime] = WeakKeyDictionary()


def current_runtime() -> Runtime:
    """The running loop's runtime, started at first use."""
    loop = asyncio.get_running_loop()
    runtime = _runtimes.get(loop)
    if runtime is None:
        runtime = _runtimes[loop] = Runtime()
    return runtime


async def close_runtime() -> None:
    runtime = _runtimes.pop(asyncio.get_running_loop(), None)
    if runtime is not None:
        await runtime.close()
