"""Speech on its way to its reader: read ahead of a slow one, and what backends say of their answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import cast

import pytest

from banks import delivery
from banks.delivery import LOW_AHEAD_BYTES, MAX_AHEAD_BYTES, Speech, UpstreamReport
from banks.roster import Speaker
from providers.errors import UpstreamFailed
from providers.speech import AudioFormat

CHUNK = b"x" * 65_536


class Source:
    """So many chunks, each with its number; knows whether its slot is held. May fail at the end."""

    def __init__(self, chunks: int, error: Exception | None = None) -> None:
        self.chunks = [number.to_bytes(4, "big") + CHUNK for number in range(chunks)]
        self.error = error
        self.sent = 0
        self.over = asyncio.Event()

    async def produce(self) -> AsyncGenerator[bytes]:
        try:
            for chunk in self.chunks:
                self.sent += 1
                yield chunk
                await asyncio.sleep(0)
            if self.error:
                raise self.error
        finally:
            self.over.set()


async def begun(source: Source) -> Speech:
    speaker = SimpleNamespace(provider=SimpleNamespace(name="Up"))
    speech = Speech(cast("Speaker", speaker), AudioFormat.MP3)
    await speech.begin(source.produce())
    return speech


async def wait(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 30)


async def test_a_slow_reader_does_not_hold_its_provider() -> None:
    source = Source(20)
    speech = await begun(source)
    received = aiter(speech)
    parts = [await anext(received)]
    await wait(source.over)
    parts += [part async for part in received]
    assert parts == source.chunks


async def test_what_waits_for_a_slow_reader_is_bounded() -> None:
    source = Source(3 * MAX_AHEAD_BYTES // len(CHUNK))
    speech = await begun(source)
    received = aiter(speech)
    parts = [await anext(received)]
    while source.sent * len(CHUNK) < MAX_AHEAD_BYTES:
        await asyncio.sleep(0.01)
    for _ in range(100):
        await asyncio.sleep(0)
    assert source.sent * len(CHUNK) <= MAX_AHEAD_BYTES + 2 * len(CHUNK) and not source.over.is_set()
    parts += [part async for part in received]
    assert parts == source.chunks and source.over.is_set()


async def test_a_failure_comes_after_what_was_heard_before_it() -> None:
    source = Source(5, UpstreamFailed("it broke"))
    received = aiter(await begun(source))
    parts = [await anext(received)]
    await wait(source.over)
    with pytest.raises(UpstreamFailed):
        async for part in received:
            parts.append(part)
    assert parts == source.chunks


async def test_closing_ends_what_is_read_ahead() -> None:
    source = Source(200)
    speech = await begun(source)
    received = aiter(speech)
    await anext(received)
    while source.sent < 3:
        await asyncio.sleep(0.01)
    await speech.aclose()
    assert source.over.is_set()
    assert len(asyncio.all_tasks()) == 1


async def test_the_next_piece_waits_until_a_slow_reader_has_caught_up() -> None:
    source = Source(2 * LOW_AHEAD_BYTES // len(CHUNK))
    speech = await begun(source)
    received = aiter(speech)
    await anext(received)
    await wait(source.over)
    waiting = asyncio.create_task(speech.caught_up())
    await asyncio.sleep(0)
    assert not waiting.done()
    async for _ in received:
        pass
    await asyncio.wait_for(waiting, 30)


async def test_a_fast_reader_needs_no_task() -> None:
    source = Source(50)
    speech = await begun(source)
    async for _ in speech:
        assert len(asyncio.all_tasks()) == 1
    assert delivery.SLOW_READER_SECONDS > 0 and source.over.is_set()


def test_what_a_backend_says_of_its_answer() -> None:
    said = UpstreamReport.read({
        "x-neiroha-model-preset": "voxcpm2-default",
        "x-neiroha-inference-ms": "480.5",
        "x-neiroha-audio-seconds": "2.5",
        "x-neiroha-sample-rate": "48000",
        "x-request-id": "abc",
    })  # fmt: skip
    assert (said.model_preset, said.sample_rate, said.audio_seconds) == ("voxcpm2-default", 48_000, 2.5)
    assert said.inference_seconds == pytest.approx(0.4805)
    assert said.said == (
        "audio-seconds: 2.5; inference-ms: 480.5; model-preset: voxcpm2-default; sample-rate: 48000; x-request-id: abc"
    )


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "-1", "0", "1e30"])
def test_figures_that_are_none_are_not_told(value: str) -> None:
    names = ("inference-ms", "audio-seconds", "sample-rate")
    said = UpstreamReport.read({f"x-neiroha-{name}": value for name in names})
    assert (said.inference_seconds, said.audio_seconds, said.sample_rate) == (None, None, None)


def test_what_is_kept_of_it_is_bounded() -> None:
    said = UpstreamReport.read({"x-neiroha-model-preset": "p" * 5000})
    assert (len(said.model_preset), len(said.said)) == (100, 500)
