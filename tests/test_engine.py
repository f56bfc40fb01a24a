"""Live adapters: made at first use, replaced when their configuration changes, let go with their provider."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hibari import Hibari

from providers.adapters.base import Adapter
from providers.adapters.embedded import shared_model
from providers.engine import Engine
from providers.errors import ProviderUnavailable
from providers.speech import ProviderConfig, SpeechRequest
from tests.hearing import assert_heard
from tests.upstreams.serving import WAIT_SECONDS

TEXT = "The quick brown fox jumps over the lazy dog."
CONFIG = ProviderConfig(id=1, name="Embedded", kind="embedded", max_concurrency=1)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    made = Engine()
    yield made
    await made.close()


async def spoken(adapter: Adapter, text: str = TEXT) -> bytes:
    async with adapter.speak(SpeechRequest(text)) as audio:
        return b"".join([chunk async for chunk in audio.chunks])


async def test_an_adapter_lives_until_its_configuration_changes(engine: Engine) -> None:
    adapter = engine.adapter(CONFIG)
    assert engine.adapter(replace(CONFIG, version=CONFIG.version + 1)) is adapter, "a version is no part of it"
    changed = replace(CONFIG, max_concurrency=2)
    assert engine.adapter(changed) is not adapter
    assert engine.adapter(changed) is engine.adapter(changed)


async def test_the_adapters_of_absent_providers_are_let_go(engine: Engine) -> None:
    kept, gone = engine.adapter(CONFIG), engine.adapter(replace(CONFIG, id=2))
    engine.keep_adapters([1, 3])
    assert engine.adapter(CONFIG) is kept
    assert engine.adapter(replace(CONFIG, id=2)) is not gone


async def test_a_configuration_that_can_not_work_is_no_adapter(engine: Engine) -> None:
    adapter = engine.adapter(CONFIG)
    for broken in (replace(CONFIG, problem="No key."), replace(CONFIG, kind="unheard of")):
        with pytest.raises(ProviderUnavailable):
            engine.adapter(broken)
    assert engine.adapter(CONFIG) is adapter


async def test_speech_goes_on_through_an_adapter_that_is_let_go(engine: Engine) -> None:
    """The pieces of a long text are calls of their own, and the configuration may change between them."""
    adapter = engine.adapter(CONFIG)
    running = [asyncio.create_task(spoken(adapter)) for _ in range(3)]
    await asyncio.sleep(0)
    engine.keep_adapters([])
    await adapter.close()
    for audio in [*await asyncio.gather(*running), await spoken(adapter)]:
        assert_heard(TEXT, audio)


async def test_nobody_stands_behind_the_files_of_a_batch(engine: Engine) -> None:
    """As many as a batch has keep all spare threads busy, and others wait for those."""
    go_on = threading.Event()
    batch = [asyncio.create_task(engine.in_spare_thread(go_on.wait, WAIT_SECONDS)) for _ in range(200)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(engine.in_thread(lambda: "heard"), WAIT_SECONDS) == "heard"
    assert not any(task.done() for task in batch)
    go_on.set()
    assert all(await asyncio.gather(*batch))


async def test_a_batch_has_few_threads(engine: Engine) -> None:
    used = set(await asyncio.gather(*(engine.in_spare_thread(threading.get_ident) for _ in range(200))))
    assert len(used) <= max((os.cpu_count() or 2) - 1, 2)
    assert threading.get_ident() not in used


def embedded_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("embedded")}


async def test_nothing_of_an_adapter_is_left(engine: Engine) -> None:
    before = embedded_threads()
    adapter = engine.adapter(CONFIG)
    await spoken(adapter)
    (thread,) = embedded_threads() - before
    engine.adapter(replace(CONFIG, max_concurrency=2))
    await asyncio.to_thread(thread.join, WAIT_SECONDS)
    assert not thread.is_alive()


def models() -> int:
    # By type: what other tests left of weak references must not be asked anything.
    return sum(issubclass(type(found), Hibari) for found in gc.get_objects())


async def test_embedded_adapters_share_one_model(engine: Engine) -> None:
    """It holds 90 MB and takes a second to load."""
    before = models()
    await asyncio.gather(*(spoken(engine.adapter(replace(CONFIG, id=id))) for id in range(1, 5)))
    assert models() - before <= 1
    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(lambda _: shared_model(), range(8)))) == 1
