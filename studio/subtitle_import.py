"""Subtitles become lines with times: what they would make is planned, looked at, and then stored as any import is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from banks.pieces import speakable
from studio.chapters import Source
from studio.fitting import Cue, overlaps
from studio.lines import Draft
from studio.models import LONGEST_LINE, MOST_LINES
from studio.script import parse
from studio.subtitle_reading import Said, SubtitleError, Why, read, shared
from studio.text import shortened, space_between
from studio.text_import import Plan

# Places of cues that are named.
NAMED = 12


def plan(sources: Sequence[Source], *, labels: bool, no_names: Collection[str] = ()) -> Plan:
    """The cues of all texts by their times. `labels`: names before a colon say who speaks. ValidationError where there
    is nothing to speak, or too much."""
    made = Plan()
    cues: list[Said] = []
    left_out: list[tuple[str, Why, list[int]]] = []
    for source in sources:
        try:
            reading = read(source.text)
        except SubtitleError as error:
            raise ValidationError(
                f"{source.title}: {_(error.message)}" if source.title else _(error.message)
            ) from error
        cues += reading.cues
        left_out += [(source.title, why, found) for why, found in reading.left_out.items()]
        if len(cues) > MOST_LINES:
            raise ValidationError(_("These are more than %d cues: take a part of them.") % MOST_LINES)
    made.notes = [_left_out(title, why, found) for title, why, found in left_out]
    if not cues:
        raise ValidationError([_("No cue of these subtitles can be spoken."), *made.notes])
    spoken = [part for cue in cues for part in _voices(cue, labels, no_names)]
    made.drafts = [draft for cue in spoken for draft in _drafts(cue, made)]
    made.drafts.sort(key=lambda draft: draft.start_ms or 0)
    made.speakers = dict(Counter(draft.speaker for draft in made.drafts))
    if labels:
        named = {cue.speaker for cue in cues}
        made.doubtful = _doubtful(made.speakers, named)
    _note_overlaps(made)
    return made


def _voices(cue: Said, labels: bool, no_names: Collection[str]) -> Iterator[Said]:
    """Parts of a cue by who says them, where its text tells it and its file doesn't."""
    turns = parse(cue.text, no_names).lines if labels and not cue.speaker else []
    if not any(turn.speaker for turn in turns):
        yield Said(cue.start, cue.end, _one_line(cue.text), cue.speaker)
        return
    yield from shared(cue.start, cue.end, [Said(0, 0, turn.text, turn.speaker[:100]) for turn in turns])


def _one_line(text: str) -> str:
    joined = ""
    for line in text.split("\n"):
        joined += (space_between(joined, line) if joined else "") + line
    return joined


def _drafts(cue: Said, made: Plan) -> Iterator[Draft]:
    texts = [text for text in shortened(cue.text, LONGEST_LINE) if speakable(text)]
    made.shortened += len(texts) > 1
    for part in shared(cue.start, cue.end, [Said(0, 0, text, cue.speaker) for text in texts]):
        yield Draft(part.text, part.speaker, start_ms=part.start, end_ms=part.end)


def _doubtful(speakers: dict[str, int], named: Collection[str]) -> list[str]:
    """As in studio.script: they stand once, where most has no name."""
    told = speakers.get("", 0)
    once = [name for name, count in speakers.items() if name and count == 1 and name not in named]
    return once if told > sum(speakers.values()) - told else []


def _note_overlaps(made: Plan) -> None:
    cues = [Cue((draft.start_ms or 0) / 1000, (draft.end_ms or 0) / 1000, 0.0) for draft in made.drafts]
    if count := len(overlaps(cues)):
        text = ngettext(
            "%d line is spoken at the same time as another.", "%d lines are spoken at the same time as others.", count
        )
        made.notes.append(text % count)


def _left_out(title: str, why: Why, places: list[int]) -> str:
    """How many cues, why, and which."""
    count = len(places)
    match why:
        case Why.UNREADABLE:
            text = ngettext(
                "%(count)d cue is left out, whose times can't be read: %(which)s.",
                "%(count)d cues are left out, whose times can't be read: %(which)s.",
                count,
            )
        case Why.BACKWARDS:
            text = ngettext(
                "%(count)d cue is left out, which ends before it starts: %(which)s.",
                "%(count)d cues are left out, which end before they start: %(which)s.",
                count,
            )
        case Why.EMPTY:
            text = ngettext(
                "%(count)d cue is left out, which has no words: %(which)s.",
                "%(count)d cues are left out, which have no words: %(which)s.",
                count,
            )
        case Why.LONG:
            text = ngettext(
                "%(count)d cue is left out, which is too long: %(which)s.",
                "%(count)d cues are left out, which are too long: %(which)s.",
                count,
            )
    which = ", ".join(map(str, places[:NAMED])) + (" …" if count > NAMED else "")
    said = text % {"count": count, "which": _("number %s") % which}
    return f"{title}: {said}" if title else said
