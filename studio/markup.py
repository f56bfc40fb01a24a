"""XHTML and XML as tags and text: lenient, in one pass, with nothing in it that could be resolved.

Books come with markup that no strict parser takes, and with what attacks strict ones. Here a document type with its
entities, comments and instructions to programs are passed over, a reference that is not one of HTML's own is left out,
and nothing leads to another file. The time grows with the length alone: no pattern looks beyond the next angle bracket,
and what is never closed reaches to the end.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

_PASSED_OVER = (
    ("<!--", re.compile(r"-->")),
    ("<?", re.compile(r"\?>")),
    ("<![CDATA[", re.compile(r"\]\]>")),
)
_CDATA = "<![CDATA["
_DOCTYPE = re.compile(r"<![A-Za-z][^<>\[]*")
_DOCTYPE_END = re.compile(r"\]\s*>")
_TAG = re.compile(r"<(/?)([A-Za-z_][^\s<>/]*)((?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*+|[^<>]*)>")
_ATTRIBUTE = re.compile(r"([^\s=\"'/]{1,100})\s{0,20}=\s{0,20}(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_LONGEST_ATTRIBUTES = 10_000
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z_:][\w.:-]{0,60});")
# What of a document is no markup, whatever it looks like.
_RAW = {name: re.compile(rf"</{name}", re.IGNORECASE) for name in ("script", "style")}
# Characters without a width: a soft hyphen would be in the middle of a word.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))


@dataclass(frozen=True, slots=True)
class Tag:
    """`name` is in lower case, without a prefix. One that closes itself, as `<br/>`, is open and closed at once."""

    name: str
    opens: bool
    closes: bool
    raw: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        """By their names in lower case, with prefixes."""
        if len(self.raw) > _LONGEST_ATTRIBUTES:
            return {}
        return {name.lower(): plain(a or b or c) for name, a, b, c in reversed(_ATTRIBUTE.findall(self.raw))}


def plain(text: str) -> str:
    """With the characters that references stand for, each resolved once."""
    if "&" in text:
        text = _REFERENCE.sub(_character, text)
    return text.translate(_INVISIBLE)


def _character(match: re.Match[str]) -> str:
    character = html.unescape(match[0])
    return "" if character == match[0] else character


def tokens(text: str) -> Iterator[Tag | str]:
    """In order; what stands between tags is plain text."""
    position = 0
    while (start := text.find("<", position)) >= 0:
        if start > position:
            yield plain(text[position:start])
        end, found = _token(text, start)
        if found:
            yield found
        if isinstance(found, Tag) and found.opens and not found.closes and found.name in _RAW:
            end = _found(_RAW[found.name].search(text, end), len(text), at_start=True)
        position = end
    if position < len(text):
        yield plain(text[position:])


def _token(text: str, start: int) -> tuple[int, Tag | str]:
    """Where what begins here ends, and what it is."""
    if match := _TAG.match(text, start):
        closing, name, raw = match[1], match[2].rpartition(":")[2].lower(), match[3]
        return match.end(), Tag(name, not closing, bool(closing) or raw.endswith("/"), raw)
    for opener, closer in _PASSED_OVER:
        if text.startswith(opener, start):
            begin = start + len(opener)
            ended = closer.search(text, begin)
            content = text[begin : ended.start() if ended else len(text)] if opener == _CDATA else ""
            return _found(ended, len(text)), content
    if match := _DOCTYPE.match(text, start):
        if text.startswith("[", match.end()):
            return _found(_DOCTYPE_END.search(text, match.end()), len(text)), ""
        return match.end() + text.startswith(">", match.end()), ""
    return start + 1, "<"


def _found(match: re.Match[str] | None, otherwise: int, *, at_start: bool = False) -> int:
    if match is None:
        return otherwise
    return match.start() if at_start else match.end()
