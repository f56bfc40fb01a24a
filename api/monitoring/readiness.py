"""Whether this process can do its work: what /health/ready says."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from providers.database import DatabaseThreads

logger = logging.getLogger(__name__)

# Probes come often, and from several places; what was found is true for so long.
FRESH_SECONDS = 1.0
# What takes longer counts as out of reach.
CHECK_SECONDS = 3.0

# Of their own, as they tell of what all others may wait for.
PROBES = DatabaseThreads("probes", 3)

STOPPING = "stopping"
DATABASE = "database_unreachable"
MIGRATIONS = "migrations_missing"
REDIS = "redis_unreachable"


class Readiness:
    """Of one process. `reasons` is for its event loop."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A server begins in this process; nothing is known yet."""
        self._stopping = False
        self._found: tuple[str, ...] = ()
        self._found_at = float("-inf")
        self._looking: asyncio.Task[tuple[str, ...]] | None = None
        self._asking: dict[str, asyncio.Task[str]] = {}

    def stop(self) -> None:
        """From now on this process takes no more work; from any thread or signal handler."""
        self._stopping = True

    async def reasons(self) -> tuple[str, ...]:
        """Why this process can't work; none when it can."""
        if self._stopping:
            return (STOPPING,)
        if time.monotonic() - self._found_at > FRESH_SECONDS:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.get_running_loop().create_task(self._look())
            self._found = await asyncio.shield(self._looking)
        return self._found

    async def _look(self) -> tuple[str, ...]:
        checks = (self._answer(_database, DATABASE), self._answer(_redis, REDIS))
        found = tuple(reason for reason in await asyncio.gather(*checks) if reason)
        self._found_at = time.monotonic()
        return found

    async def _answer(self, check: Callable[[], str], late: str) -> str:
        """What `check` finds, or `late`. One that hangs holds one thread, however many probes come meanwhile."""
        asking = self._asking.get(late)
        if asking is None or asking.done():
            asking = self._asking[late] = asyncio.get_running_loop().create_task(PROBES.run(check))
        done, _ = await asyncio.wait({asking}, timeout=CHECK_SECONDS)
        return asking.result() if done else late


def _database() -> str:
    try:
        applied = set(MigrationRecorder(connection).applied_migrations())
    except DatabaseError as error:
        logger.warning("The database is out of reach: %s", type(error).__name__)
        return DATABASE
    return "" if _known_migrations() <= applied else MIGRATIONS


@lru_cache(maxsize=1)
def _known_migrations() -> frozenset[tuple[str, str]]:
    """Of the installed code; reading them takes long."""
    return frozenset(MigrationLoader(None).disk_migrations)


def _redis() -> str:
    if not settings.REDIS_URL:
        return ""
    import redis

    try:
        limits = {"socket_timeout": CHECK_SECONDS, "socket_connect_timeout": CHECK_SECONDS}
        with redis.Redis.from_url(settings.REDIS_URL, **limits) as client:
            client.ping()
    except redis.RedisError as error:
        logger.warning("Redis is out of reach: %s", type(error).__name__)
        return REDIS
    return ""


readiness = Readiness()
