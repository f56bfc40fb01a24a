"""The files of takes and exports: written beside and moved into place, so that each is there whole or not at all.

StorageError              500  the base; never raised itself
├── StorageFull           507  the disk, or what this server may use of it, is full
├── StorageFailed         500  the file can't be written for another reason
└── QuotaSpent            507  its owner's takes use all that they may
"""

from __future__ import annotations

import errno
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Any

from banks.recordings import measure_samples
from banks.storage import private_storage
from providers.audio import WAV_HEADER_BYTES, Transcoder, encode, wav_header, wav_sizes_are_true
from providers.errors import SpeechError
from providers.speech import PCM_SAMPLE_RATE, AudioFormat
from providers.whole_files import PART, whole_file

FOLDER, EXPORTS, FOOTAGE, UPLOADS = "takes", "exports", "footage", "uploads"
# A file that no take names may be one that is just being finished; after so long it is not.
ORPHAN_SECONDS = 3600.0
RESERVE_BYTES = 64 * 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

logger = logging.getLogger(__name__)


class StorageError(SpeechError):
    pass


class StorageFull(StorageError):
    status = 507
    code = "storage_full"


class StorageFailed(StorageError):
    code = "storage_failed"


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
    return Path(private_storage().path(name))


def has_room(size: int = 0) -> bool:
    """Whether the disk holds `size` bytes, and more than a batch in flight may need."""
    place = next(one for one in (folder(), *folder().parents) if one.exists())
    return shutil.disk_usage(place).free >= RESERVE_BYTES + size


def write(made: TakeFile) -> str:
    """Put the file into the storage under a name of ours, which is returned. StorageError, and nothing is left."""
    name = f"{secrets.token_hex(16)}.{made.format}"
    final = folder() / name
    with storage_errors():
        final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(final) as file:
            file.write(made.content)
    return f"{FOLDER}/{name}"


@contextmanager
def storage_errors() -> Iterator[None]:
    """What the system says of a file that can't be written becomes one of ours."""
    try:
        yield
    except OSError as error:
        raise translated(error) from error


def translated(error: OSError) -> StorageError:
    if error.errno in _FULL:
        return StorageFull("The server's disk is full: make room on it, then try again.")
    return StorageFailed(f"The server can't write to its data folder: {error.strerror}. Tell its administrator.")


def remove_parts() -> int:
    """Remove what was being written when the server died; only before anything is written."""
    return _remove(path for path in _files() if path.name.endswith(PART))


def remove_orphans(known: Callable[[list[str]], Iterable[str]]) -> int:
    """Remove old files that nothing names; `known` answers which of some names are in use."""
    before = time.time() - ORPHAN_SECONDS
    removed = 0
    for batch in batched(filter(lambda path: _modified(path) < before, _files()), 500):
        names = {f"{path.parent.name}/{path.name}": path for path in batch}
        used = set(known(list(names)))
        removed += _remove(path for name, path in names.items() if name not in used)
    return removed


def _files() -> Iterator[Path]:
    for name in (FOLDER, EXPORTS, FOOTAGE, UPLOADS):
        try:
            yield from folder(name).iterdir()
        except FileNotFoundError:
            continue


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _remove(paths: Iterable[Path]) -> int:
    removed = 0
    for path in paths:
        try:
            path.unlink()
            removed += 1
        except OSError as error:
            logger.warning("A left-over file in %s can't be removed: %s", path.parent.name, error.strerror)
    return removed
