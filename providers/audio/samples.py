"""Between ffmpeg's frames and plain samples; and the boundary where its exceptions become ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from providers.errors import BadAudio


@contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise BadAudio(f"The audio can't be processed: {error.strerror}.") from error


def pcm_of(frame: AudioFrame) -> bytes:
    return bytes(memoryview(frame.planes[0])[: frame.samples * 2])


def frames_of(pcm: bytes, sample_rate: int, first_sample: int = 0) -> Iterator[AudioFrame]:
    """Mono samples as frames of a second or less."""
    samples = np.frombuffer(pcm, np.int16).reshape(1, -1)
    for start in range(0, samples.shape[1], sample_rate):
        frame = AudioFrame.from_ndarray(samples[:, start : start + sample_rate], "s16", "mono")
        frame.sample_rate = sample_rate
        frame.time_base = Fraction(1, sample_rate)
        frame.pts = first_sample + start
        yield frame


class Converter:
    """Frames of any shape in, frames of one shape out, at the rate that `choose_rate` answers to the first frame's.

    A rate or layout that changes on the way is followed.
    """

    def __init__(self, format: str, layout: str, choose_rate: Callable[[int], int]) -> None:
        self.sample_rate = 0
        self._format, self._layout = format, layout
        self._choose_rate = choose_rate
        self._shape: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def frames(self, frame: AudioFrame) -> list[AudioFrame]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape == self._shape:
            return self._run(frame)
        tail = self.tail()
        self.sample_rate = self.sample_rate or self._choose_rate(frame.sample_rate)
        self._resampler = AudioResampler(self._format, self._layout, self.sample_rate, threads=1)
        self._shape = shape
        return tail + self._run(frame)

    def tail(self) -> list[AudioFrame]:
        tail = self._run(None)
        self._shape, self._resampler = None, None
        return tail

    def _run(self, frame: AudioFrame | None) -> list[AudioFrame]:
        if self._resampler is None:
            return []
        # Where there is nothing to convert, flushing gives None.
        return [converted for converted in self._resampler.resample(frame) if converted is not None]


class MonoConverter:
    """Frames of any shape in, mono samples out."""

    def __init__(self, choose_rate: Callable[[int], int]) -> None:
        self._converter = Converter("s16", "mono", choose_rate)

    @property
    def sample_rate(self) -> int:
        return self._converter.sample_rate

    def convert(self, frame: AudioFrame) -> bytes:
        return b"".join(map(pcm_of, self._converter.frames(frame)))

    def flush(self) -> bytes:
        return b"".join(map(pcm_of, self._converter.tail()))
