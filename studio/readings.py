"""What a chat model reads next of a project, and keeping what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.db import transaction
from django.db.models import Count, Value
from django.db.models.functions import Length

from banks.models import Character
from providers.chat import ChatRequest
from providers.models import ChatModel
from studio.models import Line, Project, Scope, SpeakerSuggestion, SuggestionRun
from studio.passages import SHOWN_CHARACTERS, Entry, Window, windows
from studio.speaker_prompt import MOST_NAMES, SCHEMA, Piece, Proposal, as_known, instructions, question


@dataclass(frozen=True, slots=True)
class Reading:
    """One request. `asked` are the lines whose numbers begin with 1, as they were read."""

    request: ChatRequest
    asked: tuple[Line, ...]

    @property
    def numbers(self) -> range:
        return range(1, len(self.asked) + 1)


def entries_of(project: Project) -> list[Entry]:
    """All lines of the project."""
    rows = project.lines.order_by("position", "pk").values_list("pk", "position", Length("text"), "speaker")
    return list(map(Entry._make, rows))


def asked_about(scope: str, reached: int = -1) -> Callable[[Entry], bool]:
    """Whether a line's speaker is wanted: where it is of the scope, and behind a position."""
    if scope == Scope.ALL:
        return lambda entry: entry.position > reached
    return lambda entry: entry.position > reached and not entry.speaker


def next_reading(run: SuggestionRun) -> Reading | None:
    """None where nothing is left. ProviderUnavailable where the text may not be sent any more, or goes elsewhere than
    somebody agreed to."""
    size = ChatModel.ready(run.sent_to).window_characters
    run.refresh_from_db(fields=["reached"])
    entries = entries_of(run.project)
    window = next(windows(entries, size, asked_about(run.scope, run.reached)), None)
    if window is None:
        return None
    lines = Line.objects.in_bulk([entries[index].pk for index in window.shown])
    asked = tuple(lines[entries[index].pk] for index in window.asked if entries[index].pk in lines)
    pieces = _pieces(run, window, entries, lines, size)
    text = question(pieces, names=names_of(run.project), narrator=run.narrator, language=run.project.language)
    return Reading(ChatRequest(instructions(), text, SCHEMA), asked)


def _pieces(
    run: SuggestionRun, window: Window, entries: Sequence[Entry], lines: Mapping[int, Line], size: int
) -> Iterator[Piece]:
    """Lines around those that are asked about have the names that were just proposed for them."""
    proposed = dict(run.suggestions.filter(line__in=lines).values_list("line", "speaker"))
    gaps = {index for before, index in pairwise((-1, *window.shown)) if index > before + 1}
    numbers = {index: number for number, index in enumerate(window.asked, start=1)}
    for index in window.shown:
        if (line := lines.get(entries[index].pk)) is None:
            continue
        number = numbers.get(index, 0)
        text = line.text[: size if number else SHOWN_CHARACTERS]
        speaker = line.speaker or proposed.get(line.pk, "")
        yield Piece(text, number, speaker, behind_gap=index in gaps)


def names_of(project: Project) -> list[str]:
    """Those of the project's lines, of most lines first, then those of its cast, those that wait to be taken, and those
    of its bank's characters. One query."""
    lines: Any = project.lines.exclude(speaker="").order_by().values("speaker")
    found = lines.annotate(source=Value(0), behind=-Count("pk")).values_list("speaker", "source", "behind")
    cast = project.cast.exclude(speaker="").order_by().values_list("speaker", Value(1), Value(0))
    waiting = project.suggestions.order_by().values_list("speaker", Value(2), Value(0))
    bank = Character.objects.filter(memberships__bank=project.bank_id, archived_at=None).order_by()
    everybody = found.union(cast, waiting, bank.values_list("name", Value(3), Value(0)))
    names = [name for name, _source, _behind in everybody.order_by("source", "behind", "speaker")[: 2 * MOST_NAMES]]
    first = {name.casefold(): name for name in reversed(names)}
    return [name for name in dict.fromkeys(names) if first[name.casefold()] == name]


def store(run: SuggestionRun, reading: Reading, found: Mapping[int, Proposal]) -> bool:
    """Keep what was proposed, in place of what was before. False where the run has ended meanwhile, and nothing is."""
    known = {name.casefold(): name for name in names_of(run.project)}
    asked = {line.pk: (number, line) for number, line in enumerate(reading.asked, start=1)}
    with transaction.atomic():
        if not run.went_on(max(line.position for line in reading.asked), len(asked)):
            return False
        there = set(run.project.lines.select_for_update().filter(pk__in=asked).values_list("pk", flat=True))
        SpeakerSuggestion.objects.filter(line__in=there).delete()
        made = [
            SpeakerSuggestion(
                project_id=run.project_id,
                run=run,
                line=line,
                speaker=speaker,
                confidence=found[number].confidence,
                revision=line.revision,
            )
            for pk, (number, line) in asked.items()
            if pk in there
            and number in found
            # Who speaks it already is no news.
            and (speaker := as_known(found[number].speaker, known)) != line.speaker
        ]
        SpeakerSuggestion.objects.bulk_create(made)
    return True
