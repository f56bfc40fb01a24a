"""What is measured of a recording, and cutting a piece out of it. Recordings are WAV files as `to_reference_wav` makes.

Levels are dBFS: 0 is the loudest that a sample can be, -100 stands for silence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from providers.audio import decode, wav_header
from providers.errors import BadAudio

REFERENCE_BYTES, REFERENCE_SECONDS = 30 * 1024**2, 600
SILENCE_DB = -100.0
QUIET_DB = -35.0
# Three samples in a row at the very top are no peak but a peak that was cut off.
_CLIPPED_SAMPLES, _FULL_SCALE = 3, 32_760
# What is this much quieter than the loudest part is a pause, not speech.
_PAUSE_DB = 30.0
_BLOCKS_A_SECOND = 20
WAVEFORM_COLUMNS = 400
SHORTEST_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Measured:
    """`loudness` is the root mean square of what is spoken, pauses left out; `waveform` the highest level in each of
    at most 400 equal parts, 0 to 100."""

    duration: float
    peak: float
    loudness: float
    clipped: bool
    waveform: list[int]


def measure(wav: bytes) -> Measured:
    return measure_samples(*decode(wav))


def measure_samples(pcm: bytes, sample_rate: int) -> Measured:
    """Of mono s16le samples."""
    samples = np.frombuffer(pcm, "<i2")
    waveform = _columns(samples)
    return Measured(
        duration=len(samples) / sample_rate,
        peak=_decibels(float(waveform.max())),
        loudness=_loudness(samples, sample_rate // _BLOCKS_A_SECOND),
        clipped=_is_clipped(samples),
        waveform=[round(100 * int(column) / 32_768) for column in waveform],
    )


def cut(wav: bytes, start: float, end: float) -> bytes:
    """The part between two moments, in seconds. BadAudio where that is too little."""
    pcm, sample_rate = decode(wav)
    piece = pcm[2 * round(start * sample_rate) : 2 * round(end * sample_rate)]
    if len(piece) < 2 * sample_rate * SHORTEST_SECONDS:
        raise BadAudio("What is left would be too short.")
    return wav_header(sample_rate, len(piece)) + piece


def _decibels(level: float) -> float:
    return round(max(20 * float(np.log10(level / 32_768)), SILENCE_DB), 1) if level > 0 else SILENCE_DB


def _loudness(samples: NDArray[np.int16], block: int) -> float:
    """In parts, since ten minutes as floating point numbers would take half a gigabyte."""
    part = 1000 * block
    powers = np.concatenate([_powers(samples[at : at + part], block) for at in range(0, len(samples), part)])
    spoken = powers[powers >= powers.max() * 10 ** (-_PAUSE_DB / 10)]
    return _decibels(float(np.sqrt(spoken.mean())))


def _powers(samples: NDArray[np.int16], block: int) -> NDArray[np.float64]:
    """Of each whole block; of all where there is none."""
    squares = samples.astype(np.float64) ** 2
    whole = len(squares) // block * block
    return squares[:whole].reshape(-1, block).mean(axis=1) if whole else squares.mean(keepdims=True)


def _is_clipped(samples: NDArray[np.int16]) -> bool:
    full = (samples >= _FULL_SCALE) | (samples <= -_FULL_SCALE)
    runs = [full[offset : len(full) - _CLIPPED_SAMPLES + 1 + offset] for offset in range(_CLIPPED_SAMPLES)]
    return bool(np.logical_and.reduce(runs).any())


def _columns(samples: NDArray[np.int16]) -> NDArray[np.int32]:
    count = min(WAVEFORM_COLUMNS, len(samples))
    starts = np.arange(count) * len(samples) // count
    highest = np.maximum.reduceat(samples, starts).astype(np.int32)
    return np.maximum(highest, -np.minimum.reduceat(samples, starts).astype(np.int32))
