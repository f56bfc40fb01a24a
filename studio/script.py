"""Scripts of `Name: text` lines.

A line without a name goes on with the turn before it; behind an empty line it is told by nobody. A direction in
brackets behind the name, as in `Anna (whispering): Come here.`, is how to speak.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from banks.pieces import speakable
from studio.text import space_between

MOST_WORDS, LONGEST_NAME = 4, 40
_TURN = re.compile(
    r"\s*(?:[-*•]\s+)?(?:\*\*|__)?"
    r"(?P<name>[^\s:：*_()\[\]（）【】][^:：*()\[\]（）【】\n]{0,60}?)"
    r"\s*(?:[(\[（【](?P<direction>[^()\[\]（）【】\n]{0,300})[)\]）】])?"
    r"\s*(?:\*\*|__)?\s*(?P<colon>[:：])(?:\*\*|__)?\s*"
    r"(?P<text>.*)"
)
# Small words within names: Ludwig van Beethoven, the Queen of Hearts.
_PARTICLES = frozenset(
    ["da", "de", "del", "der", "des", "di", "do", "du", "den", "la", "le", "les", "el", "al", "bin", "ibn"]
    + ["von", "van", "zu", "the", "of", "and", "und", "et", "y", "e", "&"]
)
_NO_NAME = re.compile(r"[.!?…,;，。！？；、\"“”«»「」『』/\\<>=|]")
_SHORTENED = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|St|Prof|Jr|Sr|Sra?|Dra?|Mme|M)\.")
# “He said:” before a quote is told, not a name.
TELLS = re.compile(
    r"(?:[说說道问問喊叫想答笑写寫曰]|\b(?:said|says|asked|asks|cried|replied|answered|whispered))$", re.IGNORECASE
)
_OPENS = re.compile(r"[\"“„«「『‘]")


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """`speaker` is empty for what nobody says in particular."""

    text: str
    speaker: str = ""
    instruction: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """`speakers`: how many lines each has, in the order in which they come. `doubtful` are those among them that may
    be no names: they stand once, in a text that is mostly told."""

    lines: list[ScriptLine]
    speakers: dict[str, int]
    doubtful: list[str]


def parse(text: str, no_names: Collection[str] = ()) -> Script:
    """`no_names`: what somebody said is none, though it looks like one."""
    turns = list(_turns(text.splitlines(), _loose_names(text), frozenset(no_names)))
    lines = [turn for turn in turns if speakable(turn.text)]
    speakers = Counter(line.speaker for line in lines if line.speaker)
    told = len(lines) - speakers.total()
    doubtful = [name for name, count in speakers.items() if count == 1 and told > speakers.total()]
    return Script(lines, dict(speakers), doubtful)


def _turns(lines: list[str], loose: frozenset[str], no_names: frozenset[str]) -> Iterator[ScriptLine]:
    current: ScriptLine | None = None
    for line in lines:
        turn = _turn(line, loose, no_names)
        if turn is None and line.strip() and current is not None:
            text = line.strip()
            current = replace(
                current, text=current.text + (space_between(current.text, text) if current.text else "") + text
            )
            continue
        if current is not None:
            yield current
        current = turn or (ScriptLine(line.strip()) if line.strip() else None)
    if current is not None:
        yield current


def _turn(line: str, loose: frozenset[str], no_names: frozenset[str]) -> ScriptLine | None:
    match = _TURN.fullmatch(line)
    if match is None:
        return None
    name, text = " ".join(match["name"].split()), match["text"].strip()
    if name in no_names or not (_is_name(name) or name in loose) or _goes_on(match, name, text):
        return None
    return ScriptLine(text, name, (match["direction"] or "").strip())


def _goes_on(match: re.Match[str], name: str, text: str) -> bool:
    """Whether the colon is part of what stands there: an address, a time, “he said:”."""
    address = match["colon"] == ":" and match["text"].startswith("/")
    time = name[-1].isdigit() and text[:1].isdigit()
    return address or time or bool(TELLS.search(name) and _OPENS.match(text))


def _is_name(name: str) -> bool:
    if not _may_be_name(name):
        return False
    words = name.split()
    return all(word in _PARTICLES or not word[0].islower() for word in words) and not words[0].islower()


def _may_be_name(name: str) -> bool:
    words = name.split()
    plain = _SHORTENED.sub("", name)
    short = len(name) <= LONGEST_NAME and 0 < len(words) <= MOST_WORDS
    return short and not _NO_NAME.search(plain) and any(map(str.isalpha, name))


def _loose_names(text: str) -> frozenset[str]:
    """Single words in lower case that stand before a colon more than once."""
    found = (_TURN.fullmatch(line) for line in text.splitlines())
    words = Counter(match["name"].strip() for match in found if match and not match["text"].startswith("/"))
    return frozenset(word for word, count in words.items() if count > 1 and " " not in word and _may_be_name(word))


def match_speakers[T](names: Collection[str], known: Mapping[str, T], fold: Callable[[str], str]) -> dict[str, T]:
    """Who of `known`, by folded names and aliases, each name means; those that mean nobody are left out."""
    return {name: known[fold(name)] for name in names if fold(name) in known}
