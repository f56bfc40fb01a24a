"""How this process deals with memory over a long life."""

from __future__ import annotations

import ctypes
import gc
import os

# A request makes hundreds of objects and hardly a cycle: searches for garbage may be as rare as a few megabytes allow.
YOUNG_OBJECTS = 20_000
HEAPS = 2
# Of glibc's mallopt(3).
_ARENA_MAX = -8


def share_heaps() -> None:
    """Call it before threads are started. Other C libraries than glibc are left as they are.

    By itself glibc makes up to eight heaps a processor, for threads that find the others in use, and each keeps what is
    freed in it: sound is made in many threads, and their heaps grow for hours. Two are enough beside Python's own lock.
    """
    if os.name != "posix" or _set_by_the_user():
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_ARENA_MAX, HEAPS)


def _set_by_the_user() -> bool:
    return "MALLOC_ARENA_MAX" in os.environ or "malloc.arena_max" in os.environ.get("GLIBC_TUNABLES", "")


def keep_what_a_start_made() -> None:
    """It stays until the end: no search for garbage goes through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
