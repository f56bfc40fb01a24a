"""Where chapters begin in a text that has no other marks than its headings.

A heading is a line of its own: “Chapter 1”, “PART TWO”, “Prologue”, “第十二回 …”, “楔子”, or what a pattern finds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from studio.text import PATTERN_SECONDS, PatternTooSlow, compiled

LONGEST_TITLE = 200
_LONGEST_HEADING, _LONGEST_WIDE_HEADING = 100, 50


@dataclass(frozen=True, slots=True)
class Source:
    """A text; `title` is that of a chapter that begins with it. `divided`: its chapters are known, none is looked for
    in it."""

    text: str
    title: str = ""
    divided: bool = False


class Headings(StrEnum):
    KNOWN = "known"
    """As books in English, Chinese and a few more languages have them."""
    PATTERN = "pattern"
    NONE = "none"


_NUMBER = (
    r"(?:\d{1,4}|[ivxlcdm]{1,9}"
    r"|(?:the\s)?(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen|eighteen|nineteen|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[-\s](?:one|two|three"
    r"|four|five|six|seven|eight|nine))?|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last))"
)
_NUMBERED = (
    r"(?:chapter|part|book|volume|act|scene|section|canto|letter"
    r"|kapitel|teil|chapitre|partie|cap[ií]tulo|parte|capitolo|hoofdstuk|глава|часть|rozdział)"
)
_NAMED = (
    r"(?:prologue|epilogue|preface|foreword|introduction|interlude|intermission|afterword|postscript|appendix|coda"
    r"|prolog|epilog|vorwort|nachwort|prólogo|epílogo|épilogue|пролог|эпилог)"
)
_LATIN = re.compile(
    rf"(?:{_NUMBERED}\s+{_NUMBER}\.?(?:\s*[.:—–-]\s*\S.*|\s+(?-i:[^\W\d_a-z]).*)?|{_NAMED}(?:\s*[.:—–-]\s*\S.*|\.?))",
    re.IGNORECASE,
)
_WIDE_DIGITS = "0-9０-９零〇一二两兩三四五六七八九十百千万萬壹贰叁肆伍陆柒捌玖拾廿卅"
_WIDE_NUMBERED = rf"第[\s　]?[{_WIDE_DIGITS}]{{1,12}}[\s　]?[章回节節卷部集篇幕话話折]"
_WIDE = re.compile(
    rf"(?:正文[\s　]*)?(?:{_WIDE_NUMBERED}(?![的是也里裡中])"
    rf"|卷[{_WIDE_DIGITS}]{{1,6}}(?=$|[\s　:：·])"
    r"|(?:楔子|序章|序幕|序言|自序|序|前言|引子|引言|尾声|尾聲|终章|終章|终曲|后记|後記|跋|附录|附錄"
    r"|プロローグ|エピローグ|あとがき)(?=$|[\s　:：·—-])"
    rf"|(?:番外|外传|外傳|间章|間章|幕间|幕間)(?:篇)?[{_WIDE_DIGITS}]{{0,6}}(?=$|[\s　:：·—-]|[（(])"
    r"|제\s?\d{1,4}\s?[장화부권막]).*"
)
# A sentence that only begins like a heading ends like a sentence.
_TOLD = re.compile(r"[,;，；、]$|[.。…”」’\"]$")
_BARE = re.compile(rf"(?:{_NUMBERED}\s+{_NUMBER}|{_WIDE_NUMBERED})[.:：]?", re.IGNORECASE)
_LINE = re.compile(r"[^\n]+")


@dataclass(frozen=True, slots=True)
class _Heading:
    title: str
    start: int
    end: int


def divided(sources: Iterable[Source], headings: Headings, pattern: str = "") -> list[Source]:
    """In chapters, by their headings; each text begins with its heading. CutError.

    A list of contents is no chapters: a heading without a text of its own that comes again later is none.
    """
    if headings is Headings.NONE:
        return list(sources)
    found = compiled(pattern) if headings is Headings.PATTERN else None
    deadline = time.monotonic() + PATTERN_SECONDS
    parts: list[Source] = []
    for source in sources:
        if source.divided:
            parts.append(source)
            continue
        places = _known(source.text) if found is None else _matching(source.text, found, deadline)
        parts += _parts(source, list(places))
    return parts


def _parts(source: Source, headings: list[_Heading]) -> Iterator[Source]:
    headings = _without_contents(source.text, headings)
    ends = [*(heading.start for heading in headings), len(source.text)]
    if source.text[: ends[0]].strip() or not headings:
        yield Source(source.text[: ends[0]], source.title)
    for heading, end in zip(headings, ends[1:], strict=True):
        # An empty line behind it, so that it is a paragraph of its own.
        body = source.text[heading.end : end].strip("\n")
        yield Source(f"{source.text[heading.start : heading.end].strip()}\n\n{body}", heading.title, divided=True)


def _without_contents(text: str, headings: list[_Heading]) -> list[_Heading]:
    ends = [*(heading.start for heading in headings), len(text)][1:]
    last = {heading.title.casefold(): number for number, heading in enumerate(headings)}
    return [
        heading
        for number, (heading, end) in enumerate(zip(headings, ends, strict=True))
        if last[heading.title.casefold()] == number or text[heading.end : end].strip()
    ]


def _known(text: str) -> Iterator[_Heading]:
    taken = 0
    for match in _LINE.finditer(text):
        line = match[0].strip()
        if match.start() < taken or not line or not _is_heading(line, text, match.start()):
            continue
        title, end = line, match.end()
        if _BARE.fullmatch(line) and (second := _second_line(text, end)):
            title, end = f"{line.rstrip('.:： ')}: {second[0].strip()}", second.end()
        taken = end
        yield _Heading(_titled(title), match.start(), end)


def _is_heading(line: str, text: str, start: int) -> bool:
    if len(line) <= _LONGEST_WIDE_HEADING and _WIDE.fullmatch(line):
        return not _TOLD.search(line)
    if len(line) > _LONGEST_HEADING or not _LATIN.fullmatch(line):
        return False
    # In a text of wrapped lines one may begin with these words by chance.
    alone = not text[text.rfind("\n", 0, max(start - 1, 0)) + 1 : start].strip()
    return alone and (bool(_BARE.fullmatch(line)) or not _TOLD.search(line) or line.count(" ") < 2)


def _second_line(text: str, end: int) -> re.Match[str] | None:
    """The title under “Chapter 1”: a short line between it and an empty one."""
    match = _LINE.match(text, end + 1)
    if match is None or text[match.end() : match.end() + 2] != "\n\n":
        return None
    line = match[0].strip()
    fits = bool(line) and len(line) <= _LONGEST_HEADING and not _TOLD.search(line)
    return match if fits and not _WIDE.fullmatch(line) else None


def _matching(text: str, found: Any, deadline: float) -> Iterator[_Heading]:
    """Each line that the pattern matches in."""
    taken = 0
    try:
        for match in found.finditer(text, concurrent=True, timeout=max(deadline - time.monotonic(), 0.001)):
            # What a pattern takes of the line ends before its heading belongs to none.
            at = match.start() + len(match[0]) - len(match[0].lstrip())
            start, end = text.rfind("\n", 0, at) + 1, text.find("\n", max(at, match.end() - 1))
            end = len(text) if end < 0 else end
            if start >= taken and (title := _titled(text[start:end])):
                yield _Heading(title, start, end)
                taken = end
            if time.monotonic() > deadline:
                raise TimeoutError
    except TimeoutError as error:
        raise PatternTooSlow("This pattern takes too long on this text: make it simpler.") from error


def _titled(text: str) -> str:
    return " ".join(text.split())[:LONGEST_TITLE]
