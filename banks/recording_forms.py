"""Forms of the reference audio library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from banks.models import ReferenceAudio
from banks.recordings import REFERENCE_BYTES, REFERENCE_SECONDS, SHORTEST_SECONDS
from banks.trim import Trimmed, trim_as_new, trim_in_place
from banks.uploads import UploadField
from providers.audio import to_reference_wav
from providers.errors import BadAudio

if TYPE_CHECKING:
    _ReferenceModelForm = forms.ModelForm[ReferenceAudio]
else:
    _ReferenceModelForm = forms.ModelForm


class ReferenceAudioForm(_ReferenceModelForm):
    upload = UploadField(
        limit=REFERENCE_BYTES,
        accept="audio/*,.webm,.mp4",
        label=gettext_lazy("Audio file"),
        help_text=gettext_lazy(
            "A clean recording of one voice; 5 to 15 seconds suit most engines."
            " WAV, FLAC, MP3, Opus, AAC, M4A or WebM, at most 30 MB and 10 minutes."
        ),
    )

    class Meta:
        model = ReferenceAudio
        fields = ["name", "transcript", "language", "consent_note", "may_be_cloned"]
        labels = {
            "consent_note": gettext_lazy("Speaker and agreement"),
            "may_be_cloned": gettext_lazy("The speaker agreed that this voice is cloned"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "upload" in self.fields:
            self.fields["upload"].required = False

    def clean_upload(self) -> bytes | None:
        """The recording as the WAV that is kept; the row takes it at once, with what is measured of it."""
        data: bytes | None = self.cleaned_data["upload"]
        if data is None:
            return None
        try:
            wav, _seconds = to_reference_wav(data, max_seconds=REFERENCE_SECONDS)
        except BadAudio as error:
            raise ValidationError(error.message) from error
        return wav

    def clean(self) -> dict[str, Any]:
        """Consent belongs to the recording: whoever brings one says so."""
        cleaned = super().clean() or self.cleaned_data
        if self.files.get("upload"):
            if not cleaned.get("may_be_cloned"):
                self.add_error("may_be_cloned", _("Bring only voices whose speaker agreed, and say so here."))
            if not cleaned.get("consent_note"):
                self.add_error("consent_note", _("Write down who speaks, and how they agreed."))
        return cleaned

    def save(self, commit: bool = True) -> ReferenceAudio:
        if wav := self.cleaned_data.get("upload"):
            self.instance.keep(wav)
        return super().save(commit)


class TrimForm(forms.Form):
    """Which part of a recording stays, and as what."""

    NEW, IN_PLACE = "new", "in_place"

    start = forms.FloatField(label=gettext_lazy("Start, seconds"), min_value=0)
    end = forms.FloatField(label=gettext_lazy("End, seconds"), min_value=0)
    transcript = forms.CharField(
        label=gettext_lazy("What is said in this part"),
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text=gettext_lazy("Take out the words that are cut away: engines compare it with what they hear."),
    )
    keep_as = forms.ChoiceField(
        label=gettext_lazy("What becomes of it"),
        choices=[
            (NEW, gettext_lazy("A recording of its own; this one stays as it is")),
            (IN_PLACE, gettext_lazy("This recording, for all characters that use it")),
        ],
        initial=NEW,
        widget=UnfoldAdminRadioSelectWidget,
    )
    name = forms.CharField(
        label=gettext_lazy("Name of the new recording"),
        max_length=100,
        required=False,
        widget=UnfoldAdminTextInputWidget,
    )
    delete_original = forms.BooleanField(
        label=gettext_lazy("Delete the untrimmed recording for good"),
        required=False,
        widget=UnfoldBooleanWidget,
        help_text=gettext_lazy("Otherwise it is kept beside this one, under a name of its own."),
    )

    def __init__(self, reference: ReferenceAudio, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reference = reference
        limits = {"min": "0", "max": f"{reference.duration:.3f}", "step": "0.01"}
        for name in ("start", "end"):
            self.fields[name].widget = UnfoldAdminIntegerFieldWidget(limits)
        self.initial.update(start=0, end=round(reference.duration, 2), transcript=reference.transcript)
        self.initial["name"] = _("%s (part)") % reference.name[:90]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        start, end = cleaned.get("start"), cleaned.get("end")
        if start is None or end is None:
            return cleaned
        # The page rounds to hundredths.
        if end > self.reference.duration + 0.01:
            self.add_error("end", _("The recording ends at %.2f seconds.") % self.reference.duration)
        elif end - start < SHORTEST_SECONDS:
            self.add_error("end", _("The end must lie behind the start, by a tenth of a second or more."))
        if cleaned.get("keep_as") == self.NEW and not cleaned.get("name"):
            self.add_error("name", _("Give the new recording a name."))
        return cleaned

    def trim(self) -> Trimmed:
        """Once the form is valid. BadAudio, OSError."""
        chosen = self.cleaned_data
        part, transcript = (chosen["start"], chosen["end"]), chosen["transcript"]
        if chosen["keep_as"] == self.NEW:
            return Trimmed(trim_as_new(self.reference, *part, name=chosen["name"], transcript=transcript), added=True)
        keep = not chosen["delete_original"]
        original = trim_in_place(self.reference, *part, transcript=transcript, keep_original=keep)
        return Trimmed(self.reference, original=original)
