"""Speech laid over a recording, each piece at its exact time: sound alone, or the film with it as a track.

Everything is streamed: what it takes of memory does not depend on the length. Samples are added up as they are, so that
many pieces are as loud as one, and a limiter holds what would go too high.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from providers.audio.ducking import Ducking
from providers.audio.film import FilmLabel, FilmWriter
from providers.audio.footage import Film, FootageInfo, sound_of
from providers.audio.labels import Label
from providers.audio.loudness import Leveller, Meter, factor
from providers.audio.merge import LOUDNESS
from providers.audio.parts import Floats, Part, Shape, part_samples
from providers.audio.samples import translated
from providers.audio.targets import Target, Writer, writer_of
from providers.audio.tempo import Tempo
from providers.audio.watch import Stage, Watch
from providers.errors import InvalidRequest
from providers.whole_files import whole_file

_SAMPLE_RATE = 48_000
_BLOCK = _SAMPLE_RATE // 2
_CEILING_DB, _LOSSY_CEILING_DB = -1.0, -2.0
# Of the whole, how far measuring goes.
_MEASURED = 0.15


@dataclass(frozen=True, slots=True)
class Speech:
    """A file that is heard from `start`, in seconds, played `stretch` times as fast."""

    part: Part
    start: float
    stretch: float = 1.0


@dataclass(frozen=True, slots=True)
class Background:
    """What the speech is laid over. `gain_db` is that of its sound under speech: 0 leaves it as it is, None leaves it
    out altogether."""

    path: Path
    info: FootageInfo
    gain_db: float | None = 0.0

    @property
    def is_heard(self) -> bool:
        return self.gain_db is not None and self.info.has_sound


@dataclass(frozen=True, slots=True)
class Dub:
    """`loudness` of the speech is LUFS; None leaves it as it is."""

    speeches: Sequence[Speech]
    background: Background | None = None
    loudness: float | None = LOUDNESS
    title: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class Dubbed:
    """What was written; `gain` of the speech is dB."""

    duration: float
    channels: int
    gain: float


def _nobody_listens(_: float) -> None:
    return None


def _nobody_cancels() -> bool:
    return False


def write_dub(
    dub: Dub,
    target: Target,
    path: Path,
    *,
    progress: Callable[[float], None] = _nobody_listens,
    cancelled: Callable[[], bool] = _nobody_cancels,
) -> Dubbed:
    """The sound alone, as a new file at `path`: whole, or not at all. BadPart, Cancelled, OSError."""
    whole = Stage(Watch(progress, cancelled))
    ceiling = _CEILING_DB if target.is_lossless else _LOSSY_CEILING_DB
    mix = _mixed(dub, ceiling, whole)
    label = Label(mix.samples, dub.title, dub.author)
    with whole_file(path) as file:
        _write_sound(mix, writer_of(file, target, mix.shape, label), whole)
    whole.at(1)
    return mix.dubbed()


def write_film(
    dub: Dub,
    label: FilmLabel,
    path: Path,
    *,
    progress: Callable[[float], None] = _nobody_listens,
    cancelled: Callable[[], bool] = _nobody_cancels,
) -> Dubbed:
    """The background's film with the dub as a track; picture and the other tracks are copied as they are. BadAudio,
    BadPart, Cancelled, OSError."""
    background = dub.background
    if background is None or background.info.frame_rate is None or not isinstance(background.info.container, Film):
        raise InvalidRequest("There is no video to put the dub into.")
    whole = Stage(Watch(progress, cancelled))
    mix = _mixed(dub, _LOSSY_CEILING_DB, whole)
    with whole_file(path) as file:
        _write_film(mix, file, background, label, whole)
    whole.at(1)
    return mix.dubbed()


@translated()
def _write_sound(mix: Mix, writer: Writer, whole: Stage) -> None:
    stage = whole.between(_MEASURED, 1)
    for samples, share in mix.blocks():
        stage.at(share)
        writer.write(samples)
    writer.close()


def _write_film(mix: Mix, file: BinaryIO, background: Background, label: FilmLabel, whole: Stage) -> None:
    stage = whole.between(_MEASURED, 1)

    def watched() -> Iterator[Floats]:
        for samples, share in mix.blocks():
            stage.at(share)
            yield samples

    assert isinstance(background.info.container, Film)
    FilmWriter(file, background.info.container, mix.shape, label).write(background.path, watched())


def _mixed(dub: Dub, ceiling_db: float, whole: Stage) -> Mix:
    if not dub.speeches:
        raise InvalidRequest("There is nothing to dub: no line has audio.")
    heard = dub.background is not None and dub.background.is_heard
    channels = min(dub.background.info.channels, 2) if dub.background and heard else 1
    shape = Shape(_SAMPLE_RATE, channels)
    lengths, loudness = _measure(dub.speeches, shape, whole.between(0, _MEASURED))
    gain = 0.0 if dub.loudness is None or loudness is None else dub.loudness - loudness
    return Mix(dub, shape, lengths, gain, ceiling_db)


def _measure(speeches: Sequence[Speech], shape: Shape, stage: Stage) -> tuple[list[int], float | None]:
    """The samples of each as it will be played, and the loudness of all together."""
    meter, lengths, parts = Meter(shape), list[int](), [one.part for one in speeches]
    for number, speech in enumerate(speeches):
        length = 0
        for samples, share in part_samples(parts, number, Shape(shape.sample_rate, 1)):
            stage.at((number + share) / len(speeches))
            length += len(samples)
            meter.write(np.repeat(samples, shape.channels))
        lengths.append(round(length / speech.stretch))
    return lengths, meter.loudness()


class Mix:
    """The sound of a dub, from its beginning to its end."""

    def __init__(self, dub: Dub, shape: Shape, lengths: Sequence[int], gain_db: float, ceiling_db: float) -> None:
        self.shape = shape
        self._dub, self._gain_db, self._ceiling_db = dub, gain_db, ceiling_db
        self._parts = [one.part for one in dub.speeches]
        starts = [round(one.start * shape.sample_rate) for one in dub.speeches]
        self._spans = [(start, start + length) for start, length in zip(starts, lengths, strict=True)]
        footage = round(dub.background.info.duration * shape.sample_rate) if dub.background else 0
        self.samples = max(footage, *(end for _, end in self._spans))

    def dubbed(self) -> Dubbed:
        return Dubbed(self.samples / self.shape.sample_rate, self.shape.channels, self._gain_db)

    def blocks(self) -> Iterator[tuple[Floats, float]]:
        """All samples, each block with the share of the whole that is behind it."""
        limiter = Leveller(self.shape, 0.0, self._ceiling_db)
        for start, block in self._sums():
            if len(limited := limiter.write(block)):
                yield limited, start / self.samples
        if len(rest := limiter.flush()):
            yield rest, 1.0

    def _sums(self) -> Iterator[tuple[int, Floats]]:
        background = self._background()
        waiting = sorted(range(len(self._spans)), key=lambda number: -self._spans[number][0])
        speaking: list[_Voice] = []
        for start in range(0, self.samples, _BLOCK):
            length = min(_BLOCK, self.samples - start)
            while waiting and self._spans[waiting[-1]][0] < start + length:
                speaking.append(self._voice(waiting.pop()))
            block = background.take(start, length) if background else self._silence(length)
            for voice in speaking:
                voice.add_to(block, start)
            speaking = [voice for voice in speaking if voice.end > start + length]
            yield start, block

    def _silence(self, length: int) -> Floats:
        return np.zeros(length * self.shape.channels, np.float32)

    def _background(self) -> _Background | None:
        background = self._dub.background
        if background is None or background.gain_db is None or not background.is_heard:
            return None
        ducking = Ducking(self._spans, self.shape.sample_rate, factor(background.gain_db))
        return _Background(Reader(sound_of(background.path, self.shape)), self.shape, ducking)

    def _voice(self, number: int) -> _Voice:
        start, end = self._spans[number]
        return _Voice(self._spoken(number), start, end, self.shape.channels, np.float32(factor(self._gain_db)))

    def _spoken(self, number: int) -> Reader:
        speech, rate = self._dub.speeches[number], self.shape.sample_rate
        pieces = (samples for samples, _ in part_samples(self._parts, number, Shape(rate, 1)))
        return Reader(pieces if speech.stretch == 1 else _stretched(pieces, speech.stretch, rate))


class Reader:
    """Pieces of any length in, as many samples out as are asked for; fewer at the end."""

    def __init__(self, pieces: Iterator[Floats]) -> None:
        self._pieces, self._left = pieces, np.zeros(0, np.float32)

    def take(self, count: int) -> Floats:
        taken, missing = [self._left], count - len(self._left)
        while missing > 0 and (piece := next(self._pieces, None)) is not None:
            taken.append(piece)
            missing -= len(piece)
        joined = np.concatenate(taken)
        self._left = joined[count:].copy()
        return joined[:count]


@dataclass(slots=True)
class _Background:
    reader: Reader
    shape: Shape
    ducking: Ducking

    def take(self, start: int, length: int) -> Floats:
        samples, channels = self.reader.take(length * self.shape.channels), self.shape.channels
        whole = np.pad(samples, (0, length * channels - len(samples)))
        return np.asarray(whole * np.repeat(self.ducking.gains(start, length), channels), np.float32)


@dataclass(slots=True)
class _Voice:
    """`start` and `end` are samples of the whole."""

    reader: Reader
    start: int
    end: int
    channels: int
    louder: np.float32

    def add_to(self, block: Floats, position: int) -> None:
        first = max(self.start - position, 0)
        last = min(self.end - position, len(block) // self.channels)
        samples = self.reader.take(last - first) * self.louder
        begin = first * self.channels
        block[begin : begin + len(samples) * self.channels] += np.repeat(samples, self.channels)


def _stretched(pieces: Iterator[Floats], stretch: float, sample_rate: int) -> Iterator[Floats]:
    tempo = Tempo(stretch, 0.0, sample_rate)
    for piece in pieces:
        yield _floats(tempo.write((piece.clip(-1, 1) * 32767).round().astype("<i2").tobytes()))
    yield _floats(tempo.flush())


def _floats(pcm: bytes) -> Floats:
    return np.asarray(np.frombuffer(pcm, "<i2") / np.float32(32767), np.float32)
