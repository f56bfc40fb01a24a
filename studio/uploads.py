"""Big files that come in pieces: each is on the disk before the next, so that a cut costs no more than one of them.

UploadError               400  the base; never raised itself
├── WrongOffset           409  the piece is not the next one
├── PieceTooLarge         413
└── FileTooLarge          413  the whole is more than anybody may have here
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import PurePath
from typing import Any, Protocol

from django.db import transaction
from django.utils import timezone

from banks.scratch import RESERVE_BYTES
from banks.storage import StorageFull, pieces_storage, private_storage, storage_errors
from providers.audio import FootageInfo, probe_footage
from providers.errors import BadAudio, InvalidRequest
from studio import files
from studio.models import MEGABYTE, Footage, Project, StudioSettings, Upload, video_bytes_used

PIECE_BYTES = 8 * MEGABYTE
# What nobody went on with for so long is given up.
KEPT = timedelta(days=2)
_READ_BYTES = 256 * 1024
_LONGEST_NAME = 255


class UploadError(InvalidRequest):
    pass


class WrongOffset(UploadError):
    status = 409
    code = "wrong_offset"


class PieceTooLarge(UploadError):
    status = 413
    code = "piece_too_large"


class FileTooLarge(UploadError):
    status = 413
    code = "file_too_large"


class Piece(Protocol):
    def read(self, size: int) -> bytes: ...


def begin(project: Project, owner: Any, name: str, size: int) -> Upload:
    """A new one, or the one that this person began with a file of this name and size: then it goes on where it was.
    UploadError, StorageError."""
    name = PurePath(name.replace("\\", "/").replace("\x00", "")).name[-_LONGEST_NAME:]
    if not name:
        raise UploadError("Give the name of the file.", param="name")
    if size < 1:
        raise UploadError("The file is empty.", param="size")
    with transaction.atomic():
        Project.objects.select_for_update().filter(pk=project.pk).first()
        own = project.uploads.filter(owner=owner)
        waiting = own.filter(name=name, size=size).first()
        if waiting and waiting.path.is_file():
            return waiting
        for other in own:
            other.delete()
        _require_room(project, size)
        made = Upload.objects.create(project=project, owner=owner, name=name, size=size)
        with storage_errors():
            made.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            open(made.path, "xb", opener=_private).close()
    return made


def receive(upload: Upload, offset: int, piece: Piece) -> int:
    """Take the next piece, which begins at `offset`; how much is there now. UploadError, StorageError."""
    if offset != upload.received:
        raise _wrong(upload)
    taken = 0
    with storage_errors(), upload.path.open("r+b") as file:
        file.seek(offset)
        while chunk := piece.read(_READ_BYTES):
            taken += len(chunk)
            if taken > PIECE_BYTES:
                raise PieceTooLarge(f"A piece has at most {PIECE_BYTES} bytes.")
            if offset + taken > upload.size:
                raise UploadError(f"The file was said to have {upload.size} bytes, and has more: choose it again.")
            file.write(chunk)
    if not taken:
        raise UploadError("The piece is empty.")
    same = Upload.objects.filter(pk=upload.pk, received=offset)
    if same.update(received=offset + taken, changed_at=timezone.now()) != 1:
        upload.refresh_from_db()
        raise _wrong(upload)
    upload.received = offset + taken
    return upload.received


def finish(upload: Upload) -> Footage:
    """Make a whole file the project's footage, in place of what was. BadAudio where it is none, and then it is gone;
    UploadError, StorageError."""
    if upload.received != upload.size:
        raise _wrong(upload)
    try:
        with storage_errors():
            info = probe_footage(upload.path)
    except BadAudio:
        upload.delete()
        raise
    name = files.new_name(files.FOOTAGE, info.container)
    with storage_errors(), private_storage().adopting(name, upload.path) as settle, transaction.atomic():
        footage = _stored(upload, info, name)
        settle()
        upload.delete()
    return footage


def sweep() -> None:
    for upload in Upload.objects.filter(changed_at__lt=timezone.now() - KEPT):
        upload.delete()


def _stored(upload: Upload, info: FootageInfo, name: str) -> Footage:
    """How it is used stays as it was chosen for the footage before."""
    before = Footage.objects.filter(project=upload.project).first()
    footage = before or Footage(project=upload.project)
    old = footage.file.name
    footage.file.name, footage.name, footage.size = name, upload.name, upload.size
    footage.duration, footage.frame_rate, footage.has_sound = info.duration, info.frame_rate, info.has_sound
    footage.added_at = timezone.now()
    footage.save()
    if old:
        transaction.on_commit(lambda: files.remove(old))
    return footage


def _require_room(project: Project, size: int) -> None:
    quota = StudioSettings.load().video_quota_mb
    if quota and size > quota * MEGABYTE:
        raise FileTooLarge(
            f"The file has {size // MEGABYTE} MB, and all footage of one person may take {quota} MB here: make it"
            " smaller, or let an administrator raise the video quota.",
            param="size",
        )
    if quota and video_bytes_used(project.owner_id, but_for=project) + size > quota * MEGABYTE:
        raise files.video_quota_spent(quota)
    if pieces_storage().room() < size + RESERVE_BYTES:
        raise StorageFull("The server's disk has no room for this file: make room on it, then try again.")


def _wrong(upload: Upload) -> WrongOffset:
    return WrongOffset(f"{upload.received} of {upload.size} bytes are there: go on from there.", param="offset")


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
