"""Markdown as it is read aloud: without its marks, in sections that begin at headings."""

from __future__ import annotations

import re

# No part can match what another does, so that no text makes them slow.
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(\S.*)$", re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}(?:```|~~~).*$", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]{0,8}(?:[-+*]|>)[ \t]+", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]\n]{0,500})\]\([^()\n]{0,1000}\)")
_MARKS = (
    re.compile(r"\*\*(?=\S)([^*\n]{1,500})(?<=\S)\*\*"),
    re.compile(r"(?<!\w)__(?=\S)([^_\n]{1,500})(?<=\S)__(?!\w)"),
    re.compile(r"\*(?=\S)([^*\n]{1,500})(?<=\S)\*"),
    re.compile(r"(?<!\w)_(?=\S)([^_\n]{1,500})(?<=\S)_(?!\w)"),
    re.compile(r"`([^`\n]{1,500})`"),
)


def sections(text: str) -> list[tuple[str, str]]:
    """Headings and what stands under each, the heading itself first; the first heading is empty for what stands above
    all."""
    found = [("", 0, 0), *((_plain(match[1]), match.start(), match.end()) for match in _HEADING.finditer(text))]
    ends = [start for _heading, start, _end in found[1:]] + [len(text)]
    parts = []
    for (heading, _start, begin), end in zip(found, ends, strict=True):
        body = _plain(text[begin:end])
        if heading or body:
            parts.append((heading, f"{heading}\n\n{body}".strip()))
    return parts


def _plain(text: str) -> str:
    text = _LINK.sub(r"\1", _BULLET.sub("", _FENCE.sub("", text)))
    for mark in _MARKS:
        text = mark.sub(r"\1", text)
    return text.strip().rstrip("#").rstrip()
