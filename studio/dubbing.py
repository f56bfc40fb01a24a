"""A project's lines in time with its footage: where each is heard, and speaking faster what is too long."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from providers.speech import SPEED_MAX
from studio import lines as changes
from studio.cast import refusal
from studio.fitting import Cue, Fit, fit
from studio.generate import Outcome, Want, generate
from studio.models import Footage, Line, LineQuerySet, Project

# Where there is no footage yet that says otherwise.
STRETCH_MOST = 1.2
# Speeds are rounded up to twentieths, so that hundreds of lines have a few of them.
_STEPS = 20


def timed(lines: LineQuerySet) -> LineQuerySet:
    """Those that have times, in the order of these."""
    return lines.exclude(start_ms=None).order_by("start_ms", "position", "pk")


def cue_of(line: Line) -> Cue:
    """Of a line with times; reads its take."""
    spoken = line.take.duration if line.take else None
    return Cue((line.start_ms or 0) / 1000, (line.end_ms or 0) / 1000, spoken or 0.0)


def fits_of(project: Project, lines: Sequence[Line]) -> list[Fit]:
    """Where each of these lines, which have times, is heard, as if they were all that there is."""
    footage = Footage.objects.filter(project=project).first()
    most, total = (footage.stretch_most, footage.duration) if footage else (STRETCH_MOST, None)
    return fit([cue_of(line) for line in lines], stretch_most=most, total=total)


def fits(project: Project) -> dict[int, Fit]:
    """Of all lines that have times, by primary key; a line without audio keeps its time all the same."""
    found = list(timed(project.lines.all()).select_related("take").defer("take__waveform", "take__made_with_json"))
    return {line.pk: fitted for line, fitted in zip(found, fits_of(project, found), strict=True)}


def faster(project: Project, lines: LineQuerySet, user: Any) -> Outcome:
    """Have those of the lines that are too long for their time spoken again, as fast as it takes, where their provider
    can speak faster. What it can't make up is left to stretching; `refused` says why some are not asked for."""
    fitted, refused = fits(project), Counter[str]()
    speeds = defaultdict[float, list[int]](list)
    over = [pk for pk, one in fitted.items() if one.over > 0]
    for line in lines.filter(pk__in=over).select_related("character__provider", "take"):
        if reason := _refusal(line):
            refused[reason] += 1
        else:
            speeds[_speed(line, fitted[line.pk].speed_needed)].append(line.pk)
    for speed, pks in speeds.items():
        changes.change(project, project.lines.filter(pk__in=pks), speed=speed)
    chosen = project.lines.filter(pk__in=[pk for pks in speeds.values() for pk in pks])
    outcome = generate(project, chosen, Want.MISSING, user)
    outcome.refused += refused
    return outcome


def _refusal(line: Line) -> str:
    if line.character is None:
        return _("No character is chosen.")
    if reason := refusal(line.character):
        return reason
    if line.character.provider.adapter_class.capabilities.speed is None:
        return _("The provider can't speak faster.")
    return "" if _fastest(line) > _spoken_at(line) else _("It is spoken as fast as the provider can.")


def _speed(line: Line, needed: float) -> float:
    """That of the line, which multiplies its character's own."""
    wanted = _spoken_at(line) * needed
    rounded = math.ceil(wanted * _STEPS - 1e-9) / _STEPS if math.isfinite(wanted) else math.inf
    return min(rounded, _fastest(line))


def _fastest(line: Line) -> float:
    assert line.character is not None
    _least, most = line.character.provider.adapter_class.capabilities.speed or (1.0, 1.0)
    return min(most / line.character.speed, SPEED_MAX)


def _spoken_at(line: Line) -> float:
    """What is heard now may have been spoken before the line's speed was changed."""
    return line.take.made_with.speed if line.take else line.speed
