"""The page of a project: what it shows, to whom, and what its forms do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from banks.models import Bank, Character
from neiroha_site.roles import Role
from providers.errors import UpstreamBusy, UpstreamRejected
from providers.models import Provider
from studio import lines
from studio.generate import Want, generate
from studio.models import Line, Project, Take, TakeState
from tests.conftest import add_character
from tests.people import client_of, member, text
from tests.studio import somebody
from tests.test_lines import spoken, states, texts, written

pytestmark = pytest.mark.django_db(transaction=True)
# Pages of a project ask the database no more often, however many lines there are.
AIM_QUERIES = 15


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


@pytest.fixture
def producer(play: Project) -> Client:
    user = member(Role.PRODUCER, "producer")
    play.members.add(user)
    return client_of(user)


@pytest.fixture
def viewer(play: Project) -> Client:
    user = member(Role.VIEWER, "viewer")
    play.members.add(user)
    return client_of(user)


def address(project: Project, query: str = "") -> str:
    return f"/studio/projects/{project.pk}/{query}"


def shown(client: Client, project: Project, query: str = "") -> str:
    response = client.get(address(project, query))
    assert response.status_code == 200, response.status_code
    return text(response)


def act(client: Client, project: Project, what: str, *ticked: Line, **values: Any) -> str:
    """Press a button of the page; the page that follows."""
    data = {"act": what, "line": [str(line.pk) for line in ticked], **values}
    response = client.post(f"{address(project)}lines/act/", data, follow=True)
    assert response.status_code == 200, response.status_code
    return text(response)


def add(client: Client, project: Project, words: str, **values: Any) -> Any:
    data = {f"new-{name}": value for name, value in {"text": words, "character": "", **values}.items()}
    return client.post(f"{address(project)}lines/add/", data)


def edit(client: Client, line: Line, **values: Any) -> Any:
    """Save the line's form with some values changed; `split` and `at` are not of a field."""
    further = {name: values.pop(name) for name in ("split", "at") if name in values}
    was = {name: getattr(line, name) for name in ("text", "instruction", "speed", "chapter", "revision")}
    fields = {"character": line.character_id or "", **was, **values}
    data = {f"line-{line.pk}-{name}": value for name, value in fields.items()} | further
    return client.post(f"{address(line.project)}lines/{line.pk}/", data)


def order_on(page: str) -> list[str]:
    """The lines' numbers and keys as the page has them."""
    return re.findall(r'id="nr-line-(\d+)"', page)


# Writing.


def test_an_empty_project_says_what_to_do(play: Project, producer: Client, viewer: Client) -> None:
    page = shown(producer, play)
    assert "Nothing is written yet." in page and "Choose a character below" in page and 'id="nr-composer"' in page
    assert "Once somebody has written lines" in shown(viewer, play)


def test_lines_are_written_at_the_end_and_between(play: Project, heart: Character, producer: Client) -> None:
    assert add(producer, play, "One.", character=heart.pk).status_code == 302
    add(producer, play, "Three.", character=heart.pk)
    first, last = play.lines.all()
    page = shown(producer, play, f"?insert=before:{last.pk}")
    assert "Goes before “Three.”" in page and f'value="before:{last.pk}"' in page
    add(producer, play, "Two.", place=f"before:{last.pk}")
    add(producer, play, "Four.", place=f"after:{last.pk}")
    add(producer, play, "Zero.", place=f"before:{first.pk}")
    for nonsense in ("before:99999", "sideways:1", "after:", "after:x"):
        add(producer, play, "End.", place=nonsense)
    assert texts(play) == ["Zero.", "One.", "Two.", "Three.", "Four.", *["End."] * 4]
    assert play.lines.values_list("character", flat=True)[0] is None and first.character == heart


def test_a_line_is_generated_at_once_where_that_is_wished(
    play: Project,
    heart: Character,
    producer: Client,
) -> None:
    add(producer, play, "Quiet.", character=heart.pk)
    add(producer, play, "Aloud.", character=heart.pk, generate="on")
    assert states(play) == ["missing", "queued"]
    assert Take.objects.get().owner.username == "producer"


@pytest.mark.parametrize(
    ("words", "reason"), [("", "A line needs a text."), ("  ", "needs a text"), ("a" * 5001, "at most 5000")]
)
def test_what_is_no_line_stays_in_the_box_with_the_reason(
    play: Project,
    producer: Client,
    words: str,
    reason: str,
) -> None:
    response = add(producer, play, words)
    assert response.status_code == 200 and reason in text(response)
    assert words.strip() in text(response) and not play.lines.exists()


def test_a_character_that_is_not_there_is_refused_at_the_field(play: Project, producer: Client) -> None:
    for nobody in ("999", "x", "-1"):
        response = add(producer, play, "Hello.", character=nobody)
        assert "This character can&#x27;t speak any more" in text(response) and "Hello." in text(response)


def test_a_line_is_edited(play: Project, heart: Character, producer: Client) -> None:
    (line,) = written(play, "Old.", speaker="Ann")
    form = text(producer.get(f"{address(play)}lines/{line.pk}/"))
    assert "Old." in form and "<html" not in form
    assert "Old." in shown(producer, play, f"?edit={line.pk}")
    values = {"character": heart.pk, "instruction": "softly", "speed": "1.5", "chapter": "One"}
    response = edit(producer, line, text=" New.\r\nLines. ", **values)
    assert response.status_code == 302 and response["Location"].endswith(f"#nr-line-{line.pk}")
    line.refresh_from_db()
    assert (line.text, line.character, line.instruction, line.speed) == ("New.\nLines.", heart, "softly", 1.5)
    page = shown(producer, play)
    assert "“softly”" in page and "Speed 1.5" in page and "One</h2>" in page and "In the script: Ann" in page


def test_saving_without_a_change_changes_nothing(play: Project, producer: Client) -> None:
    (line,) = written(play, "Same.")
    assert edit(producer, line).status_code == 302
    line.refresh_from_db()
    assert line.revision == 0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"text": " "}, "A line needs a text."),
        ({"speed": "9"}, "less than or equal to 4"),
        ({"speed": "fast"}, "Enter a number"),
        ({"speed": ""}, "This field is required"),
        ({"instruction": "a" * 2001}, "at most 2000"),
        ({"chapter": "a" * 201}, "at most 200"),
        ({"character": "999"}, "choose another"),
    ],
)
def test_wrong_values_are_told_at_their_fields(
    play: Project,
    producer: Client,
    values: dict[str, str],
    reason: str,
) -> None:
    (line,) = written(play, "Good.")
    page = text(edit(producer, line, **values))
    (name,) = values
    field = page.split(f'id="nr-field-line-{line.pk}-{name}"')[-1].split('class="nr-field"')[0]
    assert reason in field and "nr-error" in field
    assert texts(play) == ["Good."]


def test_of_two_who_edit_a_line_nobody_loses_words(play: Project, producer: Client) -> None:
    (line,) = written(play, "Old.")
    lines.edit(Line.objects.get(pk=line.pk), text="The other's <b>words</b>.")
    page = text(edit(producer, line, text="My words."))
    assert "Somebody else changed this line meanwhile" in page
    assert "The other&#x27;s &lt;b&gt;words&lt;/b&gt;." in page and "My words.</textarea>" in page
    assert texts(play) == ["The other's <b>words</b>."]
    # The second time it is meant.
    line.revision = int(page.split(f'name="line-{line.pk}-revision" value="')[1].split('"')[0])
    assert edit(producer, line, text="My words.").status_code == 302
    assert texts(play) == ["My words."]


def test_saving_the_same_words_over_anothers_is_a_conflict_too(play: Project, producer: Client) -> None:
    (line,) = written(play, "Old.")
    lines.edit(Line.objects.get(pk=line.pk), text="New.")
    assert "Somebody else changed" in text(edit(producer, line, text="New."))


def test_the_words_for_a_line_that_was_removed_are_kept(play: Project, producer: Client) -> None:
    line, _other = written(play, "Old.", "Other.")
    lines.remove(play, play.lines.filter(pk=line.pk))
    page = text(edit(producer, line, text="Much work."))
    assert "Somebody removed this line meanwhile" in page and "Much work.</textarea>" in page
    assert producer.get(f"{address(play)}lines/{line.pk}/").status_code == 404


@pytest.mark.parametrize(
    ("typed", "at", "parts"),
    [
        ("Come here, please.", 10, ["Come here,", "please."]),
        ("  Come here, please.", 12, ["Come here,", "please."]),
        ("One.\r\nTwo.", 5, ["One.", "Two."]),
        ("😀😀 smile.", 3, ["😀😀", "smile."]),
    ],
)
def test_a_line_is_split_at_the_cursor(
    play: Project,
    producer: Client,
    typed: str,
    at: int,
    parts: list[str],
) -> None:
    (line,) = written(play, "Old.")
    assert edit(producer, line, text=typed, split="yes", at=at).status_code == 302
    assert texts(play) == parts


def test_a_line_can_not_be_split_at_its_end(play: Project, producer: Client) -> None:
    (line,) = written(play, "Come here.")
    for nowhere in ("", "0", "99", "x"):
        page = text(edit(producer, line, text="Come here now.", split="yes", at=nowhere))
        assert "Put the cursor between two words" in page
        line.refresh_from_db()
        assert f'revision" value="{line.revision}"' in page
    assert texts(play) == ["Come here now."], "what was typed is saved all the same"


def test_lines_are_joined_moved_and_deleted(play: Project, producer: Client) -> None:
    made = written(play, *"abcd")
    act(producer, play, f"join:{made[0].pk}")
    assert texts(play) == ["a b", "c", "d"]
    act(producer, play, f"up:{made[3].pk}")
    assert texts(play) == ["a b", "d", "c"]
    act(producer, play, f"down:{made[0].pk}")
    assert texts(play) == ["d", "a b", "c"]
    act(producer, play, f"move:{made[2].pk}", before=made[3].pk)
    assert texts(play) == ["c", "d", "a b"]
    act(producer, play, f"move:{made[2].pk}", after=made[0].pk)
    assert texts(play) == ["d", "a b", "c"]
    assert "1 line was deleted" in act(producer, play, f"delete:{made[0].pk}")
    assert texts(play) == ["d", "c"]
    for edge in (f"up:{made[3].pk}", f"down:{made[2].pk}"):
        act(producer, play, edge)
    assert texts(play) == ["d", "c"]
    assert "no line behind" in act(producer, play, f"join:{made[2].pk}")
    assert "not there any more" in act(producer, play, f"join:{made[0].pk}")


def test_several_lines_are_changed_together(play: Project, heart: Character, producer: Client) -> None:
    made = written(play, *"abc")
    act(producer, play, "assign", *made[:2], **{"ticked-character": heart.pk})
    act(producer, play, "speed", *made[1:], **{"ticked-speed": "1.25"})
    act(producer, play, "instruction", made[2], **{"ticked-instruction": "softly"})
    found = list(play.lines.values_list("character", "speed", "instruction"))
    assert found == [(heart.pk, 1, ""), (heart.pk, 1.25, ""), (None, 1.25, "softly")]
    act(producer, play, "speed", *made, **{"ticked-speed": ""})
    act(producer, play, "assign", *made, **{"ticked-character": ""})
    assert not play.lines.exclude(character=None, speed=1.0).exists()
    assert "Tick the lines first." in act(producer, play, "assign", **{"ticked-character": heart.pk})
    page = act(producer, play, "speed", made[0], **{"ticked-speed": "9"})
    assert "less than or equal to 4" in page and f'value="{made[0].pk}" aria-label="Choose line 1" checked' in page
    assert "2 lines were deleted" in act(producer, play, "delete", *made[:2])


# Speaking.


def test_what_is_generated(play: Project, heart: Character, producer: Client) -> None:
    made = written(play, *"abc", character_id=heart.pk)
    assert "1 line is queued." in act(producer, play, f"generate:{made[0].pk}")
    assert "1 line is queued." in act(producer, play, "generate", made[1])
    assert states(play) == ["queued", "queued", "missing"]
    act(producer, play, f"cancel:{made[0].pk}")
    act(producer, play, "cancel", made[1])
    assert states(play) == ["missing"] * 3
    assert "3 lines are queued." in act(producer, play, "missing")
    assert "They are queued already." in act(producer, play, "missing")
    assert "3 takes were cancelled." in act(producer, play, "cancel_all")
    act(producer, play, "missing")
    spoken(play)
    assert "all audio is current" in act(producer, play, "missing")
    page = shown(producer, play)
    assert "3 of 3 lines done" in page and "Speaks every line once more, 3 that have current audio" in page
    assert "3 lines are queued." in act(producer, play, "all")


def test_failures_say_whether_trying_again_helps(
    play: Project,
    heart: Character,
    ann: User,
    producer: Client,
) -> None:
    written(play, "Busy.", "Never.", character_id=heart.pk)
    generate(play, play.lines.all(), Want.MISSING, ann)
    busy, never = Take.objects.claim(list(Take.objects.values_list("pk", flat=True)))
    busy.fail(UpstreamBusy("<i>Busy</i>."))
    never.fail(UpstreamRejected("Too rude."))
    page = shown(producer, play)
    assert "&lt;i&gt;Busy&lt;/i&gt;." in page and "This may pass" in page and "will fail in the same way" in page
    assert "Retry 2 failed" in page
    assert "2 lines are queued." in act(producer, play, "failed")


def test_who_can_not_be_spoken_is_named_with_the_reason(play: Project, heart: Character, producer: Client) -> None:
    written(play, "No voice.", "…")
    (last,) = written(play, "Fine.", character_id=heart.pk)
    page = act(producer, play, "missing")
    assert "1 line can&#x27;t be spoken. No character is chosen." in page and "There are no words to speak." in page
    heart.archived_at = heart.created_at
    heart.save()
    act(producer, play, "cancel_all")
    page = act(producer, play, f"generate:{last.pk}")
    assert "is archived" in page and "Heart (can&#x27;t speak now)" in shown(producer, play, f"?edit={last.pk}")


def test_an_earlier_take_is_chosen_again(play: Project, heart: Character, ann: User, producer: Client) -> None:
    (line,) = written(play, "Hello.", character_id=heart.pk)
    for _ in range(2):
        generate(play, play.lines.all(), Want.ALL, ann)
        spoken(play)
    first, second = Take.objects.order_by("pk")
    form = text(producer.get(f"{address(play)}lines/{line.pk}/"))
    assert form.count("<audio") == 2 and form.count("In use") == 1 and f"use:{line.pk}:{first.pk}" in form
    act(producer, play, f"use:{line.pk}:{first.pk}")
    line.refresh_from_db()
    assert line.take == first
    other = Take.objects.get(pk=second.pk)
    other.line = None
    other.save()
    for nothing in (second.pk, 999, "x", ""):
        response = producer.post(f"{address(play)}lines/act/", {"act": f"use:{line.pk}:{nothing}"})
        assert response.status_code == 404


def test_stale_audio_says_so_and_can_still_be_heard(
    play: Project, heart: Character, ann: User, producer: Client
) -> None:
    (line,) = written(play, "Hello.", character_id=heart.pk)
    generate(play, play.lines.all(), Want.ALL, ann)
    spoken(play)
    take = Take.objects.get()
    Character.objects.filter(pk=heart.pk).update(speed=1.5)
    page = shown(producer, play)
    assert "Made with other words or another voice" in page and f"/studio/takes/{take.pk}/audio" in page
    assert "Generate 1 missing" in page and "0 of 1 line done" in page


# Finding.


def test_lines_are_found_and_reached(play: Project, heart: Character, ann: User, producer: Client) -> None:
    made = written(play, *(f"Number {number}." for number in range(1, 251)))
    lines.assign(play, play.lines.filter(pk=made[119].pk), heart)
    generate(play, play.lines.filter(pk=made[119].pk), Want.MISSING, ann)
    assert order_on(shown(producer, play, "?page=2")) == [str(line.pk) for line in made[100:200]]
    assert order_on(shown(producer, play, "?q=number+12")) == [str(made[place].pk) for place in (11, *range(119, 129))]
    for query in ("?state=queued", f"?character={heart.pk}", f"?q=120&state=queued&character={heart.pk}"):
        page = shown(producer, play, query)
        assert order_on(page) == [str(made[119].pk)] and '<span class="nr-number">120</span>' in page, query
        assert "1 line found" in page and "nr-handle" not in page, "what is filtered has no order to change"
    assert "No line fits this." in shown(producer, play, "?q=nothing")
    for nonsense in ("?state=x&character=y&page=z", "?page=999", "?edit=x", "?edit=999", "?insert=x:y", "?line=x"):
        assert order_on(shown(producer, play, nonsense))
    for number, page_number, place in (("1", "", 0), ("101", "?page=2", 100), ("9999", "?page=3", 249), ("0", "", 0)):
        response = producer.get(address(play, f"?line={number}"))
        assert response["Location"] == f"{address(play, page_number)}#nr-line-{made[place].pk}"


def test_forms_lead_back_to_the_page_that_they_are_on(play: Project, producer: Client) -> None:
    line, _other = written(play, "Hello.", "Other.")
    for asked, led in (
        (address(play, "?page=1&q=hello"), address(play, "?page=1&q=hello")),
        ("//evil.example/", address(play)),
        ("https://evil.example/studio/projects/", address(play)),
        (f"{address(play)}../../../admin/", address(play)),
    ):
        response = producer.post(f"{address(play)}lines/act/", {"act": f"up:{line.pk}", "next": asked})
        assert response["Location"] == f"{led}#nr-line-{line.pk}"
    data = {"act": f"delete:{line.pk}", "next": address(play, "?page=1&q=hello")}
    assert 'value="hello"' in text(producer.post(f"{address(play)}lines/act/", data, follow=True))


@pytest.mark.parametrize("kind", ["dialogue", "phase"])
def test_thousands_of_lines_cost_no_more(
    play: Project,
    heart: Character,
    ann: User,
    producer: Client,
    kind: str,
) -> None:
    Project.objects.update(kind=kind)
    written(play, *(f"Number {number}." for number in range(5000)), character_id=heart.pk)
    generate(play, play.lines.filter(position__lte=200 * lines.STEP), Want.MISSING, ann)
    shown(producer, play)
    for query in ("", "?page=7", "?state=queued", "?q=number&page=30", f"?character={heart.pk}", "?page=50&edit=1"):
        with CaptureQueriesContext(connection) as asked:
            assert len(order_on(shown(producer, play, query))) == 100, query
        assert len(asked) <= AIM_QUERIES, (query, [each["sql"][:120] for each in asked])


def test_speakers_keep_their_sides(play: Project, heart: Character, stories: Bank, producer: Client) -> None:
    soul = Character.objects.get(name="Soul")
    written(play, "Hi.", character_id=soul.pk)
    written(play, "Ho.", "Again.", character_id=heart.pk)
    written(play, "Well.", character_id=soul.pk)
    page = shown(producer, play)
    assert re.findall(r"nr-turn-(left|right)", page) == ["left", "right", "right", "left"]
    assert re.findall(r"nr-turn-(left|right)", shown(producer, play, f"?character={heart.pk}")) == ["right", "right"]


# Who may.


def test_outsiders_find_nothing(play: Project, heart: Character, producer: Client) -> None:
    (line,) = written(play, "Secret.", character_id=heart.pk)
    outsider = client_of(member(Role.PRODUCER, "outsider"))
    assert outsider.get(address(play)).status_code == 404
    assert outsider.get(f"{address(play)}lines/{line.pk}/").status_code == 404
    assert add(outsider, play, "Mine.").status_code == 404
    assert edit(outsider, line, text="Mine.").status_code == 404
    for what in ("missing", f"delete:{line.pk}"):
        assert outsider.post(f"{address(play)}lines/act/", {"act": what}).status_code == 404
    assert texts(play) == ["Secret."] and not Take.objects.exists()


def test_lines_of_another_project_are_out_of_reach(
    play: Project,
    heart: Character,
    stories: Bank,
    producer: Client,
) -> None:
    other = Project.objects.create(name="Other", kind="dialogue", owner=member(Role.PRODUCER, "bob"), bank=stories)
    (secret,) = written(other, "Secret.", character_id=heart.pk)
    written(play, "Mine.")
    assert producer.get(f"{address(play)}lines/{secret.pk}/").status_code == 404
    for what in ("generate", "delete", "cancel"):
        assert "Tick the lines first." in act(producer, play, what, secret)
        assert "not there any more" in act(producer, play, f"{what}:{secret.pk}")
    add(producer, play, "Where?", place=f"before:{secret.pk}")
    assert texts(other) == ["Secret."] and texts(play) == ["Mine.", "Where?"]


def test_viewers_look_and_listen(play: Project, heart: Character, ann: User, viewer: Client) -> None:
    (line,) = written(play, "Hello.", character_id=heart.pk)
    generate(play, play.lines.all(), Want.ALL, ann)
    spoken(play)
    page = shown(viewer, play, f"?edit={line.pk}&insert=before:{line.pk}")
    assert "Hello." in page and "data-nr-play" in page
    for absent in ('name="act"', "nr-composer", "nr-edit-", 'type="checkbox" class="nr-tick"', "nr-handle"):
        assert absent not in page.split('id="nr-summary"')[1], absent
    audio = viewer.get(f"/studio/takes/{Take.objects.get().pk}/audio")
    assert audio.status_code == 200
    assert viewer.get(f"{address(play)}lines/{line.pk}/").status_code == 403
    assert add(viewer, play, "Mine.").status_code == 403
    assert edit(viewer, line, text="Mine.").status_code == 403
    assert viewer.post(f"{address(play)}lines/act/", {"act": "missing"}).status_code == 403
    assert texts(play) == ["Hello."]


def test_what_is_no_action_is_refused(play: Project, producer: Client) -> None:
    (line,) = written(play, "Hello.")
    for nonsense in ("", "explode", f"missing:{line.pk}", f"assign:{line.pk}", "up", "use"):
        assert producer.post(f"{address(play)}lines/act/", {"act": nonsense}).status_code == 403
    assert producer.get(f"{address(play)}lines/act/").status_code == 405
    for pk in ("x", "9" * 30, "-1"):
        assert "not there any more" in act(producer, play, f"up:{pk}")


def test_hostile_words_are_shown_as_words(play: Project, stories: Bank, producer: Client) -> None:
    name = "<img src=x onerror=alert(1)>"
    wicked = Character.objects.create(name=name, provider=Provider.objects.get())
    values = {"speaker": name, "instruction": name, "chapter": name}
    written(play, f"</textarea>{name}", character_id=wicked.pk, **values)
    for kind in ("dialogue", "phase"):
        Project.objects.update(kind=kind, name=name)
        for query in ("", f"?edit={play.lines.get().pk}", f"?insert=after:{play.lines.get().pk}", f"?q={name}"):
            assert "<img src=x" not in shown(producer, play, query)


def test_cancelled_takes_leave_no_trace_in_the_figures(
    play: Project,
    heart: Character,
    ann: User,
    producer: Client,
) -> None:
    written(play, *"ab", character_id=heart.pk)
    generate(play, play.lines.all(), Want.MISSING, ann)
    assert "Cancel all 2" in shown(producer, play)
    act(producer, play, "cancel_all")
    assert set(Take.objects.values_list("state", flat=True)) == {TakeState.CANCELLED}
    page = shown(producer, play)
    assert "Cancel all" not in page and "Generate 2 missing" in page
