"""What speech needs while the server runs: the queue, the HTTP client, live adapters and codec threads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from django.conf import settings

from providers import adapters
from providers.adapters.base import Adapter
from providers.errors import ProviderUnavailable
from providers.http import make_client
from providers.ledger import DatabaseLedger
from providers.queue import SharedQueue, SpeechQueue, UsageLedger
from providers.speech import ProviderConfig


def make_queue(name: str, ledger: UsageLedger) -> SharedQueue:
    """In memory, or in Redis for all processes; there its keys begin with its name."""
    if not settings.REDIS_URL:
        return SpeechQueue(ledger=ledger)
    from providers.redis_queue import RedisQueue

    return RedisQueue(settings.REDIS_URL, name, ledger, secret=settings.SECRET_KEY.encode())


class Engine:
    """Belongs to one event loop; `close` gives back all that it holds."""

    def __init__(self) -> None:
        self.ledger = DatabaseLedger()
        self.queue = make_queue("neiroha:queue", self.ledger)
        # The chat model's own: what waits for it is no speech.
        self.chat_queue = make_queue("neiroha:chat", self.ledger)
        self.client = make_client()
        processors = os.cpu_count() or 2
        self._codec_threads = ThreadPoolExecutor(max_workers=processors + 1, thread_name_prefix="codec")
        # Few: each takes the interpreter from pages and events. Two, since one often waits for it.
        self._spare_threads = ThreadPoolExecutor(max_workers=max(processors - 1, 2), thread_name_prefix="spare")
        self._adapters: dict[int, Adapter] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def adapter(self, config: ProviderConfig) -> Adapter:
        """The live adapter of this configuration. ProviderUnavailable when its kind can't work here."""
        adapter = self._adapters.get(config.id)
        if adapter is None or adapter.config != config:
            made = self.make_adapter(config)
            if adapter is not None:
                self._let_go(adapter)
            self._adapters[config.id] = adapter = made
        return adapter

    def keep_adapters(self, provider_ids: Collection[int]) -> None:
        """Let go of the adapters of all other providers."""
        for id in self._adapters.keys() - set(provider_ids):
            self._let_go(self._adapters.pop(id))

    def _let_go(self, adapter: Adapter) -> None:
        """What still speaks through it holds it, and speaks to its end."""
        task = asyncio.get_running_loop().create_task(adapter.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

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

    async def in_spare_thread[**P, R](self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The same for what nobody waits for: thousands of such works, which others must not stand behind."""
        return await asyncio.get_running_loop().run_in_executor(self._spare_threads, lambda: work(*args, **kwargs))

    async def close(self) -> None:
        self.keep_adapters(())
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self.queue.close()
        await self.chat_queue.close()
        await self.client.aclose()
        for threads in (self._codec_threads, self._spare_threads):
            threads.shutdown(wait=False, cancel_futures=True)


_engines: WeakKeyDictionary[asyncio.AbstractEventLoop, Engine] = WeakKeyDictionary()


def current_engine() -> Engine:
    """The engine of the running loop, made at first use (daphne knows no lifespan)."""
    loop = asyncio.get_running_loop()
    engine = _engines.get(loop)
    if engine is None:
        engine = _engines[loop] = Engine()
    return engine


def serving_loops() -> list[asyncio.AbstractEventLoop]:
    """The loops that have an engine and run: in a server, its own."""
    return [loop for loop in list(_engines) if loop.is_running()]


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
