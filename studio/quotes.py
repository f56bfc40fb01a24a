"""What is said in a told text, and what is told: by its quotation marks, or by a pattern of somebody's own.

Quotes lie within quotes, and reach over paragraphs: one that is open where a paragraph ends goes on where the next
begins with an opening mark again, as printers have it, and else ends there. An apostrophe is no quotation mark, and a
“word” or two in the middle of what is told is nobody's speech.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from studio.script import TELLS
from studio.text import PATTERN_SECONDS, PatternTooSlow, compiled


class Marks(StrEnum):
    DOUBLE = "double"
    SINGLE = "single"
    CORNER = "corner"
    ANGLE = "angle"
    TITLE = "title"


# What closes each opening mark.
_PAIRS = {
    Marks.DOUBLE: {"“": "”", "„": "“”", '"': '"', "＂": "＂", "〝": "〞〟"},
    Marks.SINGLE: {"‘": "’", "‚": "‘’", "'": "'"},
    Marks.CORNER: {"「": "」", "『": "』", "﹁": "﹂", "﹃": "﹄", "｢": "｣"},
    Marks.ANGLE: {"«": "»", "»": "«", "‹": "›", "›": "‹"},
    Marks.TITLE: {"《": "》", "〈": "〉"},
}
_SINGLES = frozenset("‘’'")
# Words that begin with an apostrophe.
_SHORTENED = re.compile(r"(?:tis|twas|twere|twill|twould|em|cause|til|till|bout|round|n|nother|ere|\d\ds?)\b", re.I)
_STOPS = ".,!?…;:-—–。，！？；：、"
# What stands behind a closing mark belongs to it.
_TAIL = re.compile(r"[\s,.;:!?…，。；：！？、)\]）】”’」』]*")
_TERM_CHARACTERS, _TERM_WORDS, _TERM_WIDE = 24, 2, 6


@dataclass(frozen=True, slots=True)
class Rules:
    """`pattern`: what it matches is said too."""

    marks: frozenset[Marks]
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    text: str
    said: bool


def spans(paragraphs: Sequence[str], rules: Rules) -> Iterator[list[Span]]:
    """Of each paragraph, in order; together they are its text. CutError."""
    reader = _Reader(rules)
    for number, paragraph in enumerate(paragraphs):
        following = paragraphs[number + 1] if number + 1 < len(paragraphs) else ""
        yield list(_cut(paragraph, reader.said(paragraph, following.lstrip())))


def _cut(paragraph: str, said: Sequence[tuple[int, int]]) -> Iterator[Span]:
    position = 0
    for start, end in said:
        if start > position:
            yield Span(paragraph[position:start], said=False)
        tail = _TAIL.match(paragraph, end)
        position = tail.end() if tail else end
        yield Span(paragraph[start:position], said=True)
    if position < len(paragraph):
        yield Span(paragraph[position:], said=False)


class _Reader:
    """Goes through the paragraphs in their order."""

    def __init__(self, rules: Rules) -> None:
        self._closers = {opener: closers for marks in rules.marks for opener, closers in _PAIRS[marks].items()}
        characters = {*self._closers, *"".join(self._closers.values())}
        self._marks = re.compile("[" + re.escape("".join(sorted(characters))) + "]") if characters else None
        self._pattern: Any = compiled(rules.pattern) if rules.pattern.strip() else None
        self._left = PATTERN_SECONDS
        # The mark that was open where the last paragraph ended.
        self._carried = ""

    def said(self, paragraph: str, following: str) -> list[tuple[int, int]]:
        """Where it is said, in order, none in another."""
        found = self._quoted(paragraph, following) if self._marks else []
        return _merged([*found, *self._matched(paragraph)]) if self._pattern else found

    def _quoted(self, paragraph: str, following: str) -> list[tuple[int, int]]:
        assert self._marks is not None
        places = [match.start() for match in self._marks.finditer(paragraph)]
        singles = _Singles(paragraph, places)
        found: list[tuple[int, int]] = []
        opener, start, depth = self._carried, 0, 1
        # The mark with which a quote goes on opens nothing within it.
        skipped = len(paragraph) - len(paragraph.lstrip()) if opener else -1
        for place in places:
            mark = paragraph[place]
            if place == skipped:
                continue
            if not opener:
                if self._opens(paragraph, place, singles):
                    opener, start, depth = mark, place, 1
            elif mark in self._closers[opener] and singles.may_close(place):
                depth -= 1
                if not depth:
                    found.append((start, place + 1))
                    opener = ""
            elif mark == opener and mark in "「『《〈﹁﹃｢":
                depth += 1
        if opener and (following.startswith(opener) or opener not in _SINGLES):
            found.append((start, len(paragraph)))
        self._carried = opener if opener and following.startswith(opener) else ""
        return [one for one in found if not _is_term(paragraph, *one)]

    def _opens(self, paragraph: str, place: int, singles: _Singles) -> bool:
        mark = paragraph[place]
        if mark not in self._closers:
            return False
        before, after = paragraph[place - 1 : place], paragraph[place + 1 : place + 2]
        if mark in _SINGLES:
            return singles.may_open(place)
        if mark == '"':
            return not before.isdigit()
        # German quotes point inwards.
        return mark not in "»›" or bool(after.strip())

    def _matched(self, paragraph: str) -> list[tuple[int, int]]:
        begun = time.monotonic()
        try:
            if self._left <= 0:
                raise TimeoutError
            found = self._pattern.finditer(paragraph, concurrent=True, timeout=self._left)
            places = [match.span() for match in found if match[0].strip()]
        except TimeoutError as error:
            raise PatternTooSlow("This pattern takes too long on this text: make it simpler.") from error
        self._left -= time.monotonic() - begun
        return places


class _Singles:
    """Single marks of a paragraph that may be apostrophes."""

    def __init__(self, paragraph: str, places: Sequence[int]) -> None:
        self._paragraph = paragraph
        singles = [place for place in places if paragraph[place] in _SINGLES]
        self._closes: set[int] = set()
        self._opens: set[int] = set()
        sure = closed = False
        for place in reversed(singles):
            if self._looks_open(place):
                if paragraph[place] != "'" or closed:
                    self._opens.add(place)
                sure = False
            elif self._looks_closed(place):
                before = paragraph[place - 1 : place]
                is_sure = before in _STOPS
                # “the dogs’ tails”, where a surer end of the quote comes behind it.
                if is_sure or not sure or not self._goes_on(place):
                    self._closes.add(place)
                    closed = True
                sure = sure or is_sure

    def may_open(self, place: int) -> bool:
        return place in self._opens

    def may_close(self, place: int) -> bool:
        return self._paragraph[place] not in _SINGLES or place in self._closes

    def _looks_open(self, place: int) -> bool:
        text = self._paragraph
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        if text[place] == "’" or (before.isalnum() and not _is_wide(before)) or not after.strip():
            return False
        if text[place] == "'" and ((before and before in _STOPS and before != "—") or not _begins(after)):
            return False
        return not _SHORTENED.match(text, place + 1)

    def _looks_closed(self, place: int) -> bool:
        text = self._paragraph
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        return text[place] != "‘" and bool(before.strip()) and (not after.isalnum() or _is_wide(after))

    def _goes_on(self, place: int) -> bool:
        after = self._paragraph[place + 1 : place + 3]
        return after[:1] == " " and after[1:].islower()


def _begins(character: str) -> bool:
    return character.isalnum() or character in '“"…'


def _is_wide(character: str) -> bool:
    return character > "\u2e7f"


def _is_term(paragraph: str, start: int, end: int) -> bool:
    """A word or two in quotes, in the middle of a sentence."""
    inner = paragraph[start + 1 : end - 1].strip()
    before, after = paragraph[:start][-40:].rstrip(), paragraph[end : end + 2].lstrip()
    if not inner or inner[-1] in _STOPS or not before[-1:].isalnum() or not after[:1].isalnum():
        return False
    if TELLS.search(before):
        return False
    if _is_wide(inner[0]):
        return len(inner) <= _TERM_WIDE
    return len(inner) <= _TERM_CHARACTERS and len(inner.split()) <= _TERM_WORDS


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
