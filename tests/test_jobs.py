"""Jobs over the wire: asked for, listed, cancelled, tried again, and never seen by others."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api.jobs import answers, asking, forgetting
from api.jobs.models import EXPIRED, FORGOTTEN, Job, JobItem, JobStatus, Tally
from api.models import Access, ApiKey, ServerSettings
from banks.dictionary import Pronunciation
from banks.models import Bank, Character
from providers.models import Provider
from providers.versions import bump
from studio.models import MOST_OPEN, StudioSettings, Take, TakeState
from tests.conftest import add_character
from tests.hearing import assert_heard
from tests.jobs import JOBS, SOUND, Caller, house, statuses, stored, told
from tests.native_api import without_limits
from tests.server_process import manage, running_server
from tests.studio import queued, somebody
from tests.test_api_errors import refusal
from tests.test_api_streams import eventually
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import serve

House = tuple[Caller, OpenAIUpstream]
Join = Callable[..., Caller]


@pytest.fixture
def place(server: str) -> Iterator[House]:
    with house(server) as made:
        yield made


@pytest.fixture
def caller(place: House) -> Caller:
    return place[0]


@pytest.fixture
def join(server: str) -> Iterator[Join]:
    """Makes further callers."""
    with ExitStack() as joined:

        def make(owner: User | None, name: str = "other") -> Caller:
            caller = Caller(server, owner, name)
            joined.callback(caller.http.close)
            return caller

        yield make


@pytest.fixture
def held(server: str) -> Iterator[House]:
    """An upstream that answers when it is released."""
    with house(server, held=True) as made:
        yield made


def inputs(*texts: str) -> list[dict[str, Any]]:
    return [{"input": text} for text in texts]


# Asking.


def test_one_text_becomes_one_item_whose_sound_says_it(join: Join, bank: Bank) -> None:
    without_limits()
    caller, text = join(somebody("ann")), "The quick brown fox jumps over the lazy dog."
    response = caller.ask(input=text, voice="narrator", response_format="mp3")
    job = told(response)
    assert (response.status_code, response.headers["location"]) == (201, f"{JOBS}/{job['id']}")
    assert response.headers["x-request-id"].startswith("req_") and "idempotent-replay" not in response.headers
    assert job["id"].startswith("job_") and job["object"] == "job" and job["status"] in ("queued", "in_progress")
    job = caller.ended(job)
    (item,) = job["items"]
    assert job["status"] == "completed" and job["created_at"] <= job["ended_at"]
    assert (item["voice"], item["model"], item["response_format"], item["error"]) == ("Heart", "Stories", "mp3", None)
    assert item["duration"] > 1 and item["size"] > 1000
    assert_heard(text, caller.http.get(item["audio_url"]).content)


def test_many_texts_share_what_they_do_not_say_themselves(place: House) -> None:
    caller, upstream = place
    body = {
        "speed": 2,
        "response_format": "wav",
        "metadata": {"chapter": "1", "title": "Ägypten / 你好"},
        "inputs": [
            {"input": "One."},
            {
                "input": "Two.",
                "speed": 1.5,
                "response_format": "flac",
                "custom_id": "second",
                "instructions": "Slowly.",
            },
            {"input": "Three.", "voice": {"id": "Alloy"}, "model": "Stories", "speed": None},
        ],
    }
    job = caller.ended(caller.made(**body))
    assert [item["custom_id"] for item in job["items"]] == [None, "second", None]
    assert [item["response_format"] for item in job["items"]] == ["wav", "flac", "wav"]
    assert job["counts"]["total"] == job["counts"]["done"] == 3 and job["metadata"] == body["metadata"]
    sent = {one["input"]: one for one in upstream.spoken}
    assert {text: one.get("speed", 1) for text, one in sent.items()} == {"One.": 2, "Two.": 1.5, "Three.": 2}
    assert sent["Two."]["instructions"] == "Slowly."
    take = Take.objects.get(text="Two.")
    assert take.owner == caller.owner and take.character == Character.objects.get() and take.project is None


def test_words_are_spoken_as_the_dictionary_has_them(place: House) -> None:
    caller, upstream = place
    Pronunciation.objects.create(written="SQL", spoken="sequel", bank=Bank.objects.get())
    bump()
    caller.ended(caller.made(input="Learn SQL."))
    assert [one["input"] for one in upstream.spoken] == ["Learn sequel."]
    assert Take.objects.get().text == "Learn SQL."


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "input", "missing_value"),
    ({"input": " "}, "input", "missing_value"),
    ({"input": "Hi.", "voice": None}, "voice", "missing_value"),
    ({"input": "Hi.", "voice": 7}, "voice", "invalid_value"),
    ({"input": "Hi.", "voice": "Nobody"}, "voice", "voice_not_found"),
    ({"input": "?!"}, "input", "nothing_to_say"),
    ({"input": "Hi.", "inputs": inputs("Hi.")}, "inputs", "invalid_value"),
    ({"inputs": []}, "inputs", "invalid_value"),
    ({"inputs": {}}, "inputs", "invalid_value"),
    ({"inputs": "Hi."}, "inputs", "invalid_value"),
    ({"inputs": inputs(*["Hi."] * 1001)}, "inputs", "invalid_value"),
    ({"inputs": ["Hi."]}, "inputs[0]", "invalid_value"),
    ({"inputs": [*inputs("Hi."), {}]}, "inputs[1].input", "missing_value"),
    ({"inputs": [*inputs("Hi.", "Ho."), {"input": "He.", "voice": "Nobody"}]}, "inputs[2].voice", "voice_not_found"),
    ({"inputs": [*inputs("Hi."), {"input": "Ho.", "speed": 9}]}, "inputs[1].speed", "invalid_value"),
    ({"inputs": [*inputs("Hi."), {"input": "…"}]}, "inputs[1].input", "nothing_to_say"),
    ({"inputs": inputs("Hi."), "speed": 9}, "speed", "invalid_value"),
    ({"inputs": inputs("Hi."), "voice": "Nobody"}, "voice", "voice_not_found"),
    ({"inputs": inputs("Hi."), "voice": None}, "inputs[0].voice", "missing_value"),
    ({"inputs": [{"input": "Hi.", "custom_id": "a"}] * 2}, "inputs[1].custom_id", "invalid_value"),
    ({"inputs": [{"input": "Hi.", "custom_id": "a" * 65}]}, "inputs[0].custom_id", "invalid_value"),
    ({"input": "Hi.", "custom_id": 7}, "custom_id", "invalid_value"),
    ({"input": "Hi.", "response_format": "ogg"}, "response_format", "invalid_value"),
    ({"input": "Hi.", "metadata": []}, "metadata", "invalid_value"),
    ({"input": "Hi.", "metadata": {"a": 1}}, "metadata", "invalid_value"),
    ({"input": "Hi.", "metadata": {"a" * 65: "b"}}, "metadata", "invalid_value"),
    ({"input": "Hi.", "metadata": {"a\x00": "b"}}, "metadata", "invalid_value"),
    ({"input": "Hi.", "metadata": {"a": "b" * 513}}, "metadata", "invalid_value"),
    ({"input": "Hi.", "metadata": {str(n): "" for n in range(17)}}, "metadata", "invalid_value"),
]


@pytest.mark.parametrize(("body", "param", "code"), WRONG, ids=range(len(WRONG)))
def test_a_fault_names_its_place_and_nothing_is_kept(caller: Caller, body: Any, param: str, code: str) -> None:
    response = caller.ask(**body)
    error = refusal(response, 404 if code == "voice_not_found" else 400)
    assert (error["param"], error["code"]) == (param, code)
    assert not Job.objects.exists() and not Take.objects.exists()


@pytest.mark.parametrize("body", [[], "text", 7, None, True])
def test_a_body_that_is_no_object(caller: Caller, body: object) -> None:
    sent = {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}
    assert "object" in refusal(caller.http.post(JOBS, **sent), 400)["message"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a":' * 5000, b"[" * 100_000, b'{"input": "\\ud800", "voice": "Alloy"}']
)
def test_bodies_that_are_no_good(caller: Caller, body: bytes) -> None:
    refusal(caller.http.post(JOBS, content=body, headers={"Content-Type": "application/json"}), 400)
    assert refusal(caller.http.post(JOBS, content=body or b"{}"), 415)["code"] == "unsupported_media_type"


def test_a_body_that_is_too_large(caller: Caller) -> None:
    refusal(caller.ask(inputs=inputs(*["word " * 300] * 999)), 413)
    assert not Job.objects.exists()


def test_what_a_voice_can_not_do_is_refused_at_once(join: Join, bank: Bank) -> None:
    caller = join(somebody("ann"))
    error = refusal(caller.ask(inputs=inputs("Hello."), voice="Heart", instructions="Whisper."), 400)
    assert (error["param"], error["code"]) == ("instructions", "unsupported_value")
    several = [*inputs("Hello."), {"input": "Hello.", "instructions": "Whisper."}]
    assert refusal(caller.ask(inputs=several, voice="Heart"), 400)["param"] == "inputs[1].instructions"
    assert not Take.objects.exists()


def test_a_text_that_is_too_long(caller: Caller) -> None:
    ServerSettings.objects.update(max_input_characters=10)
    bump()
    assert refusal(caller.ask(inputs=inputs("Short.", "Not so short.")), 400)["param"] == "inputs[1].input"


# Who may.


def test_a_key_is_needed_also_while_access_is_open(server: str, bank: Bank) -> None:
    with httpx.Client(base_url=server, trust_env=False, timeout=60) as http:
        for headers in ({}, {"Authorization": "Bearer sk-placeholder"}):
            assert ServerSettings.load().access == Access.OPEN
            assert http.get("/v1/models", headers=headers).status_code == 200
            for method, path in (("POST", ""), ("GET", ""), ("GET", "/job_1"), ("GET", "/job_1/events")):
                assert refusal(http.request(method, JOBS + path, headers=headers), 401)["code"] == "not_authenticated"


def test_a_key_without_an_owner_is_told_to_get_one(join: Join, bank: Bank) -> None:
    caller = join(None)
    assert caller.http.get("/v1/models").status_code == 200
    for response in (caller.ask(input="Hi.", voice="Heart"), caller.http.get(JOBS)):
        assert "give the key an owner" in refusal(response, 403)["message"]


def test_a_key_speaks_with_the_voices_of_its_banks_only(caller: Caller) -> None:
    other = Bank.objects.create(name="Others")
    add_character(other, Provider.objects.get(), "Echo", voice="echo", model="tts-1")
    caller.key.banks.add(Bank.objects.get(name="Stories"))
    bump()
    error = refusal(caller.ask(inputs=[*inputs("Hi."), {"input": "Ho.", "voice": "Echo"}]), 404)
    assert error["param"] == "inputs[1].voice" and "Echo" not in error["message"].replace("“Echo”", "")


@pytest.mark.parametrize("same_owner", [True, False], ids=["same owner", "another"])
def test_nobody_else_sees_a_job(place: House, join: Join, same_owner: bool) -> None:
    caller, _ = place
    job = caller.ended(caller.made(input="Mine."))
    other = join(caller.owner if same_owner else somebody("bob", superuser=True))
    for path in ("", "/audio", "/events"):
        assert refusal(other.get(job, path), 404)["code"] == "job_not_found"
    for response in (other.cancel(job), other.retry(job), other.http.get(JOBS, params={"after": job["id"]})):
        assert refusal(response, 404)["code"] == "job_not_found"
    assert other.http.get(JOBS).json()["data"] == []
    assert statuses(caller.now(job)) == ["done"]
    assert [one["id"] for one in caller.http.get(JOBS).json()["data"]] == [job["id"]]


def test_methods_that_there_are_not(caller: Caller) -> None:
    for method, path in (("PUT", ""), ("DELETE", ""), ("POST", "/job_1"), ("GET", "/job_1/retry")):
        refusal(caller.http.request(method, JOBS + path), 405)


def test_while_the_api_is_off_nothing_is_taken(caller: Caller) -> None:
    ServerSettings.objects.update(api_enabled=False)
    bump()
    assert refusal(caller.ask(input="Hi."), 503)["code"] == "api_off"
    assert not Job.objects.exists()


# The same request again.


def again(caller: Caller, key: str = "order 7", **body: Any) -> httpx.Response:
    return caller.ask(headers={"Idempotency-Key": key}, **body)


def test_the_same_key_with_the_same_body_is_the_same_job(place: House) -> None:
    caller, upstream = place
    body = {"input": "Once.", "webhook_url": "https://example.com/hook"}
    first, second = again(caller, **body), again(caller, **body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.headers["idempotent-replay"] == "true" and "idempotent-replay" not in first.headers
    assert second.json()["id"] == first.json()["id"]
    assert second.json()["webhook_secret"] == first.json()["webhook_secret"]
    caller.ended(first.json())
    assert len(upstream.spoken) == Take.objects.count() == 1


def test_the_same_key_with_another_body_is_refused(caller: Caller) -> None:
    again(caller, input="Once.")
    error = refusal(again(caller, input="Twice."), 422)
    assert error["code"] == "idempotency_key_reused" and Job.objects.count() == 1


def test_the_same_key_holds_even_where_the_voice_is_gone(caller: Caller) -> None:
    first = again(caller, input="Once.")
    caller.ended(first.json())
    Character.objects.all().update(enabled=False)
    bump()
    assert again(caller, input="Once.").json()["id"] == first.json()["id"]
    refusal(again(caller, "another", input="Once."), 404)


def test_after_a_day_the_key_is_free_again(caller: Caller) -> None:
    first = again(caller, input="Once.")
    Job.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    second = again(caller, input="Twice.")
    assert second.status_code == 201 and second.json()["id"] != first.json()["id"]
    assert again(caller, input="Twice.").json()["id"] == second.json()["id"]


def test_the_keys_of_others_are_their_own(caller: Caller, join: Join) -> None:
    other = join(caller.owner)
    assert again(caller, input="Once.").json()["id"] != again(other, input="Once.").json()["id"]
    refused = again(caller, input="?!")
    assert refusal(refused, 422), "the key is looked at before the body"


@pytest.mark.parametrize("key", ["ä" * 3, "a" * 256, "a\tb"])
def test_a_key_that_is_none(caller: Caller, key: str) -> None:
    response = caller.ask(headers={"Idempotency-Key": key.encode("latin-1")}, input="Hi.")  # type: ignore[dict-item]
    assert refusal(response, 400)["param"] == "Idempotency-Key"


def at_once(count: int, ask: Callable[[httpx.Client], httpx.Response], caller: Caller) -> list[httpx.Response]:
    """The answers to real requests that come at the same moment."""
    barrier, heard = threading.Barrier(count), list[httpx.Response]()

    def one() -> None:
        headers = {"Authorization": f"Bearer {caller.secret}"}
        with httpx.Client(base_url=caller.http.base_url, trust_env=False, timeout=60, headers=headers) as http:
            http.get("/health")
            barrier.wait(60)
            heard.append(ask(http))

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return heard


def test_many_at_the_same_moment_make_one_job(caller: Caller) -> None:
    body, headers = {"input": "Once.", "voice": "Alloy"}, {"Idempotency-Key": "race"}
    heard = at_once(8, lambda http: http.post(JOBS, json=body, headers=headers), caller)
    assert sorted(answer.status_code for answer in heard) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in heard}) == 1
    assert Job.objects.count() == Take.objects.count() == 1


# Limits.


def test_an_owners_jobs_have_only_so_much_open(held: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_OPEN_OF_OWNER", 3)
    caller, upstream = held
    job = caller.several("One.", "Two.")
    response = caller.ask(inputs=inputs("Three.", "Four."))
    error = refusal(response, 429)
    assert error["code"] == "too_many_open" and response.headers["retry-after"] == "60"
    assert response.headers["x-should-retry"] == "true"
    caller.made(input="Three.")
    upstream.release(100)
    caller.ended(job)


def test_a_spent_quota_is_told_before_anything_is_spoken(place: House) -> None:
    caller, upstream = place
    done = caller.ended(caller.made(input="One."))
    StudioSettings.objects.update(quota_mb=1)
    Take.objects.update(size=1024 * 1024)
    response = caller.ask(input="Two.")
    assert refusal(response, 507)["code"] == "quota_spent"
    assert len(upstream.spoken) == 1
    Take.objects.update(state=TakeState.FAILED)
    assert refusal(caller.retry(done), 507)["code"] == "quota_spent"


def test_jobs_and_people_in_front_of_pages_do_not_hinder_each_other(held: House) -> None:
    caller, upstream = held
    assert isinstance(caller.owner, User)
    job = caller.several(*[f"Text {n}." for n in range(MOST_OPEN + 5)])
    Take.objects.require_room(caller.owner)
    for _ in range(MOST_OPEN):
        queued(caller.owner, Character.objects.get())
    caller.made(input="One more.")
    Take.objects.filter(job_item=None).cancel()
    upstream.release(100)
    assert caller.ended(job)["status"] == "completed"


# Lists.


def test_a_list_goes_from_the_newest_on(caller: Caller) -> None:
    made = [caller.made(input=f"Number {n}.")["id"] for n in range(5)][::-1]
    for id in made:
        caller.ended({"id": id})
    page = caller.http.get(JOBS, params={"limit": 2}).json()
    assert [job["id"] for job in page["data"]] == made[:2] and page["has_more"] and "items" not in page["data"][0]
    assert (page["first_id"], page["last_id"]) == (made[0], made[1])
    page = caller.http.get(JOBS, params={"limit": 2, "after": page["last_id"]}).json()
    assert [job["id"] for job in page["data"]] == made[2:4] and page["has_more"]
    page = caller.http.get(JOBS, params={"limit": 2, "after": page["last_id"], "status": "completed"}).json()
    assert [job["id"] for job in page["data"]] == made[4:] and not page["has_more"]
    empty = caller.http.get(JOBS, params={"status": "failed"}).json()
    assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"status": "done"}])
def test_a_list_that_can_not_be_asked_for(caller: Caller, query: dict[str, Any]) -> None:
    assert refusal(caller.http.get(JOBS, params=query), 400)["param"] in query


@pytest.mark.django_db
def test_the_database_means_the_same_by_a_status(transactional_db: None) -> None:
    """Every set of states that the items of a job can have."""
    ann, key = somebody("ann"), ApiKey.objects.issue(name="robot")[0]
    character = Character.objects.create(
        name="Heart", provider=Provider.objects.create(name="Embedded", kind="embedded")
    )
    expected: dict[str, JobStatus] = {}
    states: list[str] = [*TakeState.values, EXPIRED]
    for size in range(1, len(states) + 1):
        for chosen in itertools.combinations(states, size):
            job = Job.objects.create(owner=ann, key=key)
            for index, state in enumerate(chosen):
                take = None
                if state != EXPIRED:
                    take = queued(ann, character, state=state, file="f" if state == "done" else "")
                JobItem.objects.create(job=job, index=index, take=take, voice_id="v")
            expected[job.public_id] = JobStatus.of(dict.fromkeys(chosen, 1))
    for status in JobStatus:
        found = set(Job.objects.with_status(status).values_list("public_id", flat=True))
        assert found == {job for job, wanted in expected.items() if wanted == status} != set(), status
    tallies = JobItem.objects.tallies(list(Job.objects.values_list("pk", flat=True)))
    for job in Job.objects.all():
        assert JobStatus.of(tallies[job.pk].counts) == expected[job.public_id]
        assert Tally.of(JobItem.objects.filter(job=job).with_takes()).counts == tallies[job.pk].counts
    open_ones = {job for job, status in expected.items() if status.is_open}
    assert set(Job.objects.ended().values_list("public_id", flat=True)) == set(expected) - open_ones


def test_looking_costs_the_same_for_few_and_for_many(caller: Caller) -> None:
    few, many = caller.made(input="One."), caller.several(*[f"Text {n}." for n in range(40)])
    counts = []
    for job in (few, many):
        with CaptureQueriesContext(connection) as queries:
            answers.told(stored(job))
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 2
    with CaptureQueriesContext(connection) as queries:
        assert len(answers.listed(list(Job.objects.all()), more=False)["data"]) == 2
    assert len(queries) == 2
    caller.ended(many)


# Cancelling.


def test_cancelling_ends_what_is_open_and_keeps_what_is_spoken(held: House) -> None:
    caller, upstream = held
    job = caller.several(*[f"Text {n}." for n in range(5)])
    upstream.wait_for(lambda app: app.current == 2)
    upstream.release()
    eventually(lambda: caller.now(job)["counts"]["done"] == 1)
    cancelled = caller.cancel(job)
    assert cancelled.status_code == 200 and cancelled.json()["status"] == "cancelled"
    assert cancelled.json()["counts"] == caller.now(job)["counts"]
    assert sorted(statuses(cancelled.json())) == ["cancelled"] * 4 + ["done"]
    upstream.wait_for(lambda app: app.current == 0)
    assert upstream.disconnects, "the call to the provider ends"
    assert caller.cancel(job).json() == cancelled.json()


def test_cancelling_what_is_at_its_end_changes_nothing(caller: Caller) -> None:
    job = caller.ended(caller.made(input="Done."))
    assert caller.cancel(job).json() == job
    assert caller.get(job, "/audio").content == SOUND


# Trying again.


def test_only_what_failed_is_tried_again(place: House) -> None:
    caller, upstream = place
    upstream.switches.refusals = [Refusal(400, "Not now.")]
    job = caller.ended(caller.several("One.", "Two.", "Three."))
    failed = [item for item in job["items"] if item["status"] == "failed"]
    assert job["status"] == "partially_failed" and len(failed) == 1
    assert failed[0]["error"]["code"] == "upstream_rejected" and "Not now." in failed[0]["error"]["message"]
    assert failed[0]["error"]["retry"] is False and failed[0]["audio_url"] is None
    before = set(Take.objects.values_list("pk", flat=True))
    retried = caller.retry(job)
    assert retried.status_code == 200 and retried.json()["counts"]["failed"] == 0
    job = caller.ended(job)
    assert job["status"] == "completed" and len(upstream.spoken) == 4
    (take,) = Take.objects.exclude(pk__in=before)
    assert take.job_item.index == failed[0]["index"]
    assert Take.objects.get(state=TakeState.FAILED).pk in before, "the first attempt stays in the archive"
    assert refusal(caller.retry(job), 409)["code"] == "nothing_to_retry"


def test_what_was_cancelled_is_tried_again_with_the_voice_as_it_is_now(held: House) -> None:
    caller, upstream = held
    job = caller.several("One.", "Two.", "Three.")
    caller.cancel(job)
    Character.objects.update(voice="echo")
    bump()
    caller.retry(job)
    upstream.release(100)
    assert caller.ended(job)["status"] == "completed"
    assert [one["voice"] for one in upstream.spoken[-3:]] == ["echo"] * 3


def test_of_many_who_try_again_at_once_one_does(place: House) -> None:
    caller, upstream = place
    upstream.switches.refusals = [Refusal(400, "Not now.")] * 2
    job = caller.ended(caller.several("One.", "Two."))
    heard = at_once(4, lambda http: http.post(f"{JOBS}/{job['id']}/retry"), caller)
    assert sorted(answer.status_code for answer in heard) == [200, 409, 409, 409]
    assert caller.ended(job)["status"] == "completed" and Take.objects.count() == 4


def test_a_voice_that_is_gone_is_tried_as_it_was(place: House) -> None:
    caller, upstream = place
    upstream.switches.refusals = [Refusal(400, "Not now.")]
    job = caller.ended(caller.made(input="One."))
    Character.objects.all().delete()
    bump()
    caller.retry(job)
    assert caller.ended(job)["status"] == "completed"


def test_a_voice_that_the_key_lost_is_not_tried(place: House) -> None:
    caller, upstream = place
    upstream.switches.refusals = [Refusal(400, "Not now.")]
    job = caller.ended(caller.made(input="One."))
    caller.key.banks.add(Bank.objects.create(name="Others"))
    bump()
    assert "item 0" in refusal(caller.retry(job), 403)["message"]
    assert statuses(caller.now(job)) == ["failed"]


# What time takes away.


def test_a_job_whose_sound_is_gone_is_expired_and_then_forgotten(caller: Caller) -> None:
    job = caller.ended(caller.several("One.", "Two."))
    fresh = caller.ended(caller.made(input="Three."))
    Take.objects.filter(job_item__job__public_id=job["id"]).delete()
    job = caller.now(job)
    assert job["status"] == "expired" and statuses(job) == ["expired"] * 2 and job["counts"]["expired"] == 2
    assert refusal(caller.retry(job), 409)["code"] == "nothing_to_retry"
    forgetting.forget()
    assert stored(job)
    Job.objects.update(created_at=timezone.now() - FORGOTTEN - timedelta(days=1))
    forgetting.forget()
    assert [one.public_id for one in Job.objects.all()] == [fresh["id"]]


def test_a_job_outlives_its_key_and_goes_with_its_owner(caller: Caller) -> None:
    job = caller.ended(caller.made(input="One."))
    ApiKey.objects.all().delete()
    assert stored(job).key is None
    User.objects.all().delete()
    assert not Job.objects.exists() and not Take.objects.exists()


# A server that dies.

PREPARE = """
from django.contrib.auth.models import User
from api.models import ApiKey
from banks.models import Bank, Character, Membership
from providers.models import Provider
user = User.objects.create_user("ann")
provider = Provider.objects.create(name="Up", kind="openai", base_url="%s/v1", max_concurrency=2)
character = Character.objects.create(name="Alloy", provider=provider, voice="alloy", model="tts-1")
bank = Bank.objects.create(name="Stories")
Membership.objects.create(bank=bank, character=character)
print(ApiKey.objects.issue(name="robot", owner_id=user.pk)[1])
"""


def test_a_killed_servers_job_is_spoken_to_its_end_by_the_next(tmp_path: Path) -> None:
    upstream = OpenAIUpstream(held=True, speech=SOUND, speech_type="audio/wav")
    with serve(upstream) as url:
        manage(tmp_path, "migrate")
        secret = manage(tmp_path, "shell", "--no-imports", "-c", PREPARE % url).stdout.split()[-1]
        client = partial(httpx.Client, trust_env=False, timeout=60, headers={"Authorization": f"Bearer {secret}"})
        texts = [f"Text {n}." for n in range(5)]
        body = {"inputs": inputs(*texts), "voice": "Alloy", "response_format": "wav"}
        with running_server(tmp_path) as server, client(base_url=server.url) as http:
            job = http.post(JOBS, json=body, headers={"Idempotency-Key": "k"}).json()
            upstream.wait_for(lambda app: app.current == 2)
            upstream.release()
            eventually(lambda: http.get(f"{JOBS}/{job['id']}").json()["counts"]["done"] == 1)
            (done,) = (item for item in http.get(f"{JOBS}/{job['id']}").json()["items"] if item["status"] == "done")
            server.kill()
        upstream.release(100)
        with running_server(tmp_path) as server, client(base_url=server.url) as http:
            assert http.post(JOBS, json=body, headers={"Idempotency-Key": "k"}).json()["id"] == job["id"]
            with http.stream("GET", f"{JOBS}/{job['id']}/events") as heard:
                assert list(heard.iter_lines())[-3] == "event: done"
            job = http.get(f"{JOBS}/{job['id']}").json()
            assert job["status"] == "completed" and job["items"][done["index"]] == done
    spoken = [one["input"] for one in upstream.spoken]
    assert set(spoken) == set(texts) and spoken.count(texts[done["index"]]) == 1
