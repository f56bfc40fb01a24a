"""What can go wrong with jobs.

SpeechError                     500
├── JobNotFound                 404  none of this key's
├── ItemNotFound                404  the job has no such item
├── JobUnfinished               409  what was asked for is not spoken yet
├── ItemCancelled               409  it was cancelled, so there is no sound
├── NothingToRetry              409  no item failed or was cancelled
├── AudioGone                   410  the sound was discarded
├── KeyReused                   422  the Idempotency-Key stands for another request
└── TooManyOpen                 429  the owner's jobs have too much to do already
"""

from __future__ import annotations

from providers.errors import SpeechError


class JobNotFound(SpeechError):
    status = 404
    code = "job_not_found"
    permanent = True


class ItemNotFound(SpeechError):
    status = 404
    code = "item_not_found"
    permanent = True


class JobUnfinished(SpeechError):
    status = 409
    code = "job_unfinished"


class ItemCancelled(SpeechError):
    status = 409
    code = "item_cancelled"
    permanent = True


class NothingToRetry(SpeechError):
    status = 409
    code = "nothing_to_retry"
    permanent = True


class AudioGone(SpeechError):
    status = 410
    code = "audio_gone"
    permanent = True


class KeyReused(SpeechError):
    status = 422
    code = "idempotency_key_reused"
    permanent = True


class TooManyOpen(SpeechError):
    status = 429
    code = "too_many_open"


class ItemFailed(SpeechError):
    """The failure that a take ended with, told again."""

    permanent = True

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = _statuses().get(code, SpeechError.status)


def _statuses() -> dict[str, int]:
    """By code: the status of every failure in the family."""
    found, pending = dict[str, int](), [SpeechError]
    while pending:
        member = pending.pop()
        found.setdefault(member.code, member.status)
        pending += member.__subclasses__()
    return found
