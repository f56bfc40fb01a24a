"""The embedded voice: real speech with nothing but what `pip install` brings (hibari-tts, American English)."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx

from providers.adapters.base import Adapter
from providers.errors import InvalidRequest, NothingToSay, VoiceNotFound
from providers.speech import (
    AudioFormat,
    Capabilities,
    Health,
    ProviderConfig,
    SpeechAudio,
    SpeechRequest,
    TaskMode,
    TaskModeFields,
    Voice,
)

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

SAMPLE_RATE = 24_000
# The engine speaks at about -26 dBFS RMS; this brings it near -18 dBFS, where other providers are.
GAIN = 2.5
# Voices that come inside the package; hibari downloads all others, which an embedded voice must never do.
VOICES = {"heart": Voice("heart", "Heart", language="en-US", gender="female")}
# The engine fails on long runs of digits, with commas or without, and reads shorter ones as one enormous number.
_LONG_NUMBER = re.compile(r"[\d,]{16,}")
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3}){1,4}")


_loading = threading.Lock()


def shared_model() -> Any:
    """The one model of this process, whose 90 MB are loaded once and stay."""
    with _loading:
        return _loaded_model()


@cache
def _loaded_model() -> Any:
    from hibari import Hibari

    model = Hibari(threads=1)
    # Otherwise the first callers would each load its dictionary.
    _ = model.g2p
    return model


class EmbeddedAdapter(Adapter):
    label = "Embedded voice"
    capabilities = Capabilities(
        task_modes={TaskMode.PRESET: TaskModeFields(optional=frozenset({"voice"}))},
        formats=frozenset({AudioFormat.PCM}),
        piece_characters=300,
        default_concurrency=2,
    )

    def __init__(self, config: ProviderConfig, client: httpx.AsyncClient) -> None:
        super().__init__(config, client)
        self._threads = self._new_threads()

    def _new_threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.config.max_concurrency, thread_name_prefix="embedded")

    @asynccontextmanager
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        if request.voice and request.voice.lower() not in VOICES:
            raise VoiceNotFound(f"The embedded voice “{request.voice}” does not exist; there is: {', '.join(VOICES)}.")
        pcm = await asyncio.get_running_loop().run_in_executor(self._threads, _pcm, request.text)
        yield SpeechAudio(chunks=_once(pcm), format=AudioFormat.PCM, sample_rate=SAMPLE_RATE)

    async def voices(self) -> list[Voice]:
        return list(VOICES.values())

    async def health(self) -> Health:
        return Health(reachable=True)

    async def close(self) -> None:
        threads, self._threads = self._threads, self._new_threads()
        threads.shutdown(wait=False)


def _pcm(text: str) -> bytes:
    model = shared_model()
    try:
        samples = model(_LONG_NUMBER.sub(_spaced, text))
    except Exception as error:
        # The engine documents no exceptions of its own; what it raises comes from the text, not from its state.
        raise InvalidRequest("The embedded voice can't read a part of this text aloud.", param="input") from error
    if not len(samples):
        raise NothingToSay("The embedded voice speaks English and found no words in the text.", param="input")
    return _louder(samples)


def _spaced(run: re.Match[str]) -> str:
    """A list of numbers with room between them, and over-long numbers digit by digit."""
    if _THOUSANDS.fullmatch(run[0]):
        return run[0]
    return ", ".join(" ".join(number) if len(number) > 15 else number for number in run[0].split(","))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _louder(samples: NDArray[float32]) -> bytes:
    """Raised by GAIN; peaks are bent below full scale instead of clipped. 16-bit little-endian mono."""
    import numpy as np

    raised = samples * GAIN
    knee = 0.7
    over = np.abs(raised) > knee
    bent = np.sign(raised) * (knee + (1 - knee) * np.tanh((np.abs(raised) - knee) / (1 - knee)))
    return bytes((np.where(over, bent, raised) * 32767).astype("<i2").tobytes())
