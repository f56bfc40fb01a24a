"""Speech on its way from a provider to whoever asked for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass

from banks.roster import Speaker
from providers import metrics
from providers.errors import BadAudio
from providers.speech import AudioFormat

# A reader that takes longer over one chunk is slow: from then on we read ahead of it.
SLOW_READER_SECONDS = 0.25
# What may wait for a slow reader while its provider still speaks, and when the next piece of a long text is begun.
MAX_AHEAD_BYTES = 4 * 1024 * 1024
LOW_AHEAD_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class UpstreamReport:
    """What a backend says of its own answer in X-Neiroha- headers; empty or None where it doesn't. `said` is all of it,
    for the log."""

    model_preset: str = ""
    sample_rate: int | None = None
    inference_seconds: float | None = None
    audio_seconds: float | None = None
    said: str = ""

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> UpstreamReport:
        """From an answer's headers, with names in lower case."""
        if not headers:
            return _NOTHING_TOLD
        milliseconds = _number(headers.get(f"{_PREFIX}inference-ms", ""), 1e9)
        rate = _number(headers.get(f"{_PREFIX}sample-rate", ""), 1e6)
        told = sorted(f"{name.removeprefix(_PREFIX)}: {value}" for name, value in headers.items() if value)
        return cls(
            model_preset=headers.get(f"{_PREFIX}model-preset", "")[:100],
            sample_rate=round(rate) if rate else None,
            inference_seconds=None if milliseconds is None else milliseconds / 1000,
            audio_seconds=_number(headers.get(f"{_PREFIX}audio-seconds", ""), 1e6),
            said="; ".join(told)[:500],
        )


_PREFIX = "x-neiroha-"
_NOTHING_TOLD = UpstreamReport()


def _number(text: str, most: float) -> float | None:
    """A plain, positive number of at most so much; anything else counts as not told."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 < value <= most else None


@dataclass(slots=True)
class Speech:
    """Speech on its way: iterate over it once, and close it. What is not known before the first byte is None, and may
    be known after the last one."""

    speaker: Speaker
    format: AudioFormat
    length: int | None = None
    sample_rate: int | None = None
    queue_seconds: float = 0.0
    inference_seconds: float | None = None
    audio_seconds: float | None = None
    upstream: UpstreamReport = UpstreamReport()
    fallback_for: Speaker | None = None
    cache: str = ""
    """Where the bank keeps speech: "hit", "miss", or "shared" with a request that asked for the same."""
    _first: bytes = b""
    _produced: AsyncGenerator[bytes] | None = None
    _ahead: ReadAhead | None = None

    def adopt(self, known: Speech) -> None:
        """Take over what is known of the same speech, as far as it has come."""
        self.length, self.sample_rate = known.length, known.sample_rate
        self.queue_seconds, self.inference_seconds = known.queue_seconds, known.inference_seconds
        self.audio_seconds, self.upstream = known.audio_seconds, known.upstream
        if known.fallback_for is not None:
            self.speaker, self.fallback_for = known.speaker, known.fallback_for

    async def begin(self, produced: AsyncGenerator[bytes]) -> None:
        """Wait for the first bytes; BadAudio when there are none."""
        self._produced = produced
        try:
            self._first = await anext(produced)
        except StopAsyncIteration as error:
            raise BadAudio(f"Provider “{self.speaker.provider.name}” sent no audio.") from error
        except BaseException:
            await produced.aclose()
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        chunk: bytes | None = self._first
        while chunk is not None:
            # While the reader has the chunk nothing reads from the provider, so the timer may hand that to a task.
            timer = loop.call_later(SLOW_READER_SECONDS, self._read_ahead)
            try:
                yield chunk
            finally:
                timer.cancel()
            chunk = await self._next()
        self._note()

    async def whole(self) -> bytes:
        """All of it at once, for whoever holds it whole anyway."""
        parts = [self._first]
        while (chunk := await self._next()) is not None:
            parts.append(chunk)
        self._note()
        return b"".join(parts)

    def _note(self) -> None:
        # What a bank keeps, or shares, was counted as it was spoken.
        if not self.cache:
            metrics.note_speech(self.speaker.provider.name, self.inference_seconds, self.audio_seconds)

    async def _next(self) -> bytes | None:
        assert self._produced is not None
        if self._ahead is not None:
            return await self._ahead.next()
        return await anext(self._produced, None)

    def _read_ahead(self) -> None:
        if self._ahead is None and self._produced is not None:
            self._ahead = ReadAhead(self._produced)

    async def caught_up(self) -> None:
        """Before the next piece of a long text: wait until a slow reader has taken most of what is there."""
        if self._ahead is not None:
            await self._ahead.room(LOW_AHEAD_BYTES)

    async def aclose(self) -> None:
        """Stop whatever still runs and give the slot back."""
        if self._ahead is not None:
            await self._ahead.close()
        if self._produced is not None:
            await self._produced.aclose()


class ReadAhead:
    """Reads on in a task of its own, so that a slow reader does not hold a provider's slot; bounded."""

    def __init__(self, produced: AsyncGenerator[bytes]) -> None:
        self._produced = produced
        self._chunks = asyncio.Queue[bytes | None]()
        self._size = 0
        self._taken = asyncio.Event()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        try:
            async for chunk in self._produced:
                self._size += len(chunk)
                self._chunks.put_nowait(chunk)
                await self.room(MAX_AHEAD_BYTES)
        finally:
            self._chunks.put_nowait(None)

    async def next(self) -> bytes | None:
        """The next chunk; None after the last. Raises what ended the reading."""
        chunk = await self._chunks.get()
        if chunk is None:
            await self._reading
            return None
        self._size -= len(chunk)
        self._taken.set()
        return chunk

    async def room(self, size: int) -> None:
        """Wait until no more than so many bytes wait for the reader."""
        while self._size > size:
            self._taken.clear()
            await self._taken.wait()

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
