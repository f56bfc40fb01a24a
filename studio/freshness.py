"""Whether a line's audio is still what the line asks for.

Each line stores the content hash that its take should have. It follows from the line itself and from what it shares
with others: its character's values, the project's format, the pronunciation dictionary. Of these a fingerprint is kept
in the project; where it differs, all lines are looked at anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db import transaction

from banks.dictionary import rules_for
from banks.pieces import speakable
from banks.pronunciation import PronunciationError, Rules
from studio.cast import CastVoice, voices_of
from studio.frozen import MadeWith, content_hash
from studio.models import Line, Project

BATCH = 500


@dataclass
class Terms:
    """What all lines of a project share, as it is now."""

    project: Project
    rules: Rules
    voices: dict[int, CastVoice] = field(default_factory=dict)

    @classmethod
    def of(cls, project: Project, lines: Iterable[Line] | None = None) -> Terms:
        """For these lines, else for all of the project."""
        asked: Any = project.lines.exclude(character=None).order_by().values("character")
        if lines is not None:
            asked = {line.character_id for line in lines if line.character_id}
        bank = project.bank.name if project.bank else ""
        return cls(project, rules_of(project), voices_of(asked, bank))

    @cached_property
    def fingerprint(self) -> str:
        """Of all that makes a line of this project sound as it does, but for the line itself."""
        heard = {pk: content_hash("", MadeWith(one.voice), "") for pk, one in self.voices.items()}
        known = json.dumps([sorted(heard.items()), self.project.format, self.rules.fingerprint])
        return hashlib.sha256(known.encode()).hexdigest()

    def made_with(self, line: Line) -> MadeWith | None:
        """None where the line has no character that is known here."""
        cast = self._cast(line)
        if cast is None:
            return None
        return MadeWith(cast.voice, line.speed, line.instruction if cast.instructions else "")

    def spoken(self, line: Line) -> str:
        """The text as it is sent. PronunciationError."""
        cast = self._cast(line)
        return self.rules.apply(line.text, cast.voice.language if cast else "")

    def wanted(self, line: Line) -> str:
        made_with = self.made_with(line)
        if made_with is None or not speakable(line.text):
            return ""
        try:
            return content_hash(self.spoken(line), made_with, self.project.format)
        except PronunciationError:
            # What is asked for is not known: whatever is there is not it.
            return ""

    def refusal(self, line: Line) -> str:
        """Why nobody can speak the character's lines now; empty when somebody can."""
        cast = self._cast(line)
        return cast.refusal if cast else ""

    def _cast(self, line: Line) -> CastVoice | None:
        return self.voices.get(line.character_id or 0)


def rules_of(project: Project) -> Rules:
    """The project's own rules, then its bank's, then those for everybody."""
    return rules_for(project.bank_id, project.pronunciations.all())


def refresh(project: Project) -> int:
    """Bring every line up to date if anything that they share has changed; how many lines that touched."""
    terms = Terms.of(project)
    if terms.fingerprint == project.fingerprint:
        return 0
    with transaction.atomic():
        touched = renew(terms, project.lines.order_by("pk").iterator(chunk_size=2000))
        project.fingerprint = terms.fingerprint
        Project.objects.filter(pk=project.pk).update(fingerprint=terms.fingerprint)
    return touched


def renew(terms: Terms, lines: Iterable[Line]) -> int:
    """Store what these lines want now; how many changed."""
    changed = []
    for line in lines:
        wanted = terms.wanted(line)
        if wanted != line.wanted:
            line.wanted = wanted
            changed.append(line)
    Line.objects.bulk_update(changed, ["wanted"], batch_size=BATCH)
    return len(changed)
