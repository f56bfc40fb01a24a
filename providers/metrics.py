"""This process's figures for Prometheus: counted where things happen, read at /metrics.

Labels are bounded: names of providers, endpoints and outcomes; never a text, a voice or a person. What is known only at
the moment of a scrape, such as the length of the queue, is not kept here.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from functools import lru_cache
from types import TracebackType
from typing import Literal, Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from providers.errors import SpeechError

# When a figure began says nothing that the process's own start does not, and would be a third of all lines.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

LAG_SECONDS = 0.5
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 300)
_LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_FACTORS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5)
# Whoever asked went away.
LEFT = "left"


# Where it is set, each process counts in a file of its own in that folder; the name is of prometheus_client.
SHARED = "PROMETHEUS_MULTIPROC_DIR"


def _counter(name: str, told: str, *labels: str) -> Counter:
    return Counter(f"neiroha_{name}", told, labels, registry=REGISTRY)


def _gauge(name: str, told: str, together: Literal["sum", "mostrecent"]) -> Gauge:
    return Gauge(f"neiroha_{name}", told, registry=REGISTRY, multiprocess_mode=together)


def _histogram(name: str, told: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
    return Histogram(f"neiroha_{name}", told, labels, registry=REGISTRY, buckets=buckets)


requests = _counter("http_requests", "Requests that have ended; 499: the client left before.", "endpoint", "status")
request_seconds = _histogram("http_request_seconds", "From a request's head to the end of its answer.", "endpoint")
first_byte_seconds = _histogram(
    "http_first_byte_seconds", "From a request's head to its answer's first byte.", "endpoint"
)
requests_in_progress = _gauge("http_requests_in_progress", "Requests being answered.", "sum")

queue_wait_seconds = _histogram(
    "queue_wait_seconds", "What got a place at the provider had waited so long.", "provider", "priority"
)
queue_refusals = _counter("queue_refusals", "What got no place, by error code.", "provider", "code")
upstream_calls = _counter(
    "upstream_calls", "Calls that have ended: ok, left (the caller went away) or an error code.", "provider", "outcome"
)
upstream_first_byte_seconds = _histogram(
    "upstream_first_byte_seconds", "From a call to the begin of its answer.", "provider"
)
upstream_seconds = _histogram("upstream_seconds", "From a call to the end of its answer.", "provider")
characters = _counter("characters", "Characters of text that the provider has spoken.", "provider")
audio_seconds = _counter("audio_seconds", "Seconds of sound, where its length is known.", "provider")
real_time_factor = _histogram(
    "real_time_factor", "Seconds of work for each second of sound.", "provider", buckets=_FACTORS
)
transcode_seconds = _histogram("transcode_seconds", "Conversion of one answer, or of one piece of it.")
takes_ended = _counter("takes_ended", "Takes that this process ended, by state.", "state")
cache_requests = _counter(
    "cache_requests", "Speech looked for in the cache: hit, miss or shared (with one that was asked for).", "outcome"
)
cache_bytes = _gauge("cache_bytes", "What the speech cache holds.", "mostrecent")
event_loop_lag_seconds = _histogram(
    "event_loop_lag_seconds", "How much later than asked the event loop wakes a task.", buckets=_LAGS
)


def collect() -> Iterator[Metric]:
    """What this process has counted; where figures are shared, what all have that share them, ended ones too."""
    if folder := os.environ.get(SHARED):
        yield from MultiProcessCollector(None, folder).collect()  # type: ignore[no-untyped-call]
    else:
        yield from REGISTRY.collect()


# Looking a figure up by its labels takes longer than counting; the bound is only there to be one.
@lru_cache(maxsize=4096)
def counter(of: Counter, *labels: str) -> Counter:
    """The one of `of` with these labels."""
    return of.labels(*labels)


@lru_cache(maxsize=4096)
def histogram(of: Histogram, *labels: str) -> Histogram:
    """The one of `of` with these labels."""
    return of.labels(*labels)


def note_speech(provider: str, inference: float | None, audio: float | None) -> None:
    """Speech that was delivered to its end; seconds, None where unknown."""
    if audio:
        counter(audio_seconds, provider).inc(audio)
        if inference is not None:
            histogram(real_time_factor, provider).observe(inference / audio)


class UpstreamCall:
    """One call to a provider, counted by its outcome when the block ends."""

    __slots__ = ("_characters", "_provider", "_started")

    def __init__(self, provider: str, characters: int) -> None:
        self._provider, self._characters = provider, characters

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        return self

    def begun(self) -> None:
        """The answer has begun."""
        histogram(upstream_first_byte_seconds, self._provider).observe(time.monotonic() - self._started)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        counter(upstream_calls, self._provider, outcome(error)).inc()
        if error is None:
            histogram(upstream_seconds, self._provider).observe(time.monotonic() - self._started)
            counter(characters, self._provider).inc(self._characters)


def outcome(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    if isinstance(error, SpeechError):
        return error.code
    return "internal_error" if isinstance(error, Exception) else LEFT


async def watch_loop() -> None:
    """Measure the running loop's lag, until cancelled."""
    while True:
        asked = time.monotonic() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        event_loop_lag_seconds.observe(max(time.monotonic() - asked, 0.0))
