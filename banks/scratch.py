"""A place on this machine for what is needed as a file for a while: it goes with the block that asked for it."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from django.conf import settings

# What a disk is never filled beyond.
RESERVE_BYTES = 64 * 1024 * 1024


def place() -> Path:
    return Path(settings.DATA_DIR) / "scratch"


@contextmanager
def scratch_folder(size: int = 0) -> Iterator[Path]:
    """A new folder for its owner only, on a disk that has room for `size` bytes. OSError."""
    _make_room(size)
    with TemporaryDirectory(dir=place()) as folder:
        yield Path(folder)


def scratch_file() -> IO[bytes]:
    """A file without a name, gone when it is closed. OSError."""
    _make_room()
    return TemporaryFile(dir=place())


def _make_room(size: int = 0) -> None:
    place().mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(place()).free < RESERVE_BYTES + size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def remove_left_over(age: timedelta) -> int:
    """What processes that were killed left behind, and nobody has touched for so long; how much there was."""
    before, removed = time.time() - age.total_seconds(), 0
    for folder in place().iterdir() if place().is_dir() else ():
        try:
            left = folder.stat().st_mtime <= before
        except FileNotFoundError:
            continue
        if left:
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed
