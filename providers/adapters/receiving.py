"""What a provider sent in place of what was asked: the bytes decide, not the Content-Type."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from providers.audio import is_foreign, sniff, to_wav
from providers.errors import BadAudio
from providers.http import ERROR_BODY_BYTES, HEAD_BYTES, Answer, error_text, scrubbed
from providers.speech import PCM_SAMPLE_RATE, AudioFormat, ProviderConfig, SpeechAudio

# Shorter files can't be told from noise, and none of the formats has a sample in so few bytes.
_MIN_SNIFF_BYTES = 4
_TEXT_TYPES = ("application/json", "application/problem+json", "text/")
_LOGGED_HEADERS = ("openai-processing-ms", "x-request-id")
_FRAMED = (AudioFormat.MP3, AudioFormat.AAC)
_MAX_FOREIGN_BYTES = 64 << 20


async def received_audio(
    answer: Answer, config: ProviderConfig, asked: AudioFormat, pcm_rate: int = PCM_SAMPLE_RATE
) -> SpeechAudio:
    """The audio of a successful answer, in the format it truly has. BadAudio when it is no audio, or has no sample."""
    if is_foreign(answer.head):
        return SpeechAudio(as_wav(answer.chunks(), config), AudioFormat.WAV, headers=logged_headers(answer))
    found = _format(answer, asked)
    if found is None:
        raise BadAudio(await _complaint(answer, config))
    if not answer.head or (found is AudioFormat.WAV and len(answer.head) < HEAD_BYTES):
        raise BadAudio(f"{config.name} answered without any sound.")
    return SpeechAudio(
        chunks=answer.chunks(),
        format=found,
        sample_rate=_stated_rate(answer) or pcm_rate if found is AudioFormat.PCM else 0,
        streaming="content-length" not in answer.headers,
        headers=logged_headers(answer),
    )


async def as_wav(chunks: AsyncIterator[bytes], config: ProviderConfig) -> AsyncIterator[bytes]:
    """A file in none of our formats (see `is_foreign`), decoded when it is complete."""
    file = bytearray()
    async for chunk in chunks:
        file += chunk
        if len(file) > _MAX_FOREIGN_BYTES:
            raise BadAudio(
                f"{config.name} sent more than {_MAX_FOREIGN_BYTES >> 20} MB of audio that has to be decoded."
            )
    yield await asyncio.to_thread(to_wav, bytes(file))


def logged_headers(answer: Answer) -> dict[str, str]:
    """The provider's own headers that are worth keeping, lower-case names; paths on its machine are not."""
    return {
        name: value
        for name, value in answer.headers.items()
        if name in _LOGGED_HEADERS or (name.startswith("x-neiroha-") and not name.endswith("-path"))
    }


def _format(answer: Answer, asked: AudioFormat) -> AudioFormat | None:
    head, type = answer.head, answer.content_type
    found = sniff(head) if len(head) >= _MIN_SNIFF_BYTES else None
    raw = asked is AudioFormat.PCM or type == "audio/pcm"
    # Samples can look like the first bytes of an MP3 or AAC frame, so that takes a second witness.
    if raw and found in _FRAMED and head[:3] != b"ID3" and type != found.content_type:
        found = None
    if found is None and raw and not type.startswith(_TEXT_TYPES) and not _is_text(head):
        return AudioFormat.PCM
    return found


def _is_text(head: bytes) -> bool:
    """All printable, which the beginning of real samples is not."""
    return bool(head) and head.isascii() and head.decode("ascii").replace("\n", "").replace("\r", "").isprintable()


def _stated_rate(answer: Answer) -> int:
    rate = re.search(r"rate=(\d{4,6})\b", answer.headers.get("content-type", ""))
    return int(rate[1]) if rate else 0


async def _complaint(answer: Answer, config: ProviderConfig) -> str:
    if not answer.head:
        return f"{config.name} answered without any sound."
    if not answer.content_type.startswith(_TEXT_TYPES) and not _is_text(answer.head):
        return f"{config.name} answered with something that is not audio."
    words = error_text(await answer.read(ERROR_BODY_BYTES))
    return scrubbed(f"{config.name} answered with text in place of audio" + (f": {words}" if words else "."), config)
