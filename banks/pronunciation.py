"""How words are spoken that an engine would say wrong: rules that rewrite a text before it is sent.

PronunciationError              500  the base; never raised itself
├── RuleTooSlow                 500  a pattern takes too long on this text
├── RuleBroken                  500  a pattern can't be used, as it could when it was saved
└── SpokenTooLong               400  the rules make the text longer than anything may be

Patterns are applied first, one after the other; then words, each place once: what a word became is not looked at again.
"""

from __future__ import annotations

import hashlib
import json
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import islice

import regex

from providers.errors import InvalidRequest, SpeechError

# For one pattern, and for all of them together.
PATTERN_SECONDS, PATTERNS_SECONDS = 0.5, 2.0
LONGEST_RULE = 200
# Or twice what was written, where that is more.
LONGEST_SPOKEN = 100_000

# Scripts that put no space between words: a word is one wherever it stands.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_SPACED = rf"[[\p{{L}}\p{{N}}\p{{M}}_]--[{_UNSPACED}]]"
_TOKEN = regex.compile(rf"{_SPACED}+|.", regex.VERSION1 | regex.DOTALL)
_INSIDE = regex.compile(_SPACED, regex.VERSION1)


class PronunciationError(SpeechError):
    code = "pronunciation_failed"
    permanent = True


class RuleTooSlow(PronunciationError):
    code = "pronunciation_too_slow"


class RuleBroken(PronunciationError):
    code = "pronunciation_broken"


class SpokenTooLong(PronunciationError, InvalidRequest):
    code = "pronunciation_too_long"


@dataclass(frozen=True, slots=True)
class Rule:
    """`written` is a word or several, or with `is_pattern` a regular expression, for which `spoken` may name groups as
    `\\1`. `language` limits it to texts in that language; it holds for texts whose language nobody told, too."""

    written: str
    spoken: str
    is_pattern: bool = False
    language: str = ""
    match_case: bool = False

    def holds_in(self, language: str) -> bool:
        """en holds in en-US and the other way round; en-GB does not."""
        if not (self.language and language):
            return True
        return not any(
            own and other and own != other for own, other in zip(_tags(self.language), _tags(language), strict=True)
        )


def _tags(language: str) -> tuple[str, str, str]:
    """The language itself, its script and its country, each empty where it is not told."""
    primary, *rest = language.strip().replace("_", "-").lower().split("-")
    script = next((tag for tag in rest if len(tag) == 4 and tag.isalpha()), "")
    country = next((tag for tag in rest if len(tag) == 2 or tag.isdecimal()), "")
    return primary, script, country


@dataclass(frozen=True, slots=True)
class Mark:
    """Where in the spoken text a rule put something; where it left something out, both ends are the same."""

    start: int
    end: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text as it is to be spoken, and what the rules did to it: `marks` are in order and do not overlap."""

    text: str
    marks: tuple[Mark, ...] = ()

    def parts(self) -> Iterator[tuple[str, Rule | None]]:
        """All of the text, each part with the rule that put it there."""
        position = 0
        for mark in self.marks:
            if position < mark.start:
                yield self.text[position : mark.start], None
            yield self.text[mark.start : mark.end], mark.rule
            position = mark.end
        if position < len(self.text):
            yield self.text[position:], None


@dataclass(frozen=True)
class Rules:
    """An ordered set; of two for the same word that of the nearer scope holds, then the one that is made for the text's
    language, then the first. `sizes` tells how many rules each scope has, the nearest first; empty: all are of one."""

    rules: tuple[Rule, ...] = ()
    sizes: tuple[int, ...] = ()
    _for_language: dict[str, _Compiled] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def joined(cls, *scopes: Rules) -> Rules:
        """Those of the nearest scope first."""
        sizes = [size for scope in scopes for size in (scope.sizes or (len(scope.rules),)) if size]
        return cls(tuple(rule for scope in scopes for rule in scope.rules), tuple(sizes) if len(sizes) > 1 else ())

    def __bool__(self) -> bool:
        return bool(self.rules)

    @cached_property
    def has_patterns(self) -> bool:
        return any(rule.is_pattern for rule in self.rules)

    @cached_property
    def fingerprint(self) -> str:
        """The same for rules that do the same; empty for none."""
        known = json.dumps([[asdict(rule) for rule in self.rules], self.sizes])
        return hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest() if self.rules else ""

    def apply(self, text: str, language: str = "") -> str:
        """The text as it is to be spoken. PronunciationError."""
        return self.traced(text, language).text

    def traced(self, text: str, language: str = "") -> Spoken:
        """The same with what the rules did. A text that none of them touches stays as it is, to the last character."""
        if not self.rules:
            return Spoken(text)
        if language not in self._for_language:
            self._for_language[language] = _Compiled(self._patterns(language), self._words(language))
        # Names may be typed in composed letters, or in letters with accents behind them.
        spoken = self._for_language[language].traced(unicodedata.normalize("NFC", text))
        return spoken if spoken.marks else Spoken(text)

    def _patterns(self, language: str) -> list[Rule]:
        return [rule for rule in self.rules if rule.is_pattern and rule.holds_in(language)]

    def _words(self, language: str) -> Iterator[Rule]:
        rules = iter(self.rules)
        for size in self.sizes or (len(self.rules),):
            held = [rule for rule in islice(rules, size) if not rule.is_pattern and rule.holds_in(language)]
            # Those for this language first; where it is not known, those for all.
            yield from sorted(held, key=lambda rule: bool(rule.language) is not bool(language))


NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class _Edit:
    """A replacement of `start` to `end` in the text before it."""

    start: int
    end: int
    said: str
    rule: Rule


class _Compiled:
    """The rules for one language."""

    def __init__(self, patterns: list[Rule], words: Iterator[Rule]) -> None:
        self._patterns = [(rule, _usable(rule)) for rule in patterns]
        self._words = _Words(words)

    def traced(self, text: str) -> Spoken:
        longest, ends = max(LONGEST_SPOKEN, 2 * len(text)), time.monotonic() + PATTERNS_SECONDS
        spoken = Spoken(text)
        for rule, pattern in self._patterns:
            left = min(PATTERN_SECONDS, ends - time.monotonic())
            spoken = _edited(spoken, _matches(rule, pattern, spoken.text, left, longest), longest)
        return _edited(spoken, list(self._words.edits(spoken.text)), longest)


class _Words:
    """Found by how they begin, then by their length: however many there are, a place is looked at a few times."""

    def __init__(self, rules: Iterator[Rule]) -> None:
        self._exact: dict[str, tuple[int, Rule]] = {}
        self._folded: dict[str, tuple[int, Rule]] = {}
        lengths: dict[str, set[int]] = {}
        for place, rule in enumerate(rules):
            written = unicodedata.normalize("NFC", rule.written)
            known = self._exact if rule.match_case else self._folded
            known.setdefault(written if rule.match_case else _fold(written), (place, rule))
            if first := _TOKEN.match(_fold(written)):
                lengths.setdefault(first[0], set()).add(len(written))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}

    def edits(self, text: str) -> Iterator[_Edit]:
        if not self._lengths:
            return
        folded, position = _fold(text), 0
        while match := _TOKEN.match(text, position):
            edit = self._at(text, folded, match)
            position = edit.end if edit else match.end()
            if edit:
                yield edit

    def _at(self, text: str, folded: str, token: regex.Match[str]) -> _Edit | None:
        start = token.start()
        for length in self._lengths.get(folded[start : token.end()], ()):
            end = start + length
            found = (self._exact.get(text[start:end]), self._folded.get(folded[start:end]))
            known = [one for one in found if one is not None]
            if known and not _within(text, end):
                _place, rule = min(known, key=lambda one: one[0])
                return _Edit(start, end, rule.spoken, rule)
        return None


def _fold(text: str) -> str:
    """Without regard to case, and as long as before: İ alone would become two characters."""
    return text.replace("İ", "i").lower()


def _within(text: str, end: int) -> bool:
    """Whether a word goes on there."""
    return bool(_INSIDE.match(text, end) and _INSIDE.match(text, end - 1))


def _edited(spoken: Spoken, edits: list[_Edit], longest: int) -> Spoken:
    """With `edits`, which are in order. What an earlier rule did stays marked where nothing touches it again."""
    if not edits:
        return spoken
    parts, marks, length, position = list[str](), list[Mark](), 0, 0
    earlier = iter(spoken.marks)
    mark = next(earlier, None)
    for edit in (*edits, None):
        start = edit.start if edit else len(spoken.text)
        moved = length - position
        while mark is not None and mark.end <= start:
            if mark.start >= position:
                marks.append(Mark(mark.start + moved, mark.end + moved, mark.rule))
            mark = next(earlier, None)
        kept = spoken.text[position:start]
        parts.append(kept)
        length += len(kept)
        if edit:
            parts.append(edit.said)
            marks.append(Mark(length, length + len(edit.said), edit.rule))
            length, position = length + len(edit.said), edit.end
        if length > longest:
            raise _too_long(longest)
    return Spoken("".join(parts), tuple(marks))


def _too_long(longest: int) -> SpokenTooLong:
    text = f"The pronunciation dictionary makes this text longer than {longest} characters."
    return SpokenTooLong(text, param="input")


def compiled(rule: Rule) -> regex.Pattern[str]:
    """The pattern of a rule. ValueError, which says what is wrong with it or with what it is replaced by."""
    try:
        pattern = _compile(rule.written, rule)
        # A replacement is only looked at where something is replaced.
        _compile(rf"(?:{rule.written})?", rule).sub(rule.spoken, "", timeout=PATTERN_SECONDS)
        matches_nothing = pattern.match("", timeout=PATTERN_SECONDS) is not None
    except (regex.error, IndexError, OverflowError, RecursionError, TimeoutError) as error:
        raise ValueError(str(error)) from error
    if matches_nothing:
        raise ValueError("it matches where there is nothing")
    return pattern


def _compile(written: str, rule: Rule) -> regex.Pattern[str]:
    return regex.compile(written, regex.VERSION1 | (0 if rule.match_case else regex.IGNORECASE))


def _usable(rule: Rule) -> regex.Pattern[str]:
    """Not looked into again: that was done when it was saved."""
    try:
        return _compile(rule.written, rule)
    except (regex.error, ValueError, IndexError, OverflowError, RecursionError) as error:
        raise _broken(rule, error) from error


def _broken(rule: Rule, error: Exception) -> RuleBroken:
    return RuleBroken(f"The pronunciation rule “{rule.written}” can't be used: {error}.")


def _matches(rule: Rule, pattern: regex.Pattern[str], text: str, seconds: float, longest: int) -> list[_Edit]:
    """What it replaces. What groups repeat is counted while it is made: it could fill the memory within the time."""
    edits, length = list[_Edit](), 0
    try:
        for match in pattern.finditer(text, concurrent=True, timeout=max(seconds, 0.001)):
            said = match.expand(rule.spoken)
            edits.append(_Edit(match.start(), match.end(), said, rule))
            length += len(said)
            if length > longest:
                raise _too_long(longest)
    except TimeoutError as error:
        raise RuleTooSlow(
            f"The pronunciation rule “{rule.written}” takes too long on this text: make its pattern simpler."
        ) from error
    except (regex.error, IndexError) as error:
        raise _broken(rule, error) from error
    # A pattern can ask to be looked for from the end.
    return sorted(edits, key=lambda edit: (edit.start, edit.end))
