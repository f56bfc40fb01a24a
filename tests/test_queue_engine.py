"""What an installation with NEIROHA_REDIS_URL does with its queue, and that one without it does nothing of the kind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from pytest_django import Settings
from redis.asyncio import Redis

from banks.models import Bank, Character
from providers.database import in_database
from providers.engine import Engine, close_engine, current_engine
from providers.limits import Cost
from providers.models import Provider, UsageMinute
from providers.queue import QueueRules
from providers.redis_queue import RedisQueue
from providers.speech import ProviderConfig
from studio import runner
from studio.models import Take, TakeState
from tests.conftest import add_character
from tests.server_process import environment
from tests.studio import queued, somebody
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import WAIT_SECONDS, serve

pytestmark = pytest.mark.django_db(transaction=True)

PATIENT = QueueRules(deadline=None)


@pytest.fixture
def shared(redis_url: str, settings: Settings) -> str:
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    settings.REDIS_URL = redis_url
    return redis_url


@pytest.fixture
def upstream() -> Iterator[OpenAIUpstream]:
    """A provider with one place, and its character in a bank."""
    app = OpenAIUpstream()
    with serve(app) as url:
        provider = Provider.objects.create(name="Up", kind="openai", base_url=f"{url}/v1", max_concurrency=1)
        add_character(Bank.objects.create(name="Tales"), provider, "Alloy", voice="alloy", model="tts-1")
        yield app


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await in_database(holds):
            await asyncio.sleep(0.02)


def test_engines_share_each_queue_of_theirs(shared: str) -> None:
    async def work() -> None:
        one, two = Engine(), Engine()
        try:
            async with one.queue.slot(config, Cost(tokens=7), rules=PATIENT) as ticket:
                seen = await two.queue.snapshot()
                assert [running.id for running in seen.running] == [ticket.id]
                assert not (await two.chat_queue.snapshot()).running
            await one.ledger.flush()
        finally:
            await one.close()
            await two.close()

    config = Provider.objects.create(name="Up", kind="embedded").config()
    asyncio.run(work())
    assert UsageMinute.objects.get().tokens == 7


def test_a_budget_is_known_to_a_redis_that_starts_empty(shared: str) -> None:
    async def use() -> str:
        engine = Engine()
        try:
            async with engine.queue.slot(config, Cost(), rules=PATIENT):
                await engine.ledger.flush()
        except Exception as error:
            return type(error).__name__
        finally:
            await engine.close()
        return ""

    config = Provider.objects.create(name="Up", kind="embedded", requests_per_day=1).config()
    assert asyncio.run(use()) == ""
    with redis.Redis.from_url(shared) as client:
        client.flushdb()
    assert asyncio.run(use()) == "DailyBudgetSpent"


def test_a_take_whose_place_was_lost_is_spoken_again(shared: str, upstream: OpenAIUpstream) -> None:
    def make() -> Take:
        return queued(somebody("ann"), Character.objects.get())

    async def work() -> Take:
        speaker = runner.open_leased_runner(current_engine(), timedelta(hours=1))
        other = RedisQueue(shared, "neiroha:queue")
        try:
            upstream.switches.held = True
            take = await in_database(make)
            speaker.wake()
            await until(lambda: upstream.current == 1)
            await end_lease(shared, other)
            async with other.slot(config, Cost(), rules=PATIENT):
                await until(lambda: upstream.current == 0)
                upstream.switches.held = False
            await until(lambda: not Take.objects.get(pk=take.pk).is_open)
        finally:
            await other.close()
            await runner.close_runner()
            await close_engine()
        return take

    provider = Provider.objects.get()
    config: ProviderConfig = provider.config()
    take = asyncio.run(work())
    take.refresh_from_db()
    assert (take.state, take.error) == (TakeState.DONE, "")
    assert len(upstream.spoken) == 2


async def end_lease(url: str, other: RedisQueue) -> None:
    """As if the only process but this other one had been frozen."""
    async with Redis.from_url(url, decode_responses=True) as client:
        (process,) = await client.zrange("neiroha:queue:alive", 0, -1)
        await other.snapshot()
        await client.zadd("neiroha:queue:alive", {str(process): 0})


def test_one_process_needs_no_redis(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, django; django.setup()\n"
        "from providers.engine import Engine\n"
        "async def work():\n"
        "    engine = Engine()\n"
        "    await engine.queue.snapshot()\n"
        "    await engine.close()\n"
        "asyncio.run(work())\n"
        "print(sorted({'redis', 'hiredis', 'celery'} & set(sys.modules)))\n"
    )
    root = Path(__file__).resolve().parent.parent
    variables = environment(tmp_path, {"DJANGO_SETTINGS_MODULE": "neiroha_site.settings"})
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, env=variables, capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.returncode) == ("[]", 0), ran.stderr
