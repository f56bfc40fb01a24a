"""The import of subtitles on its pages: cues become lines with times, and what is left out is named."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from banks.models import Bank, Character
from studio.models import Project
from tests.projects import RIGHTS, address, said
from tests.sounds import tone, wav_file
from tests.studio import somebody
from tests.test_import_pages import begin, client, no_drafts, stories  # noqa: F401 - fixtures
from tests.test_subtitle_reading import srt_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return somebody("ann", *RIGHTS)


@pytest.fixture
def film(ann: User, stories: Bank) -> Project:  # noqa: F811
    return Project.objects.create(name="Film", kind="dub", owner=ann, bank=stories)


def finish(client: Client, project: Project, **values: Any) -> Any:  # noqa: F811
    return client.post(address(project, "import/"), {"where": "append", "labels": "on", "import": "", **values})


def look(client: Client, project: Project, **values: Any) -> str:  # noqa: F811
    return said(client.post(address(project, "import/preview/"), {"where": "append", "labels": "on", **values}))


def stored(project: Project) -> list[tuple[Any, ...]]:
    return list(project.lines.values_list("start_ms", "end_ms", "speaker", "text"))


def test_cues_become_lines_with_times_and_names_find_their_characters(client: Client, film: Project) -> None:  # noqa: F811
    page = said(client.get(address(film, "import/")))
    assert "Import subtitles" in page and "subtitle files" in page
    assert begin(client, film, "", ("film.srt", srt_of("ANNA: Come here.", "Bob: I come.", "It rains.").encode())).url
    page = said(client.get(address(film, "import/")))
    assert "3 lines" in page and "0:00:01.000 – 0:00:02.000" in page and "How it is cut" not in page
    assert 'name="longest"' not in page and 'name="how"' not in page and not film.lines.exists()
    heart, anna = Character.objects.get(name="Heart"), Character.objects.get(name="Anna")
    assert f'value="{anna.pk}" selected>Anna' in page, "names are matched without regard to case"
    finish(client, film, speaker=["Bob", "", "ANNA"], character=[heart.pk, "", anna.pk])
    assert stored(film) == [
        (0, 1000, "ANNA", "Come here."),
        (1000, 2000, "Bob", "I come."),
        (2000, 3000, "", "It rains."),
    ]
    assert list(film.lines.values_list("character__name", flat=True)) == ["Anna", "Heart", None]
    begin(client, film, srt_of("Bob: Again."))
    assert f'value="{heart.pk}" selected' in said(client.get(address(film, "import/"))), "the cast is remembered"


def test_names_before_a_colon_are_read_only_where_it_is_asked(client: Client, film: Project) -> None:  # noqa: F811
    begin(client, film, srt_of("Anna: Come here.\n- Bob: No!", "One", "Two", "Note: three"))
    page = look(client, film)
    assert "5 lines" in page and 'name="speaker" value="Bob"' in page
    assert "Anna: Come here. Bob: No!" in look(client, film, labels="")
    finish(client, film, no_name="Note")
    assert stored(film)[:2] == [(0, 769, "Anna", "Come here."), (769, 1000, "Bob", "No!")]
    assert stored(film)[-1] == (3000, 4000, "", "Note: three")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Anna>Come &amp; see"),
        ("a.ass", "[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,D,Anna,0,0,0,,Come {\\i1}& see"),
        ("a.ssa", "[Events]\nDialogue: Marked=0,0:00:01.00,0:00:02.00,D,Anna,0,0,0,,Come & see"),
        ("a.lrc", "[00:01.00]Anna: Come & see\n[00:02.00]"),
        ("wrong.lrc", "1\n00:00:01,000 --> 00:00:02,000\nAnna: Come & see"),
        ("noname", "1\n00:00:01,000 --> 00:00:02,000\nAnna: Come\n& see"),
    ],
)
def test_every_format_comes_in(client: Client, film: Project, name: str, content: str) -> None:  # noqa: F811
    begin(client, film, "", (name, content.encode()))
    finish(client, film)
    assert stored(film) == [(1000, 2000, "Anna", "Come & see")]


def test_what_is_left_out_is_counted_and_named(client: Client, film: Project) -> None:  # noqa: F811
    broken = "\n\n".join(f"{at}\n00:00:0{at},000 --> 00:00:0{at - 1},000\nBack" for at in (1, 2, 3))
    empty = "4\n00:00:05,000 --> 00:00:06,000\n♪\n\n5\nsoon --> 00:00:09,000\nSoon"
    good = "6\n00:00:05,000 --> 00:00:07,000\nOne.\n\n7\n00:00:06,000 --> 00:00:08,000\nTwo."
    begin(client, film, "", ("film.srt", f"{broken}\n\n{empty}\n\n{good}\n".encode()))
    page = look(client, film)
    assert "2 lines" in page
    assert "3 cues are left out, which end before they start: number 1, 2, 3." in page
    assert "1 cue is left out, which has no words: number 4." in page
    assert "times can&#x27;t be read: number 5." in page
    assert "2 lines are spoken at the same time as others." in page
    finish(client, film)
    assert [row[-1] for row in stored(film)] == ["One.", "Two."]


def test_many_that_are_left_out_are_named_in_part(client: Client, film: Project) -> None:  # noqa: F811
    text = "\n\n".join("00:00:05,000 --> 00:00:04,000\nBack" for _each in range(300))
    begin(client, film, text)
    page = look(client, film)
    assert "No cue of these subtitles can be spoken." in page and "300 cues are left out" in page
    assert "10, 11, 12 …" in page and "13" not in page
    assert "No cue of these subtitles" in said(finish(client, film)) and not film.lines.exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("letter.srt", b"Dear Ann, I come.", "letter.srt: There are no subtitles in this text"),
        ("film.srt", wav_file(tone(24_000, 0.1), 24_000), "no text file"),
        ("film.srt", bytes(range(256)) * 20, "no text file"),
        ("film.vtt", b"", "empty"),
        ("big.srt", b"1\n00:00:01,000 --> 00:00:02,000\nOne.\n" * 260_000, "more than 8 MB"),
    ],
    ids=["letter", "sound", "rubbish", "empty", "big"],
)
def test_what_is_no_subtitles_is_told_at_the_field(
    client: Client,  # noqa: F811
    film: Project,
    name: str,
    content: bytes,
    words: str,
) -> None:
    uploads = [SimpleUploadedFile(name, content)]
    page = client.post(address(film, "import/"), {"text": "", "uploads": uploads, "begin": ""})
    assert list(page.context["form"].errors) == ["uploads"] and words in said(page)


def test_a_pasted_text_without_times_is_told_too(client: Client, film: Project) -> None:  # noqa: F811
    page = begin(client, film, "Dear Ann, I come.")
    assert list(page.context["form"].errors) == ["text"]


def test_an_encoding_is_found_or_chosen(client: Client, film: Project) -> None:  # noqa: F811
    begin(client, film, "", ("film.srt", srt_of("安娜:你好,你们来了吗?").encode("gb18030")))
    assert "GB18030" in said(client.get(address(film, "import/")))
    begin(client, film, "", ("film.srt", srt_of("Мир всем").encode("koi8_r")))
    assert "Мир всем" in look(client, film, encoding_0="koi8_r")
    finish(client, film, encoding_0="koi8_r")
    assert stored(film) == [(0, 1000, "", "Мир всем")]


def test_several_files_and_what_is_there_are_put_together_by_time(client: Client, film: Project) -> None:  # noqa: F811
    begin(client, film, "00:00:05,000 --> 00:00:06,000\nThird.")
    finish(client, film)
    begin(
        client, film, "",
        ("2.srt", b"00:00:09,000 --> 00:00:10,000\nFourth.\n\n00:00:03,000 --> 00:00:04,000\nSecond."),
        ("1.srt", b"00:00:01,000 --> 00:00:02,000\nFirst.\n\n00:00:01,000 --> 00:00:00,000\nNever."),
    )  # fmt: skip
    assert "1.srt: 1 cue is left out" in look(client, film)
    finish(client, film)
    assert [row[-1] for row in stored(film)] == ["First.", "Second.", "Third.", "Fourth."]
    begin(client, film, "00:00:02,000 --> 00:00:03,000\nAlone.")
    finish(client, film, where="replace", sure="on")
    assert [row[-1] for row in stored(film)] == ["Alone."]


def test_a_long_cue_is_cut_into_lines_that_share_its_time(client: Client, film: Project) -> None:  # noqa: F811
    begin(client, film, "00:00:00,000 --> 00:00:10,000\n" + "Some words, and more. " * 300)
    assert "too long for one line" in look(client, film)
    finish(client, film)
    first, second = stored(film)
    assert (first[0], second[1]) == (0, 10_000) and first[1] == second[0] and 7_000 < first[1] < 8_000


def test_twenty_thousand_cues_come_in(client: Client, film: Project) -> None:  # noqa: F811
    text = "\n".join(
        f"{at}\n{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02},000 --> "
        f"{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02},900\nAnna: Line {at}.\n"
        for at in range(20_000)
    )
    begin(client, film, "", ("long.srt", text.encode()))
    assert "20000 lines" in look(client, film).replace(",", "")
    finish(client, film)
    assert film.lines.count() == 20_000 and stored(film)[-1] == (19_999_000, 19_999_900, "Anna", "Line 19999.")
