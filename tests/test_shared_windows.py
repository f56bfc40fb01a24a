"""Requests per minute, counted in memory and in Redis: the same tests over both."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from redis.exceptions import ConnectionError as RedisAway

from api.shared_windows import PREFIX, LimitsUnknown, SharedWindows
from api.throttling import WINDOW_SECONDS, SlidingWindows
from tests.services import running_redis
from tests.upstreams.serving import WAIT_SECONDS


class Time:
    """In place of the clock."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Windows:
    """Either kind, asked in one way; callers are this test's own."""

    def __init__(self, wait: Callable[[str, int], float]) -> None:
        self._wait, self._mark = wait, secrets.token_hex(8)
        self.time = Time()

    def ask(self, caller: str, limit: int) -> float:
        return self._wait(f"{self._mark} {caller}", limit)


def in_memory() -> Windows:
    kept = SlidingWindows()
    made = Windows(lambda caller, limit: kept.wait(caller, limit, made.time.now))
    return made


def in_redis(url: str) -> Windows:
    made = Windows(lambda caller, limit: shared.wait_sync(caller, limit))
    shared = SharedWindows(url, WINDOW_SECONDS, made.time)
    return made


def on_the_loop(url: str) -> Windows:
    async def once(caller: str, limit: int) -> float:
        shared = SharedWindows(url, WINDOW_SECONDS, made.time)
        try:
            return await shared.wait(caller, limit)
        finally:
            await shared.close()

    made = Windows(lambda caller, limit: asyncio.run(once(caller, limit)))
    return made


@pytest.fixture(params=["memory", "redis", "loop"])
def windows(request: pytest.FixtureRequest) -> Windows:
    if request.param == "memory":
        return in_memory()
    url = request.getfixturevalue("redis_url")
    return in_redis(url) if request.param == "redis" else on_the_loop(url)


def test_as_many_as_the_limit_and_no_more(windows: Windows) -> None:
    assert [windows.ask("a", 3) for _ in range(3)] == [0.0] * 3
    assert [windows.ask("a", 3) for _ in range(2)] == [pytest.approx(WINDOW_SECONDS)] * 2


def test_the_window_slides(windows: Windows) -> None:
    assert windows.ask("a", 2) == 0.0
    windows.time.now += 30
    assert windows.ask("a", 2) == 0.0
    windows.time.now += 10
    assert windows.ask("a", 2) == pytest.approx(20)
    windows.time.now += 20.001
    assert windows.ask("a", 2) == 0.0, "the first is a minute ago"
    assert windows.ask("a", 2) == pytest.approx(30, abs=0.01), "until the second is"


def test_who_is_refused_is_not_counted(windows: Windows) -> None:
    windows.ask("a", 1)
    for _ in range(5):
        windows.time.now += 10
        assert windows.ask("a", 1) > 0
    windows.time.now += 10
    assert windows.ask("a", 1) == 0.0


def test_each_caller_has_a_window(windows: Windows) -> None:
    assert windows.ask("a", 1) == windows.ask("b", 1) == 0.0
    assert windows.ask("a", 1) > 0


def test_a_limit_that_changes_holds_at_once(windows: Windows) -> None:
    for _ in range(3):
        assert windows.ask("a", 10) == 0.0
        windows.time.now += 1
    assert windows.ask("a", 2) == pytest.approx(WINDOW_SECONDS - 2), "until only one of the last minute is left"
    assert windows.ask("a", 4) == 0.0


class TestInRedis:
    def test_many_at_once_get_no_more_than_the_limit(self, redis_url: str) -> None:
        shared = SharedWindows(redis_url, WINDOW_SECONDS)
        caller = secrets.token_hex(8)

        async def ask(count: int) -> list[float]:
            return await asyncio.gather(*(shared.wait(caller, 20) for _ in range(count)))

        async def both() -> list[float]:
            in_threads = asyncio.get_running_loop().run_in_executor(pool, threads)
            found = await ask(60)
            await shared.close()
            return found + await in_threads

        def threads() -> list[float]:
            return [shared.wait_sync(caller, 20) for _ in range(40)]

        with ThreadPoolExecutor(2) as pool:
            waits = asyncio.run(both())
        assert len(waits) == 100 and waits.count(0.0) == 20
        assert all(0 < wait <= WINDOW_SECONDS for wait in waits if wait)

    def test_nothing_is_kept_of_who_was_silent_for_a_window(self, redis_url: str) -> None:
        shared, caller = SharedWindows(redis_url, WINDOW_SECONDS), secrets.token_hex(8)
        shared.wait_sync(caller, 5)
        with redis.Redis.from_url(redis_url) as client:
            assert 0 < client.pttl(PREFIX + caller) <= WINDOW_SECONDS * 1000

    def test_a_request_is_one_round_trip(self, redis_url: str) -> None:
        shared, caller = SharedWindows(redis_url, WINDOW_SECONDS), secrets.token_hex(8)
        shared.wait_sync(caller, 50)
        with redis.Redis.from_url(redis_url) as client:
            before = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
            for _ in range(10):
                shared.wait_sync(caller, 50)
            assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 10

    @pytest.mark.parametrize("on_loop", [False, True])
    def test_while_it_is_away_nobody_is_let_in_and_back_it_counts_anew(self, on_loop: bool) -> None:
        with running_redis() as server:
            shared = SharedWindows(server.url, WINDOW_SECONDS)

            async def walk() -> None:
                async def ask() -> float:
                    return await shared.wait("a", 1) if on_loop else shared.wait_sync("a", 1)

                assert await ask() == 0.0
                server.kill()
                for _ in range(2):
                    with pytest.raises(LimitsUnknown) as refused:
                        await ask()
                    assert (refused.value.status, refused.value.retry_after) == (503, 2)
                server.start()
                assert await eventually(ask) == 0.0, "it has forgotten, with the script too"
                assert await ask() > 0
                await shared.close()

            asyncio.run(walk())


async def eventually(ask: Callable[[], Awaitable[float]]) -> float:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            try:
                return await ask()
            except (LimitsUnknown, RedisAway):
                await asyncio.sleep(0.05)
