"""A chat model reads a project on the server's loop: what is sent, kept, tried again, cancelled and gone on with."""

from __future__ import annotations

import json
import logging
import threading
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from banks.models import Bank, Character
from providers.audit import AuditEntry
from providers.errors import ProviderUnavailable
from providers.models import ChatModel, Provider, UsageMinute
from studio import housekeeping, lines, projects, suggester, suggestions
from studio.models import Line, Project, Scope, SpeakerSuggestion, SuggestionRun, TakeState
from studio.readings import entries_of, next_reading, store
from studio.speaker_prompt import Proposal
from studio.suggestions import plans
from tests.conftest import add_character
from tests.projects import address
from tests.studio import browser_of, somebody
from tests.suggestions import SECRET, STORY, ended, forget_usage, reader, set_up, started, suggested, written
from tests.test_api_streams import eventually
from tests.upstreams.chat_model import ChatModelUpstream
from tests.upstreams.common import Refusal

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def hurried(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tries as always, without the pauses between them."""
    monkeypatch.setattr(suggester, "PAUSES", (0.0,) * len(suggester.PAUSES))
    forget_usage()


@pytest.fixture
def ann() -> User:
    return somebody("ann", superuser=True)


@pytest.fixture
def tales(transactional_db: None) -> Bank:
    return Bank.objects.create(name="Tales")


@pytest.fixture
def heart(tales: Bank) -> Character:
    return add_character(tales, Provider.objects.create(name="Embedded", kind="embedded"), "Heart")


@pytest.fixture
def script(ann: User, tales: Bank) -> Project:
    return Project.objects.create(name="Script", kind="phase", owner=ann, bank=tales, format="wav", language="en")


def errors_of_ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = ("studio", "providers")
    return [each.getMessage() for each in caplog.records if each.levelname == "ERROR" and each.name.startswith(ours)]


# Reading, on a running server.


def test_a_story_gets_suggestions_and_no_line_changes(server: str, script: Project, ann: User) -> None:
    written(script, *STORY)
    with reader() as upstream:
        run = ended(started(script, ann))
    assert (run.state, run.lines, run.done, run.requests, run.error) == (TakeState.DONE, 4, 4, 1, "")
    assert suggested(script) == [
        (STORY[0], "Narrator", 60),
        (STORY[1], "Anna", 90),
        (STORY[2], "Bob", 90),
        (STORY[3], "Narrator", 60),
    ]
    assert [(line.speaker, line.revision) for line in script.lines.all()] == [("", 0)] * 4
    (passage,) = upstream.passages
    assert [piece["text"] for piece in passage["passage"]] == list(STORY)
    assert (passage["narrator"], passage["language"], passage["known_names"]) == ("Narrator", "en", [])


def test_nothing_is_sent_before_somebody_asks(server: str, script: Project) -> None:
    written(script, *STORY)
    with reader() as upstream:
        plans(entries_of(script), ChatModel.load())
    assert upstream.requests == []


def test_a_long_text_goes_in_windows_which_know_what_came_before(server: str, script: Project, ann: User) -> None:
    written(script, *(f"“This is the speech number {number},” said Anna{number % 3}." for number in range(60)))
    with reader(window_characters=500) as upstream:
        run = ended(started(script, ann))
    assert run.state == TakeState.DONE and run.requests == len(upstream.passages) == 6
    assert run.requests == plans(entries_of(script), ChatModel.load())[0].requests
    assert [speaker for _text, speaker, _percent in suggested(script)] == [f"Anna{at % 3}" for at in range(60)]
    second = upstream.passages[1]
    assert {"speaker": "Anna0", "text": script.lines.all()[9].text} in second["passage"]
    assert second["known_names"] == ["Anna0", "Anna1", "Anna2"]
    assert all(sum(len(each.get("text", "")) for each in one["passage"]) <= 750 for one in upstream.passages)


def test_only_lines_without_a_name_or_all(server: str, script: Project, ann: User) -> None:
    written(script, STORY[0], speaker="Narrator")
    written(script, *STORY[1:3])
    written(script, "“No,” said Anna.", speaker="Bob")
    with reader() as upstream:
        ended(started(script, ann))
        assert [speaker for _text, speaker, _ in suggested(script)] == ["Anna", "Bob"]
        assert [piece.get("speaker") for piece in upstream.passages[0]["passage"]] == ["Narrator", None, None, "Bob"]
        ended(started(script, ann, scope=Scope.ALL))
    # The narrator has the first line already.
    assert [speaker for _text, speaker, _ in suggested(script)] == ["Anna", "Bob", "Anna"]


def test_names_that_are_known_keep_their_spelling(server: str, script: Project, heart: Character, ann: User) -> None:
    lines.cast(script, "ANNA", heart)
    written(script, *STORY[:3])
    with reader() as upstream:
        ended(started(script, ann, narrator=""))
    assert upstream.passages[0]["known_names"] == ["ANNA", "Heart"]
    assert [speaker for _text, speaker, _ in suggested(script)] == ["ANNA", "Bob"]


def test_json_mode_that_is_refused_is_remembered(server: str, script: Project, ann: User) -> None:
    written(script, *STORY[:2])
    with reader(ChatModelUpstream(formats=())) as upstream:
        assert ended(started(script, ann)).state == TakeState.DONE
        assert ChatModel.load().json_refused
        assert ended(started(script, ann)).state == TakeState.DONE
    assert ["response_format" in body for body in upstream.asked] == [True, False, False]


def test_odd_answers_name_no_other_lines(server: str, script: Project, ann: User) -> None:
    others = written(Project.objects.create(name="Other", kind="phase", owner=ann), "Not yours.")
    written(script, *STORY[:2])
    odd = [
        {"line": 1, "speaker": "Anna\u202e\n", "confidence": 7, "text": "Changed."},
        {"line": 1, "speaker": "Bob", "confidence": 1},
        {"line": 3, "speaker": "Bob", "confidence": 1},
        {"line": others[0].pk, "speaker": "Bob", "confidence": 1},
        {"line": 2, "speaker": "x" * 200, "confidence": 1},
    ]
    with reader(ChatModelUpstream(content="Sure!\n```json\n" + json.dumps({"speakers": odd}) + "\n```")):
        ended(started(script, ann))
    assert suggested(script) == [(STORY[0], "Anna", 7)]
    assert SpeakerSuggestion.objects.count() == 1
    assert [line.text for line in Line.objects.all()] == ["Not yours.", *STORY[:2]]


def test_a_failure_that_may_pass_is_tried_again(server: str, script: Project, ann: User) -> None:
    written(script, *STORY)
    upstream = ChatModelUpstream(refusals=[Refusal(500, "Oh.")], content=["Let me think.", '{"speakers": []}'])
    with reader(upstream):
        run = ended(started(script, ann))
    assert (run.state, run.done, len(upstream.requests)) == (TakeState.DONE, 4, 3)


FAILURES: list[tuple[dict[str, Any], str, int]] = [
    ({"refusals": [Refusal(500, "Oh.")] * 9}, "upstream_failed", 4),
    ({"refusals": [Refusal(401, f"Incorrect API key provided: Bearer {SECRET}")]}, "upstream_unauthorized", 1),
    ({"refusals": [Refusal(429, "Spent.", code="insufficient_quota")]}, "upstream_quota_spent", 1),
    ({"refusals": [Refusal(302, headers={"location": "http://127.0.0.1:1/"})]}, "upstream_rejected", 1),
    ({"content": "I would rather talk of something else."}, "upstream_failed", 4),
    ({"cut": True}, "upstream_unreachable", 4),
    ({"raw": b" " * 600_000}, "upstream_failed", 4),
    ({"finish": "length"}, "upstream_rejected", 1),
]


@pytest.mark.parametrize(("switches", "code", "tries"), FAILURES, ids=range(len(FAILURES)))
def test_a_failure_is_told_and_the_run_can_go_on(
    server: str,
    script: Project,
    ann: User,
    caplog: pytest.LogCaptureFixture,
    switches: dict[str, Any],
    code: str,
    tries: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    written(script, *STORY)
    upstream = ChatModelUpstream(**switches)
    with reader(upstream):
        run = ended(started(script, ann))
        assert (run.state, run.error_code, run.done) == (TakeState.FAILED, code, 0)
        assert run.error and len(upstream.requests) == tries
        assert suggested(script) == []
        upstream.switches = ChatModelUpstream().switches
        suggestions.go_on(run, ann, sent_to=run.sent_to)
        assert ended(run).state == TakeState.DONE
    assert len(suggested(script)) == 4
    assert SECRET not in run.error and SECRET not in caplog.text
    assert errors_of_ours(caplog) == []


def test_cancelling_ends_the_call_and_keeps_what_came(server: str, script: Project, ann: User) -> None:
    written(script, *(f"“Speech number {number},” said Anna." for number in range(40)))
    upstream = ChatModelUpstream()
    with reader(upstream, window_characters=500):
        upstream.think = _holding_after(upstream, 2)
        run = started(script, ann)
        upstream.wait_for(lambda each: len(each.requests) == 3 and each.current == 1)
        assert suggestions.cancel(script) == 1
        upstream.wait_for(lambda each: each.disconnects == 1)
        eventually(lambda: _open_readers() == 0)
        run.refresh_from_db()
        assert (run.state, run.requests) == (TakeState.CANCELLED, 2)
        kept = len(suggested(script))
        assert kept == run.done > 10
        # And on from there, not from the beginning.
        upstream.switches.held = False
        suggestions.go_on(run, ann, sent_to=run.sent_to)
        run = ended(run)
    assert run.state == TakeState.DONE and run.done == 40 and len(suggested(script)) == 40
    texts = [piece["text"] for one in upstream.passages[3:] for piece in one["passage"] if "line" in piece]
    assert len(texts) == 40 - kept


def _holding_after(upstream: ChatModelUpstream, answers: int) -> Any:
    """Thinks as always; after so many answers nothing is answered any more."""
    think = upstream.think

    def held(asked: dict[str, Any]) -> str:
        if len(upstream.requests) == answers:
            upstream.switches.held = True
        return think(asked)

    return held


def _open_readers() -> int:
    from studio import runner

    return sum(len(one._suggester._readers) for _loop, one in runner._running())


def test_two_projects_are_read_at_once(server: str, script: Project, ann: User) -> None:
    other = Project.objects.create(name="Other", kind="novel", owner=ann)
    upstream = ChatModelUpstream(held=True)
    with reader(upstream, max_concurrency=2):
        runs = []
        for project in (script, other):
            written(project, *STORY)
            runs.append(started(project, ann))
        upstream.wait_for(lambda each: each.current == 2)
        upstream.release(2)
        assert [ended(run).state for run in runs] == [TakeState.DONE] * 2
    assert suggested(script) == suggested(other) != []


def test_no_more_at_once_than_the_administrator_allows(server: str, script: Project, ann: User) -> None:
    several = [script, *(Project.objects.create(name=f"{at}", kind="phase", owner=ann) for at in range(3))]
    upstream = ChatModelUpstream(held=True)
    with reader(upstream, max_concurrency=1):
        runs = []
        for project in several:
            written(project, *STORY)
            runs.append(started(project, ann))
        for answered in range(1, 5):
            upstream.wait_for(partial(_was_asked, answered))
            upstream.release()
        assert {ended(run).state for run in runs} == {TakeState.DONE}
    assert upstream.peak == 1


def _was_asked(times: int, upstream: ChatModelUpstream) -> bool:
    return len(upstream.requests) == times


def test_what_waits_for_the_administrators_limit_says_so(server: str, script: Project, ann: User) -> None:
    written(script, *(f"“Speech number {number},” said Anna." for number in range(40)))
    with reader(window_characters=500, requests_per_minute=1) as upstream, browser_of(ann, server) as browser:
        page = address(script, f"suggestions/{started(script, ann).pk}/")
        eventually(lambda: "requests per minute" in browser.get(page).text)
        assert len(upstream.requests) == 1
        suggestions.cancel(script)
        eventually(lambda: _open_readers() == 0)
        assert "requests per minute" not in browser.get(page).text


def test_what_is_used_counts_in_the_ledger_as_no_providers(server: str, script: Project, ann: User) -> None:
    from neiroha_site.figures import spoken_by_day

    written(script, *STORY)
    with reader(requests_per_day=5):
        assert ended(started(script, ann)).state == TakeState.DONE
    eventually(lambda: UsageMinute.objects.filter(provider=ChatModel.USAGE_ID).exists())
    assert sum(day.requests for day in spoken_by_day()) == 0


def test_what_is_switched_off_or_moved_meanwhile_gets_nothing_more(server: str, script: Project, ann: User) -> None:
    written(script, *(f"“Speech number {number},” said Anna." for number in range(40)))
    for change in ({"enabled": False}, {"base_url": "http://127.0.0.1:1/v1"}):
        upstream = ChatModelUpstream(held=True)
        with reader(upstream, window_characters=500):
            run = started(script, ann)
            upstream.wait_for(lambda each: each.current == 1)
            ChatModel.objects.filter(pk=1).update(**change)
            upstream.release()
            run = ended(run)
        assert (run.state, run.error_code, run.requests) == (TakeState.FAILED, "provider_unavailable", 1)
        assert len(upstream.requests) == 1


def test_a_line_that_is_edited_meanwhile_makes_its_suggestion_stale(server: str, script: Project, ann: User) -> None:
    first, second, *_others = written(script, *STORY)
    upstream = ChatModelUpstream(held=True)
    with reader(upstream):
        run = started(script, ann)
        upstream.wait_for(lambda each: each.current == 1)
        lines.edit(first, text="It snowed.")
        lines.remove(script, script.lines.filter(pk=second.pk))
        upstream.release()
        assert ended(run).state == TakeState.DONE
    assert [one.is_stale for one in script.suggestions.select_related("line")] == [True, False, False]
    outcome = suggestions.take(script, script.suggestions.all())
    assert (outcome.taken, outcome.stale) == (2, 1)
    first.refresh_from_db()
    assert (first.text, first.speaker) == ("It snowed.", "")
    assert [one.line_id for one in script.suggestions.all()] == [first.pk]


def test_a_project_that_is_deleted_meanwhile_ends_it_quietly(
    server: str, script: Project, ann: User, caplog: pytest.LogCaptureFixture
) -> None:
    written(script, *STORY)
    upstream = ChatModelUpstream(held=True)
    with reader(upstream):
        started(script, ann)
        upstream.wait_for(lambda each: each.current == 1)
        projects.remove(script, ann)
        upstream.wait_for(lambda each: each.disconnects == 1)
        eventually(lambda: _open_readers() == 0)
    assert SpeakerSuggestion.objects.count() == 0
    assert errors_of_ours(caplog) == []


# Restarts, without a server.


def test_a_restart_goes_on_where_it_was(script: Project, ann: User) -> None:
    written(script, *(f"“Speech number {number},” said Anna." for number in range(40)))
    set_up(window_characters=500)
    started(script, ann)
    run = SuggestionRun.objects.claim_next()
    assert run is not None
    reading = next_reading(run)
    assert reading is not None and 10 < len(reading.asked) < 40
    assert store(run, reading, {1: Proposal("Anna", 0.9)})
    # The server dies here.
    assert SuggestionRun.objects.claim_next() is None
    housekeeping.recover()
    again = SuggestionRun.objects.claim_next()
    assert again is not None and again.done == len(reading.asked)
    further = next_reading(again)
    assert further is not None and further.asked[0].position > reading.asked[-1].position
    assert len(suggested(script)) == 1


def test_what_ended_meanwhile_stores_nothing(script: Project, ann: User) -> None:
    written(script, *STORY)
    set_up()
    started(script, ann)
    run = SuggestionRun.objects.claim_next()
    assert run is not None
    reading = next_reading(run)
    assert reading is not None
    suggestions.cancel(script)
    assert not store(run, reading, {1: Proposal("Anna", 0.9)})
    assert suggested(script) == [] and not run.end(TakeState.DONE)


def test_a_new_suggestion_takes_the_place_of_the_old(script: Project, ann: User) -> None:
    written(script, *STORY)
    set_up()
    for found in ({1: Proposal("Anna", 0.9), 2: Proposal("Anna", 0.9)}, {2: Proposal("Bob", 0.5)}):
        started(script, ann)
        run = SuggestionRun.objects.claim_next()
        assert run is not None
        reading = next_reading(run)
        assert reading is not None and store(run, reading, found) and next_reading(run) is None
        run.end(TakeState.DONE)
    assert suggested(script) == [(STORY[1], "Bob", 50)]


# Asking.


def test_one_at_a_time_in_a_project(script: Project, ann: User) -> None:
    written(script, *STORY)
    set_up()
    run = started(script, ann)
    with pytest.raises(ValidationError, match="already"):
        started(script, ann)
    suggestions.cancel(script)
    started(script, ann)
    with pytest.raises(ValidationError, match="already"):
        suggestions.go_on(run, ann, sent_to=run.sent_to)
    assert SuggestionRun.objects.open().count() == 1


def test_two_who_press_at_the_same_time(script: Project, ann: User) -> None:
    written(script, *STORY)
    set_up()
    together, outcomes = threading.Barrier(2), list[str]()

    def press() -> None:
        from django.db import connection

        together.wait(30)
        try:
            started(script, ann)
            outcomes.append("started")
        except ValidationError:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["refused", "started"]


def test_what_can_not_be_asked(script: Project, ann: User) -> None:
    set_up()
    with pytest.raises(ValidationError, match="no line"):
        started(script, ann)
    written(script, *STORY)
    with pytest.raises(ValidationError, match="address was changed"):
        started(script, ann, sent_to="https://elsewhere.example")
    with pytest.raises(ValidationError, match="letters"):
        started(script, ann, narrator="?!")
    set_up(enabled=False)
    with pytest.raises(ValidationError, match="switched off"):
        started(script, ann)
    assert not SuggestionRun.objects.exists()


def test_sending_a_text_out_stands_in_the_audit_trail(script: Project, ann: User) -> None:
    written(script, *STORY)
    set_up()
    started(script, ann)
    entry = AuditEntry.objects.latest("pk")
    assert (entry.user_name, entry.object_name) == ("ann", "Script")
    assert entry.details == "Sent the text to the chat model, to suggest speakers."


def test_a_key_that_can_not_be_read_is_a_reason(script: Project, ann: User, settings: Any) -> None:
    from cryptography.fernet import Fernet

    set_up()
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    setup = ChatModel.load().setup()
    assert "enter it again" in setup.config.problem and setup.config.key == ""
    with pytest.raises(ProviderUnavailable, match="switched off"):
        set_off()


def set_off() -> None:
    ChatModel.objects.filter(pk=1).update(enabled=False)
    ChatModel.ready("http://127.0.0.1:9")


# Taking.


def proposed(project: Project, *speakers: str) -> list[Line]:
    """A line for each, for which it is proposed."""
    made = written(project, *(f"Speech {at}." for at in range(len(speakers))))
    run = SuggestionRun.objects.create(project=project, owner=project.owner, sent_to="http://127.0.0.1:9", state="done")
    for at, (line, speaker) in enumerate(zip(made, speakers, strict=True)):
        SpeakerSuggestion.objects.create(
            project=project, run=run, line=line, speaker=speaker, confidence=at / 10, revision=line.revision
        )
    return made


def test_taking_gives_the_line_its_speaker_and_whom_the_cast_has(
    script: Project, heart: Character, tales: Bank
) -> None:
    soul = add_character(tales, heart.provider, "Soul")
    lines.cast(script, "Anna", heart)
    first, second, third = proposed(script, "Anna", "Bob", "Anna")
    lines.assign(script, script.lines.filter(pk=second.pk), soul)
    SpeakerSuggestion.objects.filter(line=second).update(revision=1)
    outcome = suggestions.take(script, script.suggestions.filter(line__in=[first, second]))
    assert (outcome.taken, outcome.stale) == (2, 0)
    found = {line.pk: (line.speaker, line.character, line.revision) for line in script.lines.all()}
    # Nobody is cast for Bob, so who speaks the line stays.
    assert found == {first.pk: ("Anna", heart, 1), second.pk: ("Bob", soul, 2), third.pk: ("", None, 0)}
    assert script.lines.get(pk=first.pk).wanted != "" and script.suggestions.count() == 1


def test_taking_under_another_name(script: Project) -> None:
    (line,) = proposed(script, "Old man")
    with pytest.raises(ValidationError, match="letters"):
        suggestions.take(script, script.suggestions.all(), "\u202e…")
    suggestions.take(script, script.suggestions.all(), " “Grandfather” ")
    line.refresh_from_db()
    assert line.speaker == "Grandfather" and not script.suggestions.exists()


def test_taking_and_rejecting_never_reach_another_project(script: Project, ann: User) -> None:
    other = Project.objects.create(name="Other", kind="phase", owner=ann)
    proposed(other, "Anna")
    assert suggestions.take(script, SpeakerSuggestion.objects.all()) == suggestions.Outcome(0, 0)
    assert suggestions.reject(script, SpeakerSuggestion.objects.all()) == 0
    assert other.suggestions.count() == 1


def test_thousands_are_taken_at_once(script: Project) -> None:
    proposed(script, *(f"Name {at % 7}" for at in range(1200)))
    assert suggestions.take(script, script.suggestions.all()) == suggestions.Outcome(1200, 0)
    assert {line.speaker for line in script.lines.all()} == {f"Name {at}" for at in range(7)}
