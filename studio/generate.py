"""Asking for the audio of lines: one, a selection, what is missing, what failed, or all.

Everything that a take is spoken with is frozen here, when it is queued.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import batched
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from banks.pieces import speakable
from banks.pronunciation import PronunciationError
from providers.queue import Priority
from studio import events, runner
from studio.freshness import Terms, refresh, renew
from studio.models import Line, LineQuerySet, LineState, Project, Take, TakeState

BATCH = 500


class Want(StrEnum):
    MISSING = "missing"
    """What has no audio, or audio that is stale; never what is current."""
    FAILED = "failed"
    ALL = "all"


@dataclass
class Outcome:
    """What became of the lines: `refused` counts the reasons for which some can't be spoken, `refusals` has each's."""

    queued: int = 0
    reused: int = 0
    waiting: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refusals: dict[int, str] = field(default_factory=dict, repr=False)
    pks: list[int] = field(default_factory=list, repr=False)


def generate(
    project: Project, lines: LineQuerySet, want: Want, user: Any, *, priority: Priority = Priority.BATCH
) -> Outcome:
    """Queue takes for those of the lines that `want` means. They are spoken in the order of the lines."""
    refresh(project)
    outcome, terms = Outcome(), Terms.of(project)
    with transaction.atomic():
        stated = lines.order_by("position", "pk").select_related("attempt", "take")
        for batch in batched(_wanted(stated, want), BATCH):
            _ask(project, terms, batch, partial(Take.ask, user, priority=priority.value), outcome)
    _report(project, outcome, touch=priority is Priority.BATCH)
    return outcome


def cancel(project: Project, lines: LineQuerySet | None = None) -> int:
    """Cancel what is open for these lines, or for all of the project; how many takes that were."""
    chosen = project.lines.all() if lines is None else lines
    waiting = Take.objects.open().filter(lines_asking__in=chosen.order_by().values("pk"))
    return runner.cancel(list(waiting.order_by("-pk").values_list("pk", flat=True).distinct()))


def use(line: Line, take: Take) -> None:
    """Let an earlier take of a line be the one that counts."""
    Line.objects.filter(pk=line.pk).update(take=take, attempt=take)
    events.announce(line.project_id, [line.pk])


def _wanted(lines: LineQuerySet, want: Want) -> Iterator[Line]:
    states = {
        Want.MISSING: [LineState.MISSING, LineState.STALE],
        Want.FAILED: [LineState.FAILED],
        Want.ALL: list(LineState),
    }[want]
    # Also what waits, so that it can be asked for anew where it changed meanwhile.
    yield from lines.in_state({*states, LineState.QUEUED, LineState.RUNNING}).iterator(chunk_size=2000)


def _ask(project: Project, terms: Terms, lines: tuple[Line, ...], ask: Callable[..., Take], outcome: Outcome) -> None:
    renew(terms, lines)
    able = [line for line in lines if not _left_out(terms, line, outcome)]
    asked = _reuse(project, able, outcome) if project.reuse else able
    superseded = [line.attempt.pk for line in asked if line.attempt is not None and line.attempt.is_open]
    takes = {line.wanted if project.reuse else line.pk: _take(project, terms, line, ask) for line in asked}
    Take.objects.bulk_create(takes.values())
    for line in asked:
        line.attempt = takes[line.wanted if project.reuse else line.pk]
    Line.objects.bulk_update([*asked], ["attempt"], batch_size=BATCH)
    outcome.queued += len(takes)
    outcome.reused += len(asked) - len(takes)
    outcome.pks += [line.pk for line in asked]
    # What was asked with other words is not wanted any more, unless another line waits for it.
    Take.objects.queued().filter(pk__in=superseded, lines_asking=None).cancel()


def _left_out(terms: Terms, line: Line, outcome: Outcome) -> bool:
    """Whether there is nothing to queue for a line, which is counted."""
    if line.attempt is not None and line.attempt.is_open and line.attempt.content_hash == line.wanted:
        outcome.waiting += 1
        return True
    reason = _refusal(terms, line)
    if reason:
        outcome.refused[reason] += 1
        outcome.refusals[line.pk] = reason
    return bool(reason)


def _refusal(terms: Terms, line: Line) -> str:
    if not speakable(line.text):
        return _("There are no words to speak.")
    if terms.made_with(line) is None:
        return _("No character is chosen.")
    try:
        spoken = terms.spoken(line)
    except PronunciationError as error:
        return error.message
    return terms.refusal(line) or ("" if speakable(spoken) else _("The dictionary leaves no words to speak."))


def _reuse(project: Project, lines: list[Line], outcome: Outcome) -> list[Line]:
    """Those lines for which the project has no take that sounds the same; the others now have it."""
    sames = Take.objects.filter(project=project, content_hash__in={line.wanted for line in lines})
    open_or_done = sames.exclude(state__in=[TakeState.FAILED, TakeState.CANCELLED]).order_by("pk")
    known = {take.content_hash: take for take in open_or_done}
    found = [line for line in lines if line.wanted in known and known[line.wanted].pk != line.take_id]
    for line in found:
        line.attempt = known[line.wanted]
        line.take = line.attempt if line.attempt.state == TakeState.DONE else line.take
    Line.objects.bulk_update(found, ["attempt", "take"], batch_size=BATCH)
    outcome.reused += len(found)
    outcome.pks += [line.pk for line in found]
    taken = {line.pk for line in found}
    return [line for line in lines if line.pk not in taken]


def _take(project: Project, terms: Terms, line: Line, ask: Callable[..., Take]) -> Take:
    made_with = terms.made_with(line)
    assert made_with is not None, "lines without a character are left out"
    return ask(
        line.text,
        made_with,
        project.format,
        spoken=terms.spoken(line),
        project=project,
        line=line,
        character_id=line.character_id,
    )


def _report(project: Project, outcome: Outcome, *, touch: bool) -> None:
    if touch:
        project.touch()
    if outcome.pks:
        transaction.on_commit(lambda: events.announce(project.pk, outcome.pks))
    if outcome.queued:
        transaction.on_commit(runner.wake)
