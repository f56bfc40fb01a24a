"""Subtitles, read by another library than the one that writes them."""

from __future__ import annotations

import re
from html import unescape

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.subtitles import Cue, srt, vtt

HOSTILE = "A --> B\n\n2\n00:00:00,000 --> 00:00:01,000 <b>bold</b> & {\\an8}"
_VTT = re.compile(r"(\d{2,}:\d{2}:\d{2}\.\d{3}) --> (\d{2,}:\d{2}:\d{2}\.\d{3})")


def read_vtt(text: str) -> list[tuple[str, str, str]]:
    """Strictly as the standard says: header, blocks between empty lines, no raw `<` or `-->` in what is said."""
    header, *blocks = text.rstrip("\n").split("\n\n")
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        times, said = block.split("\n")
        match = _VTT.fullmatch(times)
        assert match is not None and "-->" not in said
        voice = re.match(r"<v ([^<>]*)>", said)
        plain = said[voice.end() :] if voice else said
        assert "<" not in plain
        cues.append((match[1], unescape(voice[1]) if voice else "", unescape(plain)))
    return cues


def test_srt_is_read_back() -> None:
    cues = [Cue(0, 1.2345, "Anna", "Hello."), Cue(3661.5, 3662, "", "你好。")]
    read = pysubs2.SSAFile.from_string(srt(cues, speakers=True), format_="srt")
    assert [(one.start, one.end, one.plaintext) for one in read] == [
        (0, 1234, "Anna: Hello."),
        (3_661_500, 3_662_000, "你好。"),
    ]
    assert srt(cues).startswith("1\n00:00:00,000 --> 00:00:01,234\nHello.\n\n2\n01:01:01,500 -->")


def test_vtt_is_read_back() -> None:
    cues = [Cue(0, 1.5, "Anna & Bob", "Hello <there>."), Cue(2, 3, "", "Bye.")]
    assert read_vtt(vtt(cues)) == [
        ("00:00:00.000", "Anna & Bob", "Hello <there>."),
        ("00:00:02.000", "", "Bye."),
    ]
    assert "<v " not in vtt(cues, speakers=False)
    assert len(pysubs2.SSAFile.from_string(vtt(cues), format_="vtt")) == 2


def test_no_text_breaks_out_of_its_cue() -> None:
    cues = [Cue(0, 1, HOSTILE, HOSTILE), Cue(1, 2, "", "Next.")]
    assert [said for _start, _speaker, said in read_vtt(vtt(cues))][1:] == ["Next."]
    read = pysubs2.SSAFile.from_string(srt(cues, speakers=True), format_="srt")
    assert [(one.start, one.end) for one in read] == [(0, 1000), (1000, 2000)]
    assert "\\an8" in read[0].plaintext and "bold" in read[0].plaintext


def test_no_cue_ends_before_it_starts_nor_overlaps_by_rounding() -> None:
    read = pysubs2.SSAFile.from_string(srt([Cue(1, 1.0004, "", "a"), Cue(1.0004, 2, "", "b")]), format_="srt")
    assert [(one.start, one.end) for one in read] == [(1000, 1001), (1001, 2000)]


def test_nothing_makes_an_empty_file() -> None:
    assert srt([]) == "" and vtt([]) == "WEBVTT\n"


TIMES = st.floats(0, 400_000)


@pytest.mark.parametrize("speakers", [False, True])
@given(
    cues=st.lists(
        st.tuples(TIMES, st.floats(0, 100), st.text(max_size=30), st.text("a<>&-\n\r{}\\\u2028 →", min_size=1))
    )
)
def test_any_cues_are_as_many_again(speakers: bool, cues: list[tuple[float, float, str, str]]) -> None:
    made = [Cue(start, start + length, who, f"x{said}") for start, length, who, said in sorted(cues)]
    assert len(read_vtt(vtt(made, speakers=speakers))) == len(made)
    blocks = srt(made, speakers=speakers).split("\n\n")
    assert len(blocks) == max(len(made), 1)
