"""Many files as one ZIP, made while it is sent: nothing is compressed, and no more than a chunk is held."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from banks.storage import Reader, private_storage
from studio.streaming import from_thread

CHUNK_BYTES = 256 * 1024
MANIFEST = "manifest.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, `stored` as the storage names it or None where there is none, and what the manifest says of it."""

    name: str
    stored: str | None
    at: datetime
    told: dict[str, Any]


def safe_name(index: int, custom_id: str, extension: str) -> str:
    """A name that every system takes, and no other entry has."""
    own = _UNSAFE.sub("_", custom_id).strip("_")
    return f"{index:04d}{'-' if own else ''}{own}.{extension}"


class _Pipe(io.RawIOBase):
    """What a ZIP is written to where nobody can go back in it."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _archive(entries: Sequence[Entry], job: dict[str, Any]) -> Generator[bytes]:
    """The manifest comes last: it tells what was really put in."""
    pipe, items = _Pipe(), list[dict[str, Any]]()
    with ZipFile(pipe, "w", ZIP_STORED) as archive:
        for entry in entries:
            source = _opened(entry.stored)
            items.append({**entry.told, "file": entry.name if source else None})
            if source is None:
                continue
            with closing(source), archive.open(ZipInfo(entry.name, entry.at.timetuple()[:6]), "w") as target:
                while chunk := source.read(CHUNK_BYTES):
                    target.write(chunk)
                    yield pipe.take()
        manifest = json.dumps({"job": job, "items": items}, ensure_ascii=False, indent=2)
        archive.writestr(MANIFEST, manifest)
    yield pipe.take()


def _opened(name: str | None) -> Reader | None:
    """None where the file went meanwhile."""
    try:
        return None if name is None else private_storage().reader(name)
    except FileNotFoundError:
        return None


def zipped(entries: Sequence[Entry], job: dict[str, Any]) -> AsyncGenerator[bytes]:
    return from_thread(_archive(entries, job))
