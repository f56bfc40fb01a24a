"""A text becomes lines: what it would make is planned, looked at, and then stored."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from banks.images import cover_image
from banks.models import Character
from banks.pieces import speakable
from banks.roster import fold
from studio import lines
from studio.cast import everybody
from studio.chapters import Source
from studio.epub import Book
from studio.lines import Draft
from studio.models import MOST_LINES, CastEntry, Line, Project
from studio.quotes import Rules, spans
from studio.script import ScriptLine, match_speakers, parse
from studio.text import How, PatternTooSlow, cut, prose_paragraphs, shortened

LONGEST = 500
SHORTEST = 20
# For all that a text is cut into together.
CUT_SECONDS = 20.0
# Characters of a chapter by which it is known again.
OPENING = 120


@dataclass(frozen=True, slots=True)
class Cutting:
    """How a text is cut. With `turns` it is read as `Name: text`, where `no_names` are none; with `how` None turns stay
    whole. `longest`: characters. With `quotes` what is told is the `narrator`'s, and what is said the `dialogue`'s.
    `left_out`: keys of chapters."""

    how: How | None = None
    turns: bool = False
    pattern: str = ""
    longest: int = LONGEST
    no_names: frozenset[str] = frozenset()
    quotes: Rules | None = None
    narrator: str = ""
    dialogue: str = ""
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Chapter:
    """Of a plan: `opening` are its first words, `lines` how many it makes, none where it is left out."""

    key: str
    title: str
    opening: str
    lines: int


@dataclass(slots=True)
class Plan:
    """What a text makes. `speakers`: lines of each name, empty for those without; `shortened`: pieces that were too
    long for one line, and were cut again; `chapters`: all that there are, in their order; `notes`: what else there is
    to know before it is stored."""

    drafts: list[Draft] = field(default_factory=list)
    speakers: dict[str, int] = field(default_factory=dict)
    doubtful: list[str] = field(default_factory=list)
    shortened: int = 0
    notes: list[str] = field(default_factory=list)
    chapters: list[Chapter] = field(default_factory=list)


def plan(sources: Sequence[Source], cutting: Cutting, language: str = "") -> Plan:
    """CutError where it can't be cut so; ValidationError where there is nothing to speak, or too much."""
    made, deadline = Plan(), time.monotonic() + CUT_SECONDS
    for number, source in enumerate(sources):
        key, before = f"{number} {source.title}", len(made.drafts)
        if key not in cutting.left_out:
            _add(made, source, cutting, language, deadline)
        opening = " ".join(source.text[:OPENING].split())
        made.chapters.append(Chapter(key, source.title, opening, len(made.drafts) - before))
    if not made.drafts:
        raise ValidationError(_("There are no words in this text."))
    return made


def _add(made: Plan, source: Source, cutting: Cutting, language: str, deadline: float) -> None:
    title = source.title
    for turn in _turns(source.text, cutting, language, made, deadline):
        made.drafts.append(Draft(turn.text, turn.speaker, turn.instruction, title))
        made.speakers[turn.speaker] = made.speakers.get(turn.speaker, 0) + 1
        title = ""
        if len(made.drafts) > MOST_LINES:
            text = _("This makes more than %d lines: cut it less finely, or take a part of the text.")
            raise ValidationError(text % MOST_LINES)


def _turns(text: str, cutting: Cutting, language: str, made: Plan, deadline: float) -> Iterator[ScriptLine]:
    """Of at most `longest` characters each."""
    for turn in _segments(text, cutting, language, made, deadline):
        parts = [part for part in shortened(turn.text, cutting.longest) if speakable(part)]
        made.shortened += len(parts) > 1
        yield from (replace(turn, text=part) for part in parts)


def _segments(text: str, cutting: Cutting, language: str, made: Plan, deadline: float) -> Iterator[ScriptLine]:
    turns: Iterable[ScriptLine] = [ScriptLine(text)]
    if cutting.turns:
        script = parse(text, cutting.no_names)
        turns = script.lines
        made.doubtful += script.doubtful
    elif cutting.quotes:
        turns = _told_and_said(text, cutting, cutting.quotes)
    for turn in turns:
        if cutting.how is None:
            yield turn
            continue
        pieces = cut(turn.text, cutting.how, longest=sys.maxsize, language=language, pattern=cutting.pattern)
        yield from (replace(turn, text=piece) for piece in pieces)
        if time.monotonic() > deadline:
            raise PatternTooSlow(_("This takes too long on this text: cut it in another way, or take a part of it."))


def _told_and_said(text: str, cutting: Cutting, rules: Rules) -> Iterator[ScriptLine]:
    for paragraph in spans(prose_paragraphs(text), rules):
        yield from (ScriptLine(span.text, cutting.dialogue if span.said else cutting.narrator) for span in paragraph)


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


def describe(project: Project, book: Book, *, rename: bool = False) -> list[str]:
    """Let the project be called and look like a book, where it doesn't say itself; why anything of it is left out."""
    fields = {"author": book.author[:200], "language": book.language}
    told = {name: value for name, value in fields.items() if value and not getattr(project, name)}
    if rename and book.title:
        told["name"] = book.title[:100]
    for name, value in told.items():
        setattr(project, name, value)
    refused: list[str] = []
    if book.cover and not project.cover:
        try:
            picture = cover_image(book.cover)
        except ValidationError as error:
            refused = [_("The cover is left out: %s") % " ".join(error.messages)]
        else:
            project.cover.save(picture.name or "", picture, save=False)
            told["cover"] = project.cover.name or ""
    if told:
        project.save(update_fields=list(told))
    return refused


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
