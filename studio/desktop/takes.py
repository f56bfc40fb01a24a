"""Audio of the desktop application becomes done takes: of lines, for which it is current, and of its quick history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from banks.models import Character
from banks.pieces import speakable
from providers.queue import Priority
from studio.cast import voices_of
from studio.desktop.job import Job
from studio.desktop.known import QUICK, audio_of
from studio.desktop.preparing import Sound
from studio.desktop.reading import LineRow, QuickRow
from studio.desktop.report import Entry, Verdict, What
from studio.freshness import Terms
from studio.frozen import MadeWith
from studio.lines import BATCH
from studio.models import LONGEST_TEXT, Line, Project, Take, TakeState


@dataclass(frozen=True, slots=True)
class Voiced:
    """A line that may get the audio of a row; `against` is why it may not."""

    row: LineRow
    line: Line
    against: str = ""


def attach(job: Job, project: Project, entry: Entry, table: str, voiced: Sequence[Voiced]) -> None:
    """Takes for the lines whose audio comes; the reasons of the others are counted."""
    terms = Terms.of(project, [one.line for one in voiced])
    asked = [one for one in voiced if _comes(job, terms, entry, table, one)]
    entry.audio = len(asked)
    if job.dry:
        return
    for some in batched(asked, BATCH):
        takes = [_take(job, terms, project, one.line, job.prepared.takes[audio_of(table), one.row.id]) for one in some]
        Take.objects.bulk_create(takes)
        for one, take in zip(some, takes, strict=True):
            one.line.take = one.line.attempt = take
            job.known.note(audio_of(table), one.row.id, take)
        Line.objects.bulk_update([one.line for one in some], ["take", "attempt"])


def _comes(job: Job, terms: Terms, entry: Entry, table: str, one: Voiced) -> bool:
    path = one.row.audio
    if not path or job.known.verdict(audio_of(table), one.row.id) is not Verdict.NEW:
        return False
    against = one.against
    if one.line.attempt_id or one.line.take_id:
        against = _("The line has other audio here.")
    elif not one.line.character_id:
        against = _("Nobody speaks the line, so its audio has no voice.")
    elif (audio_of(table), one.row.id) not in job.prepared.takes:
        against = job.prepared.why_not(path)
        if path in job.prepared.missing:
            entry.missing.append(path)
    elif not against and not terms.wanted(one.line):
        against = _("The line has no words to speak, so its audio is left out.")
    if against:
        entry.left_out[against] += 1
    return not against


def _take(job: Job, terms: Terms, project: Project, line: Line, sound: Sound) -> Take:
    made_with = terms.made_with(line)
    assert made_with is not None, "lines without a character are left out"
    take = Take.ask(
        job.options.owner,
        line.text,
        made_with,
        project.format,
        spoken=terms.spoken(line),
        priority=Priority.BATCH.value,
        project=project,
        line=line,
        character_id=line.character_id,
    )
    return _done(job, take, sound)


def _done(job: Job, take: Take, sound: Sound) -> Take:
    """With its file, as if it had been spoken here."""
    take.state, take.file, take.finished_at = TakeState.DONE, sound.name, timezone.now()
    for name, value in sound.measures.items():
        setattr(take, name, value)
    job.prepared.used.add(sound.name)
    return take


def bring_quick(job: Job, characters: dict[str, Character]) -> None:
    """The history of quick takes, each kept, since it would be past its days."""
    if not job.contents.quick:
        return
    entry = job.report.add(What.TAKE, _("Quick TTS"), Verdict.HERE)
    voices: dict[int, Any] = voices_of([one.pk for one in characters.values()], "")
    for row in job.contents.quick:
        verdict = job.known.verdict(QUICK, row.id)
        if verdict is not Verdict.NEW:
            continue
        against = _against(job, row, characters)
        if against:
            entry.left_out[against] += 1
            if row.audio in job.prepared.missing:
                entry.missing.append(row.audio)
            continue
        entry.audio += 1
        if not job.dry:
            character = characters[row.voice]
            _quick_take(job, row, character, MadeWith(voices[character.pk].voice))
    entry.verdict = Verdict.NEW if entry.audio else Verdict.LEFT if entry.left_out else Verdict.HERE


def _against(job: Job, row: QuickRow, characters: dict[str, Character]) -> str:
    if not speakable(row.text) or len(row.text) > LONGEST_TEXT:
        return _("Its text is empty, or too long.")
    if row.voice not in characters:
        return _("Its character is left out.")
    if not row.audio:
        return _("It has no audio.")
    return "" if (QUICK, row.id) in job.prepared.takes else job.prepared.why_not(row.audio)


def _quick_take(job: Job, row: QuickRow, character: Character, made_with: MadeWith) -> None:
    sound = job.prepared.takes[QUICK, row.id]
    take = Take.ask(job.options.owner, row.text, made_with, sound.format.value, character=character, kept=True)
    take.created_at = min(row.created or timezone.now(), timezone.now())
    _done(job, take, sound).save()
    job.known.note(QUICK, row.id, take)
