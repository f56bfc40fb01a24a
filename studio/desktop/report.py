"""What an import brings, or would bring; and what it leaves, with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from studio.kinds import kinds


class What(StrEnum):
    PROVIDER = "provider"
    RECORDING = "recording"
    CHARACTER = "character"
    BANK = "bank"
    PROJECT = "project"
    TAKE = "take"


HEADINGS = {
    What.PROVIDER: gettext_lazy("Providers"),
    What.RECORDING: gettext_lazy("Reference audio"),
    What.CHARACTER: gettext_lazy("Characters"),
    What.BANK: gettext_lazy("Banks"),
    What.PROJECT: gettext_lazy("Projects"),
    What.TAKE: gettext_lazy("Quick takes"),
}


class Verdict(StrEnum):
    NEW = "new"
    HERE = "here"
    """It came before, or something that is the same is here: it stays as it is."""
    GONE = "gone"
    """It came before and was deleted here: it is not brought back unless that is asked for."""
    LEFT = "left"


VERDICTS = {
    Verdict.NEW: gettext_lazy("New"),
    Verdict.HERE: gettext_lazy("Here already"),
    Verdict.GONE: gettext_lazy("Deleted here"),
    Verdict.LEFT: gettext_lazy("Left out"),
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

    @property
    def label(self) -> str:
        return str(VERDICTS[self.verdict])

    @property
    def kind_label(self) -> str:
        return str(kinds()[self.kind].label) if self.kind else ""

    @property
    def told(self) -> list[str]:
        """The counts and the reasons, a line each."""
        new, here, gone = (self.lines[verdict] for verdict in (Verdict.NEW, Verdict.HERE, Verdict.GONE))
        counted = [
            (ngettext("%d new line", "%d new lines", new), new),
            (ngettext("%d line is here already", "%d lines are here already", here), here),
            (ngettext("%d line was deleted here", "%d lines were deleted here", gone), gone),
            (ngettext("%d recording", "%d recordings", self.audio), self.audio),
        ]
        figures = ", ".join(text % count for text, count in counted if count)
        reasons = [
            _("Left out: %(count)d. %(reason)s") % {"count": count, "reason": reason}
            for reason, count in self.left_out.items()
        ]
        return [line for line in (figures, *self.notes, *reasons) if line]


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
        """Each once."""
        return list(dict.fromkeys(path for entry in self.entries for path in entry.missing))

    @property
    def is_empty(self) -> bool:
        """Nothing is new."""
        return not (self.lines or self.audio or any(entry.verdict is Verdict.NEW for entry in self.entries))

    def groups(self) -> Iterator[tuple[str, list[Entry]]]:
        """By their headings."""
        for what in What:
            if found := self.of(what):
                yield str(HEADINGS[what]), found
