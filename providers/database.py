"""The bridge from the event loop to synchronous work with the database."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connections

logger = logging.getLogger(__name__)

MOST_THREADS = 8
# Of all that belong to this process.
_pools: list[DatabaseThreads] = []


class DatabaseThreads:
    """At most so many, of the process. Each keeps its connection to SQLite, which takes longer to open than most work
    takes; one to PostgreSQL goes back to its pool."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._lock = Lock()
        self._open()
        _pools.append(self)

    def _open(self) -> None:
        self._executor = ThreadPoolExecutor(self._most, thread_name_prefix=self._name)
        self._kept: dict[int, Any] = {}

    async def run[**P, R](self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        def run() -> R:
            try:
                return work(*args, **kwargs)
            finally:
                self._rest()

        return await sync_to_async(run, thread_sensitive=False, executor=self._executor)()

    def _rest(self) -> None:
        for connection in connections.all(initialized_only=True):
            if connection.vendor == "sqlite" and connection.connection is not None:
                # Broken ones are closed all the same.
                connection.close_at = None
                with self._lock:
                    self._kept[id(connection)] = connection
            connection.close_if_unusable_or_obsolete()

    def close(self) -> None:
        """Once what runs is done. Nothing can be done in them afterwards."""
        self._executor.shutdown()
        for connection in self._kept.values():
            connection.inc_thread_sharing()
            connection.close()
        self._kept.clear()

    def after_fork(self) -> None:
        """A child has none of its parent's threads, and must not touch its connections."""
        self._left_to_parent = self._kept
        self._lock = Lock()
        self._open()


def _after_fork() -> None:
    for pool in _pools:
        pool.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

_threads = DatabaseThreads("database", MOST_THREADS)


async def in_database[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `work` in a thread that has a connection, or gets one."""
    return await _threads.run(work, *args, **kwargs)


async def surely(work: Callable[[], object]) -> None:
    """What comes again if it can't be done now; why it can't stands in the log."""
    try:
        await in_database(work)
    except (DatabaseError, OSError):
        logger.exception("What had to be done in the database could not be done.")


def close_threads() -> None:
    """At the end of a process."""
    for pool in _pools:
        pool.close()


def close_pools() -> None:
    """At the end of a process: an open pool's threads would be waited for in vain, five seconds each."""
    for connection in connections.all():
        connection.close()
        # Only PostgreSQL's have one.
        if close := getattr(connection, "close_pool", None):
            close()
