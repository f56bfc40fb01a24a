"""Cutting a recording down. The untrimmed one is lost only when somebody asks for that."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from banks.models import ReferenceAudio
from banks.recordings import cut


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
