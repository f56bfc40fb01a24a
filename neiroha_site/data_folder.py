"""One server for each data folder, unless all of them share their work through Redis: a server alone keeps its queue
and its throttles in memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from django.core.management.base import CommandError

LOCK_NAME, START_LOCK_NAME = "server.lock", "start.lock"


class DataFolderLock:
    """Held from entering to leaving; the system gives it back when the process dies, however that happens.

    Any number hold it `shared`, or one alone. CommandError when the folder can't be written to, or while others hold
    its lock in a way that this one can't be beside.
    """

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self.folder, self.shared = folder, shared
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        file = self._open()
        try:
            _lock(file.fileno(), shared=self.shared)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            owner = file.read(20).strip()
            file.close()
            named = f" (process {owner})" if owner.isdigit() else ""
            raise CommandError(
                f"Another Neiroha server{named} runs on the data folder {self.folder}."
                " Stop it, give this one a folder of its own with NEIROHA_DATA_DIR, or let both share their work"
                " through NEIROHA_REDIS_URL."
            ) from error
        except OSError as error:
            file.close()
            raise CommandError(f"The data folder {self.folder} can't be locked: {error.strerror}.") from error
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> IO[str]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return open(self.folder / LOCK_NAME, "a+", encoding="ascii", opener=_open_for_owner)
        except OSError as error:
            raise CommandError(
                f"Can't write to the data folder {self.folder}: {error.strerror}."
                " Set NEIROHA_DATA_DIR to a folder that this user may write to."
            ) from error


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Waits for whoever else is between entering and leaving."""
    with open(folder / START_LOCK_NAME, "a+", encoding="ascii", opener=_open_for_owner) as file:
        _wait_for(file.fileno())
        yield


def _open_for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, shared: bool) -> None:
        # Windows knows no shared lock of this kind: those who share don't hold any.
        if not shared:
            # A byte far behind the text: Windows lets nobody read what is locked.
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _wait_for(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def _wait_for(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
