"""How this process deals with memory over a long life."""

from __future__ import annotations

import ctypes
import gc
import os

# A request makes hundreds of objects and hardly a cycle: searches for garbage may be as rare as a few megabytes allow.
YOUNG_OBJECTS = 20_000
# glibc's mallopt(3): its parameters, what is set for each, and the variable by which a user sets it instead.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_OPTIONS = (
    (_ARENA_MAX, 2, "MALLOC_ARENA_MAX"),
    (_MMAP_THRESHOLD, 256 * 1024, "MALLOC_MMAP_THRESHOLD_"),
    (_TRIM_THRESHOLD, 1024 * 1024, "MALLOC_TRIM_THRESHOLD_"),
)


def give_freed_memory_back() -> None:
    """Call it before threads are started. Other C libraries than glibc are left as they are.

    By itself glibc has a heap for each thread, and once large blocks were freed it takes the next ones from heaps, too.
    Sound comes in large blocks, made in threads and freed in others: the holes between what stayed then grow for hours.
    """
    if os.name != "posix":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        for parameter, value, variable in _OPTIONS:
            if variable not in os.environ:
                libc.mallopt(parameter, value)


def keep_what_a_start_made() -> None:
    """It stays until the end: no search for garbage goes through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
