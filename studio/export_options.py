"""How an export is made, as its row keeps it: JSON in `Export.options_json`, read nowhere but here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Self

from django.db import models
from django.db.models import Count, F, Q
from django.utils.translation import gettext_lazy as _

from providers.audio import LOUDNESS, Film, Target
from providers.audio.merge import GAP_MAX
from providers.errors import InvalidRequest
from studio.models import VIDEO, LineQuerySet

GAP_MS, CHAPTER_GAP_MS = 400, 1500
GAP_MAX_MS = round(GAP_MAX * 1000)


class What(models.TextChoices):
    AUDIO = "audio", _("One audio file")
    CHAPTERS = "chapters", _("A file for each chapter, in a zip")
    VIDEO = VIDEO, _("The video with the dub")
    FILES = "files", _("A file for each line, in a zip")
    SUBTITLES = "subtitles", _("Subtitles")


class Track(models.TextChoices):
    """How a dub is put into a video."""

    ADD = "add", _("Beside the original sound")
    REPLACE = "replace", _("In place of the original sound")


class Subtitles(StrEnum):
    SRT = "srt"
    VTT = "vtt"


ZIP = "zip"
CONTENT_TYPES = {ZIP: "application/zip", Subtitles.SRT: "application/x-subrip", Subtitles.VTT: "text/vtt"}
FORMATS: dict[What, tuple[str, ...]] = {
    What.AUDIO: tuple(Target),
    What.CHAPTERS: (ZIP,),
    What.VIDEO: tuple(Film),
    What.FILES: (ZIP,),
    What.SUBTITLES: tuple(Subtitles),
}


@dataclass(frozen=True, slots=True)
class Material:
    """How many of some lines can't be part of an export, and how many have audio that is stale. Of lines that are
    `timed` one without times can't be part of it either."""

    total: int
    missing: int
    stale: int

    @classmethod
    def of(cls, lines: LineQuerySet, *, timed: bool = False) -> Material:
        missing = Q(take=None) | Q(start_ms=None) if timed else Q(take=None)
        stale = ~missing & ~Q(take__content_hash=F("wanted"))
        counted = lines.order_by().aggregate(total=Count("pk"), missing=Count("pk", missing), stale=Count("pk", stale))
        return cls(**counted)

    def heard(self, *, only_done: bool) -> int:
        """How many are part of an export."""
        return self.total - self.missing - (self.stale if only_done else 0)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`format` is one of FORMATS for `what`, and the file's suffix. Gaps are milliseconds of silence, which subtitles
    count too so that they fit the merged audio; `chapter_gap_ms` stands before a line that begins a chapter in place
    of `gap_ms`. `loudness` is LUFS; None leaves it as it is. `only_done` leaves out stale audio; lines without any are
    always left out. `speaker_prefix`: subtitles say who speaks. `track`: how a video gets its dub. `chapter_format` is
    that of each chapter's file. `first` and `last` are the keys of the lines between which it lies, both in it; 0 is
    the beginning, and the end."""

    what: What
    format: str
    gap_ms: int = GAP_MS
    chapter_gap_ms: int = CHAPTER_GAP_MS
    loudness: float | None = LOUDNESS
    only_done: bool = False
    speaker_prefix: bool = False
    chapter_format: str = Target.MP3.value
    first: int = 0
    last: int = 0
    track: Track = Track.ADD

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        values = {each.name: stored[each.name] for each in fields(cls) if each.name in stored}
        return cls(**values | {"what": What(values["what"]), "track": Track(values.get("track", Track.ADD))})

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "what": self.what.value,
            "format": str(self.format),
            "chapter_format": str(self.chapter_format),
            "track": self.track.value,
        }

    @property
    def target(self) -> Target:
        """Of merged audio."""
        return Target(self.chapter_format if self.what is What.CHAPTERS else self.format)

    @property
    def content_type(self) -> str:
        if self.what is What.VIDEO:
            return Film(self.format).content_type
        return self.target.content_type if self.what is What.AUDIO else CONTENT_TYPES[self.format]

    def chosen(self, lines: LineQuerySet, *, timed: bool = False) -> LineQuerySet:
        """The lines that are part of it, in order, or in that of their times; each has a take."""
        heard = self.within(lines).exclude(take=None).order_by("position", "pk")
        if timed:
            heard = heard.exclude(start_ms=None).order_by("start_ms", "position", "pk")
        return heard.filter(take__content_hash=F("wanted")) if self.only_done else heard

    def within(self, lines: LineQuerySet) -> LineQuerySet:
        """The lines from the first to the last. InvalidRequest where one of these is not among them."""
        keys = [key for key in (self.first, self.last) if key]
        places = dict(lines.filter(pk__in=keys).values_list("pk", "position")) if keys else {}
        if len(places) < len(set(keys)):
            raise InvalidRequest("A line at which the export begins or ends is not there any more: ask for it anew.")
        if self.first:
            lines = lines.filter(position__gte=places[self.first])
        return lines.filter(position__lte=places[self.last]) if self.last else lines


def content_types() -> list[str]:
    """Of all files that an export may be."""
    return sorted({ExportOptions(what, one).content_type for what, formats in FORMATS.items() for one in formats})
