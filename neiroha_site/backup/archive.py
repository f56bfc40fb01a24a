"""The file of a backup: a gzipped tar of plain files in a fixed order, written and read as a stream.

backup.json                        what it is: `Contents`
secrets/field_keys, secrets/secret_key
database/APP.MODEL/NUMBER.jsonl    rows, one a line, in the order of their keys
files/...                          what the private storage holds, in the order of their names
end.json                           how much of it there is; what lacks it was cut off
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Protocol, Self

from django.core.management.base import CommandError

FORMAT = 1
MANIFEST, END = "backup.json", "end.json"
SECRETS, DATABASE, FILES = "secrets", "database", "files"
_BLOCK = tarfile.BLOCKSIZE
_READ_BYTES = 256 * 1024
# Sound does not shrink, and rows do so at once.
_LEVEL = 1
_LONGEST_NAME = tarfile.LENGTH_NAME
_NAMES = re.compile(
    r"(?:backup|end)\.json|secrets/(?:secret_key|field_keys)|database/[a-z_]+\.\w+/\d{6}\.jsonl"
    r"|files(?:/[A-Za-z0-9_][A-Za-z0-9_. -]*)+",
    re.ASCII,
)
# A part of a table is not much more than a mebibyte; one row alone may be.
_LARGEST = {MANIFEST: 1 << 20, END: 1 << 20, SECRETS: 1 << 16, DATABASE: 64 << 20}
_ORDER = (MANIFEST, SECRETS, DATABASE, FILES, END)


class ArchiveUnreadable(CommandError):
    """It is no backup, or it was cut off, damaged or made up."""


@dataclass(frozen=True, slots=True)
class Contents:
    """`migrations`: those that were applied, as APP.NAME; `tables`: the columns of each, by its label."""

    format: int
    version: str
    made_at: str
    migrations: list[str]
    tables: dict[str, list[str]]

    @classmethod
    def read(cls, content: bytes) -> Self:
        told = parsed(content)
        try:
            made = cls(**told)
            strings = [made.version, made.made_at, *made.migrations, *made.tables, *sum(made.tables.values(), [])]
        except (TypeError, AttributeError) as error:
            raise ArchiveUnreadable("The backup does not say what it holds.") from error
        if not isinstance(made.format, int) or not all(isinstance(each, str) for each in strings):
            raise ArchiveUnreadable("The backup does not say what it holds.")
        return made

    def as_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()


@dataclass(slots=True)
class Amount:
    """How much an archive holds. `size` is in bytes, of rows and files together."""

    rows: int = 0
    files: int = 0
    size: int = 0


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Writer:
    """To be written from the first part to the last, in their order, and closed."""

    def __init__(self, file: BinaryIO) -> None:
        self._packed = gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0)
        self.amount = Amount()

    def add(self, name: str, content: bytes) -> None:
        self._head(name, len(content))
        self._packed.write(content)
        self._pad(len(content))

    def add_rows(self, name: str, rows: list[bytes]) -> None:
        content = b"".join(rows)
        self.add(name, content)
        self.amount.rows += len(rows)
        self.amount.size += len(content)

    def add_file(self, name: str, size: int, file: _Readable) -> None:
        """Its first `size` bytes: it may grow meanwhile."""
        self._head(name, size)
        left = size
        while left:
            chunk = file.read(min(left, _READ_BYTES))
            if not chunk:
                raise CommandError(f"The file {name} became shorter while it was read: try again.")
            self._packed.write(chunk)
            left -= len(chunk)
        self._pad(size)
        self.amount.files += 1
        self.amount.size += size

    def end(self) -> None:
        self.add(END, json.dumps(asdict(self.amount)).encode())
        self._packed.write(bytes(2 * _BLOCK))

    def close(self) -> None:
        self._packed.close()

    def _head(self, name: str, size: int) -> None:
        if not _NAMES.fullmatch(name) or len(name) > _LONGEST_NAME:
            raise CommandError(f"A file with the name {name!r} can't be kept in a backup: rename or remove it.")
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        self._packed.write(info.tobuf(tarfile.GNU_FORMAT))

    def _pad(self, size: int) -> None:
        self._packed.write(bytes(-size % _BLOCK))


class Part(io.RawIOBase):
    """A file in the archive, to be read before the next one. `kind` is the first word of its name."""

    def __init__(self, name: str, size: int, packed: _Readable) -> None:
        self.name, self.size, self._packed, self._left = name, size, packed, size
        self.kind = name.partition("/")[0]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._left)
        buffer[:wanted] = _exactly(self._packed, wanted)
        self._left -= wanted
        return wanted

    def content(self) -> bytes:
        """All of it, in memory."""
        return self.readall()

    def skip(self) -> None:
        """To its end, and over what fills its last block."""
        while self._left:
            self.read(_READ_BYTES)
        _exactly(self._packed, -self.size % _BLOCK)


def parts(file: BinaryIO) -> Iterator[Part]:
    """All of an archive, each checked in name, kind, size and place. ArchiveUnreadable, also while a part is read."""
    before = ""
    with _translated(), gzip.GzipFile(fileobj=file, mode="rb") as packed:
        while before != END:
            part = _part(packed)
            if not before and part.name != MANIFEST:
                raise ArchiveUnreadable("This is not a backup of Neiroha.")
            if before and _place(part.name) <= _place(before):
                raise ArchiveUnreadable(f"The backup holds {part.name} where it does not belong.")
            before = part.name
            yield part
            part.skip()
        # Only at the very end it is known whether what was read has the right sum.
        if _exactly(packed, 2 * _BLOCK) != bytes(2 * _BLOCK) or packed.read(1):
            raise ArchiveUnreadable("The backup goes on behind its end.")


def parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArchiveUnreadable("The backup holds something that is not JSON.") from error


def _place(name: str) -> tuple[int, str]:
    return _ORDER.index(name.partition("/")[0]), name


def _part(packed: _Readable) -> Part:
    try:
        info = tarfile.TarInfo.frombuf(_exactly(packed, _BLOCK), "ascii", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise ArchiveUnreadable("The backup is damaged.") from error
    name = info.name
    if info.type != tarfile.REGTYPE or not _NAMES.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise ArchiveUnreadable(f"The backup holds {name[:100]!r}, which does not belong into one.")
    part = Part(name, info.size, packed)
    if not 0 <= info.size <= _LARGEST.get(part.kind, info.size):
        raise ArchiveUnreadable(f"In the backup, {name} is larger than it can be.")
    return part


def _exactly(packed: _Readable, size: int) -> bytes:
    """So many bytes, no fewer."""
    with _translated():
        content = packed.read(size)
    if len(content) != size:
        raise ArchiveUnreadable("The backup is not whole: it ends too early.")
    return content


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        raise ArchiveUnreadable("The backup is not whole: it ends too early.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ArchiveUnreadable("This is not a backup of Neiroha, or it is damaged.") from error
