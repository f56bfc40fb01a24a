"""The servers that tests start: real ones, which forget and come back as they should."""

from __future__ import annotations

import psycopg
import redis

from tests.services import running_postgres, running_redis


def test_redis_forgets_what_it_held_when_it_is_killed() -> None:
    with running_redis() as server:
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            client.set("a", "1")
            assert client.get("a") == "1"
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("a") is None


def test_postgres_keeps_what_it_held_over_a_restart() -> None:
    with running_postgres() as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept (number integer)")
            connection.execute("INSERT INTO kept VALUES (7)")
        server.stop()
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]
