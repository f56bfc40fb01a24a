"""Reading subtitles: what each format holds, and what is left out of files that are broken."""

from __future__ import annotations

import pysubs2
import pytest

from studio.subtitle_reading import LATEST, MOST_CHARACTERS, Said, SubtitleError, Why, read
from studio.subtitles import Cue, srt, vtt


def cues(text: str) -> list[tuple[int, int, str, str]]:
    return [(cue.start, cue.end, cue.speaker, cue.text) for cue in read(text).cues]


def srt_of(*bodies: str) -> str:
    """A second for each, one after another."""
    return "\n".join(f"{at + 1}\n00:00:0{at},000 --> 00:00:0{at + 1},000\n{body}\n" for at, body in enumerate(bodies))


def test_subrip() -> None:
    text = "1\n00:00:01,200 --> 00:00:02,500\nHello\nthere.\n\n2\n01:00:00,5 --> 01:00:01,50 X1:0 X2:1\n<i>Bye</i>\n"
    assert cues(text) == [(1200, 2500, "", "Hello\nthere."), (3_600_500, 3_601_500, "", "Bye")]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<i>Soft</i> <b>loud</b>", "Soft loud"),
        ('<font color="#ff0000">Red</font>', "Red"),
        (r"{\an8}{\i1}Above", "Above"),
        ("Tom &amp; Ann &lt;3", "Tom & Ann <3"),
        ("- Who?\n- Me.", "Who?\nMe."),
        ("–¿Qué?", "¿Qué?"),
        ("Minus -5 - no", "Minus -5 - no"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("Go --> there", "Go --> there"),
        ("At 00:00:01,000 and 00:00:02,000", "At 00:00:01,000 and 00:00:02,000"),
        ("1984\nwas long ago.", "1984\nwas long ago."),
        ("First\n\nafter a gap", "First\nafter a gap"),
        ("  much \u00a0  space  ", "much space"),
    ],
)
def test_marks_of_subrip_are_not_spoken(body: str, text: str) -> None:
    assert [cue.text for cue in read(srt_of(body, "Next.")).cues] == [text, "Next."]


def test_numbers_of_cues_are_no_text_but_numbers_that_are_said_stay() -> None:
    assert [cue.text for cue in read(srt_of("42", "Yes.", "7")).cues] == ["42", "Yes.", "7"]
    without = "00:00:01,000 --> 00:00:02,000\nOne.\n\n00:00:02,000 --> 00:00:03,000\nTwo.\n"
    assert [cue.text for cue in read(without).cues] == ["One.", "Two."]


def test_webvtt_keeps_voices_and_entities_and_leaves_the_rest() -> None:
    text = (
        "WEBVTT - a film\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE\nNobody says this.\n\n"
        "intro\n00:01.000 --> 00:02.000 align:start line:0\n"
        "<v.loud Tom &amp; Ann>Hi &lt;b&gt; <c.x>you</c>&nbsp;there</v>\n\n"
        "2\n100:00.000 --> 100:01.000\n<lang en>Late<00:01.500> <ruby>base<rt>top</rt></ruby>\n\nNOTE\nafter\n"
    )
    assert cues(text) == [
        (1000, 2000, "Tom & Ann", "Hi <b> you there"),
        (6_000_000, 6_001_000, "", "Late base"),
    ]


def test_two_voices_in_a_cue_share_its_time() -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:04.000\n<v Ann>Yes!\n<v Bob>Certainly.</v> Oh"
    assert cues(text) == [(1000, 1705, "Ann", "Yes!"), (1705, 4000, "Bob", "Certainly. Oh")]


ASS = """[Script Info]
Title: A film
[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,not a number
[Events]
Format: {format}
{events}
[Fonts]
Dialogue: 0,0:00:00.00,0:00:09.00,Default,Nobody,0,0,0,,A font
"""
FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"


def test_substation() -> None:
    events = (
        "Dialogue: 0,0:00:01.20,0:00:02.50,Default,Anna B,0,0,0,,{\\an8}Well, {\\b1}you{\\b0}\\Nthere\\hnow\n"
        "Comment: 0,0:00:01.00,0:00:02.00,Default,Anna,0,0,0,,Not said\n"
        "Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,Nobody's\n"
        "Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\p1}m 0 0 l 1 1{\\p0}\n"
        "Dialogue: 0,soon,later,Default,,0,0,0,,No time"
    )
    reading = read(ASS.format(format=FIELDS, events=events))
    assert reading.cues == [Said(1200, 2500, "Well, you\nthere now", "Anna B"), Said(3000, 4000, "Nobody's", "")]
    assert reading.left_out == {Why.EMPTY: [3], Why.UNREADABLE: [4]}


def test_substation_names_its_fields_itself() -> None:
    ssa = ASS.format(
        format="Marked, Actor, End, Start, Text", events="Dialogue: Marked=0,Bob,0:00:02.00,0:00:01.00,A, b"
    )
    assert cues(ssa) == [(1000, 2000, "Bob", "A, b")]
    odd = ASS.format(format="Text, Start", events="Dialogue: 0,0:00:01.00,0:00:02.00,D,Bob,0,0,0,,Yes")
    assert cues(odd) == [(1000, 2000, "Bob", "Yes")], "a format without an end is none"


def test_lrc_with_offset_and_lines_that_come_again() -> None:
    text = "[ti:A song]\n[offset:+500]\n"
    text += "[00:01.00][00:05.50]La la\n[00:03.00]<00:03.10>Lo <00:03.20>lo\n[00:04]\n[00:04:25]"
    assert cues(text) == [(500, 2500, "", "La la"), (2500, 3500, "", "Lo lo"), (5000, 10_000, "", "La la")]


def test_what_a_file_is_its_content_says() -> None:
    assert cues("\n\nWEBVTT\n\n00:01.0 --> 00:02.0\nA") == [(1000, 2000, "", "A")]
    assert cues(srt_of("[Verse] La", "[00:12.00] no song")) == [
        (0, 1000, "", "[Verse] La"),
        (1000, 2000, "", "[00:12.00] no song"),
    ]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "A letter: dear Ann,\nI come.", "12:30 is the time", "[Script Info]\nTitle: x"]
)
def test_a_text_without_cues_is_none(text: str) -> None:
    with pytest.raises(SubtitleError, match="no subtitles"):
        read(text)


@pytest.mark.parametrize(
    ("times", "body", "why"),
    [
        ("00:00:05,000 --> 00:00:04,000", "Backwards", Why.BACKWARDS),
        ("00:00:05,000 --> 00:00:05,000", "No time at all", Why.BACKWARDS),
        ("00:00:05,000 --> 00:00:06,000", "", Why.EMPTY),
        ("00:00:05,000 --> 00:00:06,000", "♪ … ♪", Why.EMPTY),
        ("00:00:05,000 --> 00:00:06,000", "<i></i>", Why.EMPTY),
        ("00:00:05,000 -->", "No end", Why.UNREADABLE),
        ("--> 00:00:05,000", "No start", Why.UNREADABLE),
        ("soon --> 00:00:05,000", "Soon", Why.UNREADABLE),
        ("-00:00:01,000 --> 00:00:05,000", "Before", Why.UNREADABLE),
        ("999:00:01,000 --> 999:00:05,000", "Later than anything", Why.UNREADABLE),
        ("00:00:05,000 --> 00:00:06,000", "a" * (MOST_CHARACTERS + 1), Why.LONG),
    ],
)
def test_a_cue_that_can_not_be_taken_is_named_and_the_others_stay(times: str, body: str, why: Why) -> None:
    reading = read(
        f"1\n00:00:01,000 --> 00:00:02,000\nOne.\n\n2\n{times}\n{body}\n\n3\n00:00:07,000 --> 00:00:08,000\nTwo."
    )
    assert [cue.text for cue in reading.cues] == ["One.", "Two."]
    assert reading.left_out == {why: [2]}


def test_cues_come_by_their_times() -> None:
    text = "00:00:05,000 --> 00:00:06,000\nLater.\n\n00:00:01,000 --> 00:00:09,000\nSooner.\n"
    assert [cue.text for cue in read(text).cues] == ["Sooner.", "Later."]


@pytest.mark.parametrize("write", [srt, vtt])
def test_what_is_written_is_read_again(write: object) -> None:
    written = [Cue(1.5, 2.25, "Ann", "One <two> & {three}"), Cue(2.25, 100.0, "", "第二")]
    read_again = read(write(written)).cues  # type: ignore[operator]
    assert [(cue.start, cue.end) for cue in read_again] == [(1500, 2250), (2250, 100_000)]
    assert write is srt or [(cue.speaker, cue.text) for cue in read_again] == [
        ("Ann", "One <two> & {three}"),
        ("", "第二"),
    ]


def test_twenty_thousand_cues_are_read_as_another_reader_does() -> None:
    subs = pysubs2.SSAFile()
    for at in range(20_000):
        subs.append(pysubs2.SSAEvent(start=at * 1000, end=at * 1000 + 900, text=f"Line {at}"))
    for format in ("srt", "vtt", "ass"):
        made = cues(subs.to_string(format))
        assert len(made) == 20_000 and made[-1] == (19_999_000, 19_999_900, "", "Line 19999"), format


HOSTILE = {
    "arrows": "-->" * 700_000,
    "tags that never close": "WEBVTT\n\n" + ("00:01.000 --> 00:02.000\n" + "<v" * 9_000 + "\n\n") * 100,
    "braces that never close": "[Events]\nDialogue: 0,0:00:01.20,0:00:02.50,D,A,0,0,0,," + "{" * 19_000,
    "empty lines": "\n" * 2_000_000,
    "spaces": " " * 2_000_000 + "[offset:",
    "stamps": "[00:01.00]" * 200_000,
    "dashes": "00:01.000 --> 00:02.000\n" + "- " * 9_000,
    "numbers": "1" * 2_000_000 + " --> " + "1" * 2_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_in_a_text_holds_up_the_reading(name: str) -> None:
    """Patterns whose time grew with the square would not end here."""
    try:
        assert all(0 <= cue.start < cue.end <= LATEST for cue in read(HOSTILE[name]).cues)
    except SubtitleError:
        assert name in ("empty lines", "spaces", "stamps", "numbers")
