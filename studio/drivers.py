"""Calling a worker to drive the runner for a while, where several processes share the work.

A call is a message in Redis. It says no more than that there is something to do: what that is stands in the database,
so that a call which is lost costs time, and one too many nothing.
"""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)

# Of the task, and of the queue of its own.
NAME = "neiroha.speak"


def call() -> bool:
    """Unless a call waits already: then all workers are busy, and whoever is free next comes. Whether Redis took it."""
    # A server that is alone has no Celery.
    from celery import current_app
    from kombu.exceptions import KombuError
    from redis import RedisError

    try:
        with current_app.pool.acquire(block=True) as connection:
            if not connection.default_channel.queue_declare(queue=NAME).message_count:
                current_app.send_task(NAME, queue=NAME, connection=connection, retry=False)
    except (KombuError, RedisError, OSError) as error:
        logger.warning("No worker could be called; the sweeper does it later: %s", error)
        return False
    return True
