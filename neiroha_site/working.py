"""A worker's process: one event loop, and one engine on it, which stay warm from slice to slice."""

from __future__ import annotations

import asyncio
import multiprocessing

from api.runtime import watch_configuration
from neiroha_site.serving import loop_factory
from providers import metrics, tracing, versions
from providers.database import close_pools, in_database
from providers.engine import close_engine, current_engine
from studio import slices

# Set by the worker for all of its processes: made before they are.
ending = multiprocessing.Event()
_loop: asyncio.Runner | None = None


def drive() -> None:
    """One slice."""
    global _loop
    if _loop is None:
        _loop = asyncio.Runner(loop_factory=loop_factory())
    _loop.run(_slice())


def close() -> None:
    global _loop
    if _loop is not None:
        _loop.run(close_engine())
        _loop.close()
        _loop = None
    close_pools()
    tracing.stop()


async def _slice() -> None:
    engine = current_engine()
    # What others changed while this process had nothing to do.
    await in_database(versions.poll)
    beside = [asyncio.create_task(each) for each in (engine.ledger.run(), watch_configuration(), metrics.watch_loop())]
    try:
        await slices.drive(engine, ending.is_set)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
