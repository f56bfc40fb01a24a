"""The page of suggested speakers: what it says before anything is sent, who may do what, and what its buttons do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from banks.models import Bank, Character
from neiroha_site.roles import Role
from providers.models import ChatModel, Provider
from studio import lines
from studio.models import Line, Project, SpeakerSuggestion, SuggestionRun, TakeState
from studio.readings import entries_of
from studio.suggestions import plans
from tests.conftest import add_character
from tests.people import client_of, member, text
from tests.projects import address, said
from tests.suggestions import SECRET, STORY, set_up, written

pytestmark = pytest.mark.django_db
AIM_QUERIES = 15


@pytest.fixture
def ann() -> User:
    return member(Role.PRODUCER, "ann")


@pytest.fixture
def tales(db: None) -> Bank:
    return Bank.objects.create(name="Tales")


@pytest.fixture
def heart(tales: Bank) -> Character:
    return add_character(tales, Provider.objects.create(name="Embedded", kind="embedded"), "Heart")


@pytest.fixture
def script(ann: User, tales: Bank) -> Project:
    return Project.objects.create(name="Script", kind="phase", owner=ann, bank=tales, format="wav")


@pytest.fixture
def writer(ann: User) -> Client:
    return client_of(ann)


@pytest.fixture
def viewer(script: Project) -> Client:
    user = member(Role.VIEWER, "viewer")
    script.members.add(user)
    return client_of(user)


def shown(client: Client, project: Project, query: str = "") -> str:
    return said(client.get(address(project, f"suggestions/{query}")))


def ask(client: Client, project: Project, **values: Any) -> Any:
    data = {"scope": "unnamed", "narrator": "Narrator", "sent_to": ChatModel.load().destination, **values}
    return client.post(address(project, "suggestions/"), data)


def act(client: Client, project: Project, what: str, **values: Any) -> str:
    response = client.post(address(project, "suggestions/act/"), {"act": what, **values}, follow=True)
    return said(response)


def proposed(project: Project, *speakers: str, state: str = "done") -> list[SpeakerSuggestion]:
    made = written(project, *(f"Speech {at}." for at in range(len(speakers))))
    return suggest(project, made, speakers, state=state)


def suggest(project: Project, made: list[Line], speakers: tuple[str, ...], **values: Any) -> list[SpeakerSuggestion]:
    run = SuggestionRun.objects.create(
        project=project, owner=project.owner, sent_to="http://127.0.0.1:9", lines=len(made), done=len(made), **values
    )
    return SpeakerSuggestion.objects.bulk_create(
        SpeakerSuggestion(
            project=project, run=run, line=line, speaker=speaker, confidence=at % 11 / 10, revision=line.revision
        )
        for at, (line, speaker) in enumerate(zip(made, speakers, strict=True))
    )


# What is told before anything is sent.


def test_the_page_says_what_goes_where(writer: Client, script: Project) -> None:
    written(script, *STORY)
    written(script, "“Well.”", speaker="Anna")
    set_up("http://reader.example:8000/v1")
    unnamed, every = plans(entries_of(script), ChatModel.load())
    page = shown(writer, script)
    assert f"Lines without a name: 4 lines, about {unnamed.characters:,} characters in 1 request" in page
    assert f"All lines: 5 lines, about {every.characters:,} characters in 1 request" in page
    assert "is sent to <strong>http://reader.example:8000</strong>, to the model reader-1" in page
    assert "Send to http://reader.example:8000" in page and "Nothing is sent before you press the button" in page
    assert not SuggestionRun.objects.exists()


def test_without_a_chat_model_it_says_who_sets_one_up(writer: Client, script: Project) -> None:
    written(script, *STORY)
    for page in (shown(writer, script), shown(writer, set_off(script))):
        assert "No chat model is set up, or it is switched off" in page and "Send to" not in page
        assert "/admin/providers/chatmodel/" not in page
    administrator = client_of(member(Role.ADMINISTRATOR))
    assert "Set up the chat model" in shown(administrator, script)
    assert "The chat model is switched off." in said(ask_anyway(writer, script))


def set_off(project: Project) -> Project:
    set_up(enabled=False)
    return project


def ask_anyway(client: Client, project: Project) -> Any:
    set_up(enabled=False)
    return client.post(address(project, "suggestions/"), {"scope": "unnamed", "sent_to": "http://127.0.0.1:9"})


def test_a_project_without_lines_says_so(writer: Client, script: Project) -> None:
    set_up()
    assert "There are no lines yet." in shown(writer, script)
    assert ask(writer, script).status_code == 200 and not SuggestionRun.objects.exists()


def test_the_tab_is_there_for_kinds_that_have_speakers(writer: Client, ann: User) -> None:
    set_up()
    for kind, there in {"phase": True, "novel": True, "dialogue": False, "dub": False}.items():
        project = Project.objects.create(name=kind, kind=kind, owner=ann)
        assert ("Suggestions</a>" in said(writer.get(address(project, "cast/")))) is there
        assert writer.get(address(project, "suggestions/")).status_code == (200 if there else 404)
        assert writer.post(address(project, "suggestions/act/"), {"act": "cancel"}).status_code == (
            302 if there else 404
        )


# Asking.


def test_asking_queues_it_and_the_page_follows(writer: Client, script: Project, ann: User) -> None:
    written(script, *STORY)
    set_up()
    response = ask(writer, script, narrator=" “Storyteller” ")
    assert response.status_code == 302
    run = SuggestionRun.objects.get()
    assert (run.project, run.owner, run.scope, run.narrator) == (script, ann, "unnamed", "Storyteller")
    assert (run.sent_to, run.lines, run.state) == ("http://127.0.0.1:9", 4, TakeState.QUEUED)
    page = shown(writer, script)
    assert "Waits for its turn" in page and "Send to" not in page
    assert f'data-nr-open="{address(script, f"suggestions/{run.pk}/")}"' in page
    piece = said(writer.get(address(script, f"suggestions/{run.pk}/")))
    assert piece.strip().startswith("<article") and "Waits for its turn" in piece
    assert "already" in said(ask(writer, script))
    assert SuggestionRun.objects.count() == 1


BAD: list[tuple[dict[str, Any], str]] = [
    ({"scope": "everything"}, "Select a valid choice"),
    ({"scope": ""}, "This field is required"),
    ({"narrator": "?!"}, "Enter a name of letters"),
    ({"narrator": "x" * 101}, "at most 100 characters"),
    ({"narrator": "a\x00b"}, "Null characters"),
    ({"sent_to": "http://elsewhere.example"}, "look where the text goes now"),
    ({"sent_to": ""}, "look where the text goes now"),
]


@pytest.mark.parametrize(("values", "told"), BAD, ids=range(len(BAD)))
def test_what_is_wrong_is_said(writer: Client, script: Project, values: dict[str, Any], told: str) -> None:
    written(script, *STORY)
    set_up()
    assert told in said(ask(writer, script, **values))
    assert not SuggestionRun.objects.exists()


def test_a_run_is_cancelled_and_gone_on_with(writer: Client, script: Project) -> None:
    written(script, *STORY)
    set_up()
    ask(writer, script)
    assert "Nothing more is sent." in act(writer, script, "cancel")
    assert "0 of 4 lines were read" in shown(writer, script)
    assert "look where the text goes now" in act(writer, script, "go_on", sent_to="http://elsewhere.example")
    assert SuggestionRun.objects.get().state == TakeState.CANCELLED
    act(writer, script, "go_on", sent_to="http://127.0.0.1:9")
    assert SuggestionRun.objects.get().state == TakeState.QUEUED
    assert "already" in act(writer, script, "go_on", sent_to="http://127.0.0.1:9")


def test_a_failure_is_told_with_its_reason(writer: Client, script: Project) -> None:
    proposed(script, "Anna", state="failed")
    SuggestionRun.objects.update(
        error="The chat model answered 500.", error_code="upstream_failed", lines=9, finished_at=timezone.now()
    )
    set_up()
    page = shown(writer, script)
    assert "The chat model answered 500. <code>upstream_failed</code>" in page
    assert "Go on, and send the rest to http://127.0.0.1:9" in page and "1 of 9 lines were read" in page


# Deciding.


def test_a_suggestion_stands_in_its_context(writer: Client, script: Project, viewer: Client) -> None:
    made = written(script, *STORY)
    suggest(script, made[1:2], ("<b>Anna</b>",))
    for client in (writer, viewer):
        page = shown(client, script)
        assert all(words in page for words in ("It rained.", "“Come in,” said Anna.", "“I come,” said Bob."))
        assert "Line 2" in page and "&lt;b&gt;Anna&lt;/b&gt;" in page and "<b>Anna" not in page
        assert "0 % sure" in page and "“Good.”" not in page
    assert 'value="take"' in shown(writer, script) and 'value="take"' not in shown(viewer, script)


def test_accepting_one_under_the_name_in_the_field(writer: Client, script: Project, heart: Character) -> None:
    lines.cast(script, "Anna", heart)
    first, second = proposed(script, "Old woman", "Bob")
    assert "1 line has its speaker now." in act(writer, script, "take", suggestion=first.pk, speaker="Anna")
    assert [(line.speaker, line.character) for line in script.lines.all()] == [("Anna", heart), ("", None)]
    assert "not there any more" in act(writer, script, "take", suggestion=first.pk, speaker="Anna")
    assert "Enter the name of the speaker" in act(writer, script, "take", suggestion=second.pk, speaker=" ")
    assert "Enter a name of letters" in act(writer, script, "take", suggestion=second.pk, speaker="…")
    assert "1 suggestion was rejected." in act(writer, script, "reject", suggestion=second.pk)
    assert "No suggestion waits for a decision." in shown(writer, script)


def test_accepting_by_speaker(writer: Client, script: Project) -> None:
    proposed(script, "Anna", "Bob", "Anna", "Bob", "Anna")
    page = shown(writer, script, "?speaker=Anna")
    assert page.count('class="nr-card nr-full nr-suggestion"') == 3 and "Lines for “Anna”" in page
    assert "3 lines have their speaker now." in act(writer, script, "take_named", name="Anna", speaker="Annabel")
    assert "2 suggestions were rejected." in act(writer, script, "reject_named", name="Bob")
    assert [line.speaker for line in script.lines.all()] == ["Annabel", "", "Annabel", "", "Annabel"]
    assert "No suggestion is like that." in act(writer, script, "take_named", name="Nobody", speaker="Nobody")
    assert shown(writer, script, "?speaker=Nobody%00&page=99")


@pytest.mark.parametrize(("percent", "taken"), [("80", 3), ("100", 1), ("0", 11), ("55", 5)])
def test_accepting_all_that_are_sure(writer: Client, script: Project, percent: str, taken: int) -> None:
    proposed(script, *["Anna"] * 11)
    assert f"{taken} line" in act(writer, script, "take_sure", percent=percent)
    assert script.lines.filter(speaker="Anna").count() == taken


@pytest.mark.parametrize("percent", ["", "-1", "101", "many", "1e9"])
def test_a_confidence_that_is_no_percentage(writer: Client, script: Project, percent: str) -> None:
    proposed(script, "Anna")
    assert "a number from 0 to 100" in act(writer, script, "take_sure", percent=percent)
    assert script.suggestions.count() == 1


def test_what_was_edited_meanwhile_is_marked_and_stays(writer: Client, script: Project) -> None:
    first, _second = proposed(script, "Anna", "Bob")
    lines.edit(script.lines.get(pk=first.line_id), text="Something else.")
    page = shown(writer, script)
    assert page.count("The line was changed since") == 1 and "Reject 1 whose line was changed" in page
    page = act(writer, script, "take_sure", percent="0")
    assert "1 line has its speaker now." in page and "1 line was changed since it was read" in page
    assert [line.speaker for line in script.lines.all()] == ["", "Bob"]
    assert "1 suggestion was rejected." in act(writer, script, "reject_stale")


@pytest.mark.parametrize(
    "values",
    [
        {"act": "nothing"},
        {"act": ""},
        {"act": "take", "suggestion": "x"},
        {"act": "take", "suggestion": "9" * 30, "speaker": "A"},
        {"act": "take_named", "name": "\x00", "speaker": "\x00"},
        {"act": "reject_named"},
        {"act": "go_on"},
        {"act": "cancel", "next": "https://elsewhere.example/"},
    ],
    ids=range(8),
)
def test_odd_presses_do_no_harm(writer: Client, script: Project, values: dict[str, str]) -> None:
    proposed(script, "Anna")
    SuggestionRun.objects.all()
    response = writer.post(address(script, "suggestions/act/"), values)
    if response.status_code == 302:
        assert response.headers["Location"] == address(script, "suggestions/")
    else:
        assert response.status_code == 403
    assert script.suggestions.count() == 1 and not script.lines.exclude(speaker="").exists()


# Who may.


def test_a_viewer_looks_and_starts_nothing(viewer: Client, script: Project) -> None:
    (one,) = proposed(script, "Anna")
    set_up()
    page = shown(viewer, script)
    assert "Anna" in page and "Send to" not in page and "Accept" not in page
    assert ask(viewer, script).status_code == 403
    for what in ("take", "take_sure", "cancel", "go_on", "reject_all"):
        data = {"act": what, "suggestion": one.pk, "speaker": "Anna", "percent": "0"}
        assert viewer.post(address(script, "suggestions/act/"), data).status_code == 403
    assert script.suggestions.count() == 1 and SuggestionRun.objects.count() == 1


def test_to_an_outsider_there_is_nothing(script: Project) -> None:
    (one,) = proposed(script, "Anna")
    set_up()
    outsider = client_of(member(Role.PRODUCER, "outsider"))
    own = Project.objects.create(name="Own", kind="phase", owner=User.objects.get(username="outsider"))
    pages = ("suggestions/", f"suggestions/{one.run_id}/")
    assert [outsider.get(address(script, page)).status_code for page in pages] == [404, 404]
    assert ask(outsider, script).status_code == 404
    data = {"act": "take", "suggestion": one.pk, "speaker": "Anna"}
    assert outsider.post(address(script, "suggestions/act/"), data).status_code == 404
    # Nor by way of a project of their own.
    assert outsider.get(address(own, f"suggestions/{one.run_id}/")).status_code == 404
    act(outsider, own, "take", suggestion=one.pk, speaker="Anna")
    assert script.suggestions.count() == 1 and script.lines.get().speaker == ""


def test_nobody_who_is_not_signed_in(script: Project) -> None:
    for page in ("suggestions/", "suggestions/1/", "suggestions/act/"):
        assert Client().get(address(script, page)).status_code == 302


def test_the_key_is_on_no_page(writer: Client, script: Project) -> None:
    written(script, *STORY)
    set_up()
    ask(writer, script)
    pages = [shown(writer, script), said(writer.get(address(script, f"suggestions/{SuggestionRun.objects.get().pk}/")))]
    assert all(SECRET not in page for page in pages)


# Size.


def test_thousands_of_lines_ask_the_database_no_more_often(writer: Client, script: Project) -> None:
    made = written(script, *(f"Line {at}." for at in range(5000)))
    suggest(script, made, tuple(f"Name {at % 150}" for at in range(5000)), state="done")
    set_up()
    shown(writer, script)
    with CaptureQueriesContext(connection) as queries:
        page = text(writer.get(address(script, "suggestions/?page=50")))
    assert len(queries) <= AIM_QUERIES, "\n".join(query["sql"][-150:] for query in queries)
    assert len(re.findall('id="nr-suggestion-\\d', page)) == 50 and "Line 2500" in page
