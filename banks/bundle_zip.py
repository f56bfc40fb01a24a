"""Reading a zip that may be hostile: nothing is unpacked to disk, and every size is known before a byte is read."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from banks.bundle import MANIFEST, Bundle, read_manifest

BUNDLE_BYTES = 100 * 1024**2
MAX_FILES = 2500
MAX_UNPACKED = 200 * 1024**2
# Recordings and pictures are packed as they are; only a bomb shrinks more than this.
MAX_RATIO, _RATIO_COUNTS_FROM = 100, 1024**2
_LARGEST = {MANIFEST: 8 * 1024**2, "references": 100 * 1024**2, "avatars": 5 * 1024**2}
_NAMES = re.compile(r"(?:(references)/[\w-]{1,60}\.(?:flac|wav)|(avatars)/[\w-]{1,60}\.webp)", re.ASCII)
_END_BYTES, _LOCATOR_BYTES = 22, 20
# Of the directory, which would be read in whole: what so many files of ours can take.
_MAX_DIRECTORY_BYTES = MAX_FILES * 256


class BundleFile:
    """An opened bundle. Its files are those that the manifest names, no more and no less."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = _members(archive)
        if MANIFEST not in self._members:
            raise ValidationError(_("This is not an exported bank: it has no %s.") % MANIFEST)
        self.bundle: Bundle = read_manifest(self.read(MANIFEST))
        self._check_files()

    def read(self, name: str) -> bytes:
        with _translated():
            return self._archive.read(self._members[name])

    def _check_files(self) -> None:
        named = self.bundle.files
        for name in named:
            if name not in self._members:
                raise ValidationError(_("The file %s is missing in it.") % name[:100])
        if len(set(named)) != len(named) or {MANIFEST, *named} != set(self._members):
            raise ValidationError(_("It holds files that no character uses."))


@contextmanager
def opened_bundle(file: IO[bytes]) -> Iterator[BundleFile]:
    """ValidationError for everything that is not an exported bank."""
    _check_end(file)
    with _translated():
        archive = zipfile.ZipFile(file)
    with archive:
        yield BundleFile(archive)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ValidationError(_("This is not a zip file, or it is damaged.")) from error


def _check_end(file: IO[bytes]) -> None:
    """A zip ends with a record that tells how long its directory is; a long one would be read in whole."""
    size = file.seek(0, 2)
    file.seek(max(size - _END_BYTES - _LOCATOR_BYTES, 0))
    tail = file.read()
    end = tail[-_END_BYTES:]
    if size < _END_BYTES or end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise ValidationError(_("This is not a zip file, or it is damaged."))
    if tail[:4] == b"PK\x06\x07" or int.from_bytes(end[12:16], "little") > _MAX_DIRECTORY_BYTES:
        raise ValidationError(_("It holds more than %d files.") % MAX_FILES)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    entries = archive.infolist()
    if len(entries) > MAX_FILES:
        raise ValidationError(_("It holds more than %d files.") % MAX_FILES)
    for entry in entries:
        if entry.orig_filename in members:
            raise ValidationError(_("It holds %s twice.") % entry.orig_filename[:100])
        _check_entry(entry)
        members[entry.orig_filename] = entry
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
        raise ValidationError(_("Unpacked, it is larger than %d MB.") % (MAX_UNPACKED // 1024**2))
    return members


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    match = _NAMES.fullmatch(name)
    if name != MANIFEST and match is None:
        shown = name[:100].encode("utf-8", "replace").decode()
        raise ValidationError(_("The file “%s” does not belong into an exported bank.") % shown)
    largest = _LARGEST[(match[1] or match[2]) if match else MANIFEST]
    if entry.file_size > largest:
        raise ValidationError(
            _("The file %(name)s is larger than %(limit)d MB.") % {"name": name, "limit": largest // 1024**2}
        )
    if entry.file_size > max(_RATIO_COUNTS_FROM, MAX_RATIO * entry.compress_size):
        raise ValidationError(_("The file %s is packed more tightly than any recording can be.") % name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & 1:
        raise ValidationError(_("The file %s is encrypted or packed in a way that is not read here.") % name)
