"""The names in a project's script, and who speaks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count

from banks.models import Character
from studio.lines import cast
from studio.models import Project


@dataclass(slots=True)
class Role:
    """A name of the script, empty for lines without one. `character_id` is None for nobody, or where it is `mixed`:
    its lines have different characters."""

    speaker: str
    lines: int = 0
    character_id: int | None = None
    mixed: bool = False

    @property
    def is_open(self) -> bool:
        return self.character_id is None and not self.mixed


def roles_of(project: Project) -> list[Role]:
    """Those that nobody speaks for come first, then those with most lines. Names of the cast without lines are last."""
    roles: dict[str, Role] = {}
    groups = project.lines.order_by().values_list("speaker", "character").annotate(count=Count("pk"))
    for speaker, character_id, count in groups:
        role = roles.get(speaker)
        if role is None:
            roles[speaker] = Role(speaker, count, character_id)
        elif role.mixed or role.character_id != character_id:
            roles[speaker] = Role(speaker, role.lines + count, None, mixed=True)
    for speaker, character_id in project.cast.values_list("speaker", "character"):
        roles.setdefault(speaker, Role(speaker, 0, character_id))
    return sorted(roles.values(), key=lambda role: (not role.is_open, -role.lines, role.speaker.casefold()))


def recast(project: Project, chosen: Sequence[tuple[str, Character | None]]) -> int:
    """Let characters speak for names, now and in what is imported later; how many lines that are."""
    with transaction.atomic():
        return sum(cast(project, speaker, character) for speaker, character in chosen)
