"""Cutting a project's lines into passages that a chat model reads at a time. Knows lengths only.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# Lines before and behind each of those that are asked about, and the most of each that is shown.
AROUND, SHOWN_CHARACTERS = 4, 400
# What an answer can be expected to keep count of.
MOST_LINES = 60


class Entry(NamedTuple):
    """A line in its place. `speaker` is empty where it has none."""

    pk: int
    position: int
    length: int
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """Indexes of entries, in order: those that are asked about, and all that are shown, with their characters."""

    asked: tuple[int, ...]
    shown: tuple[int, ...]
    characters: int


def windows(entries: Sequence[Entry], size: int, asked: Callable[[Entry], bool]) -> Iterator[Window]:
    """As many asked lines as `size` characters hold, but one at least; what stands around them comes on top, with half
    as many characters at most."""
    taken, characters = list[int](), 0
    for index, entry in enumerate(entries):
        if not asked(entry):
            continue
        length = min(entry.length, size)
        if taken and (characters + length > size or len(taken) == MOST_LINES):
            yield _window(entries, taken, characters, size)
            taken, characters = [], 0
        taken.append(index)
        characters += length
    if taken:
        yield _window(entries, taken, characters, size)


def _window(entries: Sequence[Entry], taken: Sequence[int], characters: int, size: int) -> Window:
    """With the nearest lines first, as far as there is room."""
    shown, room = set(taken), size // 2
    for distance in range(1, AROUND + 1):
        for index in (beside for at in taken for beside in (at - distance, at + distance)):
            if index in shown or not 0 <= index < len(entries):
                continue
            length = min(entries[index].length, SHOWN_CHARACTERS)
            if length > room:
                continue
            shown.add(index)
            room -= length
            characters += length
    return Window(tuple(taken), tuple(sorted(shown)), characters)
