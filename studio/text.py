"""Cutting a text into the pieces that become lines.

CutError                        the base; its message is for people
├── BadPattern                  the pattern can't be read
├── PatternTooSlow              the pattern takes too long on this text
└── TooManyPieces               more than a project may hold
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import islice

import regex

from banks.pieces import sentences, speakable

PATTERN_SECONDS = 1.0
LONGEST_PATTERN = 500
MOST_PIECES = 50_000

_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n\s*")
_LINE_END = re.compile(r"[^\S\n]*\n[^\S\n]*")
_QUOTES = re.compile(
    r"“[^“”]*”"
    r"|„[^„“”]*[“”]"
    r'|"[^"]*"'
    r"|「(?:[^「」]|「[^「」]*」)*」"
    r"|『[^『』]*』"
    r"|«[^«»]*»"
    r"|(?<!\w)‘(?:[^‘’]|(?<=\w)’(?=\w))*’(?!\w)"
)
# What stands behind a closing quote belongs to it.
_TAIL = re.compile(r"[\s,.;:!?…，。；：！？、)\]）】’”]*")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”’»)\]]*\s+|(?<=[。！？])[”」』）】]*")
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+|(?<=[，、；：—])\s*")
_SPACE = re.compile(r"\s+")
_LINE_ENDED = re.compile(r"[.!?…。！？—:：][\"”’'»«)\]」』）】*_]{0,3}$")
_WIDEST_PAGE = 120
# A clause of fewer is no piece of its own; a character of a script without spaces counts twice.
_LEAST_CLAUSE = 16
_GRAPHEME = regex.compile(r"\X")
# No cut leaves less than this share of what fits, where another place can be found.
_LEAST_SHARE = 3


class CutError(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadPattern(CutError):
    pass


class PatternTooSlow(CutError):
    pass


class TooManyPieces(CutError):
    pass


class How(StrEnum):
    PARAGRAPH = "paragraph"
    """At empty lines."""
    LINE = "line"
    SENTENCE = "sentence"
    CLAUSE = "clause"
    """At commas and the like within a sentence, too."""
    QUOTES = "quotes"
    """Behind closing quotes, and before opening ones: what is said and what is told become pieces of their own."""
    PATTERN = "pattern"
    """Wherever a pattern matches; what it matches is left out."""


def cut(text: str, how: How, *, longest: int, language: str = "", pattern: str = "") -> list[str]:
    """The pieces in order, each of at most `longest` characters.

    But for white space at the cuts, and what a pattern matches, nothing between words is lost; pieces without words
    are left out. CutError.
    """
    ways: dict[How, Callable[[str], Iterable[str]]] = {
        How.PARAGRAPH: paragraphs,
        How.LINE: str.splitlines,
        How.SENTENCE: lambda whole: (one for part in paragraphs(whole) for one in sentences(part, language)),
        How.CLAUSE: lambda whole: (
            one for part in paragraphs(whole) for sentence in sentences(part, language) for one in _clauses(sentence)
        ),
        How.QUOTES: lambda whole: (one for part in paragraphs(whole) for one in _quotes(part)),
        How.PATTERN: lambda whole: _at_pattern(whole, pattern),
    }
    found = (short for piece in ways[how](text) for short in shortened(piece.strip(), longest) if speakable(short))
    pieces = list(islice(found, MOST_PIECES + 1))
    if len(pieces) > MOST_PIECES:
        raise TooManyPieces(
            f"This makes more than {MOST_PIECES} lines: cut it less finely, or take a part of the text."
        )
    return pieces


def paragraphs(text: str) -> Iterator[str]:
    """Without the line breaks within them, which are those of a page's width."""
    for paragraph in _PARAGRAPH_END.split(text):
        yield _unwrapped(paragraph)


def prose_paragraphs(text: str) -> list[str]:
    """Of a book, where a line may be a paragraph: most of its lines end like sentences then, or are longer than any
    page is wide."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    ended = sum(bool(_LINE_ENDED.search(line)) for line in lines)
    long = sum(len(line) > _WIDEST_PAGE for line in lines)
    if ended * 2 >= len(lines) or long * 4 >= len(lines):
        return lines
    return [one for one in paragraphs(text) if one.strip()]


def _unwrapped(paragraph: str) -> str:
    parts = _LINE_END.split(paragraph)
    whole = [parts[0]]
    for before, part in zip(parts, parts[1:], strict=False):
        whole += [space_between(before, part), part]
    return "".join(whole)


def space_between(first: str, second: str) -> str:
    """What joins two pieces of text: a space, but for scripts that write none."""
    both_wide = first[-1:] > "\u2e7f" and second[:1] > "\u2e7f"
    return "" if both_wide and not _is_hangul(first[-1]) else " "


def _is_hangul(character: str) -> bool:
    return "\uac00" <= character <= "\ud7a3"


def shortened(piece: str, longest: int) -> Iterator[str]:
    """The piece, cut where a speaker would breathe, so that no part has more than `longest` characters."""
    start = 0
    while len(piece) - start > longest:
        window = piece[start : start + longest]
        end = start + (
            _last(_SENTENCE_END, window)
            or _last(_CLAUSE_END, window)
            or _last(_SPACE, window)
            or _whole(piece, start, longest)
        )
        if part := piece[start:end].strip():
            yield part
        start = end
    if rest := piece[start:].strip():
        yield rest


def _last(pattern: re.Pattern[str], window: str) -> int:
    """Where the last match ends, unless it leaves too short a part; 0 when there is none."""
    ends = (match.end() for match in pattern.finditer(window) if match.end() > len(window) // _LEAST_SHARE)
    return max(ends, default=0)


def _whole(piece: str, start: int, longest: int) -> int:
    """As many whole characters, as a reader sees them, as fit; all that fits where a single one doesn't."""
    near = max(start, start + longest - 64)
    ends = [near + match.end() for match in _GRAPHEME.finditer(piece[near : start + longest + 64])]
    return max((end - start for end in ends if start < end <= start + longest), default=longest)


def _quotes(paragraph: str) -> Iterator[str]:
    position = 0
    for match in _QUOTES.finditer(paragraph):
        if match.start() < position or not speakable(match[0]):
            continue
        yield paragraph[position : match.start()]
        tail = _TAIL.match(paragraph, match.end())
        position = tail.end() if tail else match.end()
        yield paragraph[match.start() : position]
    yield paragraph[position:]


def _clauses(sentence: str) -> Iterator[str]:
    start = 0
    for match in _CLAUSE_END.finditer(sentence):
        parts = sentence[start : match.end()], sentence[match.end() :]
        if all(_width(part) >= _LEAST_CLAUSE for part in parts):
            yield parts[0]
            start = match.end()
    yield sentence[start:]


def _width(text: str) -> int:
    return len(text) + sum(character > "\u2e7f" for character in text)


def compiled(pattern: str) -> regex.Pattern[str]:
    """A pattern that somebody typed. BadPattern."""
    if not pattern.strip():
        raise BadPattern("Enter a pattern.")
    if len(pattern) > LONGEST_PATTERN:
        raise BadPattern(f"A pattern has at most {LONGEST_PATTERN} characters.")
    try:
        return regex.compile(pattern, regex.MULTILINE | regex.VERSION1)
    except (regex.error, OverflowError, RecursionError) as error:
        raise BadPattern(f"This pattern can't be read: {error}") from error


def _at_pattern(text: str, pattern: str) -> Iterator[str]:
    found, position, deadline = compiled(pattern), 0, time.monotonic() + PATTERN_SECONDS
    try:
        for match in found.finditer(text, concurrent=True, timeout=PATTERN_SECONDS):
            yield text[position : match.start()]
            position = match.end()
            if time.monotonic() > deadline:
                raise TimeoutError
    except TimeoutError as error:
        raise PatternTooSlow("This pattern takes too long on this text: make it simpler.") from error
    yield text[position:]
