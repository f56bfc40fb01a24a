"""Sounds to test with, made and measured apart from the product's code. All samples are mono s16le unless said."""

from __future__ import annotations

import functools
import io
import random
import struct
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from hibari import Hibari
from numpy.typing import NDArray

from providers.audio import Transcoder
from providers.speech import AudioFormat


def tone(sample_rate: int, seconds: float, hertz: float = 440.0, amplitude: int = 8000) -> bytes:
    moments = np.arange(round(sample_rate * seconds)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * hertz * moments)).astype("<i2").tobytes()


@functools.cache
def spoken(text: str) -> bytes:
    """Real speech at 24 kHz."""
    voice: NDArray[np.float32] = Hibari(threads=1)(text)
    return (voice.clip(-1.0, 1.0) * 32767).astype("<i2").tobytes()


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def samples_of(pcm: bytes) -> NDArray[np.float64]:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def seconds_of(pcm: bytes, sample_rate: int) -> float:
    return len(pcm) / 2 / sample_rate


def loudness(pcm: bytes) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(samples_of(pcm) ** 2)))


def dominant_hertz(pcm: bytes, sample_rate: int) -> float:
    samples = samples_of(pcm)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * sample_rate / len(samples)


def wav_file(
    body: bytes,
    sample_rate: int,
    *,
    encoding: int = 1,
    bits: int = 16,
    channels: int = 1,
    data_size: int | None = None,
    riff_size: int | None = None,
    before_data: bytes = b"",
    after_data: bytes = b"",
    extensible: bool = False,
) -> bytes:
    """A WAV file by the book, or with the sizes that streaming writers put in."""
    frame = channels * bits // 8
    shape = struct.pack("<HIIHH", channels, sample_rate, sample_rate * frame, frame, bits)
    if extensible:
        guid_tail = bytes.fromhex("000000001000800000aa00389b71")
        fmt = struct.pack("<H", 0xFFFE) + shape + struct.pack("<HHIH", 22, bits, 0, encoding) + guid_tail
    else:
        fmt = struct.pack("<H", encoding) + shape
    size = len(body) if data_size is None else data_size
    chunks = b"WAVE" + wav_chunk(b"fmt ", fmt) + before_data + b"data" + struct.pack("<I", size) + body + after_data
    return b"RIFF" + struct.pack("<I", len(chunks) if riff_size is None else riff_size) + chunks


def muxed(container: str, codec: str, pcm: bytes, sample_rate: int, metadata: dict[str, str] | None = None) -> bytes:
    """A file in any container of ffmpeg's, made without the product."""
    sink = io.BytesIO()
    # ffmpeg's own encoder of Vorbis knows nothing but stereo, and calls itself an experiment.
    layout = "stereo" if codec == "vorbis" else "mono"
    with av.open(sink, "w", format=container) as output:
        output.metadata.update(metadata or {})
        stream = output.add_stream(codec, sample_rate, options={"strict": "experimental"}, layout=layout)
        assert isinstance(stream, av.AudioStream)
        samples = np.frombuffer(pcm, np.int16).repeat(stream.channels)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", layout)
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, 0, Fraction(1, sample_rate)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return sink.getvalue()


def wav_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def in_pieces(data: bytes, seed: int = 1, sizes: tuple[int, ...] = (1, 2, 7, 333, 4096, 10_000)) -> Iterator[bytes]:
    chooser, start = random.Random(seed), 0
    while start < len(data):
        size = chooser.choice(sizes)
        yield data[start : start + size]
        start += size


def transcoded(
    target: AudioFormat,
    *files: tuple[AudioFormat, bytes],
    sample_rate: int = 0,
    speed: float = 1.0,
    gain_db: float = 0.0,
    seed: int = 1,
) -> bytes:
    """The whole answer for source files that come in random pieces."""
    transcoder = Transcoder(target, speed=speed, gain_db=gain_db)
    answer = b""
    for format, file in files:
        transcoder.start_file(format, sample_rate)
        answer += b"".join(map(transcoder.feed, in_pieces(file, seed)))
        answer += transcoder.end_file()
    return answer + transcoder.finish()
