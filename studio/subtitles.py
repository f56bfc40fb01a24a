"""Writing subtitles. Times are seconds, rounded to the milliseconds that the formats have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape

# No cue is empty, however short what it stands for.
LEAST_MILLISECONDS = 1
_BREAKS = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")
_LIKE_A_TIME = re.compile(r"(?<=\d):(?=\d{1,2}:?\d{0,2}[.,]\d)")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Cue:
    start: float
    end: float
    speaker: str
    text: str


def srt(cues: Iterable[Cue], *, speakers: bool = False) -> str:
    """SubRip: plain text; `speakers` puts who speaks before it."""
    blocks = []
    for number, (cue, start, end) in enumerate(_timed(cues), start=1):
        said = f"{_one_line(cue.speaker)}: {_one_line(cue.text)}" if speakers and cue.speaker else _one_line(cue.text)
        # Players take two times or an arrow for a cue's, and braces or angles for marks of style.
        plain = _LIKE_A_TIME.sub("\u2236", said)
        plain = plain.replace("-->", "→").replace("{", "(").replace("}", ")").replace("<", "‹").replace(">", "›")
        blocks.append(f"{number}\n{_time(start, ',')} --> {_time(end, ',')}\n{plain}\n")
    return "\n".join(blocks)


def vtt(cues: Iterable[Cue], *, speakers: bool = True) -> str:
    """WebVTT; `speakers` marks who speaks."""
    blocks = ["WEBVTT\n"]
    for cue, start, end in _timed(cues):
        voice = f"<v {_escaped(_one_line(cue.speaker))}>" if speakers and cue.speaker else ""
        blocks.append(f"{_time(start, '.')} --> {_time(end, '.')}\n{voice}{_escaped(_one_line(cue.text))}\n")
    return "\n".join(blocks)


WRITERS: dict[str, Callable[..., str]] = {"srt": srt, "vtt": vtt}


def _timed(cues: Iterable[Cue]) -> Iterator[tuple[Cue, int, int]]:
    """With milliseconds; none ends before it starts, nor starts before the one before it has ended by rounding."""
    last = 0
    for cue in cues:
        start = max(round(1000 * cue.start), last) if round(1000 * cue.start) >= last - 1 else round(1000 * cue.start)
        end = max(round(1000 * cue.end), start + LEAST_MILLISECONDS)
        last = end
        yield cue, start, end


def _time(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}"


def _one_line(text: str) -> str:
    """An empty line would end the cue."""
    return _CONTROLS.sub("", _BREAKS.sub(" ", text.strip()))


def _escaped(text: str) -> str:
    return escape(text, quote=False)
