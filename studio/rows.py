"""What the page of a project shows of its lines, when it is opened and whenever one of them changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Min
from django.template.loader import render_to_string
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from banks.admin import avatar_url
from banks.models import Character
from providers.pages import PAUSES, duration
from studio.cards import drawn, waveform_path
from studio.kinds import kind
from studio.models import Line, LineQuerySet, LineState, Project, Take, TakeState
from studio.runner import Stage, stages

WAVE_LINES = 60
# Of a line's earlier takes.
MOST_TAKES = 12
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
_UNREAD = [
    f"{take}__{name}" for take in ("take", "attempt") for name in ("made_with_json", "text", "spoken")
] + ["attempt__waveform"]


@dataclass(frozen=True, slots=True)
class Earlier:
    """A take that a line once had asked for, by its number among them."""

    take: Take
    number: int
    current: bool
    length: str


@dataclass(frozen=True, slots=True)
class Row:
    line: Line
    stage: Stage | None
    earlier: list[Earlier]
    side: str

    @property
    def pk(self) -> int:
        return self.line.pk

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
    def is_open(self) -> bool:
        return self.line.state in (LineState.QUEUED, LineState.RUNNING)

    @property
    def failed(self) -> bool:
        return self.line.state == LineState.FAILED

    @property
    def heard(self) -> Take | None:
        """What there is to listen to."""
        return self.line.take if self.line.take and self.line.take.file else None

    @property
    def length(self) -> str:
        return duration(self.heard.duration) if self.heard and self.heard.duration else ""

    @property
    def columns(self) -> int:
        return len(drawn(self.heard.waveform, WAVE_LINES)) if self.heard else 0

    @property
    def wave(self) -> str:
        return waveform_path(drawn(self.heard.waveform, WAVE_LINES)) if self.heard else ""

    @property
    def avatar(self) -> str:
        character = self.line.character
        return avatar_url(character) if character and character.avatar else ""

    @property
    def hue(self) -> int:
        """Of the circle that stands for somebody without a picture, far from those made about the same time."""
        return hue(self.line.character)


def hue(character: Character | None) -> int:
    return (character.pk * 137) % 360 if character else 0


def rows(project: Project, lines: LineQuerySet, staged: Mapping[int, Stage] | None = None) -> list[Row]:
    """In the order of the lines, which are read here. `staged` is where running takes are, where that is known."""
    listed = list(lines.shown().defer(*_UNREAD))
    if staged is None:
        staged = stages(project.pk) if any(line.state == LineState.RUNNING for line in listed) else {}
    sides, earlier = _sides(project), _earlier(listed)
    return [
        Row(line, staged.get(line.attempt_id or 0), earlier.get(line.pk, []), sides.get(line.character_id, SIDES[0]))
        for line in listed
    ]


def _sides(project: Project) -> dict[int | None, str]:
    """Characters take turns in the order in which they first speak."""
    firsts = project.lines.order_by().values_list("character").annotate(first=Min("position")).order_by("first")
    speakers = [character for character, _first in firsts if character is not None]
    return {character: SIDES[place % 2] for place, character in enumerate(speakers)}


def _earlier(lines: Iterable[Line]) -> dict[int, list[Earlier]]:
    """Of lines that have more than one take to choose from."""
    heard = {line.pk: line.take_id for line in lines}
    fields = ("line", "duration", "state", "file")
    done = Take.objects.filter(line__in=heard, state=TakeState.DONE).only(*fields).order_by("pk")
    by_line = defaultdict[int, list[Take]](list)
    for take in done:
        by_line[take.line_id or 0].append(take)
    return {
        pk: [
            Earlier(take, number, take.pk == heard[pk], duration(take.duration or 0))
            for number, take in enumerate(takes, start=1)
        ][-MOST_TAKES:]
        for pk, takes in by_line.items()
        if len(takes) > 1 or takes[0].pk != heard[pk]
    }


def paint(project: Project, listed: Iterable[Row], may_change: bool) -> dict[int, str]:
    """The HTML of rows, by the line's primary key."""
    template, context = kind(project.kind).line_template, {"project": project, "may_change": may_change}
    return {row.pk: render_to_string(template, {**context, "row": row}) for row in listed}


def may_change(user: Any) -> bool:
    return bool(user.has_perm("studio.change_project"))


def stamp(project: Project) -> str:
    """Another one after every change of the project's lines."""
    return project.changed_at.isoformat()
