"""Scripts of `Name: text` lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banks.roster import fold
from studio.script import ScriptLine, match_speakers, parse


def turns(text: str) -> list[tuple[str, str]]:
    return [(line.speaker, line.text) for line in parse(text).lines]


def test_each_turn_has_its_speaker() -> None:
    script = parse("Anna: Hello.\nBob: Hi.\nAnna: How are you?\n")
    assert script.lines == [ScriptLine("Hello.", "Anna"), ScriptLine("Hi.", "Bob"), ScriptLine("How are you?", "Anna")]
    assert (script.speakers, script.doubtful) == ({"Anna": 2, "Bob": 1}, [])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Anna: Hello.", ScriptLine("Hello.", "Anna")),
        ("安娜：你好。", ScriptLine("你好。", "安娜")),
        ("  - **Anna:** Hello.", ScriptLine("Hello.", "Anna")),
        ("**Anna**: Hello.", ScriptLine("Hello.", "Anna")),
        ("Anna (whispering): Hello.", ScriptLine("Hello.", "Anna", "whispering")),
        ("Anna [from afar]: Hello.", ScriptLine("Hello.", "Anna", "from afar")),
        ("安娜（小声）：你好。", ScriptLine("你好。", "安娜", "小声")),
        ("ANNA: Hello.", ScriptLine("Hello.", "ANNA")),
        ("Dr. Watson: Hello.", ScriptLine("Hello.", "Dr. Watson")),
        ("Ludwig van Beethoven: Hello.", ScriptLine("Hello.", "Ludwig van Beethoven")),
        ("Speaker 1: Hello.", ScriptLine("Hello.", "Speaker 1")),
        ("Jean-Luc O’Neill: Hello.", ScriptLine("Hello.", "Jean-Luc O’Neill")),
        ("Anna: At 12:30: be there.", ScriptLine("At 12:30: be there.", "Anna")),
        ("Łukasz: Cześć.", ScriptLine("Cześć.", "Łukasz")),
    ],
)
def test_a_turn_is_read(line: str, expected: ScriptLine) -> None:
    assert parse(line).lines == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "See https://example.com/a for more.",
        "https://example.com",
        "At 12:30 they left.",
        "12:30",
        "He had one rule: never lie.",
        "This is a very long beginning of a sentence: it goes on.",
        "他说：“你来了。”",
        "She said: “Come.”",
        "Well, Anna: come.",
        "No colon at all.",
        ": nothing before it",
    ],
)
def test_what_only_looks_like_a_turn_is_told(line: str) -> None:
    assert parse(line).speakers == {}
    assert turns(line) == [("", line)]


def test_what_goes_on_belongs_to_the_turn_before_it() -> None:
    assert turns("Anna: One\ntwo.\n\nThe door closed.\nSlowly.\nBob: Three.") == [
        ("Anna", "One two."),
        ("", "The door closed. Slowly."),
        ("Bob", "Three."),
    ]
    assert turns("Anna:\nHello.") == [("Anna", "Hello.")]
    assert turns("安娜：你好，\n鲍勃。") == [("安娜", "你好，鲍勃。")]


def test_small_names_are_believed_when_they_come_again() -> None:
    assert parse("anna: hi\nbob: ho\nanna: so\nbob: no").speakers == {"anna": 2, "bob": 2}
    assert parse("note: once").speakers == {}


def test_a_name_that_stands_once_in_a_told_text_is_doubtful() -> None:
    text = "It rained.\n\nThey slept.\n\nNobody spoke.\n\nWarning: it will rain again."
    assert parse(text).doubtful == ["Warning"]
    assert parse(text, ["Warning"]).speakers == {}
    assert parse(text, ["Warning"]).lines[-1].text == "Warning: it will rain again."


def test_lines_without_words_are_left_out() -> None:
    assert turns("Anna: …\n\n* * *\n\nBob: Yes.") == [("Bob", "Yes.")]


def test_names_find_characters_by_name_and_alias_in_any_case() -> None:
    known = {fold("Anna"): 1, fold("Narrator"): 2}
    assert match_speakers(["ANNA", "narrator", "Bob"], known, fold) == {"ANNA": 1, "narrator": 2}


def test_fifty_thousand_turns_are_read() -> None:
    script = parse("Anna: Hello there.\nBob: Yes.\n" * 25_000)
    assert (len(script.lines), script.speakers) == (50_000, {"Anna": 25_000, "Bob": 25_000})


@pytest.mark.parametrize("unit", ["a", "A ", ":", "(", "A(", "A:", "**", "“", "[", "A (x"])
def test_a_hostile_line_is_read_in_linear_time(unit: str) -> None:
    parse(unit * (2_000_000 // len(unit)))


@given(st.text(max_size=300))
def test_any_text_is_a_script(text: str) -> None:
    script = parse(text)
    assert sum(script.speakers.values()) == sum(bool(line.speaker) for line in script.lines)
    assert set(script.doubtful) <= script.speakers.keys()
