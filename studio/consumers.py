"""The page of a project as a live one.

The page sends {"lines": [keys], "stamp": text} whenever it shows other lines: which these are, and the project's last
change that it knows. It is sent {"rows": {key: html}, "summary": html, "structure": true}, each part only where there
is something new: shown lines that changed, painted as the page was; how far the project is; that lines came, went or
moved, so that the page has to be read again. The page where a project is read (`?page=read`) is sent {"parts": {id:
html}} too: chapters whose figures changed. What a page has just begun to show is sent once as it is, so that nothing
is missed that happened before it was connected.

Of a project whose lines have times it is sent {"cues": rows} too: all lines that changed, shown or not, as studio.cues
lists them; null where any may have changed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.template.loader import render_to_string

from providers.engine import current_engine
from studio import events
from studio.cues import listed
from studio.kinds import kind, kinds
from studio.live import LivePage
from studio.models import Project
from studio.pages.lines import A_PAGE
from studio.reading import Chapter, chapters_of
from studio.rows import SENTENCE, may_change, paint, rows, speakers_of, stamp
from studio.runner import current_runner
from studio.stages import Stage
from studio.summary import summary
from studio.timing import overview

# While something is open: how often the queue is looked at, and how often the figures are sent without any change.
LOOK_SECONDS = 0.2
TICK_SECONDS = 1.0
SUMMARY_SECONDS = 0.5
# Where a project is read: every chapter is counted.
READING_SECONDS = 1.0
# A page shows no more, even while lines of the next one come to it.
MOST_SHOWN = 2 * A_PAGE
LONGEST_MESSAGE = 20_000
MAX_KEY = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Errand:
    """What the next message is to tell."""

    lines: frozenset[int]
    structure: bool
    figures: bool
    stages: dict[int, Stage]
    everything: bool
    """Whether any line of the project may have changed."""
    seen: str
    """The project's last change when the page was made; empty where that was looked at already."""


class ProjectLive(LivePage):
    permissions = ("studio.view_project",)
    whole = False

    async def connect(self) -> None:
        asked = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        self._reading = asked.get("page") == ["read"]
        self._chapters: dict[int, Chapter] = {}
        self._project_id = min(int(self.scope["url_route"]["kwargs"]["pk"]), MAX_KEY)
        self._news = asyncio.Event()
        self._shown: frozenset[int] = frozenset()
        self._dirty: set[int] = set()
        self._structure, self._count, self._open, self._everything = False, True, False, False
        self._seen, self._counted_at, self._queue_seen = "", 0.0, -1
        self._known = ""
        """The project's last change that was told here; empty before the first."""
        self._stages: dict[int, Stage] = {}
        self._asking: dict[int, int] = {}
        """The open take of each shown line."""
        self._errand: Errand | None = None
        await super().connect()

    def groups_of_page(self) -> Sequence[str]:
        return [events.group(self._project_id)]

    async def project_changed(self, event: events.ProjectChanged) -> None:
        lines = event["lines"]
        self._dirty |= self._shown if lines is None else set(lines)
        self._everything = self._everything or lines is None
        self._structure = self._structure or event["structure"]
        self._count = True
        self._news.set()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self._shown, self._seen = told_by_page(text_data or "")
        self._dirty |= self._shown
        # Its figures, too, may be older than those that were sent last.
        self._count = True
        self._news.set()

    async def changed(self) -> None:
        now = asyncio.get_running_loop().time
        while not (self._dirty or self._structure or self._everything or self._figures_due(now())):
            self._news.clear()
            with suppress(TimeoutError):
                # Nobody tells when a take gets its place in the queue, nor how time goes by.
                async with asyncio.timeout(LOOK_SECONDS if self._open or self._count else None):
                    await self._news.wait()
            await self._look()
        await self._look()
        figures = self._figures_due(now())
        self._errand = Errand(
            frozenset(self._dirty), self._structure, figures, self._stages, self._everything, self._seen
        )
        self._dirty, self._structure, self._everything, self._seen = set(), False, False, ""
        if figures:
            self._count, self._counted_at = False, now()

    def _figures_due(self, now: float) -> bool:
        since, pause = now - self._counted_at, READING_SECONDS if self._reading else SUMMARY_SECONDS
        return (self._count and since >= pause) or (self._open and since >= TICK_SECONDS)

    async def _look(self) -> None:
        """Find lines whose takes stand elsewhere in the queue than before."""
        runner, queue = current_runner(), current_engine().queue
        if runner is None or not (self._open or self._count):
            return
        before, self._stages = self._stages, await runner.stages(self._project_id)
        if queue.changes == self._queue_seen:
            return
        self._queue_seen = queue.changes
        for line, take in self._asking.items():
            if _place(before.get(take)) != _place(self._stages.get(take)):
                self._dirty.add(line)

    # In a thread.

    def render(self) -> str:
        errand, self._errand = self._errand, None
        visible = Project.objects.visible_to(self.scope["user"]).filter(pk=self._project_id, kind__in=kinds())
        project = visible.select_related("bank").first()
        if project is None:
            raise PermissionDenied
        return self._message(project, errand) if errand else self._missed(project)

    def _missed(self, project: Project) -> str:
        """After a while without news: what tells of changes may have been away when there was one."""
        known, self._known = self._known, stamp(project)
        return json.dumps({"structure": True}) if known and known != self._known else ""

    def _message(self, project: Project, errand: Errand) -> str:
        message: dict[str, Any] = {}
        if errand.lines or errand.structure or errand.everything:
            self._known = stamp(project)
        if painted := self._rows(project, errand):
            message["rows"] = painted
        if kind(project.kind).timed and (errand.lines or errand.everything):
            message["cues"] = None if errand.everything else listed(project, project.lines.filter(pk__in=errand.lines))
        if errand.figures:
            message["summary"] = self._figures(project, errand)
            if self._reading and (parts := self._counted(project)):
                message["parts"] = parts
        if errand.structure or (errand.seen and errand.seen != stamp(project)):
            message["structure"] = True
        return json.dumps(message) if message else ""

    def _rows(self, project: Project, errand: Errand) -> dict[int, str]:
        shown = self._shown
        if not (errand.lines and shown) or not (project.reuse or errand.lines & shown):
            return {}
        # A take may serve several lines, and names one of them.
        changed = (
            Q(pk__in=errand.lines) | Q(attempt__line__in=errand.lines) if project.reuse else Q(pk__in=errand.lines)
        )
        placed = overview(project)[0] if kind(project.kind).timed else {}
        speakers = speakers_of(project) if kind(project.kind).sides else {}
        found = rows(project.lines.filter(changed, pk__in=shown), errand.stages, speakers, placed)
        kept = {line: take for line, take in self._asking.items() if line in shown}
        for row in found:
            kept.pop(row.line.pk, None)
            if row.is_open and row.line.attempt_id:
                kept[row.line.pk] = row.line.attempt_id
        self._asking = kept
        return paint(project, found, may_change(self.scope["user"]), SENTENCE if self._reading else "")

    def _figures(self, project: Project, errand: Errand) -> str:
        figures = summary(project, errand.stages.values())
        self._open = bool(figures.open)
        context = {"project": project, "summary": figures, "may_change": may_change(self.scope["user"])}
        return render_to_string(f"studio/projects/{'read' if self._reading else 'lines'}_summary.html", context)

    def _counted(self, project: Project) -> dict[str, str]:
        """The chapters whose figures are other ones than those that the page was sent."""
        before, self._chapters = self._chapters, {one.number: one for one in chapters_of(project)}
        changed = [one for number, one in self._chapters.items() if one != before.get(number)]
        template = "studio/projects/read_chapter.html"
        return {f"nr-chapter-{one.number}": render_to_string(template, {"chapter": one}) for one in changed}


def _place(stage: Stage | None) -> tuple[bool, str] | None:
    return (stage.waiting, stage.reason) if stage else None


def told_by_page(text: str) -> tuple[frozenset[int], str]:
    """The lines that a page shows and its stamp; nothing where it says something else."""
    try:
        told = json.loads(text) if len(text) <= LONGEST_MESSAGE else {}
    except ValueError:
        told = {}
    told = told if isinstance(told, dict) else {}
    asked, stamped = told.get("lines"), told.get("stamp")
    keys = [pk for pk in asked if type(pk) is int and 0 < pk <= MAX_KEY] if isinstance(asked, list) else []
    return frozenset(keys[:MOST_SHOWN]), stamped if isinstance(stamped, str) else ""
