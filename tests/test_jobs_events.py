"""The events of a job, heard as they come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from api import runtime
from api.jobs import streaming
from api.jobs.watching import Watcher, _changes, _states
from studio.models import Take
from studio.runner import cancel
from tests.jobs import JOBS, Caller, Event, events, house, stored
from tests.test_api_streams import eventually
from tests.upstreams.openai import OpenAIUpstream

House = tuple[Caller, OpenAIUpstream]


@pytest.fixture
def held(server: str) -> Iterator[House]:
    with house(server, held=True) as made:
        yield made


def watcher() -> Watcher:
    return next(reversed(list(runtime._runtimes.values()))).watcher


def until(heard: Iterator[Event], name: str, **wanted: Any) -> Event:
    return next(event for event in heard if event.name == name and wanted.items() <= event.data.items())


def test_first_the_job_then_what_changes_then_the_end(held: House) -> None:
    caller, upstream = held
    job = caller.several("One.", "Two.", "Three.")
    with events(caller, job) as heard:
        first = next(heard)
        assert first.name == "job" and first.data["id"] == job["id"] and len(first.data["items"]) == 3
        upstream.release(100)
        rest = list(heard)
    assert [event.name for event in rest[:-1]] == ["item"] * (len(rest) - 1)
    latest = {event.data["index"]: event.data for event in rest[:-1]}
    assert {index: item["status"] for index, item in latest.items()} == {0: "done", 1: "done", 2: "done"}
    now = caller.now(job)
    assert [latest[index] for index in range(3)] == now.pop("items")
    assert rest[-1] == Event("done", now)


def test_whoever_comes_again_begins_with_the_job_as_it_is(held: House) -> None:
    caller, upstream = held
    job = caller.several("One.", "Two.")
    with events(caller, job) as heard:
        next(heard)
        upstream.wait_for(lambda app: app.current == 2)
        upstream.release()
        until(heard, "item", status="done")
    upstream.release(100)
    ended = caller.ended(job)
    with events(caller, job, **{"Last-Event-ID": "7"}) as heard:
        first, last = list(heard)
    assert first == Event("job", ended) and last.name == "done"
    assert {**last.data, "items": ended["items"]} == ended


def test_cancelling_and_trying_again_are_heard(held: House) -> None:
    caller, upstream = held
    job = caller.several("One.", "Two.", "Three.")
    with events(caller, job) as heard:
        next(heard)
        caller.cancel(job)
        assert until(heard, "done").data["status"] == "cancelled"
        assert list(heard) == []
    caller.retry(job)
    with events(caller, job) as heard:
        assert next(heard).data["counts"]["cancelled"] == 0
        upstream.release(100)
        assert until(heard, "done").data["status"] == "completed"


def test_what_somebody_cancels_in_the_archive_is_heard(held: House) -> None:
    caller, upstream = held
    job = caller.several("One.", "Two.", "Three.")
    with events(caller, job) as heard:
        next(heard)
        upstream.wait_for(lambda app: app.current == 2)
        last = Take.objects.order_by("pk").last()
        assert last is not None
        cancel([last.pk])
        assert until(heard, "item", status="cancelled").data["index"] == 2
        upstream.release(100)
        until(heard, "done")


def test_silence_is_filled_and_what_nobody_told_of_is_noticed(held: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 0.05)
    caller, upstream = held
    job = caller.several("One.", "Two.", "Three.")
    upstream.wait_for(lambda app: app.current == 2)
    with caller.http.stream("GET", f"{JOBS}/{job['id']}/events") as response:
        lines = response.iter_lines()
        assert next(line for line in lines if line.startswith(":")) == ": still here"
        Take.objects.filter(job_item__index=2).delete()
        assert '"status": "expired"' in next(line for line in lines if '"index": 2, "custom_id": null, "st' in line)
        upstream.release(100)
        assert "event: done" in list(lines)


def test_a_key_that_is_revoked_meanwhile_hears_no_more(held: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 0.05)
    caller, _ = held
    job = caller.made(input="One.")
    with events(caller, job) as heard:
        next(heard)
        caller.key.revoke()
        assert [event.name for event in heard if event.name == "done"] == []


def test_many_listeners_are_told_by_one_reading(held: House) -> None:
    """However many listen, a change is read once, and nothing stays of those who left."""
    caller, upstream = held
    job = caller.several("One.", "Two.")
    pk, heard = stored(job).pk, list[list[Event]]()
    begun = threading.Barrier(11)

    def listen() -> None:
        with events(caller, job) as coming:
            first = next(coming)
            begun.wait(60)
            heard.append([first, *coming])

    threads = [threading.Thread(target=listen) for _ in range(10)]
    for thread in threads:
        thread.start()
    begun.wait(60)
    assert len(watcher()._watches[pk].listeners) == 10
    upstream.release(100)
    for thread in threads:
        thread.join(60)
    assert len(heard) == 10 and all(one[1:] == heard[0][1:] for one in heard)
    eventually(lambda: not watcher()._watches and not watcher()._jobs)


def test_whoever_leaves_is_forgotten(held: House) -> None:
    caller, _ = held
    job = caller.made(input="One.")
    with events(caller, job) as heard:
        next(heard)
        assert len(watcher()._watches) == 1
    eventually(lambda: not watcher()._watches and not watcher()._jobs)


def test_a_change_costs_few_queries(held: House) -> None:
    caller, _ = held
    job = caller.several(*[f"Text {n}." for n in range(50)])
    pk = stored(job).pk
    known = _states(pk)
    caller.cancel(job)
    with CaptureQueriesContext(connection) as queries:
        changes = _changes({pk: known})
    assert len(changes[pk].items) == 50 and changes[pk].end is not None
    assert len(queries) <= 4
