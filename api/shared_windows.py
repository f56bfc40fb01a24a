"""Requests per minute counted in Redis, so that all processes count together: each request is one round trip, and one
step that nobody else comes between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import redis
import redis.retry
from django.conf import settings
from redis.backoff import NoBackoff

from providers.errors import SpeechError
from providers.redis_client import ANSWER_SECONDS, redis_client

PREFIX = "neiroha:requests:"

# The times of a caller's admitted requests, oldest first, in microseconds of Redis's clock: the caller's may differ.
SCRIPT = """
local limit, window, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local first = redis.call('LINDEX', KEYS[1], 0)
while first and tonumber(first) <= now - window do
    redis.call('LPOP', KEYS[1])
    first = redis.call('LINDEX', KEYS[1], 0)
end
local count = redis.call('LLEN', KEYS[1])
if count >= limit then
    return math.max(tonumber(redis.call('LINDEX', KEYS[1], count - limit)) + window - now, 1)
end
redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return 0
"""


class LimitsUnknown(SpeechError):
    """Redis can't be asked: nobody is let in uncounted."""

    status = 503
    code = "limits_unavailable"


class SharedWindows:
    """As `SlidingWindows`, over all processes. LimitsUnknown while Redis is away. `clock` stands in for Redis's."""

    def __init__(self, url: str, window: float, clock: Callable[[], float] | None = None) -> None:
        self._url, self._window, self._clock = url, round(window * 1e6), clock
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()
        """Of each loop: its client and the script as that one calls it."""
        # One more try: an idle connection may have been closed meanwhile.
        self._client_of_threads = redis.Redis.from_url(
            url,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=redis.retry.Retry(NoBackoff(), 1),
        )
        self._script_of_threads = self._client_of_threads.register_script(SCRIPT)

    async def wait(self, caller: str, limit: int) -> float:
        """0.0 and the request is counted, or the seconds until one would be admitted."""
        try:
            return _seconds(await self._script()(keys=[PREFIX + caller], args=self._arguments(limit)))
        except (redis.RedisError, OSError) as error:
            raise _unknown() from error

    def wait_sync(self, caller: str, limit: int) -> float:
        """The same, in a thread."""
        try:
            return _seconds(self._script_of_threads(keys=[PREFIX + caller], args=self._arguments(limit)))
        except (redis.RedisError, OSError) as error:
            raise _unknown() from error

    async def close(self) -> None:
        """Give back what this loop holds."""
        if found := self._clients.pop(asyncio.get_running_loop(), None):
            await found[0].aclose(close_connection_pool=True)

    def _arguments(self, limit: int) -> list[Any]:
        return [limit, self._window, "" if self._clock is None else round(self._clock() * 1e6)]

    def _script(self) -> Any:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            client = redis_client(self._url)
            self._clients[loop] = client, client.register_script(SCRIPT)
        return self._clients[loop][1]


def _seconds(microseconds: Any) -> float:
    return int(microseconds) / 1e6


def _unknown() -> LimitsUnknown:
    return LimitsUnknown("The requests can't be counted, as Redis does not answer: try again soon.", retry_after=2)


@lru_cache(maxsize=2)
def shared_windows(window: float) -> SharedWindows:
    """The process's own."""
    return SharedWindows(settings.REDIS_URL, window)
