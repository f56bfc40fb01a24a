"""Figures and the tables that show them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure, measured several times."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        known = list(values)
        return cls(median(known), min(known), max(known))

    def shown(self, digits: int = 2, unit: str = "") -> str:
        low, middle, high = (f"{value:.{digits}f}" for value in (self.low, self.median, self.high))
        return f"{middle}{unit} ({low}-{high})"


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` (0..1] of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def ratios(ours: Sequence[float], bare: Sequence[float]) -> Spread:
    """Round by round; a round in which the clock saw no cost on the other side counts as nothing known (nan)."""
    return Spread.of(one / other if other else math.nan for one, other in zip(ours, bare, strict=True))


@dataclass(frozen=True, slots=True)
class Table:
    """A Markdown table; every row is as long as `columns`."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def shown(self) -> str:
        lines = [self.columns, ["-" * len(name) for name in self.columns], *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
        shown[1] = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        return "\n".join([f"### {self.title}", *([self.note] if self.note else []), "", *shown])


@dataclass(frozen=True, slots=True)
class Tables:
    """What one measurement shows in several tables."""

    tables: Sequence[Table]

    def shown(self) -> str:
        return "\n\n".join(table.shown() for table in self.tables)
