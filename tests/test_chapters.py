"""Where chapters of a text begin: by headings in several languages, by a pattern, and by the order of files."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.chapters import Headings, Source, divided
from studio.natural_order import chinese_number, natural_key
from studio.text import BadPattern, PatternTooSlow
from tests.books import chinese_novel, english_novel


def titles(text: str, headings: Headings = Headings.KNOWN, pattern: str = "") -> list[str]:
    return [one.title for one in divided([Source(text)], headings, pattern)]


def parts(text: str) -> list[tuple[str, str]]:
    return [(one.title, one.text) for one in divided([Source(text)], Headings.KNOWN)]


@pytest.mark.parametrize(
    "line",
    [
        "Chapter 1", "CHAPTER I.", "CHAPTER ONE", "Chapter Twenty-Three", "Chapter the First", "Chapter 1: The Rain",
        "Chapter 1. Down the Rabbit-Hole", "Chapter IV — What he said", "Chapter 12 The Rain", "PART TWO", "Book 3",
        "Part II: Home", "Prologue", "EPILOGUE", "Prologue: Before the Rain", "Interlude", "Kapitel 3", "Chapitre 4",
        "Capítulo 5: La lluvia", "Глава 6", "Chapter 7: Who goes there?",
        "第一章", "第1章", "第１２章　雨", "第十二回 甄士隐梦幻识通灵，贾雨村风尘怀闺秀",
        "第一百零三节：归来", "第三卷 风云", "第二部",
        "正文 第一章 初见", "楔子", "序章", "序", "前言", "引子 雨夜", "尾声", "后记",
        "番外", "番外三", "番外：那年", "番外篇 一",
        "第一話 出会い", "プロローグ", "제 3 장", "卷一", "卷三 归来", "第二十回　她是谁？",
    ],
)  # fmt: skip
def test_headings_are_known(line: str) -> None:
    text = f"Before it.\n\n{line}\n\nText of it. More of it.\n\n{line} again is a text.\n"
    assert titles(text)[:2] == ["", " ".join(line.split())]
    (_, (_title, body)) = parts(f"Before it.\n\n  {line}  \nText.")
    assert body == f"{line}\n\nText."


@pytest.mark.parametrize(
    "line",
    [
        "Chapter 1 was a mess.", "Chapter and verse", "Part of the house", "Part 1 of the plan failed,",
        "Introduction to her",
        "Book two tickets, please.", "Chapters 1", "Prologues", "I", "12", "Act on it", "A letter I never sent",
        "Chapter 1: " + "very " * 30 + "long", "“Chapter 1”", "Section 8 housing was full.",
        "第一章的内容很长", "第一回见他是在北京。", "第一部电影是他拍的，",
        "序列", "前言不搭后语", "他看了第一章", "番外地", "第章",
        "第三章" + "长" * 60, "卷起袖子", "尾声响起来了",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_heading_is_none(line: str) -> None:
    assert titles(f"Before it.\n\n{line}\n\nText.") == [""]


def test_a_wrapped_line_is_no_heading_and_a_chinese_line_needs_nothing_around_it() -> None:
    assert titles("He read\nChapter 1\nand slept.") == [""]
    assert titles("他来了。\n第一章 雨\n她走了。") == ["", "第一章 雨"]


def test_a_text_is_divided_and_nothing_is_lost() -> None:
    text = "Foreword\n\nDear reader.\n\nCHAPTER I.\nDown the Rabbit-Hole\n\nAlice was tired."
    text += "\n\nCHAPTER II\n\nShe woke.\n"
    assert parts(text) == [
        ("Foreword", "Foreword\n\nDear reader."),
        ("CHAPTER I: Down the Rabbit-Hole", "CHAPTER I.\nDown the Rabbit-Hole\n\nAlice was tired."),
        ("CHAPTER II", "CHAPTER II\n\nShe woke."),
    ]
    assert parts("第一章\n雨夜\n\n他来了。") == [("第一章: 雨夜", "第一章\n雨夜\n\n他来了。")]
    assert parts("Chapter 1\nHe came, and she went.\n\nMore.")[0][0] == "Chapter 1"


def test_a_list_of_contents_is_no_chapters() -> None:
    text = "My Book\n\nChapter 1\n\nChapter 2\n\nChapter 1\n\nOne.\n\nChapter 2\n\nTwo."
    assert [title for title, _body in parts(text)] == ["", "Chapter 1", "Chapter 2"]
    assert titles("Part I\n\nChapter 1\n\nOne.") == ["Part I", "Chapter 1"]


def test_what_is_divided_already_stays_and_files_keep_their_names() -> None:
    sources = [Source("Chapter 1\n\nx", "Known", divided=True), Source("Some.", "2"), Source("Chapter 3\n\nMore.", "3")]
    assert [one.title for one in divided(sources, Headings.KNOWN)] == ["Known", "2", "Chapter 3"]
    assert divided(sources, Headings.NONE) == sources


def test_a_pattern_of_ones_own() -> None:
    text = "Start.\n== One ==\nText.\n  == Two == \nMore == no\n"
    assert titles(text, Headings.PATTERN, r"^\s*== .*") == ["", "== One ==", "== Two =="]
    assert titles(text, Headings.PATTERN, r"\s*==\s*Two") == ["", "== Two =="]
    assert titles(text, Headings.PATTERN, r"nothing like it") == [""]
    assert titles("Day 1\nx\nDay 2", Headings.PATTERN, r"(?=Day)") == ["Day 1", "Day 2"]


def test_bad_and_slow_patterns() -> None:
    for pattern in ("", "(", "a" * 501):
        with pytest.raises(BadPattern):
            titles("Text.", Headings.PATTERN, pattern)
    with pytest.raises(PatternTooSlow):
        titles("a" * 5000 + "!", Headings.PATTERN, r"(a+)+$")
    with pytest.raises(PatternTooSlow):
        divided([Source("a" * 30 + "!")] * 100_000, Headings.PATTERN, r"(a|aa|a+)+$")


def test_whole_novels() -> None:
    for novel, first in ((english_novel(300_000), "Chapter 1"), (chinese_novel(300_000), "第1章")):
        found = titles(novel)
        assert found[0].startswith(first) and len(found) == novel.count(first[:-1] if first.isascii() else "第")


@given(st.text(alphabet="Chapter 12第一章回\n .,IV序", max_size=200))
def test_no_word_goes(text: str) -> None:
    found = "".join(one.text for one in divided([Source(text)], Headings.KNOWN))
    assert "".join(found.split()) == "".join(text.split())


# The order of files.


@pytest.mark.parametrize(
    "names",
    [
        ["1.txt", "2.txt", "10.txt", "100.txt"],
        ["Chapter 9.md", "chapter 10.md", "Chapter 11.md"],
        ["第一章.txt", "第二章.txt", "第九章.txt", "第十章.txt", "第十一章.txt", "第二十章.txt", "第一百零三章.txt"],
        ["第1章.txt", "第２章.txt", "第10章.txt"],
        ["a/2.txt", "a/10.txt", "b/1.txt"],
        ["1/a.txt", "2/b.txt", "10/a.txt"],
    ],
)
def test_files_stand_in_the_order_of_their_numbers(names: list[str]) -> None:
    mixed = random.Random(4).sample(names, len(names))
    assert sorted(mixed, key=natural_key) == names


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("十", 10),
        ("二十三", 23),
        ("一百零三", 103),
        ("两千零一", 2001),
        ("三万五千", 35000),
        ("二〇二四", 2024),
        ("九", 9),
    ],
)
def test_chinese_numbers(text: str, number: int) -> None:
    assert chinese_number(text) == number


@given(st.lists(st.text(max_size=20), max_size=6))
def test_any_names_can_be_put_in_order(names: list[str]) -> None:
    sorted(names, key=natural_key)
