"""Turns at making the same answer, among all processes that share a Redis and a folder."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis.asyncio import Redis

from banks import speech_turns
from banks.speech_store import SpeechStore
from banks.speech_turns import PREFIX, SpeechTurns
from tests.services import running_redis
from tests.upstreams.serving import WAIT_SECONDS, closed_port

LONG = 60.0


@pytest.fixture
def name() -> str:
    return secrets.token_hex(8)


@pytest.fixture
async def pair(redis_url: str) -> AsyncIterator[tuple[SpeechTurns, SpeechTurns]]:
    first, second = SpeechTurns(redis_url), SpeechTurns(redis_url)
    yield first, second
    await first.close()
    await second.close()


async def waited(turns: SpeechTurns, name: str, patience: float = LONG) -> bool:
    async with asyncio.timeout(WAIT_SECONDS), turns.turn(name, patience) as waited:
        return waited


async def taken(redis_url: str, name: str) -> bool:
    async with Redis.from_url(redis_url) as client:
        return bool(await client.exists(PREFIX + name))


async def test_the_second_comes_after_the_first(pair: tuple[SpeechTurns, SpeechTurns], name: str) -> None:
    first, second = pair
    done: list[str] = []

    async def come() -> None:
        async with second.turn(name, LONG) as waited:
            done.append(f"second, waited: {waited}")

    async with first.turn(name, LONG) as waited:
        coming = asyncio.create_task(come())
        # Time enough for several looks.
        await asyncio.wait({coming}, timeout=3 * speech_turns.LOOK_SECONDS)
        done.append(f"first, waited: {waited}")
    await coming
    assert done == ["first, waited: False", "second, waited: True"]


async def test_other_names_are_others_turns(pair: tuple[SpeechTurns, SpeechTurns], name: str) -> None:
    async with pair[0].turn(name, LONG):
        assert not await waited(pair[1], name + "other")


async def test_who_has_waited_long_enough_goes_on(pair: tuple[SpeechTurns, SpeechTurns], name: str) -> None:
    async with pair[0].turn(name, LONG):
        assert await waited(pair[1], name, patience=0.3)
        # The turn is still the first one's.
        assert await waited(pair[1], name, patience=0.3)


async def test_a_turn_lasts_as_long_as_its_work(
    pair: tuple[SpeechTurns, SpeechTurns], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_turns, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(speech_turns, "RENEW_SECONDS", 0.1)
    async with pair[0].turn(name, LONG):
        coming = asyncio.create_task(waited(pair[1], name))
        # Beyond the lease.
        await asyncio.wait({coming}, timeout=2.0)
        assert not coming.done()
    assert await coming


async def test_the_turn_of_who_has_died_passes_on(
    pair: tuple[SpeechTurns, SpeechTurns], name: str, redis_url: str
) -> None:
    async with Redis.from_url(redis_url) as client:
        await client.set(PREFIX + name, "somebody else's", px=500)
    assert await waited(pair[1], name)


async def test_who_leaves_gives_it_back(pair: tuple[SpeechTurns, SpeechTurns], name: str, redis_url: str) -> None:
    entered = asyncio.Event()

    async def stay() -> None:
        async with pair[0].turn(name, LONG):
            entered.set()
            await asyncio.Event().wait()

    staying = asyncio.create_task(stay())
    await entered.wait()
    waiting = asyncio.create_task(waited(pair[1], name))
    await asyncio.wait({waiting}, timeout=0.3)
    for task in (waiting, staying):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # Who only waited takes nothing away from who is there.
        assert await taken(redis_url, name) == (task is waiting)


async def test_nothing_stays_of_who_leaves_at_whatever_moment(pair: tuple[SpeechTurns, SpeechTurns], name: str) -> None:
    for moment in range(400):
        asking = asyncio.create_task(waited(pair[0], f"{name}-{moment}"))
        # From before the first word to Redis until after the last.
        for _ in range(moment % 40):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert not await waited(pair[1], f"{name}-{moment}")


async def test_without_redis_everybody_has_a_turn(name: str) -> None:
    with closed_port() as port:
        turns = SpeechTurns(f"redis://127.0.0.1:{port}/0")
        assert [await waited(turns, name) for _ in range(2)] == [False, False]
        await turns.close()


async def test_who_waited_knows_it_though_redis_went_away(name: str) -> None:
    """What it waited for may be there."""
    with running_redis() as server:
        turns = SpeechTurns(server.url)
        async with Redis.from_url(server.url) as client:
            await client.set(PREFIX + name, "somebody else's")
        waiting = asyncio.create_task(waited(turns, name))
        await asyncio.wait({waiting}, timeout=0.5)
        assert not waiting.done()
        server.kill()
        assert await waiting
        await turns.close()


def test_a_store_is_known_by_its_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: SpeechStore(tmp_path / "one").identity(), range(16)))
    one, again, other = (SpeechStore(tmp_path / name).identity() for name in ("one", "one", "other"))
    assert one and one == again != other
