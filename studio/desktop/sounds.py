"""The desktop application's audio folder, as it lies on the disk or in a zip: found by the ends of the paths that its
database names, which are those of another machine and are never opened themselves."""

from __future__ import annotations

import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from django.utils.translation import gettext as _

from providers.errors import BadAudio
from studio.desktop.database import DesktopUnreadable

MOST_FILES = 200_000
# Of one recording, and of all that a zip unpacks to.
MOST_FILE_BYTES, MOST_UNPACKED = 100 * 1024 * 1024, 8 * 1024**3
# Only a bomb shrinks more than this.
_MOST_RATIO, _RATIO_COUNTS_FROM = 200, 1024 * 1024
# The directory's end and the longest comment behind it; and what the directory of the most files may take.
_TAIL_BYTES, _MOST_DIRECTORY_BYTES = 22 + 65_535, 64 * 1024 * 1024
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Sounds(ABC):
    """What there is of the folder. `find` answers with what `read` and `size` take."""

    def __init__(self, names: Iterable[str]) -> None:
        self._places = defaultdict[str, list[tuple[str, ...]]](list)
        self._names: dict[tuple[str, ...], str] = {}
        for number, name in enumerate(names):
            if number == MOST_FILES:
                raise DesktopUnreadable(_("The audio folder holds more than %d files.") % MOST_FILES)
            parts = _parts(name)
            if parts:
                self._places[parts[-1]].append(parts)
                self._names[parts] = name

    def find(self, path: str) -> str | None:
        """Of the files that are called so, the one whose folders are most alike; None where that is not one alone."""
        wanted = _parts(path)
        alike = sorted((_shared(wanted, parts), parts) for parts in self._places.get("".join(wanted[-1:]), ()))
        if not alike:
            return None
        most, parts = alike[-1]
        alone = len(alike) == 1 or alike[-2][0] < most
        # The name alone says little, unless the file lies at the top of what was given.
        return self._names[parts] if alone and most >= min(2, len(parts)) else None

    @abstractmethod
    def size(self, name: str) -> int: ...

    @abstractmethod
    def _opened(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """BadAudio where it can't be read."""

    def head(self, name: str) -> bytes:
        """The first bytes. BadAudio."""
        with self._opened(name) as file:
            return file.read(64)

    def read(self, name: str) -> bytes:
        """All of it. BadAudio, also where it is too large."""
        with self._opened(name) as file:
            content = file.read(MOST_FILE_BYTES + 1)
        if len(content) > MOST_FILE_BYTES:
            raise BadAudio(_("The file is larger than %d MB.") % (MOST_FILE_BYTES // 1024**2))
        return content


class FolderSounds(Sounds):
    """Without a folder there is nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder or Path()
        super().__init__(_files(folder) if folder else ())

    def size(self, name: str) -> int:
        return (self._folder / name).stat().st_size

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with open(self._folder / name, "rb") as file:
                yield file
        except OSError as error:
            raise BadAudio(_("The file can't be read: %s.") % error.strerror) from error


class ZipSounds(Sounds):
    """Nothing is unpacked to the disk."""

    def __init__(self, file: IO[bytes]) -> None:
        _check_directory(file)
        try:
            self._archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DesktopUnreadable(_("The audio is no zip file, or a damaged one.")) from error
        entries = [entry for entry in self._archive.infolist() if not entry.is_dir()]
        if sum(entry.file_size for entry in entries) > MOST_UNPACKED:
            raise DesktopUnreadable(_("Unpacked, the audio is larger than %d GB.") % (MOST_UNPACKED // 1024**3))
        self._entries = {entry.filename: entry for entry in entries if _is_sound(entry)}
        super().__init__(self._entries)

    def size(self, name: str) -> int:
        return self._entries[name].file_size

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        try:
            with self._archive.open(self._entries[name]) as file:
                yield file
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise BadAudio(_("The file is damaged in the zip.")) from error


def _check_directory(file: IO[bytes]) -> None:
    """A zip ends with a record that tells how long its directory is; a long one would be read in whole."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _TAIL_BYTES, 0))
    tail = file.read(_TAIL_BYTES)
    at = tail.rfind(b"PK\x05\x06")
    length = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    # The greatest length stands for one that is told elsewhere, by a zip of 4 GB and more.
    if length > _MOST_DIRECTORY_BYTES:
        raise DesktopUnreadable(_("The audio folder holds more than %d files.") % MOST_FILES)


def _files(folder: Path) -> Iterator[str]:
    """Links are not followed: what they lead to was not given."""
    for place, _folders, names in os.walk(folder, followlinks=False):
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def _is_sound(entry: zipfile.ZipInfo) -> bool:
    bomb = entry.file_size > max(_RATIO_COUNTS_FROM, _MOST_RATIO * entry.compress_size)
    return not bomb and entry.compress_type in _PACKED and not entry.flag_bits & 1


def _parts(path: str) -> tuple[str, ...]:
    """Of a path of any system, without regard to case."""
    return tuple(
        part for part in PurePosixPath(path.replace("\\", "/").casefold()).parts if part not in ("/", ".", "..")
    )


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many names at their ends are the same."""
    count = 0
    for mine, theirs in zip(reversed(one), reversed(other), strict=False):
        if mine != theirs:
            break
        count += 1
    return count
