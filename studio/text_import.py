"""A text becomes lines: what it would make is planned, looked at, and then stored."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from banks.models import Character
from banks.pieces import speakable
from banks.roster import fold
from studio import lines
from studio.cast import everybody
from studio.lines import Draft
from studio.models import MOST_LINES, CastEntry, Line, Project
from studio.script import ScriptLine, match_speakers, parse
from studio.text import How, PatternTooSlow, cut, shortened

LONGEST = 500
SHORTEST = 20
# For all turns of a script together.
CUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Source:
    """A text; `title` is that of a chapter that begins with it."""

    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How a text is cut. With `turns` it is read as `Name: text`, where `no_names` are none; with `how` None turns stay
    whole. `longest`: characters."""

    how: How | None = None
    turns: bool = False
    pattern: str = ""
    longest: int = LONGEST
    no_names: frozenset[str] = frozenset()


@dataclass(slots=True)
class Plan:
    """What a text makes. `speakers`: lines of each name, empty for those without; `shortened`: pieces that were too
    long for one line, and were cut again; `notes`: what else there is to know before it is stored."""

    drafts: list[Draft] = field(default_factory=list)
    speakers: dict[str, int] = field(default_factory=dict)
    doubtful: list[str] = field(default_factory=list)
    shortened: int = 0
    notes: list[str] = field(default_factory=list)


def plan(sources: Sequence[Source], cutting: Cutting, language: str = "") -> Plan:
    """CutError where it can't be cut so; ValidationError where there is nothing to speak, or too much."""
    made = Plan()
    for source in sources:
        title = source.title
        for turn in _turns(source.text, cutting, language, made):
            made.drafts.append(Draft(turn.text, turn.speaker, turn.instruction, title))
            made.speakers[turn.speaker] = made.speakers.get(turn.speaker, 0) + 1
            title = ""
            if len(made.drafts) > MOST_LINES:
                text = _("This makes more than %d lines: cut it less finely, or take a part of the text.")
                raise ValidationError(text % MOST_LINES)
    if not made.drafts:
        raise ValidationError(_("There are no words in this text."))
    return made


def _turns(text: str, cutting: Cutting, language: str, made: Plan) -> Iterator[ScriptLine]:
    """Of at most `longest` characters each."""
    for turn in _segments(text, cutting, language, made):
        parts = [part for part in shortened(turn.text, cutting.longest) if speakable(part)]
        made.shortened += len(parts) > 1
        yield from (replace(turn, text=part) for part in parts)


def _segments(text: str, cutting: Cutting, language: str, made: Plan) -> Iterator[ScriptLine]:
    turns = [ScriptLine(text)]
    if cutting.turns:
        script = parse(text, cutting.no_names)
        turns = script.lines
        made.doubtful += script.doubtful
    if cutting.how is None:
        yield from turns
        return
    deadline = time.monotonic() + CUT_SECONDS
    for turn in turns:
        pieces = cut(turn.text, cutting.how, longest=sys.maxsize, language=language, pattern=cutting.pattern)
        yield from (replace(turn, text=piece) for piece in pieces)
        if time.monotonic() > deadline:
            raise PatternTooSlow(_("This takes too long on this text: cut it in another way, or take a part of it."))


def known_cast(project: Project, names: Collection[str]) -> dict[str, int]:
    """Who speaks for these names: as the project's cast has it, else the character of its bank that is called so."""
    cast = dict(CastEntry.objects.filter(project=project).values_list("speaker", "character"))
    return match_speakers(names, _callable(project), fold) | {name: cast[name] for name in names if name in cast}


def _callable(project: Project) -> dict[str, int]:
    """Characters by folded names and aliases: of the project's bank, or of all where it has none. The first wins, and
    names go before aliases."""
    parts = [part.character for part in everybody() if project.bank_id in (None, part.bank_id)]
    aliases = {fold(alias): one.pk for one in reversed(parts) for alias in one.aliases}
    return aliases | {fold(one.name): one.pk for one in reversed(parts)}


def store(
    project: Project, made: Plan, cast: Mapping[str, Character | None], *, replace_all: bool = False
) -> list[Line]:
    """The lines, at the end or in place of all others. `cast`, by name, is remembered, and speaks lines of these names
    too that nobody spoke before. ValidationError, and no line is stored or gone."""
    with transaction.atomic():
        _remember(project, {name: cast[name] for name in cast if name in made.speakers})
    if replace_all:
        # In no transaction of ours: it waits for what is spoken to come to its end.
        return lines.replace(project, made.drafts)
    with transaction.atomic():
        stored = lines.add(project, made.drafts)
        for name, character in cast.items():
            unspoken = project.lines.filter(speaker=name, character=None)
            if character is not None and unspoken.exists():
                lines.assign(project, unspoken, character)
    return stored


def _remember(project: Project, cast: Mapping[str, Character | None]) -> None:
    CastEntry.objects.filter(project=project, speaker__in=cast).delete()
    CastEntry.objects.bulk_create(
        [
            CastEntry(project=project, speaker=name, character=character)
            for name, character in cast.items()
            if character is not None
        ],
        batch_size=500,
    )
