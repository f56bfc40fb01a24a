"""Cutting texts into lines."""

from __future__ import annotations

import time

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from banks.pieces import speakable
from studio import text as cutting
from studio.text import BadPattern, How, PatternTooSlow, TooManyPieces, cut

STORY = """The door opened.
“Who are you?” she asked, and “why now?”

He said nothing. Then: “A friend.”
"""
MEGA = 1_000_000


def cut_short(text: str, how: How, longest: int = 5000, **values: str) -> list[str]:
    return cut(text, how, longest=longest, **values)


def test_paragraphs_end_at_empty_lines() -> None:
    assert cut_short(STORY, How.PARAGRAPH) == [
        "The door opened. “Who are you?” she asked, and “why now?”",
        "He said nothing. Then: “A friend.”",
    ]
    assert cut_short("One\n \t\n\n\nTwo", How.PARAGRAPH) == ["One", "Two"]
    assert cut_short("第一行\n第二行\n\n第三", How.PARAGRAPH) == ["第一行第二行", "第三"]


def test_lines_end_at_line_ends() -> None:
    assert len(cut_short(STORY, How.LINE)) == 3


def test_sentences_end_where_the_language_ends_them() -> None:
    assert cut_short("Dr. Smith is in. He\nwaits! Does he? Yes.", How.SENTENCE, language="en") == [
        "Dr. Smith is in.",
        "He waits!",
        "Does he?",
        "Yes.",
    ]
    assert cut_short("他来了。她走了！真的？", How.SENTENCE, language="zh-CN") == ["他来了。", "她走了！", "真的？"]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("“Come!” she said. “Now.”", ["“Come!”", "she said.", "“Now.”"]),
        ('"Come!" she said.', ['"Come!"', "she said."]),
        ("He said “yes”, and left.", ["He said", "“yes”,", "and left."]),
        ("「来い。」と言った。『はい』", ["「来い。」", "と言った。", "『はい』"]),
        ("「外『内』外」後", ["「外『内』外」", "後"]),
        ("«Oui», dit-il.", ["«Oui»,", "dit-il."]),
        ("„Ja“, sagte er.", ["„Ja“,", "sagte er."]),
        ("‘Don’t,’ he said.", ["‘Don’t,’", "he said."]),
        ("It’s the dogs’ home.", ["It’s the dogs’ home."]),
        ("A “quote that never ends.", ["A “quote that never ends."]),
        ("An empty “” one, and “…”.", ["An empty “” one, and “…”."]),
    ],
)
def test_what_is_said_and_what_is_told_are_pieces_of_their_own(text: str, pieces: list[str]) -> None:
    assert cut_short(text, How.QUOTES) == pieces


def test_a_pattern_cuts_where_it_matches() -> None:
    assert cut_short("one---two\n---\nthree", How.PATTERN, pattern="-{3}") == ["one", "two", "three"]
    assert cut_short("第1章 甲\n第2章 乙", How.PATTERN, pattern=r"(?=^第\d+章)") == ["第1章 甲", "第2章 乙"]
    assert cut_short("abc", How.PATTERN, pattern="x*") == ["a", "b", "c"], "even at matches of nothing it ends"
    assert cut_short("no match", How.PATTERN, pattern="(z)") == ["no match"]


@pytest.mark.parametrize("pattern", ["(", "[a", "*", r"\1", "(?P<a>b)(?P<a", " ", "a" * 501, "a{99999999999999999999}"])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        cut_short("abc", How.PATTERN, pattern=pattern)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$"])
def test_a_catastrophic_pattern_ends_in_words(pattern: str) -> None:
    started = time.thread_time()
    with pytest.raises(PatternTooSlow, match="make it simpler"):
        cut_short("a" * 5000 + "b" + "c" * 200, How.PATTERN, pattern=pattern)
    assert time.thread_time() - started < 60


def test_a_text_of_too_many_pieces_is_refused() -> None:
    with pytest.raises(TooManyPieces, match="more than 50000 lines"):
        cut_short("a\n" * 50_001, How.LINE)
    assert len(cut_short("a\n" * 50_000, How.LINE)) == 50_000


@pytest.mark.parametrize(
    ("text", "longest", "pieces"),
    [
        ("One two. Three four. Five", 12, ["One two.", "Three four.", "Five"]),
        ("One, two three, four", 12, ["One,", "two three,", "four"]),
        ("alpha beta gamma", 11, ["alpha beta", "gamma"]),
        ("你好，世界，今天很好。", 6, ["你好，世界，", "今天很好。"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("e\u0301" * 4, 3, ["e\u0301"] * 4),
        ("👩‍👩‍👧" * 3, 7, ["👩‍👩‍👧"] * 3),
    ],
)
def test_what_is_too_long_is_cut_where_a_speaker_would_breathe(text: str, longest: int, pieces: list[str]) -> None:
    assert list(cutting.shortened(text, longest)) == pieces


@pytest.mark.parametrize("how", [How.PARAGRAPH, How.LINE, How.SENTENCE, How.QUOTES])
@pytest.mark.parametrize("unit", ["a", "“", "(", "你好", '"a', "「『", "a b ", "‘", "。”", "\n", "a\n"])
def test_hostile_megabytes_are_cut_in_linear_time(how: How, unit: str) -> None:
    """Were the time to grow with the square, this would not end within the suite's limit."""
    text = unit * (MEGA // len(unit))
    try:
        pieces = cut_short(text, how)
    except TooManyPieces:
        return
    assert all(len(piece) <= 5000 for piece in pieces)


WORDS = st.text(st.sampled_from('ab .,!?“”"‘’「」。，\n\n é👩\u200d\u0301你好가'), max_size=300)


@given(WORDS, st.sampled_from([How.PARAGRAPH, How.LINE, How.SENTENCE, How.QUOTES]), st.integers(1, 40))
def test_no_word_is_lost_and_no_piece_is_too_long(text: str, how: How, longest: int) -> None:
    pieces = cut_short(text, how, longest)
    assert all(speakable(piece) and piece == piece.strip() for piece in pieces)
    assert all(len(piece) <= longest for piece in pieces)
    letters = [character for character in text if character.isalnum()]
    assert [character for piece in pieces for character in piece if character.isalnum()] == letters


@given(st.text(max_size=200), st.integers(1, 30))
def test_shortening_keeps_everything_but_white_space(text: str, longest: int) -> None:
    parts = list(cutting.shortened(text, longest))
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(0 < len(part) <= longest for part in parts)
    assert [again for part in parts for again in cutting.shortened(part, longest)] == parts


def test_no_character_is_torn() -> None:
    text = "👨‍👩‍👧‍👦e\u0301" * 200
    for part in cutting.shortened(text, 50):
        assert "".join(regex.findall(r"\X", part)) == part
        assert not part.startswith(("\u200d", "\u0301"))
