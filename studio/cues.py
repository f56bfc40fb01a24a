"""The lines of a project as the timeline of its page draws them, however many there are."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Left

from studio.models import LineQuerySet, LineState, Project
from studio.rows import STATES
from studio.timing import terms

SHOWN_CHARACTERS = 80

type CueRow = tuple[int, int, int, float, int, str, str, str]


def timeline(project: Project) -> dict[str, Any]:
    """All cues, and what decides how speech fits into them: how much faster it may be played, and the seconds of the
    recording, null where there is none."""
    stretch, total = terms(project)
    return {"cues": listed(project, project.lines.all()), "stretch": stretch, "total": total}


def listed(project: Project, lines: LineQuerySet) -> list[CueRow]:
    """Of each line with times: its key, start and end in milliseconds, the seconds of its speech, the key of the take
    that is heard, the tone of its state, who speaks, and how its text begins. 0 stands for no speech and no take."""
    shown = lines.exclude(start_ms=None).with_state().annotate(beginning=Left("text", SHOWN_CHARACTERS))
    columns = ("pk", "start_ms", "end_ms", "take", "take__duration", "take__file", "state")
    found = shown.order_by("start_ms", "position").values_list(*columns, "character__name", "speaker", "beginning")
    return [
        (
            pk,
            start,
            end,
            duration or 0.0 if file else 0.0,
            take if file else 0,
            STATES[LineState(state)][0],
            name or speaker,
            beginning,
        )
        for pk, start, end, take, duration, file, state, name, speaker, beginning in found
    ]
