"""The files of takes and exports, in the storage; see `banks.storage`.

StorageError              500  that of `banks.storage`
└── QuotaSpent            507  its owner's takes use all that they may
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import batched
from pathlib import Path
from typing import Any

from django.utils import timezone

from banks.recordings import measure_samples
from banks.scratch import RESERVE_BYTES
from banks.storage import (
    Entry,
    PrivateFiles,
    StorageError,
    StoredFile,
    pieces_storage,
    private_storage,
    storage_errors,
    translated,
)
from providers.audio import WAV_HEADER_BYTES, Transcoder, encode, wav_header, wav_sizes_are_true
from providers.speech import PCM_SAMPLE_RATE, AudioFormat

FOLDER, EXPORTS, FOOTAGE, UPLOADS = "takes", "exports", "footage", "uploads"
PICTURES_AND_RECORDINGS = ("references", "avatars", "covers")
# A file that no row names may be one that is just being finished, or that of a long import; after so long it is not.
ORPHAN_AGE, IMPORTED_AGE = timedelta(hours=1), timedelta(days=1)

logger = logging.getLogger(__name__)


class QuotaSpent(StorageError):
    status = 507
    code = "quota_spent"


def quota_spent(megabytes: int) -> QuotaSpent:
    return QuotaSpent(f"Your takes use all of the {megabytes} MB that they may: delete some of them, then try again.")


def video_quota_spent(megabytes: int) -> QuotaSpent:
    return QuotaSpent(
        f"Footage and exported videos may take {megabytes} MB, which this goes beyond: delete some of them, or let an"
        " administrator raise the video quota."
    )


@dataclass(frozen=True, slots=True)
class TakeFile:
    """A whole file. `duration` is seconds; `waveform`: the highest level in each of at most 400 parts, 0 to 100."""

    content: bytes
    format: AudioFormat
    duration: float
    sample_rate: int
    waveform: list[int]

    @property
    def size(self) -> int:
        return len(self.content)

    def measures(self) -> dict[str, Any]:
        """What a take's row says of its file."""
        return {
            "size": self.size,
            "duration": self.duration,
            "sample_rate": self.sample_rate,
            "waveform": self.waveform,
        }


def carrier(format: AudioFormat) -> AudioFormat:
    """What to ask for in place of `format`: a stream of FLAC can't say its length in its header, as a file does."""
    return AudioFormat.WAV if format is AudioFormat.FLAC else format


def finished(spoken: bytes, format: AudioFormat) -> TakeFile:
    """The file in `format` from speech in its carrier format, with true sizes, and what it holds. BadAudio when that
    can't be heard to its end."""
    transcoder = Transcoder(AudioFormat.WAV)
    transcoder.start_file(carrier(format), PCM_SAMPLE_RATE)
    wav = transcoder.feed(spoken) + transcoder.end_file() + transcoder.finish()
    pcm, rate = wav[WAV_HEADER_BYTES:], transcoder.sample_rate
    measured = measure_samples(pcm, rate)
    if format is AudioFormat.FLAC:
        spoken = encode(pcm, rate, format)
    elif format is AudioFormat.WAV and not wav_sizes_are_true(spoken):
        spoken = wav_header(rate, len(pcm)) + pcm
    return TakeFile(spoken, format, measured.duration, rate, measured.waveform)


def folder(name: str = FOLDER) -> Path:
    """On this machine."""
    return Path(pieces_storage().path(name))


def has_room(size: int = 0) -> bool:
    """Whether the storage holds `size` bytes, and more than a batch in flight may need."""
    room = private_storage().room()
    return room is None or room >= RESERVE_BYTES + size


def works_again() -> bool:
    """The same after it failed: a batch is not spoken for nothing."""
    try:
        private_storage().prove()
    except OSError as error:
        logger.warning("Batches wait, as files can't be stored: %s", translated(error).message)
        return False
    return has_room()


def new_name(folder: str, ending: str) -> str:
    return f"{folder}/{secrets.token_hex(16)}.{ending}"


def write(made: TakeFile) -> str:
    """Put the file into the storage under a name of ours, which is returned. StorageError, and nothing is left."""
    name = new_name(FOLDER, made.format)
    with storage_errors():
        private_storage().put(name, made.content)
    return name


def find(name: str | None) -> StoredFile | None:
    """None where there is no such file, or none any more. StorageError."""
    with storage_errors():
        return private_storage().find(name) if name else None


def remove(name: str) -> None:
    """What can't be removed now is found by `remove_orphans` later."""
    _remove(private_storage(), [name])


def remove_orphans(known: Callable[[list[str]], Iterable[str]]) -> int:
    """Remove old files that nothing names; `known` answers which of some names are in use."""
    now, removed = timezone.now(), 0
    for storage, folder, age in _folders():
        old = (entry.name for entry in _entries(storage, folder) if entry.modified < now - age)
        for names in batched(old, 500):
            used = set(known(list(names)))
            removed += _remove(storage, (name for name in names if name not in used))
    return removed


def _folders() -> Iterator[tuple[PrivateFiles, str, timedelta]]:
    for folder in (FOLDER, EXPORTS, FOOTAGE):
        yield private_storage(), folder, ORPHAN_AGE
    for folder in PICTURES_AND_RECORDINGS:
        yield private_storage(), folder, IMPORTED_AGE
    yield pieces_storage(), UPLOADS, ORPHAN_AGE


def _entries(storage: PrivateFiles, folder: str) -> Iterator[Entry]:
    try:
        yield from storage.entries(folder)
    except OSError as error:
        logger.warning("The files in %s can't be looked through: %s", folder, error.strerror)


def _remove(storage: PrivateFiles, names: Iterable[str]) -> int:
    removed = 0
    for name in names:
        try:
            storage.delete(name)
            removed += 1
        except OSError as error:
            logger.warning("A left-over file in %s can't be removed: %s", name.partition("/")[0], error.strerror)
    return removed
