"""Parts of one long recording: files of any rate and channels, each as exactly the samples that its length makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from providers.audio.decoding import decoded_file
from providers.audio.samples import Converter, translated
from providers.audio.sources import open_source
from providers.audio.watch import Stage
from providers.errors import BadAudio
from providers.speech import PCM_SAMPLE_RATE, AudioFormat

_READ_BYTES = 1 << 16
# These are read as they come; the others by ffmpeg's own demuxers.
_STREAMED = (AudioFormat.PCM, AudioFormat.MP3, AudioFormat.AAC)

type Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Part:
    """A file to be heard, then `gap` seconds of silence.

    `name` is what a failure calls it; `chapter` the title of the chapter that begins with it, if one does;
    `sample_rate` that of headerless PCM.
    """

    path: Path
    format: AudioFormat
    name: str
    gap: float = 0.0
    chapter: str = ""
    sample_rate: int = PCM_SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Shape:
    """How samples lie: 32-bit floats, the channels of a moment side by side."""

    sample_rate: int
    channels: int

    @property
    def layout(self) -> str:
        return "mono" if self.channels == 1 else "stereo"

    def silence(self, samples: int) -> Iterator[Floats]:
        """In pieces of a second or less."""
        for start in range(0, samples, self.sample_rate):
            yield np.zeros(min(self.sample_rate, samples - start) * self.channels, np.float32)

    def frame(self, samples: Floats, position: int) -> AudioFrame:
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), "flt", self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.sample_rate, position, Fraction(1, self.sample_rate)
        return frame


def floats_of(frame: AudioFrame) -> Floats:
    """The samples of a frame of a Shape, where they lie: it must not be used again."""
    return np.frombuffer(frame.planes[0], np.float32, frame.samples * frame.layout.nb_channels)


class BadPart(BadAudio):
    """`part` is its place among the parts, from 0."""

    def __init__(self, part: int, message: str) -> None:
        super().__init__(message)
        self.part = part


def part_samples(parts: Sequence[Part], number: int, shape: Shape) -> Iterator[tuple[Floats, float]]:
    """As many samples as its length makes, to the nearest one, in pieces of about a second; with each the share of
    the file that has been read. Raises BadPart."""
    pieces, waiting, given = list[Floats](), 0, 0
    with _named(parts, number):
        converter = Converter("flt", shape.layout, lambda _: shape.sample_rate)
        lengths = Counter[int]()
        for frame, share in _decoded(parts[number]):
            lengths[frame.sample_rate] += frame.samples
            converted = _floats(converter.frames(frame))
            pieces.append(converted)
            waiting += len(converted) // shape.channels
            if waiting >= shape.sample_rate:
                yield np.concatenate(pieces), share
                pieces, waiting, given = [], 0, given + waiting
        length = round(sum(Fraction(samples, rate) for rate, samples in lengths.items()) * shape.sample_rate)
        missing = max(length - given, 0) * shape.channels
        rest = np.concatenate([*pieces, _floats(converter.tail())])[:missing]
        yield np.pad(rest, (0, missing - len(rest))), 1.0


def shape_of(parts: Sequence[Part], most: int, stage: Stage) -> Shape:
    """The highest rate of all parts, at most `most`, and stereo where any part has more than one channel."""
    rate, channels = 0, 1
    for number, part in enumerate(parts):
        stage.at(number / len(parts))
        with _named(parts, number):
            first, _ = next(_decoded(part))
        rate, channels = max(rate, first.sample_rate), max(channels, first.layout.nb_channels)
    return Shape(min(rate, most), min(channels, 2))


@contextmanager
def _named(parts: Sequence[Part], number: int) -> Iterator[None]:
    try:
        with translated():
            yield
    except BadAudio as error:
        raise BadPart(number, f"{parts[number].name}: {error.message}") from error
    except OSError as error:
        raise BadPart(number, f"{parts[number].name}: Its file can't be read: {error.strerror}.") from error


def _decoded(part: Part) -> Iterator[tuple[AudioFrame, float]]:
    """Its frames, each with the share of the file that has been read."""
    with open(part.path, "rb") as file:
        size, heard = part.path.stat().st_size or 1, False
        for frame in _frames(file, part):
            heard = True
            yield frame, min(file.tell() / size, 1.0)
    if not heard:
        raise BadAudio("The file holds no sound.")


def _frames(file: BinaryIO, part: Part) -> Iterator[AudioFrame]:
    if part.format not in _STREAMED:
        yield from decoded_file(file, strict=True)
        return
    source = open_source(part.format, part.sample_rate)
    while chunk := file.read(_READ_BYTES):
        yield from source.feed(chunk)
    yield from source.finish()


def _floats(frames: Sequence[AudioFrame]) -> Floats:
    samples = np.concatenate([np.zeros(0, np.float32), *map(floats_of, frames)])
    # A file of floats may hold what is no number, and one of them would spoil the loudness of the whole.
    return samples if np.isfinite(np.dot(samples, samples)) else np.nan_to_num(samples, posinf=1.0, neginf=-1.0)
