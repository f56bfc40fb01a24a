"""What is said, and what is told: quotation marks of several languages, apostrophes, and patterns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.quotes import Marks, Rules, spans
from studio.text import BadPattern, How, PatternTooSlow, cut, prose_paragraphs

USUAL = frozenset({Marks.DOUBLE, Marks.CORNER})
SINGLE = frozenset({Marks.SINGLE})


def said(*paragraphs: str, marks: frozenset[Marks] = USUAL, pattern: str = "") -> list[str]:
    return [span.text.strip() for found in spans(paragraphs, Rules(marks, pattern)) for span in found if span.said]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("“Come in,” she said. “Now.” He came.", ["“Come in,”", "“Now.”"]),
        ('"Come in," she said. "Now."', ['"Come in,"', '"Now."']),
        ("„Komm“, sagte sie. „Komm rein.”", ["„Komm“,", "„Komm rein.”"]),
        ("“He said ‘no’ and left,” she said.", ["“He said ‘no’ and left,”"]),
        ('A 5" nail and a "nail," he said.', ['"nail,"']),
        ("“走！”她喊道：“快走！”他走了。", ["“走！”", "“快走！”"]),
        ('他说"好的"，就走了。', ['"好的"，']),
        ("他说“好”就走了。", ["“好”"]),
        ("「外『内』外」と言った。『一人』だ。", ["「外『内』外」", "『一人』"]),
        ("「あ「い」う」え", ["「あ「い」う」"]),
        ("No quotes, ’tis told.", []),
        ("", []),
    ],
)
def test_what_is_said(text: str, expected: list[str]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The “word” was in the middle.",
        "He called it a “bad idea” and went.",
        "他所谓的“自由”是什么？",
        '这个"词"很怪。',
    ],
)
def test_a_word_in_quotes_is_nobodys_speech(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("‘Come in,’ she said. ‘Now.’", ["‘Come in,’", "‘Now.’"]),
        ("‘Don’t,’ he said. ‘It’s Tom’s.’", ["‘Don’t,’", "‘It’s Tom’s.’"]),
        ("‘The dogs’ tails wag,’ he said.", ["‘The dogs’ tails wag,’"]),
        ("'The dogs' tails wag,' he said.", ["'The dogs' tails wag,'"]),
        ("‘Hello’ he said, ‘come in.’", ["‘Hello’", "‘come in.’"]),
        ("'I don't know 'em,' he said. It's the boys' house. 'Tis late.", ["'I don't know 'em,'"]),
        ("‘’Tis late,’ she said.", ["‘’Tis late,’"]),
        ("rock 'n' roll, o' course, in the '90s", []),
        ("the boys' house and the girls' garden", []),
        ("‘“Nested,” he cried,’ she said.", ["‘“Nested,” he cried,’"]),
        ("She said ‘yes’", ["‘yes’"]),
        ("他说‘好的’。", ["‘好的’。"]),
    ],
)
def test_apostrophes_are_no_marks(text: str, expected: list[str]) -> None:
    assert said(text, marks=SINGLE) == expected


def test_only_what_is_chosen_counts() -> None:
    text = "“One,” ‘two,’ 「三。」 «quatre,» 《五。》"
    for marks, expected in (
        (Marks.DOUBLE, "“One,”"),
        (Marks.SINGLE, "‘two,’"),
        (Marks.CORNER, "「三。」"),
        (Marks.ANGLE, "«quatre,»"),
        (Marks.TITLE, "《五。》"),
    ):
        assert said(text, marks=frozenset({marks})) == [expected]
    assert said(text, marks=frozenset()) == []
    angles = frozenset({Marks.ANGLE})
    assert said("»Hallo«, sagte er. « Bonjour », dit-il.", marks=angles) == [
        "»Hallo«,",
        "« Bonjour »,",
    ]


# Over paragraphs.


def test_a_quote_goes_on_where_the_next_paragraph_opens_it_again() -> None:
    assert said("“First of all,", "“Second.” He slept.") == ["“First of all,", "“Second.”"]
    assert said("“One,", "“two,", "“three.” Told.", "“Four.”") == ["“One,", "“two,", "“three.”", "“Four.”"]
    assert said("「一、", "「二。」終わり。") == ["「一、", "「二。」"]
    assert said("‘One,", "‘two.’ Told.", marks=SINGLE) == ["‘One,", "‘two.’"]


def test_else_it_ends_with_its_paragraph() -> None:
    assert said("She said “nothing at all.", "He slept.", "“Wake up!” Told.") == ["“nothing at all.", "“Wake up!”"]
    assert said("Twas ‘late and dark.", "He slept.", marks=SINGLE) == [], "as an apostrophe that is misprinted"


# Patterns.


def test_a_pattern_adds_to_the_marks() -> None:
    assert said("– Hola, dijo.", "Nada.", pattern=r"^– [^,.]+") == ["– Hola,"]
    assert said("“One,” – two. “Three.”", pattern=r"– \w+") == ["“One,”", "– two.", "“Three.”"]
    assert said("A “b c.” d", pattern=r"A “b") == ["A “b c.”"], "what overlaps is one"
    assert said("Nothing.", pattern=r"\b") == []


def test_bad_and_slow_patterns() -> None:
    with pytest.raises(BadPattern):
        said("Text.", pattern="(")
    with pytest.raises(PatternTooSlow):
        said("a" * 5000 + "!", pattern=r"(a+)+$")
    with pytest.raises(PatternTooSlow):
        said(*["a" * 24 + "!"] * 10_000, pattern=r"(a|aa|a+)+$")


@pytest.mark.parametrize("piece", ["“", "”", "‘", "'", '"', "s' ", "「", "‘’", "' a", "«»", "“a” b "])
def test_no_paragraph_takes_for_ever(piece: str) -> None:
    for marks in (USUAL, SINGLE, frozenset(Marks)):
        said(piece * 100_000, piece * 100_000, marks=marks)


@given(st.lists(st.text(alphabet="“”‘’'\"「」«»《》 ab,.s的。\n"), max_size=6), st.sets(st.sampled_from(Marks)))
def test_nothing_is_lost(paragraphs: list[str], marks: set[Marks]) -> None:
    found = list(spans(paragraphs, Rules(frozenset(marks), r"a\w*")))
    assert ["".join(span.text for span in one) for one in found] == paragraphs


# Paragraphs and parts of sentences.


def test_a_line_may_be_a_paragraph() -> None:
    assert prose_paragraphs("　　他走了。\n　　“她来了？”\n\n完。\n") == ["他走了。", "“她来了？”", "完。"]
    assert prose_paragraphs("He went down\nto the river\nand swam.\n\nShe did\nnot.") == [
        "He went down to the river and swam.",
        "She did not.",
    ]
    long = "word " * 40 + "and so on"
    assert prose_paragraphs(f"{long}\n{long}") == [long, long]


def test_parts_of_sentences_are_no_crumbs() -> None:
    text = "Yes, sir, I will come, and I will bring my brother, who is tall. 他来了，她却没有看见他，因为天黑了。"
    assert cut(text, How.CLAUSE, longest=500, language="en") == [
        "Yes, sir, I will come,",
        "and I will bring my brother, who is tall.",
        "他来了，她却没有看见他，因为天黑了。",
    ]
