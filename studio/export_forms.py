"""The form of an export."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldBooleanWidget,
)

from providers.audio import LOUDNESS, LOUDNESS_MAX, LOUDNESS_MIN
from studio.export_options import CHAPTER_GAP_MS, FORMATS, GAP_MAX_MS, GAP_MS, ExportOptions, Track, What
from studio.exports import ask, formats_of, material_of, require_material, require_room
from studio.kinds import kind
from studio.models import Export, Project

ALL, CURRENT = "all", "current"
# What is read for one choice only.
_READ_FOR = {
    "audio_format": {What.AUDIO},
    "track": {What.VIDEO},
    "subtitles_format": {What.SUBTITLES},
    "gap_ms": {What.AUDIO, What.SUBTITLES},
    "chapter_gap_ms": {What.AUDIO, What.SUBTITLES},
    "level": {What.AUDIO, What.VIDEO},
    "loudness": {What.AUDIO, What.VIDEO},
    "speaker_prefix": {What.SUBTITLES},
}


# Lines that have times of their own have no pauses to choose.
_GAPS = ("gap_ms", "chapter_gap_ms")


def _upper(what: What) -> list[tuple[str, str]]:
    return [(str(one), str(one).upper()) for one in FORMATS[what]]


class ExportForm(forms.Form):
    """Fields that do not belong to what is chosen are not read."""

    what = forms.ChoiceField(label=gettext_lazy("What"), choices=What.choices, widget=UnfoldAdminRadioSelectWidget)
    audio_format = forms.ChoiceField(
        label=gettext_lazy("Format"),
        choices=_upper(What.AUDIO),
        initial="mp3",
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("M4B is for audiobook players, which show its chapters."),
    )
    track = forms.ChoiceField(
        label=gettext_lazy("Where the dub goes"),
        choices=Track.choices,
        initial=Track.ADD,
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("Picture and other tracks are copied as they are."),
    )
    subtitles_format = forms.ChoiceField(
        label=gettext_lazy("Format"),
        choices=_upper(What.SUBTITLES),
        initial="srt",
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    gap_ms = forms.IntegerField(
        label=gettext_lazy("Pause between lines, ms"),
        min_value=0,
        max_value=GAP_MAX_MS,
        required=False,
        initial=GAP_MS,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    chapter_gap_ms = forms.IntegerField(
        label=gettext_lazy("Pause before a chapter, ms"),
        min_value=0,
        max_value=GAP_MAX_MS,
        required=False,
        initial=CHAPTER_GAP_MS,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    level = forms.BooleanField(
        label=gettext_lazy("Bring the whole to one loudness"),
        required=False,
        initial=True,
        widget=UnfoldBooleanWidget,
        help_text=gettext_lazy("Lines keep their differences. Otherwise it stays as it is."),
    )
    loudness = forms.FloatField(
        label=gettext_lazy("Loudness, LUFS"),
        min_value=LOUDNESS_MIN,
        max_value=LOUDNESS_MAX,
        required=False,
        initial=round(LOUDNESS),
        widget=UnfoldAdminIntegerFieldWidget({"step": "0.5"}),
        help_text=gettext_lazy("-16 for podcasts and players, -18 for audiobooks, -23 for broadcasting."),
    )
    speaker_prefix = forms.BooleanField(
        label=gettext_lazy("Say who speaks"), required=False, widget=UnfoldBooleanWidget
    )
    which = forms.ChoiceField(
        label=gettext_lazy("Which lines"),
        choices=[
            (ALL, gettext_lazy("All that have audio, stale too")),
            (CURRENT, gettext_lazy("Only those whose audio is current")),
        ],
        initial=ALL,
        widget=UnfoldAdminSelectWidget,
    )
    incomplete = forms.BooleanField(
        label=gettext_lazy("Leave these lines out"), required=False, widget=UnfoldBooleanWidget
    )

    def __init__(self, project: Project, owner: Any, data: Any = None) -> None:
        super().__init__(data, initial={"what": What.AUDIO})
        self.project, self.owner = project, owner
        self.material = material_of(project)
        able = [(what, what.label) for what in What if formats_of(project, what)]
        self.fields["what"].choices = able  # type: ignore[attr-defined]
        if kind(project.kind).timed:
            self.fields["level"].label = _("Bring the speech to one loudness")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name, read_for in _READ_FOR.items():
            if cleaned.get("what") not in read_for or (name in _GAPS and kind(self.project.kind).timed):
                self.errors.pop(name, None)
                cleaned[name] = self.fields[name].initial
        if cleaned.get("level") and cleaned.get("loudness") is None and "loudness" not in self.errors:
            self.add_error("loudness", _("Enter the loudness, or leave it as it is."))
        if not self.errors:
            require_room(self.project, self.owner, self.options.what)
            require_material(self.material, self.options, incomplete=cleaned["incomplete"])
        return cleaned

    @property
    def options(self) -> ExportOptions:
        values = self.cleaned_data
        what = What(values["what"])
        formats = {What.AUDIO: "audio_format", What.SUBTITLES: "subtitles_format"}
        format = formats_of(self.project, what)[0]
        if what in formats:
            format = values[formats[what]] or self.fields[formats[what]].initial
        return ExportOptions(
            what,
            format,
            gap_ms=values["gap_ms"] or 0,
            chapter_gap_ms=values["chapter_gap_ms"] or 0,
            loudness=values["loudness"] if values["level"] else None,
            only_done=values["which"] == CURRENT,
            speaker_prefix=bool(values["speaker_prefix"]),
            track=Track(values["track"] or Track.ADD),
        )

    def export(self) -> Export | None:
        """Queued; None where it could not be, which the form then says."""
        try:
            return ask(self.project, self.owner, self.options, incomplete=self.cleaned_data["incomplete"])
        except ValidationError as error:
            self.add_error(None, error)
            return None
