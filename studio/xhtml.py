"""A page of a book as it is read aloud: paragraphs and headings, without scripts, notes and the readings over words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from studio.markup import Tag, tokens

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    ["address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "div", "dl", "dt", "figcaption"]
    + ["figure", "footer", "header", "hr", "li", "main", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"]
    + list(_HEADINGS)
)
_EMPTY = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_SILENT = frozenset(
    ["audio", "button", "canvas", "head", "iframe", "nav", "noscript", "object", "rp", "rt", "script", "select"]
    + ["style", "svg", "template", "textarea", "title", "video"]
)
# What EPUB's `type` and the roles of accessible pages call what is not part of the story.
_ASIDES = re.compile(
    r"\b(?:doc-)?(?:footnotes?|endnotes?|rearnotes?|noteref|pagebreak|backlink|toc|landmarks|page-list)\b"
)
_RUBY = ("rt", "rp", "rb", "rtc")
_NOTE_MARK = re.compile(r"[\[(（【〔]?\s*(?:注|註)?\s*(?:\d{1,4}|[*†‡§¶※]{1,4}|注|註)\s*[\])）】〕]?")
_LONGEST_MARK = 12
_SPACE = re.compile(r"[ \t\r\n\f\xa0]+")
_SPACE_RUN = re.compile(r" {2,}")
_AROUND_BREAK = re.compile(r" ?\n ?")
# A line end in the source between two characters of a script that writes no spaces.
_WIDE = r"[\u2e80-\u9fff\uff00-\uffef]"
_WIDE_BREAK = re.compile(rf"(?<={_WIDE})[ \t]{{0,100}}\r?\n[ \t]{{0,100}}(?={_WIDE})")


@dataclass(frozen=True, slots=True)
class Block:
    """`heading` is its level, 0 for a paragraph."""

    text: str
    heading: int = 0


@dataclass(slots=True)
class Page:
    """`anchors`: with which block each name in the page begins."""

    blocks: list[Block] = field(default_factory=list)
    anchors: dict[str, int] = field(default_factory=dict)


def read_page(text: str) -> Page:
    reader = _Reader()
    for token in tokens(text):
        if isinstance(token, str):
            reader.text(token)
            continue
        if token.opens:
            reader.open(token)
        if token.closes:
            reader.close(token.name)
    reader.flush()
    return reader.page


@dataclass(frozen=True, slots=True)
class _Open:
    """`begin`: how many pieces of text the block had before; None where it makes no difference."""

    name: str
    silent: bool
    begin: int | None


class _Reader:
    def __init__(self) -> None:
        self.page = Page()
        self._open: list[_Open] = []
        self._counts: Counter[str] = Counter()
        self._silent = 0
        self._heading = 0
        self._pieces: list[str] = []

    def text(self, text: str) -> None:
        if not self._silent:
            self._pieces.append(_SPACE.sub(" ", _WIDE_BREAK.sub("", text)))

    def open(self, tag: Tag) -> None:
        name, attributes = tag.name, tag.attributes if tag.raw else {}
        if name == "body":
            self._close_all("head")
        if name in _RUBY:
            self._close_all("rt", "rp")
        if name in _BLOCKS:
            self.flush()
            self._heading = _HEADINGS.get(name, self._heading)
        for key in ("id", "name"):
            if anchor := attributes.get(key, ""):
                self.page.anchors.setdefault(anchor, len(self.page.blocks))
        if name == "br" and not self._silent:
            self._pieces.append("\n")
        if name in _EMPTY:
            return
        silent = name in _SILENT or _is_aside(attributes)
        may_mark = name == "sup" or (name == "a" and "#" in attributes.get("href", "") and not self._heading)
        self._open.append(_Open(name, silent, len(self._pieces) if may_mark else None))
        self._counts[name] += 1
        self._silent += silent

    def close(self, name: str) -> None:
        if name in _BLOCKS:
            self.flush()
        if self._counts[name]:
            while self._pop().name != name:
                pass
        if name in _HEADINGS:
            self._heading = 0

    def flush(self) -> None:
        text = _AROUND_BREAK.sub("\n", _SPACE_RUN.sub(" ", "".join(self._pieces))).strip()
        self._pieces.clear()
        if text:
            self.page.blocks.append(Block(text, self._heading))
            self._heading = 0

    def _close_all(self, *names: str) -> None:
        for name in names:
            while self._counts[name]:
                self._pop()

    def _pop(self) -> _Open:
        element = self._open.pop()
        self._counts[element.name] -= 1
        self._silent -= element.silent
        if element.begin is not None and _is_note_mark(self._pieces[element.begin :]):
            del self._pieces[element.begin :]
        return element


def _is_aside(attributes: dict[str, str]) -> bool:
    kinds = f"{attributes.get('epub:type', '')} {attributes.get('role', '')}"
    return "hidden" in attributes or bool(_ASIDES.search(kinds))


def _is_note_mark(pieces: list[str]) -> bool:
    text = "".join(pieces[:_LONGEST_MARK]).strip()
    return len(pieces) <= _LONGEST_MARK and len(text) <= _LONGEST_MARK and bool(_NOTE_MARK.fullmatch(text))
