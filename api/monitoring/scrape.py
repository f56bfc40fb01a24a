"""What Prometheus reads of one process: what was counted, and what is so at this moment."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from providers import metrics
from providers.engine import current_engine, serving_loops
from providers.queue import Priority, QueueSnapshot
from studio.models import Take, TakeState

logger = logging.getLogger(__name__)

# Counting takes reads an index to its end: not more often than this, however often it is asked for.
COUNT_SECONDS = 5.0
LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 2.0
WEB, WORKER = "web", "worker"

type Takes = Mapping[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Exposition:
    content: bytes
    content_type: str


def scrape(process: str, accept: str = "") -> Exposition:
    """In a thread that may use the database. `process` is WEB or WORKER, `accept` what whoever asks understands."""
    moment = _Moment(process, _snapshots(), _counts.get())
    if "application/openmetrics-text" in accept:
        return Exposition(openmetrics.generate_latest(moment), openmetrics.CONTENT_TYPE_LATEST)  # type: ignore[no-untyped-call]
    return Exposition(generate_latest(moment), CONTENT_TYPE_PLAIN_0_0_4)


def _snapshots() -> list[QueueSnapshot]:
    """Of the queues of this process; a loop that does not come to answer is left out."""

    async def look() -> QueueSnapshot:
        return await current_engine().queue.snapshot()

    asked = [asyncio.run_coroutine_threadsafe(look(), loop) for loop in serving_loops()]
    found = []
    for future in asked:
        try:
            found.append(future.result(LOOK_SECONDS))
        except TimeoutError:
            future.cancel()
    return found


class _Counts:
    """How many takes are in which state and of which priority; None where the database does not say, or not yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._takes: Takes | None = None

    def get(self) -> Takes | None:
        # While one scrape waits for a database that hangs, the others do without.
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            return None
        try:
            if time.monotonic() - self._at > COUNT_SECONDS:
                self._takes, self._at = _count(), time.monotonic()
            return self._takes
        finally:
            self._lock.release()

    def forget(self) -> None:
        self._at = float("-inf")


def _count() -> Takes | None:
    try:
        rows = Take.objects.order_by().values_list("state", "priority").annotate(Count("pk"))
        return {(state, priority): count for state, priority, count in rows}
    except DatabaseError:
        logger.exception("Takes could not be counted.")
        return None


_counts = _Counts()


class _Moment(Collector):
    """All figures, each with the label `process`."""

    def __init__(self, process: str, snapshots: list[QueueSnapshot], takes: Takes | None) -> None:
        self._process, self._snapshots, self._takes = process, snapshots, takes

    def collect(self) -> Iterator[Metric]:
        for metric in (*metrics.collect(), *self._now()):
            metric.samples = [
                sample._replace(labels={**sample.labels, "process": self._process}) for sample in metric.samples
            ]
            yield metric

    def _now(self) -> Iterator[Metric]:
        yield from _queue(self._snapshots)
        yield _gauge("database_up", "Whether the database answered.", {(): float(self._takes is not None)})
        if self._takes is not None:
            values: dict[tuple[str, ...], float] = {
                (state.value, priority.name.lower()): self._takes.get((state.value, priority.value), 0)
                for state, priority in product(TakeState, Priority)
            }
            told = "Takes in the database, of all processes."
            yield _gauge("takes", told, values, "state", "priority")
        threads = float(threading.active_count())
        yield _gauge("threads", "Python threads of this process.", {(): threads})
        about = {"version": settings.VERSION, "pid": str(os.getpid()), "host": socket.gethostname()}
        yield InfoMetricFamily("neiroha_process", "The process that answers.", value=about)


def _queue(snapshots: list[QueueSnapshot]) -> Iterator[Metric]:
    running, waiting, resting = Counter[tuple[str, ...]](), Counter[tuple[str, ...]](), dict[tuple[str, ...], float]()
    for snapshot in snapshots:
        running.update((ticket.provider.name, ticket.priority.name.lower()) for ticket in snapshot.running)
        tickets = [one.ticket for one in snapshot.waiting]
        waiting.update((ticket.provider.name, ticket.priority.name.lower()) for ticket in tickets)
        resting |= {(one.provider.name,): one.seconds for one in snapshot.resting}
    labels = ("provider", "priority")
    yield _gauge("queue_running", "Calls that have a place at their provider.", running, *labels)
    yield _gauge("queue_waiting", "Calls that wait for a place.", waiting, *labels)
    told = "Seconds for which the provider is left alone; absent while it is not."
    yield _gauge("provider_resting_seconds", told, resting, "provider")


def _gauge(name: str, told: str, values: Mapping[tuple[str, ...], float], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"neiroha_{name}", told, labels=labels)
    for named, value in values.items():
        family.add_metric(named, value)
    return family
