"""Clients of Redis for what is asked in one step; the queue has a way of its own (providers.redis_link)."""

from __future__ import annotations

from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

# A Redis that does not answer within this time is as good as gone.
ANSWER_SECONDS = 2.0
CONNECTIONS = 32


def redis_client(url: str) -> Any:
    """For one event loop. Closed with `aclose(close_connection_pool=True)`."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=ANSWER_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        # An idle connection may have been closed meanwhile.
        retry=Retry(NoBackoff(), 1),
    )
    return Redis(connection_pool=pool)
