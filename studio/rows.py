"""What the page of a project shows of its lines, when it is opened and whenever one of them changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

from django.core.cache import caches
from django.db.models import Min, Model
from django.template.loader import render_to_string
from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from banks.admin import avatar_url
from banks.models import Character
from banks.pieces import speakable
from providers.wording import PAUSES, duration
from studio.cards import drawn, waveform_path
from studio.kinds import kind
from studio.models import Line, LineQuerySet, LineState, Project, Take
from studio.stages import Stage
from studio.timing import Place, span

WAVE_LINES = 60
# Paints a line where the project is read.
SENTENCE = "studio/projects/read_line.html"
# The cache of painted rows: to paint one takes longer than to read it.
PAINTED = "rows"
SIDES = ("left", "right")

STATES: dict[LineState, tuple[str, str | Promise]] = {
    LineState.MISSING: ("none", _("No audio yet")),
    LineState.QUEUED: ("wait", _("Queued")),
    LineState.RUNNING: ("busy", _("In preparation")),
    LineState.FAILED: ("bad", _("Failed")),
    LineState.STALE: ("warn", _("Made with other words or another voice")),
    LineState.DONE: ("ok", _("Done")),
}
# What rows never read, and what is large.
_UNREAD = [f"{take}__{name}" for take in ("take", "attempt") for name in ("made_with_json", "text", "spoken")] + [
    "attempt__waveform",
    "character__aliases",
    "character__options",
    "character__description",
]


@dataclass(frozen=True)
class Row:
    line: Line
    stage: Stage | None
    side: str
    place: Place | None = None
    """In the recording, of lines that have times."""

    @cached_property
    def key(self) -> str:
        return str(self.line.pk)

    @property
    def tone(self) -> str:
        return STATES[LineState(self.line.state)][0]

    @property
    def label(self) -> str | Promise:
        if self.line.state == LineState.RUNNING and self.stage is not None:
            return _("Waiting for a place") if self.stage.waiting else _("Speaking")
        return STATES[LineState(self.line.state)][1]

    @property
    def pause(self) -> str | Promise:
        """What it waits for, where that is more than its turn."""
        return PAUSES.get(self.stage.reason, "") if self.stage and self.stage.waiting else ""

    @property
    def speaks(self) -> bool:
        """Whether there are words in it."""
        return speakable(self.line.text)

    @property
    def is_open(self) -> bool:
        return self.line.state in (LineState.QUEUED, LineState.RUNNING)

    @property
    def failed(self) -> bool:
        return self.line.state == LineState.FAILED

    @cached_property
    def heard(self) -> Take | None:
        """What there is to listen to."""
        return self.line.take if self.line.take and self.line.take.file else None

    @property
    def times(self) -> str:
        return span(self.line.start_ms, self.line.end_ms)

    @property
    def length(self) -> str:
        return duration(self.heard.duration) if self.heard and self.heard.duration else ""

    @cached_property
    def levels(self) -> list[int]:
        return drawn(self.heard.waveform, WAVE_LINES) if self.heard else []

    @property
    def wave(self) -> str:
        return waveform_path(self.levels)

    @property
    def avatar(self) -> str:
        character = self.line.character
        return avatar_url(character) if character and character.avatar else ""

    @property
    def hue(self) -> int:
        """Of the circle that stands for somebody without a picture, far from those made about the same time."""
        return hue(self.line.character)

    @property
    def facts(self) -> str:
        """All that templates can read of it; of its stage, the words for it."""
        line = self.line
        read = [_values(each) for each in (line, line.character, line.take, line.attempt)]
        return repr((read, self.side, self.place, str(self.label), str(self.pause)))


def _values(row: Model | None) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if name != "_state"} if row else {}


def hue(character: Character | None) -> int:
    return (character.pk * 137) % 360 if character else 0


def rows(
    lines: LineQuerySet, staged: Mapping[int, Stage], speakers: Iterable[int], placed: Mapping[int, Place] | None = None
) -> list[Row]:
    """In the order of the lines, which are read here. `staged` is where running takes are; characters take sides in the
    order of `speakers`, where they have sides; `placed` are those with times."""
    placed = placed or {}
    sides = {pk: SIDES[place % 2] for place, pk in enumerate(speakers)}
    return [
        Row(
            line,
            staged.get(line.attempt_id or 0),
            sides.get(line.character_id or 0, SIDES[0]),
            placed.get(line.pk),
        )
        for line in lines.shown().defer(*_UNREAD)
    ]


def speakers_of(project: Project) -> dict[int, str]:
    """The names of those who have lines, by their primary keys, in the order in which they first speak."""
    spoken = project.lines.exclude(character=None).order_by().values_list("character", "character__name")
    return {pk: name for pk, name, _first in spoken.annotate(first=Min("position")).order_by("first")}


def paint(project: Project, listed: Iterable[Row], may_change: bool, template: str = "") -> dict[int, str]:
    """The HTML of rows, by the line's primary key, as the project's kind paints them or by another `template`. What was
    painted before, for whomever, is not painted again."""
    template, cache = template or kind(project.kind).line_template, caches[PAINTED]
    about = repr((template, get_language(), project.pk, may_change))
    rows = {blake2b(f"{about}{row.facts}".encode()).hexdigest(): row for row in listed}
    known: dict[str, str] = cache.get_many(rows)
    context = {"project": project, "may_change": may_change}
    new = {key: render_to_string(template, {**context, "row": row}) for key, row in rows.items() if key not in known}
    cache.set_many(new, timeout=None)
    painted = {**known, **new}
    return {row.line.pk: painted[key] for key, row in rows.items()}


def may_change(user: Any) -> bool:
    return bool(user.has_perm("studio.change_project"))


def stamp(project: Project) -> str:
    """Another one after every change of the project's lines."""
    return project.changed_at.isoformat()
