"""What came from an installation before, and what of it is still here."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import batched
from typing import Any

from django.db import models

from banks.models import Bank, Character, ReferenceAudio
from providers.models import Provider
from studio.desktop.reading import Contents
from studio.desktop.report import Verdict
from studio.desktop.schema import PROJECTS
from studio.models import DesktopOrigin, DesktopSource, Line, Project, Take

PROVIDERS, CHARACTERS, BANKS, RECORDINGS = "tts_providers", "voice_assets", "voice_banks", "audio_tracks"
QUICK = "quick_tts_histories"
# Parts of rows.
OWN_RECORDING, SCRIPT = "voice_assets.recording", "phase_tts_projects.script"
BATCH = 500
# More of them tell no more about where a file is from.
_MOST_SIGNS = 20_000


def audio_of(table: str) -> str:
    return f"{table}.audio"


MODELS: dict[str, type[models.Model]] = {
    PROVIDERS: Provider,
    CHARACTERS: Character,
    BANKS: Bank,
    RECORDINGS: ReferenceAudio,
    OWN_RECORDING: ReferenceAudio,
    QUICK: Take,
    SCRIPT: Line,
    **{tables.projects: Project for tables in PROJECTS},
    **{tables.lines: Line for tables in PROJECTS},
    **{audio_of(tables.lines): Take for tables in PROJECTS},
}


def source_of(contents: Contents) -> DesktopSource | None:
    """The installation, where something came from it before: known by rows that only it has, else by its beginning.
    The file itself changes with every use."""
    for batch in batched(list(contents.own_ids())[:_MOST_SIGNS], BATCH):
        found = DesktopSource.objects.filter(origins__original_id__in=batch).first()
        if found is not None:
            return found
    return DesktopSource.objects.filter(fingerprint=contents.fingerprint).first()


class Known:
    """`again`: what was deleted here counts as new."""

    def __init__(self, source: DesktopSource | None, *, again: bool = False) -> None:
        self._again = again
        self._origins: dict[tuple[str, str], int] = {}
        self._present = set[tuple[str, int]]()
        self._new: dict[tuple[str, str], int] = {}
        if source is not None:
            self._load(source)

    def _load(self, source: DesktopSource) -> None:
        for table, id, pk in source.origins.values_list("table", "original_id", "object_id"):
            self._origins[table, id] = pk
        for table, model in MODELS.items():
            pks = source.origins.filter(table=table).values("object_id")
            rows: Any = model._default_manager.filter(pk__in=pks)
            self._present.update((table, pk) for pk in rows.order_by().values_list("pk", flat=True))

    def verdict(self, table: str, id: str) -> Verdict:
        pk = self._origins.get((table, id))
        if pk is None:
            return Verdict.NEW
        if (table, pk) in self._present:
            return Verdict.HERE
        return Verdict.NEW if self._again else Verdict.GONE

    def object_id(self, table: str, id: str) -> int:
        """Of what is here."""
        return self._origins[table, id]

    def knows_any(self, table: str, ids: Iterable[str]) -> bool:
        return any((table, id) in self._origins for id in ids)

    def note(self, table: str, id: str, row: models.Model) -> None:
        self._new[table, id] = row.pk

    def save(self, source: DesktopSource) -> None:
        """In a transaction with the rows themselves. Another import of the same at once fails here."""
        replaced = [key for key in self._new if key in self._origins]
        for batch in batched(replaced, BATCH):
            ids = [id for _table, id in batch]
            rows = source.origins.filter(original_id__in=ids)
            pks = [pk for pk, table, id in rows.values_list("pk", "table", "original_id") if (table, id) in self._new]
            DesktopOrigin.objects.filter(pk__in=pks).delete()
        made = (
            DesktopOrigin(source=source, table=table, original_id=id, object_id=pk)
            for (table, id), pk in self._new.items()
        )
        for origins in batched(made, BATCH):
            DesktopOrigin.objects.bulk_create(origins)
