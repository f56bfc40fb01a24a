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

from providers.audio import LOUDNESS, LOUDNESS_MAX, LOUDNESS_MIN, Target
from studio.export_options import CHAPTER_GAP_MS, FORMATS, GAP_MAX_MS, GAP_MS, ExportOptions, Track, What
from studio.exports import ask, formats_of, material_of, require_material, require_room
from studio.kinds import kind
from studio.models import Export, Project
from studio.reading import chapters_of

ALL, CURRENT = "all", "current"
# What is read for one choice only.
_READ_FOR = {
    "audio_format": {What.AUDIO, What.CHAPTERS},
    "track": {What.VIDEO},
    "subtitles_format": {What.SUBTITLES},
    "gap_ms": {What.AUDIO, What.CHAPTERS, What.SUBTITLES},
    "chapter_gap_ms": {What.AUDIO, What.SUBTITLES},
    "level": {What.AUDIO, What.CHAPTERS, What.VIDEO},
    "loudness": {What.AUDIO, What.CHAPTERS, What.VIDEO},
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
    first_chapter = forms.ChoiceField(
        label=gettext_lazy("From the chapter"), required=False, widget=UnfoldAdminSelectWidget
    )
    last_chapter = forms.ChoiceField(
        label=gettext_lazy("To the chapter"), required=False, widget=UnfoldAdminSelectWidget
    )
    first_line = forms.IntegerField(
        label=gettext_lazy("From the line"), min_value=1, required=False, widget=UnfoldAdminIntegerFieldWidget
    )
    last_line = forms.IntegerField(
        label=gettext_lazy("To the line"), min_value=1, required=False, widget=UnfoldAdminIntegerFieldWidget
    )
    incomplete = forms.BooleanField(
        label=gettext_lazy("Leave these lines out"), required=False, widget=UnfoldBooleanWidget
    )

    def __init__(self, project: Project, owner: Any, data: Any = None, *, chapter: str = "") -> None:
        """`chapter` is the number of the one that is chosen at first."""
        initial = {"what": What.AUDIO, "first_chapter": chapter, "last_chapter": chapter}
        super().__init__(data, initial=initial)
        self.project, self.owner = project, owner
        self.material = material_of(project)
        able = [(what, what.label) for what in What if formats_of(project, what)]
        self.fields["what"].choices = able  # type: ignore[attr-defined]
        if kind(project.kind).timed:
            self.fields["level"].label = _("Bring the speech to one loudness")
        self.chapters = chapters_of(project)
        titles = [(str(one.number), f"{one.number}. {one.title or _('Beginning')}") for one in self.chapters]
        for name, unbounded in (("first_chapter", _("The beginning")), ("last_chapter", _("The end"))):
            self.fields[name].choices = [("", unbounded), *titles]  # type: ignore[attr-defined]
        self.bounds = (0, 0)

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
            self.bounds = self._bounds(cleaned)
            chosen = material_of(self.project, self.options)
            require_material(chosen, self.options, incomplete=cleaned["incomplete"])
        return cleaned

    def _bounds(self, cleaned: dict[str, Any]) -> tuple[int, int]:
        """The keys of the first and the last line, 0 for those of the project. ValidationError."""
        total = self.material.total
        first, last = cleaned["first_line"] or 1, min(cleaned["last_line"] or total, total)
        if number := cleaned["first_chapter"]:
            first = max(first, self.chapters[int(number) - 1].first + 1)
        if number := cleaned["last_chapter"]:
            last = min(last, self.chapters[int(number) - 1].first + self.chapters[int(number) - 1].total)
        if total and first > last:
            name = "last_chapter" if cleaned["last_chapter"] else "last_line"
            raise ValidationError({name: _("No line lies between these: choose a later end, or an earlier beginning.")})
        return self._key(first) if first > 1 else 0, self._key(last) if last < total else 0

    def _key(self, number: int) -> int:
        return self.project.lines.order_by("position", "pk").values_list("pk", flat=True)[number - 1]

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
            chapter_format=values["audio_format"] if what is What.CHAPTERS else Target.MP3,
            first=self.bounds[0],
            last=self.bounds[1],
            track=Track(values["track"] or Track.ADD),
        )

    def export(self) -> Export | None:
        """Queued; None where it could not be, which the form then says."""
        try:
            return ask(self.project, self.owner, self.options, incomplete=self.cleaned_data["incomplete"])
        except ValidationError as error:
            self.add_error(None, error)
            return None
