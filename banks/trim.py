"""Cutting a recording down. The untrimmed one is lost only when somebody asks for that."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from banks.models import ReferenceAudio
from banks.recordings import cut
from providers.audit import Change


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The recording that holds the part, whether it was `added`, and the kept `original` where it was not."""

    part: ReferenceAudio
    added: bool = False
    original: ReferenceAudio | None = None

    def notes(self) -> list[tuple[ReferenceAudio, Change, str]]:
        """For the audit trail."""
        if self.added:
            return [(self.part, Change.ADDED, gettext_noop("Cut out of another recording."))]
        found = [(self.part, Change.CHANGED, gettext_noop("Trimmed."))]
        if self.original:
            text = gettext_noop("Kept when its trimmed version took its place.")
            found.append((self.original, Change.ADDED, text))
        return found


@transaction.atomic
def trim_as_new(reference: ReferenceAudio, start: float, end: float, *, name: str, transcript: str) -> ReferenceAudio:
    """The part as a recording of its own, with the consent of the whole. BadAudio, OSError."""
    part = _twin(reference, name=name)
    part.file.name = ""
    part.transcript = transcript
    part.keep(cut(reference.recording(), start, end))
    part.save()
    return part


@transaction.atomic
def trim_in_place(
    reference: ReferenceAudio, start: float, end: float, *, transcript: str, keep_original: bool
) -> ReferenceAudio | None:
    """The part in place of the whole, for every character that uses it; the kept original. BadAudio, OSError."""
    wav = cut(reference.recording(), start, end)
    original = None
    if keep_original:
        # It takes the file over, so that nothing is copied and nothing discarded.
        original = _twin(reference, name=_("%s (untrimmed)") % reference.name[:80])
        original.save()
        reference.file.name = ""
    reference.transcript = transcript
    reference.keep(wav)
    reference.save()
    return original


def _twin(reference: ReferenceAudio, *, name: str) -> ReferenceAudio:
    twin = ReferenceAudio.objects.get(pk=reference.pk)
    twin.pk, twin._state.adding = None, True
    twin.name = name
    return twin
