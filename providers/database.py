"""The bridge from the event loop to synchronous work with the database."""

from __future__ import annotations

import logging
from collections.abc import Callable

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections, connections

logger = logging.getLogger(__name__)


async def in_database[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `work` in a thread, whose connection ends with it."""

    def run() -> R:
        try:
            return work(*args, **kwargs)
        finally:
            close_old_connections()

    return await sync_to_async(run, thread_sensitive=False)()


async def surely(work: Callable[[], object]) -> None:
    """What comes again if it can't be done now; why it can't stands in the log."""
    try:
        await in_database(work)
    except (DatabaseError, OSError):
        logger.exception("What had to be done in the database could not be done.")


def close_pools() -> None:
    """At the end of a process: an open pool's threads would be waited for in vain, five seconds each."""
    for connection in connections.all():
        connection.close()
        # Only PostgreSQL's have one.
        if close := getattr(connection, "close_pool", None):
            close()
