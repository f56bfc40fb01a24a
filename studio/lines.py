"""Every change of a project's lines: one transaction each, then everybody who has the project open hears of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Max
from django.utils.translation import gettext as _

from banks.models import Character
from studio import events, runner
from studio.freshness import Terms, renew
from studio.models import LONGEST_LINE, MOST_LINES, CastEntry, Line, LineQuerySet, Project, Take
from studio.text import space_between
from studio.timing import check_times, in_time, span

# Between neighbours, so that most insertions renumber nothing.
STEP = 1024
BATCH = 500


@dataclass(frozen=True, slots=True)
class Draft:
    """A line that is not stored yet. Without a character the project's cast entry for the speaker is taken."""

    text: str
    speaker: str = ""
    instruction: str = ""
    chapter: str = ""
    character_id: int | None = None
    speed: float = 1.0
    start_ms: int | None = None
    end_ms: int | None = None

    @property
    def times(self) -> str:
        return span(self.start_ms, self.end_ms)


type Times = tuple[int | None, int | None]


class EditConflict(ValidationError):
    """Somebody else changed the line since it was read."""


def add(project: Project, drafts: Sequence[Draft], *, after: Line | None = None, first: bool = False) -> list[Line]:
    """Insert behind a line, at the beginning, or at the end. ValidationError, and nothing is stored."""
    for number, draft in enumerate(drafts, start=1):
        _check_text(draft.text, number if len(drafts) > 1 else None)
        check_times(draft.start_ms, draft.end_ms)
    with transaction.atomic():
        _lock(project)
        if project.lines.count() + len(drafts) > MOST_LINES:
            raise ValidationError(_("A project holds at most %d lines: split it into several projects.") % MOST_LINES)
        cast = dict(CastEntry.objects.filter(project=project).values_list("speaker", "character"))
        places = _places(project, len(drafts), after, first)
        lines = [_line(project, draft, place, cast) for draft, place in zip(drafts, places, strict=True)]
        terms = Terms.of(project, lines)
        for line in lines:
            line.wanted = terms.wanted(line)
        Line.objects.bulk_create(lines, batch_size=BATCH)
        if any(draft.start_ms is not None for draft in drafts):
            _put_in_time(project, lines)
    _tell(project, structure=True)
    return lines


def edit(line: Line, revision: int | None = None, **values: Any) -> Line:
    """Change a line's own fields. EditConflict where it is not at `revision` any more; ValidationError."""
    for name, value in values.items():
        setattr(line, name, value)
    _check_text(line.text)
    check_times(line.start_ms, line.end_ms)
    line.clean_fields(exclude=["project", "position"])
    with transaction.atomic():
        same = Line.objects.filter(pk=line.pk, **({} if revision is None else {"revision": revision}))
        columns = {name: getattr(line, name) for name in values}
        if not same.update(revision=F("revision") + 1, **columns):
            raise EditConflict(_("Somebody else changed this line meanwhile: look at it, then save again."))
        line.refresh_from_db()
        renew(Terms.of(line.project, [line]), [line])
        if timed := "start_ms" in values or "end_ms" in values:
            _put_in_time(line.project, [line])
    _tell(line.project, [line.pk], structure=timed or "chapter" in values)
    return line


def retime(
    project: Project, times: Mapping[int, tuple[int, int]], was: Mapping[int, Times] | None = None
) -> dict[int, Times]:
    """Give lines other times, start and end by line. Those that have not the times any more that somebody saw, `was`,
    keep theirs: these are returned, (None, None) for a line that is gone. ValidationError, and nothing is stored."""
    for start, end in times.values():
        check_times(start, end)
    with transaction.atomic():
        _lock(project)
        listed = project.lines.filter(pk__in=times).values_list("pk", "start_ms", "end_ms")
        now: dict[int, Times] = dict.fromkeys(times, (None, None)) | {pk: (start, end) for pk, start, end in listed}
        there = {pk for pk, _start, _end in listed}
        met = {pk: now[pk] for pk in times if pk not in there or (was is not None and now[pk] != was.get(pk))}
        for pk in times.keys() - met.keys():
            start, end = times[pk]
            project.lines.filter(pk=pk).update(start_ms=start, end_ms=end, revision=F("revision") + 1)
        moved = _put_in_time(project)
    if changed := times.keys() - met.keys():
        _tell(project, _neighbourhood(project, changed), structure=moved)
    return met


def _put_in_time(project: Project, read: Iterable[Line] = ()) -> bool:
    """Whether lines had to change their places for it; those that were `read` know theirs then."""
    listed = project.lines.order_by("position", "pk").values_list("pk", "position", "start_ms")
    moved = in_time(listed)
    Line.objects.bulk_update([Line(pk=pk, position=to) for pk, to in moved.items()], ["position"], batch_size=BATCH)
    for line in read:
        line.position = moved.get(line.pk, line.position)
    return bool(moved)


def _neighbourhood(project: Project, pks: Collection[int]) -> list[int]:
    """Lines, and those before and behind each: how well these fit may have changed too."""
    order = list(project.lines.order_by("position", "pk").values_list("pk", flat=True))
    near = {at + step for at, pk in enumerate(order) if pk in pks for step in (-1, 0, 1)}
    return [order[at] for at in sorted(near) if 0 <= at < len(order)]


def split(line: Line, at: int) -> Line:
    """Cut a line before character `at` of its text; the new one behind it is returned."""
    before, after = line.text[:at].rstrip(), line.text[at:].lstrip()
    if not (before and after):
        raise ValidationError(_("Put the cursor between two words to split the line there."))
    middle, end = _halves(line, len(before) / (len(before) + len(after)))
    with transaction.atomic():
        edit(line, text=before, **({} if middle is None else {"end_ms": middle}))
        draft = Draft(after, line.speaker, line.instruction, "", line.character_id, line.speed, middle, end)
        (made,) = add(line.project, [draft], after=line)
    return made


def _halves(line: Line, share: float) -> tuple[int | None, int | None]:
    """Where the first part of a line ends, which is such a share of it, and where the second one does."""
    start, end = line.start_ms, line.end_ms
    if start is None or end is None:
        return None, None
    if end - start < 2:
        raise ValidationError(_("The line is too short in time to be split: give it a later end first."))
    return min(max(start + round((end - start) * share), start + 1), end - 1), end


def join(line: Line) -> Line:
    """Append the next line's text to this one's, and remove that line."""
    line.refresh_from_db(fields=["position"])
    other = line.project.lines.filter(position__gt=line.position).order_by("position").first()
    if other is None:
        raise ValidationError(_("There is no line behind this one."))
    starts = [one.start_ms for one in (line, other) if one.start_ms is not None]
    ends = [one.end_ms for one in (line, other) if one.end_ms is not None]
    times = {"start_ms": min(starts), "end_ms": max(ends)} if starts and ends else {}
    with transaction.atomic():
        edit(line, text=line.text + space_between(line.text, other.text) + other.text, **times)
        remove(line.project, line.project.lines.filter(pk=other.pk))
    return line


def move(project: Project, pks: Sequence[int], *, before: Line | None) -> None:
    """Put lines, in their order, before another, or at the end."""
    with transaction.atomic():
        _lock(project)
        moved = list(project.lines.filter(pk__in=pks).order_by("position", "pk"))
        staying = project.lines.exclude(pk__in=pks)
        if before is not None:
            before.refresh_from_db(fields=["position"])
        # Where the line before which to put is itself one of the moved, the next that stays.
        anchor = None if before is None else staying.filter(position__gte=before.position).order_by("position").first()
        if anchor is None:
            low = staying.aggregate(last=Max("position"))["last"] or 0
        else:
            low = staying.filter(position__lt=anchor.position).aggregate(last=Max("position"))["last"] or 0
        for line, place in zip(moved, _between(staying, low, anchor, len(moved)), strict=True):
            line.position = place
        Line.objects.bulk_update(moved, ["position"], batch_size=BATCH)
        _put_in_time(project)
    _tell(project, structure=True)


def remove(project: Project, lines: LineQuerySet) -> int:
    """Delete lines; what is still spoken for them is cancelled, their takes stay in the archive."""
    pks = list(lines.values_list("pk", flat=True))
    with transaction.atomic():
        unasked = _take_out(project, pks)
    runner.cancel(unasked)
    _tell(project, structure=True)
    return len(pks)


def replace(project: Project, drafts: Sequence[Draft]) -> list[Line]:
    """Other lines in place of all that there are; what is still spoken for those is cancelled. Not within a
    transaction, since it waits for that. ValidationError, and they stay."""
    with transaction.atomic():
        _lock(project)
        unasked = _take_out(project, list(project.lines.values_list("pk", flat=True)))
        made = add(project, drafts)
    runner.cancel(unasked)
    return made


def _take_out(project: Project, pks: Sequence[int]) -> list[int]:
    """Delete lines; the open takes that nobody waits for any more."""
    waiting = list(Take.objects.open().filter(lines_asking__in=pks).values_list("pk", flat=True))
    for start in range(0, len(pks), BATCH):
        project.lines.filter(pk__in=pks[start : start + BATCH]).delete()
    return list(Take.objects.filter(pk__in=waiting, lines_asking=None).values_list("pk", flat=True))


def assign(project: Project, lines: LineQuerySet, character: Character | None) -> int:
    """Let a character speak these lines."""
    pks = list(lines.values_list("pk", flat=True))
    with transaction.atomic():
        for start in range(0, len(pks), BATCH):
            chosen = project.lines.filter(pk__in=pks[start : start + BATCH])
            chosen.update(character=character, revision=F("revision") + 1)
        _renew_all(project, pks)
    _tell(project, pks)
    return len(pks)


def change(project: Project, lines: LineQuerySet, **values: Any) -> int:
    """Give lines the same speed or instruction."""
    pks = list(lines.values_list("pk", flat=True))
    with transaction.atomic():
        for start in range(0, len(pks), BATCH):
            chosen = project.lines.filter(pk__in=pks[start : start + BATCH])
            chosen.update(revision=F("revision") + 1, **values)
        _renew_all(project, pks)
    _tell(project, pks)
    return len(pks)


def cast(project: Project, speaker: str, character: Character | None) -> int:
    """Let a character speak for a name of the script, now and when more of it comes; how many lines that are."""
    with transaction.atomic():
        CastEntry.objects.filter(project=project, speaker=speaker).delete()
        if character is not None:
            CastEntry.objects.create(project=project, speaker=speaker, character=character)
        return assign(project, project.lines.filter(speaker=speaker), character)


def name(project: Project, chosen: Mapping[int, tuple[int, str]]) -> list[int]:
    """Give lines the speaker that `chosen` has for their keys, and whom the cast has for that one. Those that are not
    at the revision beside it any more, or are gone, stay as they are; the keys of the others."""
    named = defaultdict[str, list[int]](list)
    with transaction.atomic():
        for keys in batched(chosen, BATCH):
            found = project.lines.select_for_update().filter(pk__in=keys).values_list("pk", "revision")
            for pk, revision in found.order_by("pk"):
                if revision == chosen[pk][0]:
                    named[chosen[pk][1]].append(pk)
        cast = dict(project.cast.values_list("speaker", "character"))
        for speaker, pks in named.items():
            values = {"speaker": speaker, **({"character_id": cast[speaker]} if speaker in cast else {})}
            for keys in batched(pks, BATCH):
                project.lines.filter(pk__in=keys).update(revision=F("revision") + 1, **values)
        changed = [pk for pks in named.values() for pk in pks]
        _renew_all(project, changed)
    _tell(project, changed)
    return changed


def _renew_all(project: Project, pks: Sequence[int]) -> None:
    terms = Terms.of(project)
    for start in range(0, len(pks), BATCH):
        renew(terms, project.lines.filter(pk__in=pks[start : start + BATCH]))


def _check_text(text: str, number: int | None = None) -> None:
    wrong = ""
    if not text.strip():
        wrong = _("A line needs a text.")
    elif len(text) > LONGEST_LINE:
        values = {"count": len(text), "limit": LONGEST_LINE}
        wrong = _("The text has %(count)d characters; a line holds at most %(limit)d: split it.") % values
    elif "\x00" in text:
        wrong = _("The text holds characters that no text has.")
    if wrong:
        raise ValidationError({"text": wrong if number is None else _("Line %d: ") % number + wrong})


def _line(project: Project, draft: Draft, position: int, cast: dict[str, int]) -> Line:
    return Line(
        project=project,
        position=position,
        text=draft.text.strip(),
        speaker=draft.speaker,
        instruction=draft.instruction,
        chapter=draft.chapter,
        character_id=draft.character_id or cast.get(draft.speaker),
        speed=draft.speed,
        start_ms=draft.start_ms,
        end_ms=draft.end_ms,
    )


def _lock(project: Project) -> None:
    """Others who change the order of this project's lines wait."""
    Project.objects.select_for_update().filter(pk=project.pk).first()


def _places(project: Project, count: int, after: Line | None, first: bool) -> Iterable[int]:
    """Free positions for so many lines."""
    if after is not None:
        after.refresh_from_db(fields=["position"])
        low = after.position
    else:
        low = 0 if first else project.lines.aggregate(last=Max("position"))["last"] or 0
    following = project.lines.filter(position__gt=low).order_by("position").first()
    return _between(project.lines.all(), low, following, count)


def _between(lines: LineQuerySet, low: int, following: Line | None, count: int) -> Iterable[int]:
    """Free positions above `low`; all from the following line on move away where there is no room before it."""
    if following is None:
        return range(low + STEP, low + STEP * count + 1, STEP)
    room = following.position - low
    if room <= count:
        lines.filter(position__gte=following.position).update(position=F("position") + STEP * (count + 1))
        room += STEP * (count + 1)
    step = room // (count + 1)
    return range(low + step, low + step * count + 1, step)


def _tell(project: Project, pks: Collection[int] = (), *, structure: bool = False) -> None:
    project.touch()
    transaction.on_commit(lambda: events.announce(project.pk, pks, structure=structure))
