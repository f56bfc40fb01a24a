"""What speech needs while the server runs: the queue, the HTTP client, live adapters and codec threads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync

from providers import adapters
from providers.adapters.base import Adapter
from providers.errors import ProviderUnavailable
from providers.http import make_client
from providers.ledger import DatabaseLedger
from providers.queue import SpeechQueue
from providers.speech import ProviderConfig


class Engine:
    """Belongs to one event loop; `close` gives back all that it holds."""

    def __init__(self) -> None:
        self.ledger = DatabaseLedger()
        self.queue = SpeechQueue(ledger=self.ledger)
        self.client = make_client()
        self._codec_threads = ThreadPoolExecutor(max_workers=(os.cpu_count() or 2) + 1, thread_name_prefix="codec")
        self._adapters: dict[int, Adapter] = {}

    def adapter(self, config: ProviderConfig) -> Adapter:
        """The live adapter of this configuration. ProviderUnavailable when its kind can't work here."""
        adapter = self._adapters.get(config.id)
        if adapter is None or adapter.config != config:
            # The one before is only let go: what still speaks through it holds it, and speaks to its end.
            self._adapters[config.id] = adapter = self.make_adapter(config)
        return adapter

    def make_adapter(self, config: ProviderConfig) -> Adapter:
        """A fresh adapter that the caller closes."""
        try:
            adapter_class = adapters.adapter_class(config.kind)
        except KeyError as error:
            raise ProviderUnavailable(f"This version of Neiroha has no provider kind “{config.kind}”.") from error
        if reason := config.problem or adapter_class.unavailable():
            raise ProviderUnavailable(reason)
        return adapter_class(config, self.client)

    async def in_thread[**P, R](self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run codec or file work off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._codec_threads, lambda: work(*args, **kwargs))

    async def close(self) -> None:
        adapters_now, self._adapters = list(self._adapters.values()), {}
        await asyncio.gather(*(adapter.close() for adapter in adapters_now), return_exceptions=True)
        self.queue.close()
        await self.client.aclose()
        self._codec_threads.shutdown(wait=False, cancel_futures=True)


_engines: WeakKeyDictionary[asyncio.AbstractEventLoop, Engine] = WeakKeyDictionary()


def current_engine() -> Engine:
    """The engine of the running loop, made at first use (daphne knows no lifespan)."""
    loop = asyncio.get_running_loop()
    engine = _engines.get(loop)
    if engine is None:
        engine = _engines[loop] = Engine()
    return engine


def ask_engine[T](work: Callable[[Engine], Awaitable[T]]) -> T:
    """Bridge for synchronous code in a thread: run `work` on the server's loop, or on a short-lived one without it."""

    async def run() -> T:
        shared = asyncio.get_running_loop() in _engines
        try:
            return await work(current_engine())
        finally:
            if not shared:
                await close_engine()

    return async_to_sync(run)()


async def close_engine() -> None:
    """Close the running loop's engine, if it has one."""
    engine = _engines.pop(asyncio.get_running_loop(), None)
    if engine is not None:
        await engine.close()
