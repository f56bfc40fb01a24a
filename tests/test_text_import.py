"""What lines a text makes, and who speaks them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from banks.models import Bank, Character
from providers.models import Provider
from studio import lines
from studio.chapters import Source
from studio.lines import Draft
from studio.markdown import sections
from studio.models import MOST_LINES, CastEntry, Project, Take
from studio.text import BadPattern, How, PatternTooSlow
from studio.text_import import Cutting, Plan, known_cast, plan, store
from tests.conftest import add_character
from tests.projects import voiced
from tests.studio import clear_files, queued, somebody

STORY = "It rained.\n\n“Come in,” she said. He came.\n\nThe end."


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    clear_files()


def made(text: str, how: How | None = None, **values: object) -> list[tuple[str, str]]:
    return [(one.speaker, one.text) for one in plan([Source(text)], Cutting(how, **values)).drafts]  # type: ignore[arg-type]


def texts(text: str, how: How, **values: object) -> list[str]:
    return [one for _speaker, one in made(text, how, **values)]


# Cutting.


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (How.PARAGRAPH, ["It rained.", "“Come in,” she said. He came.", "The end."]),
        (How.QUOTES, ["It rained.", "“Come in,”", "she said. He came.", "The end."]),
        (How.SENTENCE, ["It rained.", "“Come in,” she said.", "He came.", "The end."]),
    ],
)
def test_a_text_is_cut(how: How, expected: list[str]) -> None:
    assert texts(STORY, how) == expected


def test_a_pattern_cuts_and_goes() -> None:
    assert texts("One.\n***\nTwo.\n***\nThree.", How.PATTERN, pattern=r"\n\*{3}\n") == ["One.", "Two.", "Three."]
    with pytest.raises(BadPattern):
        texts(STORY, How.PATTERN, pattern="(")
    with pytest.raises(PatternTooSlow):
        texts("a" * 200 + "!", How.PATTERN, pattern=r"(a+)+$|(a|aa)+?b|(.*.*)*=")


def test_turns_keep_their_speakers_and_directions() -> None:
    script = plan([Source("Anna: Hello.\nBob (softly): Hi.\n\nIt rained.")], Cutting(turns=True))
    assert script.drafts == [Draft("Hello.", "Anna"), Draft("Hi.", "Bob", "softly"), Draft("It rained.")]
    assert script.speakers == {"Anna": 1, "Bob": 1, "": 1}


def test_turns_are_cut_finer_where_it_is_asked() -> None:
    found = made("Anna: Hello. How are you?\nBob: Hi.", How.SENTENCE, turns=True)
    assert found == [("Anna", "Hello."), ("Anna", "How are you?"), ("Bob", "Hi.")]


def test_what_is_no_name_is_told() -> None:
    text = "It was late.\n\nNote: nobody came.\n\nIt rained.\n\nThen it stopped."
    found = plan([Source(text)], Cutting(turns=True))
    assert found.doubtful == ["Note"]
    again = plan([Source(text)], Cutting(turns=True, no_names=frozenset(["Note"])))
    assert again.speakers == {"": 4} and again.drafts[1].text == "Note: nobody came."


def test_what_is_too_long_is_cut_and_counted() -> None:
    found = plan([Source("Anna: " + "Many words come here. " * 50 + "\nBob: Hi.")], Cutting(turns=True, longest=100))
    assert found.shortened == 1 and found.speakers["Bob"] == 1
    assert {one.speaker for one in found.drafts[:-1]} == {"Anna"}
    assert all(len(one.text) <= 100 for one in found.drafts)


def test_a_line_of_two_megabytes_is_cut() -> None:
    text = "word " * 400_000
    found = plan([Source(text)], Cutting(How.LINE, longest=500))
    assert found.shortened == 1 and max(len(one.text) for one in found.drafts) <= 500
    assert sum(len(one.text.split()) for one in found.drafts) == 400_000


def test_as_many_lines_as_a_project_holds_and_no_more() -> None:
    assert len(texts("Yes.\n" * MOST_LINES, How.LINE)) == MOST_LINES
    for turns in (False, True):
        with pytest.raises(Exception, match="more than 50000 lines"):
            made("Anna: Yes.\n" * (MOST_LINES + 1), None if turns else How.LINE, turns=turns)


@pytest.mark.parametrize("text", ["", " \n\t\n", "… — !", "\n" * 1000, "***"])
@pytest.mark.parametrize("how", [How.PARAGRAPH, How.SENTENCE, None])
def test_nothing_to_speak_is_said(text: str, how: How | None) -> None:
    with pytest.raises(ValidationError, match="no words"):
        made(text, how, turns=how is None)


def test_each_of_several_texts_begins_a_chapter() -> None:
    found = plan([Source("One.\n\nTwo.", "First"), Source("…"), Source("Three.", "Second")], Cutting(How.PARAGRAPH))
    assert [(one.text, one.chapter) for one in found.drafts] == [("One.", "First"), ("Two.", ""), ("Three.", "Second")]


@given(st.text(max_size=300), st.sampled_from([*How, None]), st.booleans(), st.integers(20, 60))
def test_every_text_makes_lines_that_can_be_stored(text: str, how: How | None, turns: bool, longest: int) -> None:
    try:
        found = plan([Source(text)], Cutting(how, turns or how is None, ",", longest))
    except ValidationError:
        return
    assert all(one.text.strip() and len(one.text) <= longest and len(one.speaker) <= 100 for one in found.drafts)
    assert sum(found.speakers.values()) == len(found.drafts)


# Markdown.


def test_headings_begin_sections_and_marks_go() -> None:
    text = "Before.\n\n# The *first* ##\n\nSome **bold** and _soft_ [words](http://x).\n- `One`\n> Two\n```\n"
    text += "## Second\nEnd."
    assert sections(text) == [
        ("", "Before."),
        ("The first", "The first\n\nSome bold and soft words.\nOne\nTwo"),
        ("Second", "Second\n\nEnd."),
    ]
    assert sections("snake_case_name and 2 * 3 * 4 and #tag") == [("", "snake_case_name and 2 * 3 * 4 and #tag")]


@pytest.mark.parametrize("piece", ["*", "**a ", "[", "](", "[a](", "_a", "`", "# ", "#", "- ", "> ", "~~~"])
def test_no_text_makes_marks_slow(piece: str) -> None:
    assert sections(piece * 200_000) is not None


# Storing.


@pytest.fixture
def ann(db: None) -> User:
    return somebody("ann")


@pytest.fixture
def stories(db: None) -> Bank:
    bank = Bank.objects.create(name="Stories")
    provider = Provider.objects.create(name="Inside", kind="embedded")
    add_character(bank, provider, "Anna Karenina", aliases=["Anna", "Boss"])
    add_character(bank, provider, "Boss")
    add_character(Bank.objects.create(name="Games"), provider, "Knight")
    return bank


@pytest.fixture
def play(ann: User, stories: Bank) -> Project:
    return Project.objects.create(name="Play", kind="dialogue", owner=ann, bank=stories, format="wav")


def named(name: str) -> Character:
    return Character.objects.get(name=name)


def script(text: str) -> Plan:
    return plan([Source(text)], Cutting(turns=True))


def test_names_are_found_by_name_and_alias_and_as_they_were_cast(play: Project) -> None:
    CastEntry.objects.create(project=play, speaker="Bob", character=named("Knight"))
    found = known_cast(play, ["ANNA", "anna karenina", "Boss", "Bob", "Knight", "Eve", ""])
    anna = named("Anna Karenina").pk
    expected = {"ANNA": anna, "anna karenina": anna, "Boss": named("Boss").pk, "Bob": named("Knight").pk}
    assert found == expected, "a name goes before an alias, and other banks are not looked through"
    play.bank = None
    assert known_cast(play, ["knight"]) == {"knight": named("Knight").pk}


@pytest.mark.django_db(transaction=True)
def test_the_cast_is_remembered_and_speaks(play: Project) -> None:
    lines.add(play, [Draft("Before.", "Eve"), Draft("Mine.", "Eve", character_id=named("Boss").pk)])
    store(
        play, script("Eve: One.\nBob: Two.\n\nIt rained."), {"Eve": named("Knight"), "Bob": None, "Odd": named("Boss")}
    )
    speakers = [line.character and line.character.name for line in play.lines.select_related("character")]
    assert speakers == ["Knight", "Boss", "Knight", None, None]
    assert list(play.cast.values_list("speaker", "character__name")) == [("Eve", "Knight")]
    store(play, script("Eve: Three."), {})
    assert play.lines.last().character == named("Knight")  # type: ignore[union-attr]


@pytest.mark.django_db(transaction=True)
def test_lines_take_the_place_of_others(play: Project, ann: User) -> None:
    (line,) = voiced(play, ann, named("Boss"), "Old.")
    waiting = queued(ann, named("Boss"), project=play, line=line)
    line.attempt = waiting
    line.save()
    store(play, script("Anna: New."), {}, replace_all=True)
    assert [line.text for line in play.lines.all()] == ["New."]
    assert sorted(Take.objects.values_list("state", flat=True)) == ["cancelled", "done"]


@pytest.mark.django_db(transaction=True)
def test_a_project_that_would_hold_too_much_stays_as_it_is(play: Project) -> None:
    lines.add(play, [Draft("Old.")])
    full = plan([Source("Yes.\n" * MOST_LINES)], Cutting(How.LINE))
    with pytest.raises(ValidationError, match="at most 50000 lines"):
        store(play, full, {})
    assert play.lines.count() == 1
