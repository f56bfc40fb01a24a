"""Long text is spoken in pieces, cut where a speaker would breathe."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sentencex

# The first piece is short, so that the first sound comes early.
FIRST_PIECE = 160
_CLAUSE_END = re.compile(r"(?<=[,;:，、；：—])\s*")
BLOCK = 2000
_BLOCK_END = re.compile(r"\n|(?<=[.!?])\s+|(?<=[。！？])")
_SPACE = re.compile(r"\s+")


def speakable(text: str) -> bool:
    """Whether there is a letter or digit of any script in the text."""
    return any(map(str.isalnum, text))


def split_into_pieces(text: str, limit: int, language: str = "") -> list[str]:
    """The text in order, in pieces of at most `limit` characters; pieces without words are left out."""
    if len(text) <= limit:
        return [text.strip()] if speakable(text) else []
    pieces: list[str] = []
    current = ""
    for part in _parts(text, limit, language):
        room = min(limit, FIRST_PIECE) if not pieces else limit
        if current and len(current) + len(part) > room:
            pieces.append(current)
            current = ""
        current += part
    pieces.append(current)
    return [piece.strip() for piece in pieces if speakable(piece)]


def sentences(text: str, language: str = "") -> Iterator[str]:
    """In order, each with the white space behind it: joined they are the text. `language` is a tag such as en-US."""
    primary = re.split(r"[-_]", language.lower())[0]
    language_code = primary if primary.isalpha() else "en"
    for block in _blocks(text):
        yield from sentencex.segment(language_code, block)


def _parts(text: str, limit: int, language: str) -> Iterator[str]:
    """Sentences, and shorter parts of those that are too long by themselves; nothing is lost between them."""
    for sentence in sentences(text, language):
        if not speakable(sentence) and not sentence.isspace():
            continue
        if len(sentence) <= limit:
            yield sentence
        else:
            yield from _cut(sentence, limit)


def _blocks(text: str) -> Iterator[str]:
    """Cut where a sentence surely ends: on quotes that never close the segmenter's time grows with the square."""
    start = 0
    while len(text) - start > BLOCK:
        window = text[start : start + BLOCK]
        end = start + (_last_end(_BLOCK_END, window) or _last_end(_SPACE, window) or BLOCK)
        yield text[start:end]
        start = end
    yield text[start:]


def _cut(sentence: str, limit: int) -> Iterator[str]:
    start = 0
    while len(sentence) - start > limit:
        window = sentence[start : start + limit]
        end = start + (_last_end(_CLAUSE_END, window) or _last_end(_SPACE, window) or limit)
        yield sentence[start:end]
        start = end
    yield sentence[start:]


def _last_end(pattern: re.Pattern[str], window: str) -> int:
    """Where the last match ends, unless it leaves too short a part; 0 when there is none."""
    return max((match.end() for match in pattern.finditer(window) if match.end() > len(window) // 3), default=0)
