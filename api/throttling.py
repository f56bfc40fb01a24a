from __future__ import annotations

import ipaddress
import threading
import time
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from api import request as api_request
from api.state import KeyFacts

if TYPE_CHECKING:
    from api.shared_windows import SharedWindows

WINDOW_SECONDS = 60.0
# Beyond this many callers, those that were silent for a window are forgotten.
MAX_CALLERS = 10_000
SWEEP_SECONDS = 5.0


class SlidingWindows:
    """Exact sliding windows in memory, one for each caller; for all threads."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}
        self._swept = float("-inf")
        self._lock = threading.Lock()

    def wait(self, caller: str, limit: int, now: float) -> float:
        """0.0 and the request is counted, or the seconds until one would be admitted."""
        with self._lock:
            return self._wait(caller, limit, now)

    def _wait(self, caller: str, limit: int, now: float) -> float:
        times = self._times.get(caller)
        if times is None:
            self._forget(now)
            times = self._times[caller] = deque()
        while times and times[0] <= now - WINDOW_SECONDS:
            times.popleft()
        if len(times) >= limit:
            return times[len(times) - limit] + WINDOW_SECONDS - now
        times.append(now)
        return 0.0

    def clear(self) -> None:
        self._times.clear()

    def _forget(self, now: float) -> None:
        """Sweep now and then; beyond a hard bound the longest known caller makes room."""
        if len(self._times) >= MAX_CALLERS and now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            oldest = now - WINDOW_SECONDS
            self._times = {caller: times for caller, times in self._times.items() if times and times[-1] > oldest}
        if len(self._times) >= 10 * MAX_CALLERS:
            del self._times[next(iter(self._times))]


windows = SlidingWindows()


@lru_cache(maxsize=4096)
def address_group(address: str) -> str:
    """The address itself, or the /64 network of an IPv6 address, which one household owns whole."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


async def seconds_to_wait(key: KeyFacts | None, address: str, limit: int) -> float:
    """0.0 and the request is counted: by the key's own limit, else by `limit` for the address. LimitsUnknown."""
    caller, limit = _counted(key, address, limit)
    if not limit:
        return 0.0
    if settings.REDIS_URL:
        return await _shared().wait(caller, limit)
    return windows.wait(caller, limit, time.monotonic())


def seconds_to_wait_sync(key: KeyFacts | None, address: str, limit: int) -> float:
    """The same, in a thread."""
    caller, limit = _counted(key, address, limit)
    if not limit:
        return 0.0
    if settings.REDIS_URL:
        return _shared().wait_sync(caller, limit)
    return windows.wait(caller, limit, time.monotonic())


async def close_windows() -> None:
    """Give back what the running loop holds."""
    if settings.REDIS_URL:
        await _shared().close()


def _counted(key: KeyFacts | None, address: str, limit: int) -> tuple[str, int]:
    if key is not None and key.rate_limit is not None:
        return f"key {key.id}", key.rate_limit
    return address_group(address), limit


def _shared() -> SharedWindows:
    # A server alone has no use for Redis's client.
    from api.shared_windows import shared_windows

    return shared_windows(WINDOW_SECONDS)


class RequestThrottle(BaseThrottle):
    """Requests per minute: the key's own limit, else the limit per address. Asked on the loop, by `seconds`."""

    async def seconds(self, request: Request) -> float:
        """0.0 and the request is counted, or how long to wait. LimitsUnknown."""
        asked = api_request.of(request)
        key = api_request.caller_key(request)
        return await seconds_to_wait(key, asked.record.address, asked.state.controls.rate_limit)
