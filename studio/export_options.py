"""How an export is made, as its row keeps it: JSON in `Export.options_json`, read nowhere but here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Self

from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from providers.audio.merge import GAP_MAX, LOUDNESS
from providers.audio.targets import Target
from studio.models import LineQuerySet

GAP_MAX_MS = round(GAP_MAX * 1000)


class What(models.TextChoices):
    AUDIO = "audio", _("One audio file")
    FILES = "files", _("A file for each line, in a zip")
    SUBTITLES = "subtitles", _("Subtitles")


class Subtitles(StrEnum):
    SRT = "srt"
    VTT = "vtt"


ZIP = "zip"
FORMATS: dict[What, tuple[str, ...]] = {
    What.AUDIO: tuple(Target),
    What.FILES: (ZIP,),
    What.SUBTITLES: tuple(Subtitles),
}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`format` is one of FORMATS for `what`, and the file's suffix. Gaps are milliseconds of silence, which subtitles
    count too so that they fit the merged audio; `chapter_gap_ms` stands before a line that begins a chapter in place
    of `gap_ms`. `loudness` is LUFS; None leaves it as it is. `only_done` leaves out stale audio; lines without any are
    always left out. `speaker_prefix`: subtitles say who speaks."""

    what: What
    format: str
    gap_ms: int = 400
    chapter_gap_ms: int = 1500
    loudness: float | None = LOUDNESS
    only_done: bool = False
    speaker_prefix: bool = False

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        values = {each.name: stored[each.name] for each in fields(cls) if each.name in stored}
        return cls(**values | {"what": What(values["what"])})

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "what": self.what.value, "format": str(self.format)}

    @property
    def target(self) -> Target:
        """Of merged audio."""
        return Target(self.format)

    def chosen(self, lines: LineQuerySet) -> LineQuerySet:
        """The lines that are part of it, in order; each has a take."""
        heard = lines.exclude(take=None).order_by("position", "pk")
        return heard.filter(take__content_hash=F("wanted")) if self.only_done else heard
