"""Reading subtitles: SubRip, WebVTT, SubStation Alpha (ASS, SSA) and LRC. Times are milliseconds.

What a file is its content says, not its name. Players read far more than the formats allow, and so does this: what
can't be spoken is left out, with its reason, and the rest is read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from html import unescape

from banks.pieces import speakable

# No recording is longer, and no cue has more characters with all its marks.
LATEST = 100 * 3600 * 1000
MOST_CHARACTERS = 20_000
_EMPTY_LINES = re.compile(r"\n{3,}")
# The last line of a song says nothing of its end.
LAST_OF_SONG = 5_000


class SubtitleError(Exception):
    """Its message is for people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Why(StrEnum):
    """What is wrong with a cue that is left out."""

    UNREADABLE = "unreadable"
    """Its times can't be read, or are later than any recording's."""
    BACKWARDS = "backwards"
    """It ends before it starts, or in the same moment."""
    EMPTY = "empty"
    """There is nothing to speak."""
    LONG = "long"


@dataclass(frozen=True, slots=True)
class Said:
    """A cue, or the part of one that one voice says."""

    start: int
    end: int
    text: str
    speaker: str = ""


@dataclass(slots=True)
class Reading:
    """`cues` by their starts; `left_out`: the places in the file, from 1, of cues that can't be taken."""

    cues: list[Said] = field(default_factory=list)
    left_out: dict[Why, list[int]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class _Found:
    """A cue as it stands in the file; no times where they can't be read. `text` still has the format's marks."""

    times: tuple[int, int] | None
    text: str
    speaker: str = ""


def read(text: str) -> Reading:
    """SubtitleError where there are no cues at all."""
    text = _EMPTY_LINES.sub("\n\n", text)
    found, voices = _format(text)
    made = Reading()
    for place, cue in enumerate(found(text), start=1):
        parts = voices(cue) if len(cue.text) <= MOST_CHARACTERS else []
        if wrong := _wrong(cue, parts):
            made.left_out[wrong].append(place)
        elif cue.times:
            made.cues += shared(*cue.times, [part for part in parts if speakable(part.text)])
    if not (made.cues or made.left_out):
        raise SubtitleError("There are no subtitles in this text: SRT, VTT, ASS, SSA and LRC can be read.")
    made.cues.sort(key=lambda cue: cue.start)
    return made


def shared(start: int, end: int, parts: list[Said]) -> Iterator[Said]:
    """What is said one after another within a cue's time, each with its share by the length of its text."""
    total = sum(len(part.text) for part in parts)
    length, passed = end - start, 0
    for part in parts:
        begins = start + length * passed // total
        passed += len(part.text)
        ends = start + length * passed // total
        yield replace(part, start=begins, end=max(ends, begins + 1))


def _wrong(cue: _Found, parts: list[Said]) -> Why | None:
    if cue.times is None or max(cue.times) > LATEST:
        return Why.UNREADABLE
    if len(cue.text) > MOST_CHARACTERS:
        return Why.LONG
    if cue.times[1] <= cue.times[0]:
        return Why.BACKWARDS
    return None if any(speakable(part.text) for part in parts) else Why.EMPTY


type Finding = Callable[[str], Iterable[_Found]]
type Voices = Callable[[_Found], list[Said]]


def _format(text: str) -> tuple[Finding, Voices]:
    if text.lstrip().startswith("WEBVTT"):
        return _vtt, _vtt_voices
    if _ASS_HEAD.search(text):
        return _ass, _ass_voices
    if "-->" in text:
        return _srt, _srt_voices
    return _lrc, _lrc_voices


# SubRip and WebVTT: a line of times, then what is said.

_TIME = r"(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?!\d)")
# A line that is meant to be one of times, however it is written.
_LIKE_TIMES = re.compile(r"[\s\d:;.,-]{0,40}-->|[^\n]{0,40}?-->[ \t]*\d{1,3}:")
_NUMBER = re.compile(r"\s*\d{1,9}\s*")


def _cues(text: str) -> Iterator[tuple[tuple[int, int] | None, list[str]]]:
    """Times, and the lines up to the next times."""
    times: tuple[int, int] | None = None
    said: list[str] = []
    begun = False
    for line in text.split("\n"):
        if not _LIKE_TIMES.match(line):
            said.append(line)
            continue
        if begun:
            yield times, said
        match = _TIMES.match(line)
        times, said, begun = _both(match) if match else None, [], True
    if begun:
        yield times, [*said, ""]


def _both(match: re.Match[str]) -> tuple[int, int]:
    parts = match.groups()
    return _milliseconds(*parts[:4]), _milliseconds(*parts[4:])


def _milliseconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> int:
    whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return 1000 * whole + int((fraction or "").ljust(3, "0"))


def _srt(text: str) -> Iterator[_Found]:
    for times, lines in _cues(text):
        # The number of the next cue.
        if lines and _NUMBER.fullmatch(lines[-1]) and (len(lines) == 1 or not lines[-2].strip()):
            lines = lines[:-1]
        yield _Found(times, "\n".join(lines))


def _vtt(text: str) -> Iterator[_Found]:
    """An empty line ends a cue: names of cues, notes and styles stand behind it."""
    for times, lines in _cues(text):
        end = next((at for at, line in enumerate(lines) if not line.strip()), len(lines))
        yield _Found(times, "\n".join(lines[:end]))


_TAG = re.compile(r"<[^<>]{0,500}>")
_SRT_TAG = re.compile(r"</?(?:i|b|u|s|font|c|v)\b[^<>]{0,500}>|<\d[\d:.]{1,20}>", re.IGNORECASE)
# How the characters before it are read.
_READING = re.compile(r"<rt>[^<>]{0,500}(?:</rt>)?")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,200})?[ \t\n]([^<>]{0,500})>")
_BRACES = re.compile(r"\{[^{}]{0,2000}\}")


def _srt_voices(cue: _Found) -> list[Said]:
    return [Said(0, 0, _joined(unescape(_SRT_TAG.sub("", _BRACES.sub("", cue.text)))))]


def _vtt_voices(cue: _Found) -> list[Said]:
    """What stands before the first voice is nobody's; a voice ends where the next begins."""
    parts = _VOICE.split(_READING.sub("", cue.text))
    said = [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    voices = [Said(0, 0, _joined(unescape(_TAG.sub("", text))), _name(unescape(name))) for name, text in said]
    return [voice for voice in voices if voice.text]


# SubStation Alpha: fields between commas, text last.

_ASS_HEAD = re.compile(r"^[ \t]{0,20}\[(?:script info|events)\]", re.IGNORECASE | re.MULTILINE)
_ASS_FIELDS = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
_ASS_TIME = re.compile(rf"\s*{_TIME}\s*")
_DRAWS = re.compile(r"\\p[1-9]")
_ASS_BREAK = re.compile(r"\\[Nn]")


def _ass(text: str) -> Iterator[_Found]:
    names: tuple[str, ...] = _ASS_FIELDS
    in_events = True
    for line in text.split("\n"):
        kind, colon, rest = line.strip().partition(":")
        if kind.startswith("["):
            in_events = kind.strip().lower() == "[events]"
        elif colon and in_events and kind == "Format":
            listed = tuple(name.strip().lower() for name in rest.split(",")[:30])
            names = listed if {"start", "end", "text"} <= {*listed} and listed[-1] == "text" else names
        elif colon and in_events and kind == "Dialogue":
            values = dict(zip(names, rest.split(",", len(names) - 1), strict=False))
            # SSA calls the name so too, ASS may call it “Actor”.
            yield _Found(_ass_times(values), values.get("text", ""), values.get("name", values.get("actor", "")))


def _ass_times(values: dict[str, str]) -> tuple[int, int] | None:
    start, end = (_ASS_TIME.fullmatch(values.get(name, "")) for name in ("start", "end"))
    return (_milliseconds(*start.groups()), _milliseconds(*end.groups())) if start and end else None


def _ass_voices(cue: _Found) -> list[Said]:
    """What draws a picture says nothing."""
    text = "" if _DRAWS.search(cue.text) else _BRACES.sub("", cue.text)
    return [Said(0, 0, _joined(_ASS_BREAK.sub("\n", text).replace("\\h", " ")), _name(cue.speaker))]


# LRC: a line of a song behind the moments at which it is sung.

_STAMP = re.compile(r"\s*\[(\d{1,3}):(\d{1,2})(?:[.:,](\d{1,3}))?\]")
_OFFSET = re.compile(r"^[ \t]{0,20}\[offset:[ \t]{0,20}([+-]?\d{1,9})[ \t]{0,20}\]", re.IGNORECASE | re.MULTILINE)


def _lrc(text: str) -> Iterator[_Found]:
    """A line lasts until the next moment, be it that of an empty line. A positive offset has all come sooner."""
    offset = _OFFSET.search(text)
    sooner = int(offset[1]) if offset else 0
    sung = sorted(_sung(text), key=lambda one: one[0])
    starts = sorted({start for start, _said in sung})
    following = dict(zip(starts, starts[1:], strict=False))
    for start, said in sung:
        end = following.get(start, start + LAST_OF_SONG)
        if said.strip():
            yield _Found((max(start - sooner, 0), max(end - sooner, 0)), said)


def _sung(text: str) -> Iterator[tuple[int, str]]:
    for line in text.split("\n"):
        at, moments = 0, []
        while match := _STAMP.match(line, at):
            moments.append(_milliseconds(None, *match.groups()))
            at = match.end()
        yield from ((moment, line[at:]) for moment in moments)


def _lrc_voices(cue: _Found) -> list[Said]:
    return [Said(0, 0, _joined(_TAG.sub("", cue.text)))]


# What is said.

# At the beginning of a line it only says that somebody else speaks.
_DASH = re.compile(r"^[ \t]*[-\u2010-\u2015](?=[ \t\w“\"'¿¡])[ \t]*", re.MULTILINE)
_SPACES = re.compile(r"[ \t\xa0\u200b]+")


def _joined(text: str) -> str:
    lines = (_SPACES.sub(" ", line).strip() for line in _DASH.sub("", text).split("\n"))
    return "\n".join(line for line in lines if line)


def _name(name: str) -> str:
    return " ".join(name.split())[:100]
