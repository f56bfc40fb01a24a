"""Reading a project aloud: its chapters, a page of one at a time, and what is made while somebody listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from banks.pieces import speakable
from providers.queue import Priority
from studio import events, runner
from studio.generate import Outcome, Want, generate
from studio.models import Line, LineQuerySet, LineState, Project, ReadingPlace, StudioSettings, Take
from studio.rows import Row
from studio.text import space_between

A_PAGE = 100
# Sentences of one voice stand together until a paragraph has so many characters.
PARAGRAPH = 400
_READY = (LineState.DONE, LineState.STALE)
_OPEN = (LineState.QUEUED, LineState.RUNNING)


@dataclass(slots=True)
class Chapter:
    """`number` is from 1, `key` that of its first line, `first` the place of that among all lines, from 0. The first
    chapter has no title where none begins with the project's first line."""

    number: int
    key: int
    title: str
    first: int
    position: int
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def parts(self) -> int:
        """Pages that it takes."""
        return -(-self.total // A_PAGE)

    @property
    def done(self) -> int:
        return self.counts[LineState.DONE]

    @property
    def stale(self) -> int:
        return self.counts[LineState.STALE]

    @property
    def missing(self) -> int:
        return self.counts[LineState.MISSING]

    @property
    def failed(self) -> int:
        return self.counts[LineState.FAILED]

    @property
    def open(self) -> int:
        return sum(self.counts[state] for state in _OPEN)


def chapters_of(project: Project) -> list[Chapter]:
    """In order; one query."""
    found: list[Chapter] = []
    listed: QuerySet[Any, Any] = project.lines.with_state().order_by("position", "pk")
    told = listed.values_list("pk", "position", "chapter", "state").iterator(chunk_size=5000)
    for place, (pk, position, title, state) in enumerate(told):
        if title or not found:
            found.append(Chapter(len(found) + 1, pk, title, place, position))
        found[-1].counts[state] += 1
    return found


def lines_of(project: Project, chapters: Sequence[Chapter], number: int) -> LineQuerySet:
    """Those of one of the chapters."""
    chosen = project.lines.filter(position__gte=chapters[number - 1].position)
    return chosen.filter(position__lt=chapters[number].position) if number < len(chapters) else chosen


@dataclass(frozen=True, slots=True)
class Spread:
    """One page of the book: a chapter, or a part of a long one, counted from 1."""

    chapter: Chapter
    part: int

    @classmethod
    def at(cls, chapters: Sequence[Chapter], place: int) -> Spread:
        """The page with the line at this place among all, from 0."""
        chapter = next(one for one in reversed(chapters) if one.first <= place or one.number == 1)
        return cls(chapter, min((place - chapter.first) // A_PAGE + 1, chapter.parts))

    def lines(self, project: Project, chapters: Sequence[Chapter]) -> LineQuerySet:
        start = (self.part - 1) * A_PAGE
        listed = lines_of(project, chapters, self.chapter.number).order_by("position", "pk")
        return listed[start : start + A_PAGE]

    def before(self, chapters: Sequence[Chapter]) -> Spread | None:
        if self.part > 1:
            return Spread(self.chapter, self.part - 1)
        if self.chapter.number == 1:
            return None
        former = chapters[self.chapter.number - 2]
        return Spread(former, former.parts)

    def behind(self, chapters: Sequence[Chapter]) -> Spread | None:
        if self.part < self.chapter.parts:
            return Spread(self.chapter, self.part + 1)
        return Spread(chapters[self.chapter.number], 1) if self.chapter.number < len(chapters) else None

    @property
    def query(self) -> str:
        return f"chapter={self.chapter.number}" + (f"&part={self.part}" if self.part > 1 else "")


def place_of(line: Line) -> int:
    """Among all lines of its project, from 0."""
    return Line.objects.filter(project=line.project_id, position__lt=line.position).count()


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences of one voice, each with what stands before it: a space, or nothing."""

    name: str
    sentences: list[tuple[str, Row]]


def paragraphs(rows: Iterable[Row]) -> list[Paragraph]:
    listed = list(rows)
    if not listed:
        return []
    found, length = [Paragraph(_voice(listed[0]), [("", listed[0])])], len(listed[0].line.text)
    for before, row in pairwise(listed):
        if _voice(row) != _voice(before) or row.line.chapter or length + len(row.line.text) > PARAGRAPH:
            found.append(Paragraph(_voice(row), []))
            length = 0
        gap = space_between(before.line.text, row.line.text) if found[-1].sentences else ""
        found[-1].sentences.append((gap, row))
        length += len(row.line.text)
    return found


def _voice(row: Row) -> str:
    return row.line.character.name if row.line.character else row.line.speaker


# While somebody listens.


def make_ahead(project: Project, line: Line, user: Any, *, again: bool = False) -> tuple[list[int], Outcome]:
    """Have a line and the next few that are missing or stale made before batches do it; the keys of these lines, and
    what can't be spoken. `again`: the line itself too where it failed."""
    window = _window(project, line)
    outcome = Outcome()
    wanting = [one.pk for one in window if one.state in (LineState.MISSING, LineState.STALE)]
    if wanting:
        outcome = _made(project, wanting, Want.MISSING, user)
    if again and window and window[0].pk == line.pk and window[0].state == LineState.FAILED:
        outcome.refusals |= _made(project, [line.pk], Want.FAILED, user).refusals
    keys = [one.pk for one in window]
    if Take.objects.filter(lines_asking__in=keys).hurry():
        runner.wake()
        events.announce(project.pk, keys)
    return keys, outcome


def _window(project: Project, line: Line) -> list[Line]:
    """The line and those that are heard next, as many as the setting says."""
    count = StudioSettings.load().read_ahead + 1
    behind = project.lines.filter(position__gte=line.position).with_state().order_by("position", "pk")
    return [one for one in behind[: 2 * count] if speakable(one.text)][:count]


def _made(project: Project, keys: Sequence[int], want: Want, user: Any) -> Outcome:
    return generate(project, project.lines.filter(pk__in=keys), want, user, priority=Priority.INTERACTIVE)


def remember(project: Project, user: Any, line: Line | None, speed: float) -> None:
    """Where somebody is; without a line, only how fast they listen."""
    values = {"speed": speed, "changed_at": timezone.now()} | ({"line": line} if line else {})
    ReadingPlace.objects.update_or_create(user=user, project=project, defaults=values)
