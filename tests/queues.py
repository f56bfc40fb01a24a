"""The shared queue in both its forms, in memory and in Redis, on a clock that tests hold: the same tests for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any

from redis.asyncio import Redis

from providers.clock import RemoteClock
from providers.queue import SharedQueue, SpeechQueue
from providers.redis_queue import RedisQueue
from tests.fake_clock import FakeClock

# A message reaches whom it is for within one of these or two, and what follows from it within a few more.
ROUND_TRIPS = 15
FOR_EVER = 1e7


class HeldRedisClock(FakeClock, RemoteClock):
    """The time that Redis is told. It settles once what is on its way has long come back."""

    def __init__(self, redis: Redis) -> None:
        super().__init__()
        self._redis = redis

    def learn(self, milliseconds: float) -> None:
        """It is the test's own."""

    def stamp(self) -> str:
        return str(round(self.seconds * 1000))

    async def settle(self) -> None:
        for _ in range(ROUND_TRIPS):
            await asyncio.sleep(0)
            await self._redis.ping()


class Queues:
    """Makes queues of one form; in Redis, each under keys of its own."""

    def __init__(self, redis_url: str = "") -> None:
        self.redis_url = redis_url

    @asynccontextmanager
    async def open(self, ledger: Any = None) -> AsyncIterator[tuple[SharedQueue, FakeClock]]:
        if not self.redis_url:
            clock = FakeClock()
            memory = SpeechQueue(clock, ledger)
            yield memory, clock
            await memory.close()
            return
        async with Redis.from_url(self.redis_url) as redis:
            held = HeldRedisClock(redis)
            async with joined(self.redis_url, f"test-{token_hex(6)}", held, ledger) as shared:
                yield shared, held


@asynccontextmanager
async def joined(
    url: str, prefix: str, clock: HeldRedisClock, ledger: Any = None, lease: float = FOR_EVER
) -> AsyncIterator[RedisQueue]:
    """A queue as a process of its own would have it."""
    queue = RedisQueue(url, prefix, ledger, clock=clock, lease=lease, grace=0)
    try:
        # Once it has answered, everything is on its way at once.
        await queue.snapshot()
        yield queue
    finally:
        await queue.close()
