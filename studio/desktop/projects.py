"""Projects of the desktop application become ours, line by line: what is new goes where it stands there; what came
before stays as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import PureWindowsPath

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from banks.models import Bank, Character
from studio import lines
from studio.desktop.job import Job
from studio.desktop.known import SCRIPT
from studio.desktop.reading import LineRow, ProjectRow
from studio.desktop.report import Entry, Verdict, What
from studio.desktop.schema import EXAMPLE
from studio.desktop.takes import Voiced, attach
from studio.kinds import kinds
from studio.lines import BATCH, Draft
from studio.models import LONGEST_LINE, MOST_LINES, CastEntry, Line, Project, ReadingPlace
from studio.text import CutError, How, cut, shortened

_SCRIPT_LONGEST = 500


def bring_projects(job: Job, characters: dict[str, Character], banks: dict[str, Bank]) -> None:
    for row in job.contents.projects:
        verdict = job.known.verdict(row.tables.projects, row.id)
        if verdict is Verdict.GONE:
            job.report.add(What.PROJECT, row.name, verdict).kind = row.tables.kind
        elif row.id.startswith(EXAMPLE) and not row.lines and verdict is Verdict.NEW:
            text = _("An example of the application's own that nobody has used.")
            job.report.add(What.PROJECT, row.name, Verdict.LEFT, text).kind = row.tables.kind
        else:
            _bring(job, row, verdict, characters, banks)


def _bring(
    job: Job, row: ProjectRow, verdict: Verdict, characters: dict[str, Character], banks: dict[str, Bank]
) -> None:
    entry = job.report.add(What.PROJECT, row.name, verdict)
    entry.kind = row.tables.kind
    if verdict is Verdict.HERE:
        project = Project.objects.get(pk=job.known.object_id(row.tables.projects, row.id))
    else:
        project = _new_project(job, row, banks.get(row.bank))
        if row.video:
            name = PureWindowsPath(row.video).name
            entry.notes.append(_("Its video “%s” does not come along: choose it on the project's page.") % name)
    table, rows = _rows(job, row, entry)
    work = _Lines(job, project, entry, table, characters)
    work.bring(rows)
    attach(job, project, entry, table, work.voiced)
    if verdict is Verdict.NEW:
        _finish(job, row, project, work)


def _new_project(job: Job, row: ProjectRow, bank: Bank | None) -> Project:
    assert row.tables.kind in kinds(), row.tables.kind
    project = Project.objects.create(
        name=row.name,
        kind=row.tables.kind,
        owner=job.options.owner,
        bank=bank,
        format=job.prepared.formats[row.id].value,
        created_at=_past(row.created),
    )
    job.added(row.tables.projects, row.id, project)
    return project


def _past(moment: datetime | None) -> datetime:
    now = timezone.now()
    return min(moment or now, now)


def _rows(job: Job, row: ProjectRow, entry: Entry) -> tuple[str, Sequence[LineRow]]:
    """The lines, with the table that they are from: a script that was never cut into lines is cut here."""
    came_as_script = job.known.knows_any(SCRIPT, [f"{row.id}#0"])
    if row.lines and came_as_script:
        entry.notes.append(_("Its script came before, in one piece: the lines it was cut into since are left out."))
        return SCRIPT, ()
    if row.lines or not row.script:
        return row.tables.lines, row.lines
    try:
        pieces = cut(row.script, How.PARAGRAPH, longest=_SCRIPT_LONGEST)
    except CutError as error:
        entry.notes.append(error.message)
        return SCRIPT, ()
    return SCRIPT, [LineRow(f"{row.id}#{number}", text, "", "", "") for number, text in enumerate(pieces)]


def _finish(job: Job, row: ProjectRow, project: Project, work: _Lines) -> None:
    """What a new project has beside its lines."""
    if job.dry:
        return
    alone = [(speaker, pks.pop()) for speaker, pks in work.cast.items() if len(pks) == 1]
    entries = [CastEntry(project=project, speaker=speaker, character_id=pk) for speaker, pk in alone]
    CastEntry.objects.bulk_create(entries, batch_size=BATCH)
    if 0 < row.place < len(row.lines) and (line := work.made.get(row.lines[row.place].id)):
        ReadingPlace.objects.create(user=job.options.owner, project=project, line=line)
    Project.objects.filter(pk=project.pk).update(changed_at=_past(row.changed))


class _Lines:
    """`voiced`: lines that may get their audio, with what there is against it; `made`: new lines, by their ids there;
    `cast`: who speaks for each name."""

    def __init__(self, job: Job, project: Project, entry: Entry, table: str, characters: dict[str, Character]) -> None:
        self._job, self._project, self._entry = job, project, entry
        self._table, self._characters = table, characters
        self._here: dict[int, Line] = {line.pk: line for line in project.lines.all()}
        self._room = MOST_LINES - len(self._here)
        self._run: list[tuple[LineRow, list[str]]] = []
        self._after: Line | None = None
        self._title = ""
        self.voiced: list[Voiced] = []
        self.made: dict[str, Line] = {}
        self.cast = defaultdict[str, set[int]](set)

    def bring(self, rows: Sequence[LineRow]) -> None:
        nobody = 0
        for row in rows:
            verdict = self._job.known.verdict(self._table, row.id)
            self._title = row.chapter or self._title
            if verdict is not Verdict.NEW:
                self._entry.lines[verdict] += 1
            if verdict is Verdict.HERE:
                self._pass(row)
            elif verdict is Verdict.NEW and self._take_in(row):
                nobody += row.voice not in self._characters
        self._flush()
        if nobody:
            text = ngettext("%d line has no character yet.", "%d lines have no character yet.", nobody)
            self._entry.notes.append(text % nobody + " " + _("Choose on the page “Cast” who speaks."))

    def _pass(self, row: LineRow) -> None:
        """What is new stands behind what is here."""
        self._flush()
        line = self._here.get(self._job.known.object_id(self._table, row.id))
        if line is not None:
            self._after = line
            changed = _("The line has been changed here.") if line.text != row.text else ""
            self.voiced.append(Voiced(row, line, changed))

    def _take_in(self, row: LineRow) -> bool:
        parts = list(shortened(row.text, LONGEST_LINE))
        if not parts:
            self._entry.left_out[_("The line has no text.")] += 1
        elif len(parts) > self._room:
            self._entry.left_out[_("A project holds at most %d lines.") % MOST_LINES] += 1
            parts = []
        else:
            self._room -= len(parts)
            self._entry.lines[Verdict.NEW] += len(parts)
            self._run.append((replace(row, chapter=self._title), parts))
            self._title = ""
        return bool(parts)

    def _flush(self) -> None:
        """Store what has gathered, behind the line that was passed last."""
        if not self._run:
            return
        drafts = [self._draft(row, text, number) for row, parts in self._run for number, text in enumerate(parts)]
        if self._job.dry:
            made = [self._unsaved(draft) for draft in drafts]
        else:
            at_start = self._after is None and bool(self._here)
            made = lines.add(self._project, drafts, after=self._after, first=at_start)
            self._set_times(made)
        self._note(made)
        self._after, self._run = made[-1], []

    def _draft(self, row: LineRow, text: str, number: int) -> Draft:
        character = self._characters.get(row.voice)
        return Draft(
            text=text,
            speaker=row.speaker,
            chapter="" if number else row.chapter,
            character_id=character.pk if character else None,
        )

    def _unsaved(self, draft: Draft) -> Line:
        return Line(project=self._project, text=draft.text, character_id=draft.character_id, speaker=draft.speaker)

    def _set_times(self, made: list[Line]) -> None:
        timed, places = [], iter(made)
        for row, parts in self._run:
            of_row = [next(places) for _part in parts]
            if len(of_row) == 1 and row.start_ms is not None and row.end_ms is not None and row.start_ms < row.end_ms:
                of_row[0].start_ms, of_row[0].end_ms = row.start_ms, row.end_ms
                timed.append(of_row[0])
        Line.objects.bulk_update(timed, ["start_ms", "end_ms"], batch_size=BATCH)

    def _note(self, made: list[Line]) -> None:
        places = iter(made)
        for row, parts in self._run:
            of_row = [next(places) for _part in parts]
            was_cut = _("The line was too long, and is cut into several.") if len(of_row) > 1 else ""
            self.voiced.append(Voiced(row, of_row[0], was_cut))
            self.made[row.id] = of_row[0]
            if of_row[0].character_id:
                self.cast[row.speaker].add(of_row[0].character_id)
            if not self._job.dry:
                self._job.known.note(self._table, row.id, of_row[0])
