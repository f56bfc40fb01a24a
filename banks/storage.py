"""Where files live: in the data folder, or in a bucket of an S3-compatible service, as the settings say. Neither has a
public address; views that check rights serve them. Each file is there whole or not at all, and never changes.

What goes wrong is an OSError, FileNotFoundError where there is no such file. `storage_errors` makes it one of ours:

StorageError              500  the base; never raised itself
├── StorageFull           507  the disk or the bucket, or what this server may use of it, is full
└── StorageFailed         500  the file can't be written or read for another reason
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, cast

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage, default_storage
from django.utils import timezone
from django.utils._os import safe_join

from providers.errors import SpeechError
from providers.whole_files import PART, whole_file

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StorageError(SpeechError):
    pass


class StorageFull(StorageError):
    status = 507
    code = "storage_full"


class StorageFailed(StorageError):
    code = "storage_failed"


class StorageUnavailable(OSError):
    """A storage that is not on this machine says no, or nothing: `strerror` says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """`name` as the row has it; `size` is bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    modified: datetime


class Reader(Protocol):
    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many; none at the end. OSError, also where the end comes too early."""

    def close(self) -> None: ...


class PrivateFiles(Storage, ABC):
    """What a storage of ours does beyond Django's. All of it blocks, and raises OSError."""

    @abstractmethod
    def find(self, name: str) -> StoredFile | None: ...

    @abstractmethod
    def reader(self, name: str, start: int = 0) -> Reader:
        """From the byte at `start` on; to be closed."""

    @abstractmethod
    def put(self, name: str, content: bytes) -> None: ...

    @abstractmethod
    def making(self, name: str) -> AbstractContextManager[Path]:
        """A path on this machine to write a new file to; when the block ends well, it is in the storage."""

    @abstractmethod
    def adopting(self, name: str, path: Path) -> AbstractContextManager[Callable[[], None]]:
        """Take over a finished file. What takes long is done before the block, which calls what it gets once it is
        sure; where it fails before, the file stays at `path`."""

    @abstractmethod
    def local_copies(
        self, files: Sequence[StoredFile], go_on: Callable[[], None] = lambda: None
    ) -> AbstractContextManager[dict[str, Path]]:
        """By name, a path on this machine to read each from, for as long as the block lasts; a missing file's leads
        nowhere. `go_on` is called now and then, and may raise."""

    @abstractmethod
    def entries(self, folder: str) -> Iterator[Entry]: ...

    @abstractmethod
    def room(self) -> int | None:
        """How many bytes more it holds; None where nobody knows."""

    @abstractmethod
    def remove_unfinished(self, age: timedelta) -> int:
        """What processes that died left half written, and nothing was added to for so long; how much there was."""

    def prove(self) -> None:
        """Write, find, read, list and remove a small file."""
        name = f"probe/{secrets.token_hex(16)}"
        self.put(name, b"probe")
        try:
            if self.find(name) is None or not list(self.entries("probe")):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
            with closing(self.reader(name)) as reader:
                reader.read(16)
        finally:
            self.delete(name)

    def remove_older(self, folder: str, age: timedelta) -> None:
        before = timezone.now() - age
        for entry in self.entries(folder):
            if entry.modified < before:
                self.delete(entry.name)

    @contextmanager
    def local_copy(self, name: str, go_on: Callable[[], None] = lambda: None) -> Iterator[Path]:
        """FileNotFoundError."""
        found = self.find(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        with self.local_copies([found], go_on) as paths:
            yield paths[name]

    def url(self, name: str | None) -> str:
        raise ValueError("Files have no public address.")


class LocalFiles(PrivateFiles, FileSystemStorage):
    """In the data folder, which several web processes have to share."""

    @property
    def root(self) -> Path:
        return Path(settings.DATA_DIR) / "files"

    def path(self, name: str) -> str:
        return safe_join(str(self.root), name)

    def find(self, name: str) -> StoredFile | None:
        path = Path(self.path(name))
        return StoredFile(name, path.stat().st_size) if path.is_file() else None

    def reader(self, name: str, start: int = 0) -> Reader:
        path = Path(self.path(name))
        file = path.open("rb")
        file.seek(start)
        return file

    def put(self, name: str, content: bytes) -> None:
        with whole_file(self._place(name)) as file:
            file.write(content)

    def _save(self, name: str, content: File[Any]) -> str:
        with whole_file(self._place(name)) as file:
            for chunk in content.chunks():
                file.write(chunk)
        return name

    @contextmanager
    def making(self, name: str) -> Iterator[Path]:
        place = self._place(name)
        part = place.with_name(place.name + PART)
        try:
            yield part
            _write_through(part)
            part.replace(place)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    @contextmanager
    def adopting(self, name: str, path: Path) -> Iterator[Callable[[], None]]:
        place = self._place(name)
        _write_through(path)

        def move() -> None:
            path.replace(place)

        yield move

    @contextmanager
    def local_copies(
        self, files: Sequence[StoredFile], go_on: Callable[[], None] = lambda: None
    ) -> Iterator[dict[str, Path]]:
        yield {file.name: Path(self.path(file.name)) for file in files}

    def entries(self, folder: str) -> Iterator[Entry]:
        place = Path(self.path(folder))
        for path in place.iterdir() if place.is_dir() else ():
            try:
                modified = path.stat().st_mtime
            except FileNotFoundError:
                continue
            yield Entry(f"{folder}/{path.name}", datetime.fromtimestamp(modified, UTC))

    def room(self) -> int:
        return shutil.disk_usage(next(one for one in _upwards(self.root) if one.exists())).free

    def remove_unfinished(self, age: timedelta) -> int:
        before = (timezone.now() - age).timestamp()
        parts = [path for path in self.root.glob(f"*/*{PART}") if path.stat().st_mtime <= before]
        for path in parts:
            path.unlink(missing_ok=True)
        return len(parts)

    def _place(self, name: str) -> Path:
        path = Path(self.path(name))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


def private_storage() -> PrivateFiles:
    """As `STORAGES` says, now."""
    return cast(PrivateFiles, default_storage)


def pieces_storage() -> LocalFiles:
    """For files that come in pieces: on this machine until they are whole."""
    return LocalFiles()


@contextmanager
def storage_errors() -> Iterator[None]:
    """What a storage says of a file that it can't write or read becomes one of ours."""
    try:
        yield
    except OSError as error:
        raise translated(error) from error


def translated(error: OSError) -> StorageError:
    full, remote = error.errno in _FULL, isinstance(error, StorageUnavailable)
    if remote:
        problem = f"The server's file storage {error.strerror}"
        return StorageFull(f"{problem}: make room in it, then try again.") if full else StorageFailed(f"{problem}.")
    if full:
        return StorageFull("The server's disk is full: make room on it, then try again.")
    return StorageFailed(f"The server can't write to its data folder: {error.strerror}. Tell its administrator.")


def _write_through(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _upwards(path: Path) -> Iterator[Path]:
    yield path
    yield from path.parents
