"""Lines of a project: order, edits, and what makes their audio stale."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from banks.models import Bank, Character, Membership
from providers.models import Provider
from providers.speech import AudioFormat
from studio import freshness, lines
from studio.files import finished
from studio.generate import Want, cancel, generate
from studio.lines import Draft, EditConflict
from studio.models import CastEntry, Line, LineState, Project, Take, TakeState
from tests.conftest import add_character
from tests.sounds import tone, wav_file
from tests.studio import somebody

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
def play(ann: User, stories: Bank) -> Project:
    return Project.objects.create(name="Play", kind="dialogue", owner=ann, bank=stories, format="wav")


def texts(project: Project) -> list[str]:
    return list(project.lines.values_list("text", flat=True))


def written(project: Project, *text: str, **values: Any) -> list[Line]:
    return lines.add(project, [Draft(one, **values) for one in text])


def states(project: Project) -> list[str]:
    return [line.state for line in project.lines.with_state()]


def spoken(project: Project, seconds: float = 0.1) -> None:
    """Everything that waits, as if somebody had spoken it."""
    for take in Take.objects.claim(list(project.takes.queued().values_list("pk", flat=True))):
        assert take.complete(finished(wav_file(tone(24_000, seconds), 24_000), AudioFormat.WAV))


def test_lines_stand_where_they_are_put(play: Project) -> None:
    first, second = written(play, "One.", "Two.")
    lines.add(play, [Draft("One and a half."), Draft("Almost two.")], after=first)
    lines.add(play, [Draft("Zero.")], first=True)
    assert texts(play) == ["Zero.", "One.", "One and a half.", "Almost two.", "Two."]
    lines.move(play, [second.pk], before=first)
    assert texts(play) == ["Zero.", "Two.", "One.", "One and a half.", "Almost two."]
    lines.move(play, [first.pk], before=None)
    assert texts(play)[-1] == "One."


def test_there_is_always_room_between_two_lines(play: Project) -> None:
    first, _last = written(play, "First.", "Last.")
    for number in range(30):
        lines.add(play, [Draft(f"{number}.")], after=first)
    assert texts(play) == ["First.", *(f"{number}." for number in reversed(range(30))), "Last."]


def test_several_lines_move_in_their_order(play: Project) -> None:
    made = written(play, *"abcdef")
    lines.move(play, [made[4].pk, made[1].pk, made[2].pk], before=made[1])
    assert "".join(texts(play)) == "abcedf"
    lines.move(play, [made[0].pk, made[5].pk], before=made[4])
    assert "".join(texts(play)) == "bcafed"


def test_a_line_is_split_and_joined_again(play: Project, heart: Character) -> None:
    (line,) = written(play, "Come here, please.", character_id=heart.pk, speaker="Ann", instruction="softly")
    made = lines.split(line, len("Come here,"))
    assert texts(play) == ["Come here,", "please."]
    assert (made.character, made.speaker, made.instruction) == (heart, "Ann", "softly")
    lines.join(line)
    assert texts(play) == ["Come here, please."]
    with pytest.raises(ValidationError, match="no line behind"):
        lines.join(line)
    for nowhere in (0, 99):
        with pytest.raises(ValidationError, match="between two words"):
            lines.split(line, nowhere)
    (first, _) = written(play, "你好。", "再见。")
    assert lines.join(first).text == "你好。再见。", "scripts without spaces get none"


def test_of_two_who_edit_one_line_the_second_is_told(play: Project) -> None:
    (line,) = written(play, "Old.")
    mine, other = Line.objects.get(pk=line.pk), Line.objects.get(pk=line.pk)
    lines.edit(mine, revision=0, text="Mine.")
    with pytest.raises(EditConflict, match="Somebody else changed"):
        lines.edit(other, revision=0, text="The other's.")
    assert texts(play) == ["Mine."]


@pytest.mark.parametrize(
    ("text", "reason"), [("  ", "needs a text"), ("a" * 5001, "at most 5000"), ("a\0b", "no text")]
)
def test_what_is_no_line_is_refused_with_its_number(play: Project, text: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=f"Line 2: .*{reason}"):
        written(play, "Good.", text)
    assert texts(play) == []
    (line,) = written(play, "Good.")
    with pytest.raises(ValidationError, match=reason):
        lines.edit(line, text=text)
    assert texts(play) == ["Good."]


def test_the_cast_is_remembered_for_what_comes_later(play: Project, heart: Character) -> None:
    written(play, "Hi.", "Ho.", speaker="Ann")
    assert lines.cast(play, "Ann", heart) == 2
    (later,) = written(play, "Again.", speaker="Ann")
    assert later.character == heart
    lines.cast(play, "Ann", None)
    assert not CastEntry.objects.exists() and set(play.lines.values_list("character", flat=True)) == {None}


# What is stale.


def test_missing_and_stale_is_generated_never_what_is_current(play: Project, heart: Character, ann: User) -> None:
    made = written(play, "One.", "Two.", "Three.", character_id=heart.pk)
    assert states(play) == ["missing"] * 3
    assert generate(play, play.lines.all(), Want.MISSING, ann).queued == 3
    assert states(play) == ["queued"] * 3
    again = generate(play, play.lines.all(), Want.MISSING, ann)
    assert (again.queued, again.waiting) == (0, 3)
    spoken(play)
    assert states(play) == ["done"] * 3
    assert generate(play, play.lines.all(), Want.MISSING, ann).queued == 0
    lines.edit(made[1], text="Two!")
    assert states(play) == ["done", "stale", "done"]
    lines.edit(Line.objects.get(pk=made[1].pk), text="Two.")
    assert states(play) == ["done"] * 3, "the audio is what the line says, once more"
    assert generate(play, play.lines.filter(pk=made[2].pk), Want.ALL, ann).queued == 1


@pytest.mark.parametrize("change", [{"speed": 1.4}, {"voice": "other"}, {"instruction": "gently"}])
def test_a_changed_character_makes_its_lines_stale(
    play: Project, heart: Character, ann: User, change: dict[str, Any]
) -> None:
    soul = Character.objects.get(name="Soul")
    written(play, "One.", character_id=heart.pk)
    written(play, "Two.", character_id=soul.pk)
    generate(play, play.lines.all(), Want.MISSING, ann)
    spoken(play)
    Character.objects.filter(pk=heart.pk).update(**change)
    assert freshness.refresh(play) == 1
    assert states(play) == ["stale", "done"]
    assert freshness.refresh(play) == 0


def test_what_is_not_heard_makes_nothing_stale(play: Project, heart: Character, ann: User) -> None:
    written(play, "One.", character_id=heart.pk)
    generate(play, play.lines.all(), Want.MISSING, ann)
    spoken(play)
    Character.objects.filter(pk=heart.pk).update(name="Another", description="d", fallback=Character.objects.last())
    Bank.objects.update(name="Tales")
    Provider.objects.update(name="Changed", max_concurrency=9)
    assert freshness.refresh(Project.objects.get()) == 0
    assert states(play) == ["done"]


def test_two_characters_that_swap_their_voices_are_both_stale(play: Project, heart: Character, ann: User) -> None:
    soul = Character.objects.get(name="Soul")
    for one in (heart, soul):
        written(play, "Hello.", character_id=one.pk)
    generate(play, play.lines.all(), Want.MISSING, ann)
    spoken(play)
    Character.objects.filter(pk=heart.pk).update(speed=1.2)
    Character.objects.filter(pk=soul.pk).update(speed=1.0)
    freshness.refresh(play)
    assert states(play) == ["stale", "stale"]


def test_what_waits_with_old_words_is_asked_for_anew(play: Project, heart: Character, ann: User) -> None:
    (line,) = written(play, "Old.", character_id=heart.pk)
    generate(play, play.lines.all(), Want.MISSING, ann)
    old = Take.objects.get()
    lines.edit(line, text="New.")
    assert generate(play, play.lines.all(), Want.MISSING, ann).queued == 1
    old.refresh_from_db()
    assert old.state == TakeState.CANCELLED
    assert [take.text for take in Take.objects.queued()] == ["New."]


def test_a_take_that_was_overtaken_does_not_become_the_lines_audio(play: Project, heart: Character, ann: User) -> None:
    (line,) = written(play, "Old.", character_id=heart.pk)
    generate(play, play.lines.all(), Want.MISSING, ann)
    (running,) = Take.objects.claim([Take.objects.get().pk])
    lines.edit(line, text="New.")
    generate(play, play.lines.all(), Want.MISSING, ann)
    spoken(play)
    running.complete(finished(wav_file(tone(24_000, 0.1), 24_000), AudioFormat.WAV))
    line.refresh_from_db()
    assert line.take is not None and line.take.text == "New."


def test_who_can_not_be_spoken_is_left_out_with_the_reason(play: Project, heart: Character, ann: User) -> None:
    soul = Character.objects.get(name="Soul")
    written(play, "No voice.")
    written(play, "…", "Fine.", character_id=heart.pk)
    written(play, "Gone.", character_id=soul.pk)
    soul.archived_at = soul.created_at
    soul.save()
    outcome = generate(play, play.lines.all(), Want.MISSING, ann)
    assert outcome.queued == 1
    reasons = {
        "No character is chosen.",
        "There are no words to speak.",
        "“Soul” is archived: choose another character, or restore it.",
    }
    assert set(outcome.refused) == reasons and set(outcome.refused.values()) == {1}
    assert states(play) == ["missing", "missing", "queued", "missing"]


def test_the_same_words_are_spoken_once_where_audio_is_reused(play: Project, heart: Character, ann: User) -> None:
    Project.objects.update(reuse=True)
    play.refresh_from_db()
    written(play, "Yes.", "Yes.", "No.", character_id=heart.pk)
    first = generate(play, play.lines.all(), Want.MISSING, ann)
    assert (first.queued, first.reused) == (2, 1)
    written(play, "No.", character_id=heart.pk)
    second = generate(play, play.lines.all(), Want.MISSING, ann)
    assert (second.queued, second.reused) == (0, 1), "it waits for the one that is queued"
    spoken(play)
    assert states(play) == ["done"] * 4
    written(play, "Yes.", character_id=heart.pk)
    assert generate(play, play.lines.all(), Want.MISSING, ann).reused == 1
    assert states(play) == ["done"] * 5
    assert Take.objects.count() == 2


def test_a_project_is_cancelled_alone(play: Project, heart: Character, ann: User, stories: Bank) -> None:
    other = Project.objects.create(name="Other", kind="phase", owner=ann, bank=stories)
    for project in (play, other):
        written(project, "One.", "Two.", character_id=heart.pk)
        generate(project, project.lines.all(), Want.MISSING, ann)
    assert cancel(play) == 2
    assert (states(play), states(other)) == (["missing"] * 2, ["queued"] * 2)


def test_failed_lines_are_retried_and_no_others(play: Project, heart: Character, ann: User) -> None:
    from providers.errors import UpstreamBusy

    written(play, "One.", "Two.", "Three.", character_id=heart.pk)
    generate(play, play.lines.filter(text__in=["One.", "Two."]), Want.MISSING, ann)
    one, two = Take.objects.claim(list(Take.objects.values_list("pk", flat=True)))
    one.fail(UpstreamBusy("Busy."))
    two.complete(finished(wav_file(tone(24_000, 0.1), 24_000), AudioFormat.WAV))
    assert states(play) == [LineState.FAILED, LineState.DONE, LineState.MISSING]
    assert generate(play, play.lines.all(), Want.FAILED, ann).queued == 1
    assert states(play) == ["queued", "done", "missing"]


def test_removing_a_line_keeps_its_takes_and_cancels_what_waits(play: Project, heart: Character, ann: User) -> None:
    first, second = written(play, "One.", "Two.", character_id=heart.pk)
    generate(play, play.lines.filter(pk=first.pk), Want.MISSING, ann)
    spoken(play)
    generate(play, play.lines.filter(pk=second.pk), Want.MISSING, ann)
    assert lines.remove(play, play.lines.all()) == 2
    assert sorted(Take.objects.values_list("text", "state")) == [("One.", "done"), ("Two.", "cancelled")]


def test_outsiders_have_no_part_in_a_project(play: Project, ann: User, stories: Bank) -> None:
    bob, member = somebody("bob"), somebody("member")
    play.members.add(member)
    assert [list(Project.objects.visible_to(one)) for one in (ann, member, bob)] == [[play], [play], []]
    assert list(Project.objects.visible_to(somebody("root", superuser=True))) == [play]


def test_membership_of_a_bank_is_no_condition(play: Project, heart: Character, ann: User) -> None:
    Membership.objects.all().delete()
    written(play, "One.", character_id=heart.pk)
    assert generate(play, play.lines.all(), Want.MISSING, ann).queued == 1
