"""What is done with whole projects: figures, copies, people, and the end."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.db import models, transaction
from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from providers.audit import Change, record
from studio import events, runner, suggestions
from studio.models import CastEntry, Line, LineState, Project, ProjectPronunciation

BATCH = 200
_SHARED = ("kind", "bank", "language", "format", "reuse", "author", "fingerprint")
_COPIED = (
    "position",
    "text",
    "speaker",
    "character_id",
    "instruction",
    "speed",
    "chapter",
    "start_ms",
    "end_ms",
    "wanted",
)


@dataclass(frozen=True, slots=True)
class Progress:
    """Of a project's lines."""

    done: int = 0
    total: int = 0

    @property
    def percent(self) -> int:
        return self.done * 100 // self.total if self.total else 0


def progress_of(projects: Sequence[Project]) -> dict[int, Progress]:
    """By primary key, in one query; a project without lines is left out."""
    lines: QuerySet[Any, Any] = Line.objects.filter(project__in=[project.pk for project in projects]).with_state()
    found: dict[int, Progress] = {}
    for pk, state, count in lines.order_by().values_list("project", "state").annotate(count=Count("pk")):
        known = found.get(pk, Progress())
        found[pk] = Progress(known.done + (count if state == LineState.DONE else 0), known.total + count)
    return found


def people() -> QuerySet[User]:
    """Who can own a project or be its member."""
    return User.objects.filter(is_active=True, is_staff=True).order_by("username")


def duplicate(project: Project, owner: Any) -> Project:
    """The same lines, cast and pronunciation in a project of this person's, without any audio."""
    with transaction.atomic():
        shared = {name: getattr(project, name) for name in _SHARED}
        made = Project.objects.create(name=_("%s (copy)") % project.name[:80], owner=owner, **shared)
        if picture := cover_of(project):
            made.cover.save(f"{secrets.token_hex(16)}.jpg", ContentFile(picture))
        for lines in batched(project.lines.order_by("position", "pk").iterator(chunk_size=2000), 500):
            copies = [Line(project=made, **{name: getattr(line, name) for name in _COPIED}) for line in lines]
            Line.objects.bulk_create(copies)
        cast = project.cast.values_list("speaker", "character")
        entries = [CastEntry(project=made, speaker=speaker, character_id=character) for speaker, character in cast]
        CastEntry.objects.bulk_create(entries, batch_size=500)
        rules = list(project.pronunciations.all())
        for rule in rules:
            rule.pk, rule.project = None, made
        ProjectPronunciation.objects.bulk_create(rules, batch_size=500)
        record(owner, made, Change.ADDED, gettext_noop("Copied from another project."))
    return made


def cover_of(project: Project) -> bytes:
    """Its picture; empty where it has none."""
    cover = project.cover
    if not cover or not cover.storage.exists(cover.name or ""):
        return b""
    with cover.open("rb") as stored:
        content: bytes = stored.read()
        return content


def share(project: Project, owner: User, members: Collection[User]) -> list[str]:
    """Choose the project's people; the names of what that changes. Whoever owned it stays a member."""
    members_before = set(project.members.values_list("pk", flat=True))
    handed_over = owner.pk != project.owner_id
    chosen = {person.pk for person in members} | ({project.owner_id} if handed_over else set())
    chosen.discard(owner.pk)
    with transaction.atomic():
        project.owner = owner
        project.save(update_fields=["owner"])
        project.members.set(chosen)
    return ["owner"] * handed_over + ["members"] * (chosen != members_before)


@dataclass(frozen=True, slots=True)
class Losses:
    """What goes with a project; the kept takes stay in the archive."""

    lines: int
    takes: int
    kept: int
    exports: int
    open: int

    @classmethod
    def of(cls, project: Project) -> Losses:
        takes = project.takes.order_by()
        return cls(
            lines=project.lines.count(),
            takes=takes.filter(kept=False).count(),
            kept=takes.filter(kept=True).count(),
            exports=project.exports.count(),
            open=takes.open().count() + project.exports.open().count(),
        )


def remove(project: Project, by: Any) -> None:
    """Delete a project in steps, so that others can write in between; what is open ends first."""
    record(by, project, Change.DELETED)
    project.exports.cancel()
    suggestions.cancel(project)
    runner.cancel(list(project.takes.open().order_by("-pk").values_list("pk", flat=True)))
    for rows in (project.takes.filter(kept=False), project.exports.all(), project.lines.all()):
        _clear(rows)
    # What somebody asked for meanwhile ends too.
    runner.cancel(list(project.takes.open().values_list("pk", flat=True)))
    _clear(project.takes.filter(kept=False))
    pk = project.pk
    project.delete()
    # Whoever has it open.
    events.announce(pk, structure=True)


def _clear(rows: models.QuerySet[Any]) -> None:
    while pks := list(rows.order_by().values_list("pk", flat=True)[:BATCH]):
        rows.filter(pk__in=pks).delete()
