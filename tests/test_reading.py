"""A project read aloud: its chapters and pages, what is made ahead, and where everybody is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from banks.models import Bank, Character
from neiroha_site.roles import Role
from providers.errors import UpstreamBusy
from providers.models import Provider
from providers.queue import Priority
from studio import claims, lines
from studio.generate import Want, generate
from studio.kinds import kinds
from studio.lines import Draft
from studio.models import Line, Project, ReadingPlace, StudioSettings, Take
from studio.reading import A_PAGE, Spread, chapters_of, lines_of, make_ahead, paragraphs
from studio.rows import rows
from tests.conftest import add_character
from tests.people import client_of, member
from tests.projects import address, said, voiced
from tests.studio import somebody
from tests.test_lines import spoken, states
from tests.test_project_page import AIM_QUERIES

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ann() -> User:
    return somebody("ann")


@pytest.fixture
def stories() -> Bank:
    bank = Bank.objects.create(name="Stories")
    provider = Provider.objects.create(name="Embedded", kind="embedded")
    add_character(bank, provider, "Heart")
    add_character(bank, provider, "Soul", speed=1.2)
    return bank


@pytest.fixture
def heart(stories: Bank) -> Character:
    return stories.characters.get(name="Heart")


@pytest.fixture
def novel(ann: User, stories: Bank) -> Project:
    return Project.objects.create(name="Novel", kind="novel", owner=ann, bank=stories, format="wav")


@pytest.fixture
def producer(novel: Project) -> Client:
    user = member(Role.PRODUCER, "producer")
    novel.members.add(user)
    return client_of(user)


@pytest.fixture
def viewer(novel: Project) -> Client:
    user = member(Role.VIEWER, "viewer")
    novel.members.add(user)
    return client_of(user)


def chapter(project: Project, title: str, *texts: str, **values: Any) -> list[Line]:
    drafts = [Draft(text, chapter="" if place else title, **values) for place, text in enumerate(texts)]
    return lines.add(project, drafts)


def read(client: Client, project: Project, query: str = "") -> str:
    return said(client.get(address(project, f"read/{query}")))


def ask(client: Client, line: Line, **values: Any) -> Any:
    response = client.post(address(line.project, "read/ahead/"), {"line": line.pk, **values})
    return json.loads(said(response))


def act(client: Client, project: Project, what: str, **values: Any) -> str:
    return said(client.post(address(project, "read/act/"), {"act": what, **values}, follow=True))


# Chapters and pages.


def test_chapters_begin_where_their_titles_stand(novel: Project, heart: Character) -> None:
    assert chapters_of(novel) == []
    opening = chapter(novel, "", "Motto.", "Another.")
    chapter(novel, "One", "A.", "B.", "C.", character_id=heart.pk)
    chapter(novel, "Two", "D.")
    found = chapters_of(novel)
    assert [(one.number, one.title, one.first, one.total) for one in found] == [
        (1, "", 0, 2),
        (2, "One", 2, 3),
        (3, "Two", 5, 1),
    ]
    assert found[0].key == opening[0].pk
    assert [[line.text for line in lines_of(novel, found, number)] for number in (1, 2, 3)] == [
        ["Motto.", "Another."],
        ["A.", "B.", "C."],
        ["D."],
    ]


def test_a_chapter_counts_its_lines_by_state(novel: Project, ann: User, heart: Character) -> None:
    first, second, third, *_rest = chapter(novel, "One", *"abcdef", character_id=heart.pk)
    generate(novel, novel.lines.filter(pk__in=[first.pk, second.pk]), Want.ALL, ann)
    spoken(novel)
    lines.edit(Line.objects.get(pk=second.pk), text="Changed.")
    generate(novel, novel.lines.filter(pk=third.pk), Want.ALL, ann)
    (found,) = chapters_of(novel)
    assert (found.done, found.stale, found.open, found.missing, found.failed) == (1, 1, 1, 3, 0)
    (take,) = Take.objects.claim([novel.lines.get(pk=third.pk).attempt_id or 0])
    take.fail(UpstreamBusy("Later."))
    (found,) = chapters_of(novel)
    assert (found.open, found.failed) == (0, 1)


def test_a_long_chapter_has_several_pages(novel: Project) -> None:
    chapter(novel, "Long", *(f"{number}." for number in range(2 * A_PAGE + 1)))
    chapter(novel, "Short", "The end.")
    chapters = chapters_of(novel)
    spread: Spread | None = Spread.at(chapters, 0)
    seen, counted = [], []
    while spread is not None:
        seen.append(spread.query)
        counted.append(len(spread.lines(novel, chapters)))
        following = spread.behind(chapters)
        assert following is None or following.before(chapters) == spread
        spread = following
    assert seen == ["chapter=1", "chapter=1&part=2", "chapter=1&part=3", "chapter=2"]
    assert counted == [A_PAGE, A_PAGE, 1, 1]
    assert Spread.at(chapters, A_PAGE).query == "chapter=1&part=2"
    assert Spread.at(chapters, 2 * A_PAGE + 1).query == "chapter=2"


def test_sentences_of_one_voice_stand_together(novel: Project, heart: Character) -> None:
    soul = Character.objects.get(name="Soul")
    for text, speaker in [("He rose.", heart), ("And left.", heart), ("“Stay!”", soul), ("她来了。", soul)]:
        lines.add(novel, [Draft(text, character_id=speaker.pk)])
    lines.add(novel, [Draft("他走了。", character_id=soul.pk), Draft("x" * 400, character_id=soul.pk)])
    found = paragraphs(rows(novel.lines.all(), {}, ()))
    told = [(one.name, [gap + row.line.text for gap, row in one.sentences]) for one in found]
    assert told == [
        ("Heart", ["He rose.", " And left."]),
        ("Soul", ["“Stay!”", " 她来了。", "他走了。"]),
        ("Soul", ["x" * 400]),
    ]
    assert paragraphs([]) == []


# The page.


def test_an_empty_book_says_what_to_do(novel: Project, producer: Client, viewer: Client) -> None:
    assert "There is nothing to read yet." in read(producer, novel) and "Import a text" in read(producer, novel)
    assert "Import a text" not in read(viewer, novel)


def test_the_page_shows_text_states_and_chapters(
    novel: Project,
    producer: Client,
    ann: User,
    heart: Character,
) -> None:
    (line,) = voiced(novel, ann, heart, "<b>Heard.")
    lines.edit(line, chapter="The <i>first")
    chapter(novel, "", "Missing.", "***")
    chapter(novel, "Two", "Later.")
    page = read(producer, novel)
    assert "&lt;b&gt;Heard." in page and "<b>Heard" not in page and "The &lt;i&gt;first" in page
    assert f'data-nr-sound="/studio/takes/{line.take_id}/audio"' in page
    assert page.count('data-nr-state="missing"') == 2 and page.count("data-nr-silent") == 1
    assert "1 of 3 ready" in page and "2 missing" in page and "Later." not in page
    assert 'rel="next"' in page and 'href="?chapter=2" rel="next"' in page
    assert "Later." in read(producer, novel, "?chapter=2") and 'rel="prev"' in read(producer, novel, "?chapter=2")
    for odd in ("?chapter=99", "?chapter=2&part=99", "?chapter=2&part=0"):
        assert "Later." in read(producer, novel, odd)
    for odd in ("?chapter=x", "?line=x", "?line=99999999", "?chapter=0", "?chapter=1&part=-1", "?line="):
        assert "Heard." in read(producer, novel, odd)


def test_kinds_say_whether_they_are_read_and_every_kind_can_be(
    ann: User,
    stories: Bank,
    producer: Client,
) -> None:
    for name, kind in kinds().items():
        project = Project.objects.create(name=name, kind=name, owner=ann, bank=stories)
        project.members.add(User.objects.get(username="producer"))
        chapter(project, "", "Words.")
        assert ("/read/" in said(producer.get(address(project)))) == kind.reader
        assert "Words." in read(producer, project)
    assert kinds()["novel"].reader and not kinds()["dialogue"].reader


def test_outsiders_find_nothing_and_viewers_make_nothing(novel: Project, viewer: Client) -> None:
    (line,) = chapter(novel, "", "Words.")
    outsider = client_of(member(Role.PRODUCER, "outsider"))
    assert outsider.get(address(novel, "read/")).status_code == 404
    for path in ("read/ahead/", "read/place/", "read/act/"):
        assert outsider.post(address(novel, path), {"line": line.pk, "speed": 1, "act": "missing"}).status_code == 404
        assert outsider.get(address(novel, path)).status_code == 405
    page = read(viewer, novel)
    assert "Generate" not in page and 'data-nr-ahead="0"' in page and 'id="nr-play"' in page
    assert viewer.post(address(novel, "read/ahead/"), {"line": line.pk}).status_code == 403
    assert viewer.post(address(novel, "read/act/"), {"act": "missing"}).status_code == 403
    deaf = somebody("deaf", "studio.view_project")
    novel.members.add(deaf)
    assert "You may read here, but not listen" in read(client_of(deaf), novel)
    assert not Take.objects.exists()


def test_the_page_asks_little_of_a_long_book(novel: Project, ann: User, producer: Client, heart: Character) -> None:
    (line,) = voiced(novel, ann, heart, "Heard.")
    shared = {"project": novel, "character": heart, "wanted": line.wanted}
    rows = [
        Line(
            position=(number + 2) * 1024,
            text=f"Sentence {number}.",
            chapter="" if number % 200 else f"Chapter {number // 200}",
            take=line.take if number % 3 else None,
            **shared,
        )
        for number in range(11_999)
    ]
    Line.objects.bulk_create(rows, batch_size=500)
    read(producer, novel)
    for query in ("", "?chapter=40", f"?line={rows[9_000].pk}"):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            page = read(producer, novel, query)
        assert len(asked) <= AIM_QUERIES, [one["sql"][:150] for one in asked.captured_queries]
        assert page.count('nr-read-chapter"') == 61
    assert f'data-nr-here="{rows[9_000].pk}"' in page and "Part 1 of 2" in page


# Made ahead.


def test_the_next_sentences_are_made_before_batches(
    novel: Project,
    ann: User,
    producer: Client,
    heart: Character,
) -> None:
    made = chapter(novel, "One", *(f"Line {number}." for number in range(12)), character_id=heart.pk)
    generate(novel, novel.lines.filter(pk__in=[line.pk for line in made[:8]]), Want.MISSING, ann)
    changed = Project.objects.get(pk=novel.pk).changed_at
    told = ask(producer, made[4])
    first = [Take.objects.get(lines_asking=line).priority == Priority.INTERACTIVE for line in made[:10]]
    assert first == [False] * 4 + [True] * 6
    assert states(novel) == ["queued"] * 10 + ["missing"] * 2, "five behind the one that is heard"
    assert set(told["rows"]) == {str(line.pk) for line in made[4:10]} and told["refusals"] == {}
    assert all('data-nr-state="queued"' in html for html in told["rows"].values())
    assert [claim.take.text for claim in claims.interactive()] == [f"Line {number}." for number in range(4, 10)]
    assert Take.objects.count() == 10, "nothing twice"
    assert Project.objects.get(pk=novel.pk).changed_at == changed, "to listen is no change"
    # Those of the batch that the runner holds already stay what they are.
    claims.batch({})
    ask(producer, made[0])
    assert [Take.objects.get(lines_asking=line).priority == Priority.INTERACTIVE for line in made[:4]] == [False] * 4


def test_what_has_no_words_is_left_out_of_what_is_made(novel: Project, producer: Client, heart: Character) -> None:
    made = chapter(novel, "", "One.", "…", "***", "Two.", "—", "Three.", "Four.", character_id=heart.pk)
    StudioSettings.load()
    StudioSettings.objects.update(read_ahead=2)
    ask(producer, made[0])
    assert [line.text for line in novel.lines.exclude(attempt=None)] == ["One.", "Two.", "Three."]
    StudioSettings.objects.update(read_ahead=0)
    assert ask(producer, made[6]) == {"rows": {}, "refusals": {}}
    assert 'data-nr-ahead="0"' in read(producer, novel)


def test_stale_audio_is_made_anew_and_what_failed_only_when_it_is_wished(
    novel: Project,
    ann: User,
    producer: Client,
    heart: Character,
) -> None:
    first, second = chapter(novel, "", "One.", "Two.", character_id=heart.pk)
    generate(novel, novel.lines.all(), Want.ALL, ann)
    spoken(novel)
    lines.edit(Line.objects.get(pk=second.pk), text="Two and a half.")
    generate(novel, novel.lines.filter(pk=first.pk), Want.ALL, ann)
    (take,) = Take.objects.claim([Line.objects.get(pk=first.pk).attempt_id or 0])
    take.fail(UpstreamBusy("Later."))
    told = ask(producer, first)
    assert states(novel) == ["failed", "queued"] and 'data-nr-reason="Later."' in told["rows"][str(first.pk)]
    ask(producer, first, again="yes")
    assert states(novel) == ["queued", "queued"]
    assert set(Take.objects.queued().values_list("priority", flat=True)) == {Priority.INTERACTIVE.value}


def test_why_a_sentence_cannot_be_made_is_told(novel: Project, producer: Client, heart: Character) -> None:
    nobody, somebody_off = chapter(novel, "", "One.") + chapter(novel, "", "Two.", character_id=heart.pk)
    Provider.objects.update(enabled=False)
    refusals = ask(producer, nobody)["refusals"]
    assert refusals[str(nobody.pk)] == "No character is chosen."
    assert "switched off" in refusals[str(somebody_off.pk)]
    assert not Take.objects.exists()
    nobody.delete()
    response = producer.post(address(novel, "read/ahead/"), {"line": "99999999"})
    assert json.loads(said(response)) == {"gone": True}


def test_listeners_leave_quick_tts_its_places(novel: Project, producer: Client, heart: Character) -> None:
    made = chapter(novel, "", *(f"Line {number}." for number in range(40)), character_id=heart.pk)
    StudioSettings.load()
    StudioSettings.objects.update(read_ahead=20)
    ask(producer, made[0])
    assert Take.objects.queued().count() == 21
    Take.objects.require_room(User.objects.get(username="producer"))


def test_two_listeners_have_each_their_sentences_made(
    novel: Project,
    ann: User,
    producer: Client,
    heart: Character,
) -> None:
    made = chapter(novel, "", *(f"Line {number}." for number in range(30)), character_id=heart.pk)
    ask(producer, made[0])
    keys, _outcome = make_ahead(novel, made[3], ann)
    assert keys == [line.pk for line in made[3:9]]
    assert states(novel)[:10] == ["queued"] * 9 + ["missing"] and Take.objects.count() == 9
    owners = [Take.objects.get(lines_asking=line).owner.username for line in made[:9]]
    assert owners == ["producer"] * 6 + ["ann"] * 3


# Generating.


def test_a_chapter_or_the_book_is_generated_and_cancelled(novel: Project, producer: Client, heart: Character) -> None:
    chapter(novel, "One", "A.", "B.", character_id=heart.pk)
    chapter(novel, "Two", "C.", character_id=heart.pk)
    page = act(producer, novel, "missing:2", next=address(novel, "read/?chapter=2"))
    assert "1 line is queued." in page and 'aria-labelledby="nr-title-2-1"' in page
    assert states(novel) == ["missing", "missing", "queued"]
    assert "2 lines are queued." in act(producer, novel, "missing", next="https://elsewhere.example/")
    assert set(Take.objects.values_list("priority", flat=True)) == {Priority.BATCH.value}
    assert "2 takes were cancelled." in act(producer, novel, "cancel:1")
    assert states(novel) == ["missing", "missing", "queued"]
    assert "1 take was cancelled." in act(producer, novel, "cancel")
    assert "This chapter is not there any more." in act(producer, novel, "missing:9")
    for nonsense in ("", "burn", "burn:1"):
        assert producer.post(address(novel, "read/act/"), {"act": nonsense}).status_code == 403


# Where somebody is.


def test_everybody_has_a_place_of_their_own(novel: Project, producer: Client, viewer: Client) -> None:
    first, second, *_rest = chapter(novel, "One", "A.", "B.") + chapter(novel, "Two", "C.")
    assert "Listen</span>" in read(producer, novel) and f'data-nr-here="{first.pk}"' in read(producer, novel)
    saved = producer.post(address(novel, "read/place/"), {"line": second.pk, "speed": "1.25"})
    assert saved.status_code == 204
    last = novel.lines.get(text="C.")
    viewer.post(address(novel, "read/place/"), {"line": last.pk, "speed": "0.8"})
    page = read(producer, novel)
    assert f'data-nr-here="{second.pk}"' in page and "Resume</span>" in page and 'value="1.25" selected' in page
    other = read(viewer, novel)
    assert f'data-nr-here="{last.pk}"' in other and 'value="0.8" selected' in other
    elsewhere = read(producer, novel, "?chapter=2")
    assert f'href="?line={second.pk}"' in elsewhere and "Listen</span>" in elsewhere
    producer.post(address(novel, "read/place/"), {"line": last.pk, "speed": "2"})
    assert ReadingPlace.objects.count() == 2


def test_a_place_that_is_gone_or_wrong_does_no_harm(novel: Project, producer: Client) -> None:
    first, second = chapter(novel, "One", "A.", "B.")
    producer.post(address(novel, "read/place/"), {"line": second.pk, "speed": 1})
    for wrong in ({"line": first.pk}, {"line": first.pk, "speed": "9"}, {"line": first.pk, "speed": "nan"}):
        assert producer.post(address(novel, "read/place/"), wrong).status_code == 400
    for lost in ("", "x", "99999999", "²"):
        assert producer.post(address(novel, "read/place/"), {"line": lost, "speed": 2}).status_code == 204
    place = ReadingPlace.objects.get()
    assert place.line == second and place.speed == 2
    lines.remove(novel, novel.lines.filter(pk=second.pk))
    assert f'data-nr-here="{first.pk}"' in read(producer, novel)
