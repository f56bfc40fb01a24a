"""Where several processes share the work: the same answer is made by one of them at a time, and kept for the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from providers.redis_client import redis_client

logger = logging.getLogger(__name__)

PREFIX = "neiroha:speech:"
# A process that died has its turn for so long; one that lives says in time that it still has it.
LEASE_SECONDS = 10.0
RENEW_SECONDS = 3.0
# Between two looks whether it is one's turn.
LOOK_SECONDS = 0.1


class SpeechTurns:
    """Belongs to one event loop. Without an answer of Redis everybody has a turn: to speak is limited elsewhere."""

    def __init__(self, url: str) -> None:
        self._client = redis_client(url)

    @asynccontextmanager
    async def turn(self, name: str, patience: float) -> AsyncGenerator[bool]:
        """The turn at the answer of this name; whether somebody else had it before, and may have made it. Whoever has
        it for longer than `patience`, in seconds, is not waited for any more."""
        lock = Lock(self._client, PREFIX + name, timeout=LEASE_SECONDS, thread_local=False)
        waited = held = False
        try:
            end = asyncio.get_running_loop().time() + patience
            while not (held := await _taken(lock)) and asyncio.get_running_loop().time() < end:
                waited = True
                await asyncio.sleep(LOOK_SECONDS)
        except (RedisError, OSError) as error:
            logger.warning("It is not known who else makes the same speech, as Redis does not answer: %s", error)
        renewing = asyncio.create_task(_renew(lock)) if held else None
        try:
            yield waited
        finally:
            if renewing is not None:
                await _ended(asyncio.create_task(_give_back(lock, renewing)))

    async def close(self) -> None:
        await self._client.aclose(close_connection_pool=True)


async def _taken(lock: Lock) -> bool:
    """Whether the turn is free, and now one's own. Redis may give it to somebody who leaves before its answer is there:
    that one takes the answer, and gives the turn back."""
    trying = asyncio.create_task(lock.acquire(blocking=False))
    try:
        await _ended(trying)
    except asyncio.CancelledError:
        if trying.done() and not trying.cancelled() and not trying.exception() and trying.result():
            await _give_back(lock)
        raise
    return bool(trying.result())


async def _ended(task: asyncio.Task[Any]) -> None:
    """Once it is, even where whoever waits is cancelled."""
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _give_back(lock: Lock, renewing: asyncio.Task[None] | None = None) -> None:
    """What can't be given back goes back by itself."""
    if renewing is not None:
        renewing.cancel()
        await asyncio.wait({renewing})
    with suppress(LockError, RedisError, OSError):
        await lock.release()


async def _renew(lock: Lock) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            await lock.extend(LEASE_SECONDS, replace_ttl=True)
        except LockError:
            return
        except (RedisError, OSError) as error:
            logger.warning("The turn at a piece of speech could not be renewed; it is tried again: %s", error)
