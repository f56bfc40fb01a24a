"""Where several processes share the work: the same answer is made by one of them at a time, and kept for the others."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

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
        lock = Lock(self._client, PREFIX + name, timeout=LEASE_SECONDS, sleep=LOOK_SECONDS, thread_local=False)
        token = secrets.token_hex(8)
        waited = held = False
        try:
            held = await lock.acquire(blocking=False, token=token)
            if not held:
                waited = True
                held = await lock.acquire(blocking_timeout=patience, token=token)
        except (RedisError, OSError) as error:
            logger.warning("It is not known who else makes the same speech, as Redis does not answer: %s", error)
        except asyncio.CancelledError:
            # Redis may have given the turn to whoever did not wait for its answer.
            lock.local.token = token.encode()
            await _give_back(lock)
            raise
        renewing = asyncio.create_task(_renew(lock)) if held else None
        try:
            yield waited
        finally:
            if renewing is not None:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
                await _give_back(lock)

    async def close(self) -> None:
        await self._client.aclose(close_connection_pool=True)


async def _give_back(lock: Lock) -> None:
    """To its end even where this is cancelled; what can't be given back goes back by itself."""
    with suppress(LockError, RedisError, OSError):
        await asyncio.shield(lock.release())


async def _renew(lock: Lock) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            await lock.extend(LEASE_SECONDS, replace_ttl=True)
        except LockError:
            return
        except (RedisError, OSError) as error:
            logger.warning("The turn at a piece of speech could not be renewed; it is tried again: %s", error)
