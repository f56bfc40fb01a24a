"""What workers do."""

from __future__ import annotations

from typing import Any

from celery import signals
from django.core.cache import cache

from neiroha_site import working
from neiroha_site.celery import CLEAR_AWAY, CLEAR_AWAY_SECONDS, SWEEP, app
from neiroha_site.memory import share_heaps
from neiroha_site.supervising import end_with_parent
from neiroha_site.tracing import start_tracing
from studio import drivers, housekeeping

# Of those that are due on every machine one is enough.
ONCE_SECONDS = int(CLEAR_AWAY_SECONDS / 2)


@app.task(name=drivers.NAME)  # type: ignore[untyped-decorator]
def speak() -> None:
    working.drive()


@app.task(name=SWEEP)  # type: ignore[untyped-decorator]
def sweep() -> None:
    housekeeping.put_back_lapsed()
    if housekeeping.any_waiting():
        drivers.call()


@app.task(name=CLEAR_AWAY)  # type: ignore[untyped-decorator]
def clear_away() -> None:
    if cache.add("cleared-away", True, ONCE_SECONDS):
        housekeeping.sweep()


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def worker_begins(**kwargs: Any) -> None:
    # Its processes are forks, which have what is set here.
    share_heaps()


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def shutting_down(**kwargs: Any) -> None:
    working.ending.set()


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def process_begins(**kwargs: Any) -> None:
    end_with_parent()
    # Here, and not in the process above: what exports traces is a thread, which no fork takes along.
    start_tracing("worker")


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def process_ends(**kwargs: Any) -> None:
    working.close()
