"""The queue in Redis over real processes, which are killed and frozen, as is Redis."""

from __future__ import annotations

import signal
from secrets import token_hex

import pytest

from tests.queue_process import processes, wait_until
from tests.services import running_redis

# Long enough for a busy machine to renew it in time, short enough to wait for its end.
LEASE = 6.0
# Longer than the test.
WAIT = 200.0


@pytest.fixture
def prefix() -> str:
    return f"test-{token_hex(6)}"


def test_never_more_at_once_than_the_provider_allows(redis_url: str, prefix: str) -> None:
    with processes(redis_url, prefix, 3) as workers:
        for worker in workers:
            worker.do("hammer", calls=60, places=3)
        told = [worker.wait_for("hammered") for worker in workers]
    assert [one["calls"] for one in told] == [60, 60, 60]
    assert max(one["most"] for one in told) == 3


def test_first_come_first_served_over_processes(redis_url: str, prefix: str) -> None:
    with processes(redis_url, prefix, 2) as (a, b):
        a.enter("0")
        for number in range(1, 7):
            (a, b)[number % 2].enter(str(number))
        for number in range(6):
            (a, b)[number % 2].do("leave", name=str(number))
            (a, b)[(number + 1) % 2].wait_for("started", name=str(number + 1))
            assert len(a.told("started")) + len(b.told("started")) == number + 2
        assert b.look()["running"] == ["6"]


def test_a_killed_process_loses_its_places_to_the_others(redis_url: str, prefix: str) -> None:
    with processes(redis_url, prefix, 2, LEASE) as (a, b):
        a.enter("1")
        a.enter("2")
        b.enter("3")
        a.signal(signal.SIGKILL)
        b.wait_for("started", name="3")
        seen = b.look()
        assert (seen["running"], seen["waiting"]) == (["3"], [])


def test_a_frozen_process_finds_its_place_taken(redis_url: str, prefix: str) -> None:
    with processes(redis_url, prefix, 2, LEASE) as (a, b):
        a.enter("1")
        a.enter("2")
        b.enter("3")
        a.signal(signal.SIGSTOP)
        b.wait_for("started", name="3")
        a.signal(signal.SIGCONT)
        assert a.wait_for("refused", name="1")["code"] == "place_lost"
        wait_until(lambda: b.look()["waiting"] == ["2"], "standing in line again")
        assert a.told("started") == ["1"]
        b.do("leave", name="3")
        a.wait_for("started", name="2")


def test_redis_dies_and_comes_back_empty(prefix: str) -> None:
    with running_redis() as redis, processes(redis.url, prefix, 2, LEASE, grace=5.0) as (a, b):
        a.enter("1")
        a.wait_for("started", name="1")
        b.enter("2", batch=True)
        b.enter("3", deadline=WAIT)
        redis.kill()
        refused = b.wait_for("refused", name="3")
        assert refused["code"] == "queue_unreachable" and refused["retry_after"] > 0
        b.do("enter", name="4", deadline=WAIT)
        assert b.wait_for("refused", name="4")["code"] == "queue_unreachable", "it does not start without limits"
        a.do("enter", name="5", batch=True)
        redis.start()
        wait_until(lambda: sorted(b.look()["waiting"]) == ["2", "5"], "waiting for what still runs")
        assert b.look()["running"] == ["1"] and not b.told("started")
        a.do("leave", name="1")
        wait_until(lambda: b.told("started") == ["2"] or a.told("started") == ["1", "5"], "going on by itself")
        (b if b.told("started") else a).do("leave", name="2" if b.told("started") else "5")
        b.wait_for("started", name="2")
        a.wait_for("started", name="5")


def test_what_ends_while_redis_is_away_ends_there_too(prefix: str) -> None:
    with running_redis() as redis, processes(redis.url, prefix, 2, LEASE, grace=1.0) as (a, b):
        a.enter("1")
        b.enter("2")
        redis.signal(signal.SIGSTOP)
        a.do("leave", name="1")
        a.wait_for("ended", name="1")
        redis.signal(signal.SIGCONT)
        b.wait_for("started", name="2")
