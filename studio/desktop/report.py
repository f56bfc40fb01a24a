"""What an import brings, or would bring; and what it leaves, with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from django.utils.translation import gettext_lazy as _


class What(StrEnum):
    PROVIDER = "provider"
    RECORDING = "recording"
    CHARACTER = "character"
    BANK = "bank"
    PROJECT = "project"
    TAKE = "take"


HEADINGS = {
    What.PROVIDER: _("Providers"),
    What.RECORDING: _("Reference audio"),
    What.CHARACTER: _("Characters"),
    What.BANK: _("Banks"),
    What.PROJECT: _("Projects"),
    What.TAKE: _("Quick takes"),
}


class Verdict(StrEnum):
    NEW = "new"
    HERE = "here"
    """It came before, or something that is the same is here: it stays as it is."""
    GONE = "gone"
    """It came before and was deleted here: it is not brought back unless that is asked for."""
    LEFT = "left"


VERDICTS = {
    Verdict.NEW: _("New"),
    Verdict.HERE: _("Here already"),
    Verdict.GONE: _("Deleted here"),
    Verdict.LEFT: _("Left out"),
}


@dataclass
class Entry:
    """`notes` say what is to be done afterwards, or why it is left out. The counts are a project's: lines and their
    audio that come, by verdict; `left_out`: how many of them don't, by reason; `missing`: the paths of audio files that
    were not found, as the database names them."""

    what: What
    name: str
    verdict: Verdict
    notes: list[str] = field(default_factory=list)
    kind: str = ""
    lines: Counter[Verdict] = field(default_factory=Counter)
    audio: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)


@dataclass
class Report:
    version: int
    clips: int = 0
    entries: list[Entry] = field(default_factory=list)

    def add(self, what: What, name: str, verdict: Verdict, *notes: str) -> Entry:
        entry = Entry(what, name, verdict, [note for note in notes if note])
        self.entries.append(entry)
        return entry

    def of(self, what: What) -> list[Entry]:
        return [entry for entry in self.entries if entry.what is what]

    def count(self, what: What, verdict: Verdict) -> int:
        return sum(entry.verdict is verdict for entry in self.of(what))

    @property
    def lines(self) -> int:
        return sum(entry.lines[Verdict.NEW] for entry in self.entries)

    @property
    def audio(self) -> int:
        return sum(entry.audio for entry in self.entries)

    @property
    def missing(self) -> list[str]:
        return [path for entry in self.entries for path in entry.missing]

    @property
    def is_empty(self) -> bool:
        """Nothing is new."""
        return not (self.lines or self.audio or any(entry.verdict is Verdict.NEW for entry in self.entries))

    def groups(self) -> Iterator[tuple[What, list[Entry]]]:
        for what in What:
            if found := self.of(what):
                yield what, found
