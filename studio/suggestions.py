"""Speakers that a chat model suggests: asking for them, and taking or rejecting what came. Nothing is sent, and no line
is changed, unless somebody asks for it here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from providers.audit import Change, record
from providers.models import ChatModel
from studio import lines, runner
from studio.models import Project, Scope, SuggestionQuerySet, SuggestionRun, TakeState
from studio.passages import Entry, windows
from studio.readings import asked_about, entries_of
from studio.speaker_prompt import clean_name, instructions


@dataclass(frozen=True, slots=True)
class Plan:
    """What asking about these lines would send, about."""

    scope: Scope
    lines: int
    characters: int
    requests: int


def plans(entries: Sequence[Entry], chat: ChatModel) -> list[Plan]:
    """For each scope."""
    return [_plan(scope, entries, chat) for scope in Scope]


def _plan(scope: Scope, entries: Sequence[Entry], chat: ChatModel) -> Plan:
    found = list(windows(entries, chat.window_characters, asked_about(scope)))
    characters = sum(window.characters for window in found) + len(found) * len(instructions())
    return Plan(scope, sum(len(window.asked) for window in found), characters, len(found))


def start(project: Project, owner: Any, *, scope: Scope, narrator: str, sent_to: str) -> SuggestionRun:
    """Queue it. `sent_to` is where whoever asks was told that the text goes. ValidationError."""
    chat = _require_chat(sent_to)
    planned = _plan(scope, entries_of(project), chat)
    if not planned.lines:
        raise ValidationError(_("There is no line to ask about."))
    name = clean_name(narrator) if narrator else ""
    if narrator and not name:
        raise ValidationError({"narrator": _("Enter a name of letters, at most 100 characters, or leave it empty.")})
    made = SuggestionRun(
        project=project, owner=owner, scope=scope, narrator=name, sent_to=chat.destination, lines=planned.lines
    )
    with _only_one(), transaction.atomic():
        made.save()
        record(owner, project, Change.CHANGED, gettext_noop("Sent the text to the chat model, to suggest speakers."))
        transaction.on_commit(runner.wake)
    return made


def go_on(run: SuggestionRun, owner: Any, *, sent_to: str) -> None:
    """Queue what failed or was cancelled again, from where it stood. ValidationError."""
    chat = _require_chat(sent_to)
    with _only_one(), transaction.atomic():
        ended = SuggestionRun.objects.filter(pk=run.pk, state__in=[TakeState.FAILED, TakeState.CANCELLED])
        queued = {"state": TakeState.QUEUED, "started_at": None, "finished_at": None, "error": "", "error_code": ""}
        if not ended.update(**queued, sent_to=chat.destination):
            raise ValidationError(_("It is under way, or at its end, already."))
        record(
            owner, run.project, Change.CHANGED, gettext_noop("Sent the text to the chat model, to suggest speakers.")
        )
        transaction.on_commit(runner.wake)


def cancel(project: Project) -> int:
    count = project.suggestion_runs.cancel()
    runner.wake()
    return count


def _require_chat(sent_to: str) -> ChatModel:
    chat = ChatModel.load()
    if not chat.is_ready:
        raise ValidationError(_("The chat model is switched off."))
    if chat.destination != sent_to:
        raise ValidationError(_("The chat model's address was changed meanwhile: look where the text goes now."))
    return chat


@contextmanager
def _only_one() -> Iterator[None]:
    """Of those who press at the same time: the constraint lets one of them through."""
    try:
        yield
    except IntegrityError as error:
        raise ValidationError(_("Somebody asked for this project already: wait for it, or cancel it.")) from error


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many lines got their speaker, and how many stay as they are since they were changed meanwhile."""

    taken: int
    stale: int


def take(project: Project, chosen: SuggestionQuerySet, speaker: str = "") -> Outcome:
    """Give lines the speakers that were suggested, or the one that is given. ValidationError where that is no name."""
    name = clean_name(speaker) if speaker else ""
    if speaker and not name:
        raise ValidationError(_("Enter a name of letters, at most 100 characters."))
    asked = chosen.filter(project=project).order_by("pk").values_list("line", "revision", "speaker")
    wanted = {line: (revision, name or suggested) for line, revision, suggested in asked}
    with transaction.atomic():
        named = lines.name(project, wanted)
        for start in range(0, len(named), lines.BATCH):
            project.suggestions.filter(line__in=named[start : start + lines.BATCH]).delete()
    return Outcome(len(named), len(wanted) - len(named))


def reject(project: Project, chosen: SuggestionQuerySet) -> int:
    return chosen.filter(project=project).delete()[0]
