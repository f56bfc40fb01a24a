"""How words are spoken that an engine would say wrong: rules that rewrite a text before it is sent.

PronunciationError              500  the base; never raised itself
├── RuleTooSlow                 500  a pattern takes too long on this text
└── SpokenTooLong               400  the rules make the text longer than anything may be

Patterns are applied first, one after the other; then words, each place once: what a word became is not looked at again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property

import regex

from providers.errors import InvalidRequest, SpeechError

PATTERN_SECONDS = 0.5
LONGEST_RULE = 200
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
        return not (self.language and language) or primary(self.language) == primary(language)


def primary(language: str) -> str:
    """The language itself, without script or country: en of en-US."""
    return language.replace("_", "-").split("-")[0].lower()


@dataclass(frozen=True)
class Rules:
    """An ordered set; of two for the same word the first holds."""

    rules: tuple[Rule, ...] = ()
    _for_language: dict[str, _Compiled] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def joined(cls, *scopes: Rules) -> Rules:
        """Those of the nearest scope first."""
        return cls(tuple(rule for scope in scopes for rule in scope.rules))

    def __bool__(self) -> bool:
        return bool(self.rules)

    @cached_property
    def has_patterns(self) -> bool:
        return any(rule.is_pattern for rule in self.rules)

    @cached_property
    def fingerprint(self) -> str:
        """The same for rules that do the same."""
        known = json.dumps([asdict(rule) for rule in self.rules])
        return hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest() if self.rules else ""

    def apply(self, text: str, language: str = "") -> str:
        """The text as it is to be spoken. PronunciationError."""
        if not self.rules:
            return text
        key = primary(language)
        if key not in self._for_language:
            self._for_language[key] = _Compiled([rule for rule in self.rules if rule.holds_in(language)])
        return self._for_language[key].apply(text)


NO_RULES = Rules()


class _Compiled:
    """The rules for one language."""

    def __init__(self, rules: list[Rule]) -> None:
        self._patterns = [(rule, compiled(rule)) for rule in rules if rule.is_pattern]
        self._words: dict[str, list[Rule]] = {}
        for rule in rules:
            if not rule.is_pattern and (first := _TOKEN.match(rule.written.lower())):
                self._words.setdefault(first[0], []).append(rule)
        for known in self._words.values():
            # The longest wins; among equals the first, as sorting keeps their order.
            known.sort(key=lambda rule: -len(rule.written))

    def apply(self, text: str) -> str:
        for rule, pattern in self._patterns:
            text = _replaced(rule, pattern, text)
            _bounded(text)
        return _bounded("".join(self._spoken(text))) if self._words else text

    def _spoken(self, text: str) -> Iterator[str]:
        lowered = text.lower()
        # A few letters have lower forms of another length; then cases are told apart.
        folded = lowered if len(lowered) == len(text) else text
        position = 0
        while match := _TOKEN.match(text, position):
            rule = self._at(text, folded, match)
            yield match[0] if rule is None else rule.spoken
            position = match.end() if rule is None else position + len(rule.written)

    def _at(self, text: str, folded: str, token: regex.Match[str]) -> Rule | None:
        start = token.start()
        for rule in self._words.get(folded[start : token.end()], ()):
            end = start + len(rule.written)
            same = text[start:end] == rule.written
            if (same or (not rule.match_case and folded[start:end] == rule.written.lower())) and not _within(text, end):
                return rule
        return None


def _within(text: str, end: int) -> bool:
    """Whether a word goes on there."""
    return bool(_INSIDE.match(text, end) and _INSIDE.match(text, end - 1))


def _bounded(text: str) -> str:
    if len(text) > LONGEST_SPOKEN:
        raise SpokenTooLong(f"The pronunciation dictionary makes this text longer than {LONGEST_SPOKEN} characters.")
    return text


def compiled(rule: Rule) -> regex.Pattern[str]:
    """The pattern of a rule. ValueError, which says what is wrong with it or with what it is replaced by."""
    flags = regex.VERSION1 | (0 if rule.match_case else regex.IGNORECASE)
    try:
        pattern = regex.compile(rule.written, flags)
        # A replacement is only looked at where something is replaced.
        regex.compile(rf"(?:{rule.written})?", flags).sub(rule.spoken, "", timeout=PATTERN_SECONDS)
        matches_nothing = pattern.match("", timeout=PATTERN_SECONDS) is not None
    except (regex.error, IndexError, OverflowError, RecursionError, TimeoutError) as error:
        raise ValueError(str(error)) from error
    if matches_nothing:
        raise ValueError("it matches where there is nothing")
    return pattern


def _replaced(rule: Rule, pattern: regex.Pattern[str], text: str) -> str:
    try:
        replaced: str = pattern.sub(rule.spoken, text, concurrent=True, timeout=PATTERN_SECONDS)
    except TimeoutError as error:
        raise RuleTooSlow(
            f"The pronunciation rule “{rule.written}” takes too long on this text: make its pattern simpler."
        ) from error
    return replaced
