"""Blocking work that is sent while it is done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor

# Of their own: a storage that is slow must not hold what else works in threads.
_THREADS = ThreadPoolExecutor(16, thread_name_prefix="files")


async def in_file_thread[T](work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)


async def from_thread(parts: Generator[bytes]) -> AsyncGenerator[bytes]:
    """What the generator yields. It is closed however this ends, once the step that is being made is made."""
    turn = threading.Lock()

    def step() -> bytes | None:
        with turn:
            return next(parts, None)

    def close() -> None:
        with turn:
            parts.close()

    try:
        while (part := await in_file_thread(step)) is not None:
            yield part
    finally:
        # Whoever leaves does not wait for a storage that is slow.
        _THREADS.submit(close)
