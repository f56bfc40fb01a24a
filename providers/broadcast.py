"""Telling all processes something: through the channel layer, which is Redis's where there are several of them.

Groups that live pages join are told of their changes; a message that could not be sent is sent again once it can be,
and then once more: who listened on a connection that broke may have missed it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings

from providers.engine import serving_loops

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
# A message is kept for so many tries; what it tells of is looked at by itself, now and then.
TRIES = 600
# By then whoever listens is connected again.
SETTLE_SECONDS = 3.0


async def send(group: str, message: Mapping[str, Any]) -> None:
    """To all of a group; returns once that was done, or was tried for long enough."""
    for tried in range(TRIES):
        try:
            await _layer().group_send(group, dict(message))
        except Exception:
            # What the layer's service raises is the layer's own affair.
            if not tried:
                logger.exception("Live pages can't be told of changes; it is tried again.")
            await asyncio.sleep(RETRY_SECONDS)
            continue
        if tried:
            await asyncio.sleep(SETTLE_SECONDS)
            await _once(group, message)
        return


def send_from_thread(group: str, message: Mapping[str, Any]) -> None:
    """The same, without waiting where a server runs in this process; elsewhere it is tried once, where there is a
    Redis, and nobody listens without."""
    loops = serving_loops()
    # One of them reaches all through Redis.
    for loop in loops[:1] if settings.REDIS_URL else loops:
        asyncio.run_coroutine_threadsafe(send(group, message), loop)
    if not loops and settings.REDIS_URL:
        async_to_sync(_once)(group, message)


async def _once(group: str, message: Mapping[str, Any]) -> None:
    try:
        await _layer().group_send(group, dict(message))
    except Exception:
        logger.exception("Live pages could not be told of a change.")


def _layer() -> Any:
    return get_channel_layer()
