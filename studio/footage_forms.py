"""The form of how footage is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
)

from studio.models import Footage

if TYPE_CHECKING:
    _FootageModelForm = forms.ModelForm[Footage]
else:
    _FootageModelForm = forms.ModelForm


class RecordingForm(forms.Form):
    """What the page's script sends in pieces; the form itself is never sent."""

    recording = forms.FileField(
        label=gettext_lazy("Video or sound recording"),
        widget=UnfoldAdminFileFieldWidget({"accept": "video/*,audio/*,.mkv"}),
        help_text=gettext_lazy(
            "MP4, MOV, MKV, WebM, or sound alone, to gigabytes. If the upload is cut, choose the same file again: it"
            " goes on where it was."
        ),
    )


class FootageForm(_FootageModelForm):
    class Meta:
        model = Footage
        fields = ("sound", "duck_db", "stretch_most")
        labels = {
            "duck_db": gettext_lazy("Original sound under speech, dB"),
            "stretch_most": gettext_lazy("Fastest that speech is played"),
        }
        help_texts = {
            "duck_db": gettext_lazy("From -60 to 0: how much it is lowered while somebody speaks."),
            "stretch_most": gettext_lazy(
                "From 1 to 2: speech that is too long for its time is played at most so many times as fast, at the same"
                " pitch."
            ),
        }
        widgets = {
            "sound": UnfoldAdminRadioSelectWidget,
            "duck_db": UnfoldAdminIntegerFieldWidget({"step": "0.5"}),
            "stretch_most": UnfoldAdminIntegerFieldWidget({"step": "0.05"}),
        }
