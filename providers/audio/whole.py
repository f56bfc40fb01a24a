"""Whole files: what they say of themselves, and their conversion in one go."""

from __future__ import annotations

import struct

from providers.audio.encoding import encode
from providers.audio.formats import target_sample_rate
from providers.audio.transcoder import Transcoder
from providers.audio.wav import WAV_HEADER_BYTES
from providers.speech import PCM_SAMPLE_RATE, AudioFormat


def stated(file: bytes, format: AudioFormat) -> tuple[int | None, float | None]:
    """The sample rate and the seconds that can be told without decoding."""
    if format is AudioFormat.PCM:
        return PCM_SAMPLE_RATE, len(file) / (2 * PCM_SAMPLE_RATE)
    if format is AudioFormat.WAV and file[12:16] == b"fmt " and file[36:40] == b"data":
        rate, bytes_a_second = struct.unpack_from("<II", file, 24)
        return rate, (len(file) - WAV_HEADER_BYTES) / max(bytes_a_second, 1)
    return None, None


def transcoded(
    file: bytes, format: AudioFormat, sample_rate: int, target: AudioFormat, *, speed: float
) -> tuple[bytes, int, float]:
    """The file in the target format, its sample rate and seconds. `sample_rate` is that of raw samples. BadAudio."""
    transcoder = Transcoder(AudioFormat.WAV, speed=speed)
    transcoder.start_file(format, sample_rate)
    wav = transcoder.feed(file) + transcoder.end_file() + transcoder.finish()
    encoded = encode(wav[WAV_HEADER_BYTES:], transcoder.sample_rate, target)
    return encoded, target_sample_rate(target, transcoder.sample_rate), transcoder.seconds
