"""Sound that comes as base64 inside JSON: whole, or piece by piece in server-sent events."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from providers.adapters.receiving import as_wav, logged_headers
from providers.audio import is_foreign, sniff
from providers.errors import BadAudio, UpstreamFailed
from providers.http import HEAD_BYTES, Answer
from providers.speech import PCM_SAMPLE_RATE, AudioFormat, ProviderConfig, SpeechAudio

# Some providers put all of their speech into one event; this is half an hour of it.
MAX_JSON_BYTES = 128 * 1024 * 1024
# Less is parsed sooner than a thread is reached.
_LARGE_BYTES = 256 * 1024


class Sound(NamedTuple):
    """A piece of one audio file; `sample_rate` counts where the file is headerless."""

    data: bytes
    sample_rate: int = PCM_SAMPLE_RATE


async def json_payloads(answer: Answer, config: ProviderConfig) -> AsyncIterator[Any]:
    """Each event of an event stream; of any other answer its whole body, which may hold many minutes of sound.

    UpstreamFailed when one is not JSON.
    """
    if not is_event_stream(answer):
        yield await _parsed(await answer.read(MAX_JSON_BYTES), config)
        return
    async for event in _events(answer, config):
        yield event


def is_event_stream(answer: Answer) -> bool:
    return answer.content_type == "text/event-stream"


async def decode_base64(text: object, config: ProviderConfig) -> bytes:
    """BadAudio when it is not base64."""
    try:
        if not isinstance(text, str):
            raise ValueError("not text")
        if len(text) < _LARGE_BYTES:
            return base64.b64decode(text, validate=True)
        return await asyncio.to_thread(base64.b64decode, text, validate=True)
    except ValueError as error:
        raise BadAudio(f"{config.name} sent sound that is not proper base64.") from error


async def begin_audio(sounds: AsyncIterator[Sound], answer: Answer, config: ProviderConfig) -> SpeechAudio:
    """Waits for the first sound, whose bytes tell its format; without a known beginning it is PCM.

    BadAudio when there is none.
    """
    head, rate = b"", PCM_SAMPLE_RATE
    async for sound in sounds:
        rate = rate if head else sound.sample_rate
        head += sound.data
        if len(head) >= HEAD_BYTES:
            break
    if is_foreign(head):
        return SpeechAudio(as_wav(_joined(head, sounds), config), AudioFormat.WAV, headers=logged_headers(answer))
    found = _format(head)
    if not head or (found is AudioFormat.WAV and len(head) < HEAD_BYTES):
        raise BadAudio(f"{config.name} answered without any sound.")
    return SpeechAudio(
        chunks=_joined(head, sounds),
        format=found,
        sample_rate=rate if found is AudioFormat.PCM else 0,
        streaming=is_event_stream(answer),
        headers=logged_headers(answer),
    )


def _format(head: bytes) -> AudioFormat:
    """Samples can look like an MP3 or AAC frame, so those count only with a tag before them."""
    found = sniff(head)
    certain = found not in (None, AudioFormat.MP3, AudioFormat.AAC) or head[:3] == b"ID3"
    return found if found and certain else AudioFormat.PCM


async def _joined(head: bytes, sounds: AsyncIterator[Sound]) -> AsyncIterator[bytes]:
    yield head
    async for sound in sounds:
        yield sound.data


async def _events(answer: Answer, config: ProviderConfig) -> AsyncIterator[Any]:
    """What each event carries, until the body or `[DONE]` ends them."""
    data: list[bytes] = []
    async for line in _lines(answer, config):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            if data == [b"[DONE]"]:
                return
            yield await _parsed(b"\n".join(data), config)
            data = []
    # Refused streams have been seen to end without the blank line.
    if data and data != [b"[DONE]"]:
        yield await _parsed(b"\n".join(data), config)


async def _lines(answer: Answer, config: ProviderConfig) -> AsyncIterator[bytes]:
    """Without their ends. A line comes in any number of chunks, so they are joined once."""
    parts: list[bytes] = []
    size = 0
    async for chunk in answer.chunks():
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_JSON_BYTES:
            raise UpstreamFailed(f"{config.name} sent an event of more than {MAX_JSON_BYTES} bytes.")
        if b"\n" in chunk:
            *lines, rest = b"".join(parts).split(b"\n")
            parts, size = [rest], len(rest)
            for line in lines:
                yield line.removesuffix(b"\r")
    yield b"".join(parts)


async def _parsed(data: bytes, config: ProviderConfig) -> Any:
    try:
        return json.loads(data) if len(data) < _LARGE_BYTES else await asyncio.to_thread(json.loads, data)
    except (ValueError, RecursionError) as error:
        raise UpstreamFailed(f"{config.name} did not answer with proper JSON.") from error
