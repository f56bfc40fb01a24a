"""The voices that the operating system has."""

from __future__ import annotations

import asyncio
import re
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO

import httpx

from providers.adapters.base import Adapter
from providers.adapters.system.engine import Engine
from providers.adapters.system.espeak import espeak_engine
from providers.adapters.system.macos import SayEngine
from providers.adapters.system.windows import PowerShellEngine
from providers.errors import BadAudio, NothingToSay, ProviderUnavailable, SpeechError, VoiceNotFound
from providers.speech import (
    AudioFormat,
    Capabilities,
    Health,
    Option,
    OptionType,
    ProviderConfig,
    SpeechAudio,
    SpeechRequest,
    TaskMode,
    TaskModeFields,
    Voice,
)

# Engines obey what stands behind `[[`, and espeak-ng what stands behind a control character.
_OPENING = re.compile(r"\[(?=\[)")
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
# espeak-ng writes 0x7FFFF000 where the size belongs.
_LARGEST_TRUE_BYTES = 0x7FFFEFFF


def system_engine() -> Engine:
    """The engine of this operating system; on anything but Windows and macOS it is espeak-ng."""
    if sys.platform == "win32":
        return PowerShellEngine()
    return SayEngine() if sys.platform == "darwin" else espeak_engine()


class SystemAdapter(Adapter):
    label = "System voices"
    capabilities = Capabilities(
        task_modes={TaskMode.PRESET: TaskModeFields(required=frozenset({"voice"}))},
        formats=frozenset({AudioFormat.WAV}),
        piece_characters=2000,
        default_concurrency=2,
        character_options=(
            Option(
                "rate",
                "Engine's own rate",
                OptionType.NUMBER,
                default=1.0,
                minimum=0.5,
                maximum=2.0,
                help="How fast the engine itself speaks; the speed then stretches what it spoke.",
            ),
        ),
    )

    def __init__(self, config: ProviderConfig, client: httpx.AsyncClient, engine: Engine | None = None) -> None:
        super().__init__(config, client)
        self._engine = engine or system_engine()
        self._voice_ids: frozenset[str] = frozenset()

    @classmethod
    def unavailable(cls) -> str:
        return system_engine().unavailable()

    @asynccontextmanager
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        await self._check_voice(request.voice)
        text = plain_text(request.text)
        if not text:
            raise NothingToSay("There are no words in the text.", param="input")
        rate = float(request.options.get("rate", 1.0))
        spoken = await self._engine.speak(text, request.voice, rate, self.config.timeout)
        wav = await asyncio.to_thread(whole_wav, spoken)
        yield SpeechAudio(chunks=_once(wav), format=AudioFormat.WAV)

    async def voices(self) -> list[Voice]:
        if reason := self._engine.unavailable():
            raise ProviderUnavailable(reason)
        voices = await self._engine.voices(self.config.timeout)
        self._voice_ids = frozenset(voice.id for voice in voices)
        return voices

    async def health(self) -> Health:
        try:
            voices = await self.voices()
        except SpeechError as error:
            return Health(False, error.message)
        return Health(True, "" if voices else "The system's speech engine has no voices: install one.")

    async def _check_voice(self, voice: str) -> None:
        """Nothing but a listed voice is ever handed to a program."""
        if voice not in self._voice_ids:
            await self.voices()
        if voice not in self._voice_ids:
            raise VoiceNotFound(f"The system has no voice “{voice}”.", param="voice")


def plain_text(text: str) -> str:
    """Without anything that an engine would obey in place of speaking it."""
    return _OPENING.sub("[ ", _CONTROLS.sub(" ", text)).strip()


def whole_wav(spoken: bytes) -> bytes:
    """With true sizes. NothingToSay when no sample is audible, BadAudio when it is no whole WAV file."""
    output = BytesIO()
    try:
        with wave.open(BytesIO(spoken), "rb") as reader, wave.open(output, "wb") as writer:
            promised = reader.getnframes() * reader.getsampwidth() * reader.getnchannels()
            samples = reader.readframes(reader.getnframes())
            writer.setparams(reader.getparams()._replace(nframes=0))
            writer.writeframes(samples)
    except (wave.Error, EOFError) as error:
        raise BadAudio("The system's speech engine produced no audio.") from error
    if len(samples) < promised <= _LARGEST_TRUE_BYTES:
        raise BadAudio("The system's speech engine stopped within a word.")
    if not any(samples):
        raise NothingToSay("The system's speech engine found no words in the text.", param="input")
    return output.getvalue()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
