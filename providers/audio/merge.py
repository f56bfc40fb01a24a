"""Many recordings into one file, however long: each is decoded twice, first to measure, then to be written.

No samples are kept in between: the memory that it takes does not depend on the length. The first pass finds how long
each part is and how loud the whole, so that chapters and gain are known before the first sample is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from providers.audio.labels import Chapter, Label
from providers.audio.loudness import Leveller, Meter, decibels, factor
from providers.audio.parts import Floats, Part, Shape, part_samples, shape_of
from providers.audio.samples import translated
from providers.audio.targets import Target, Writer, writer_of
from providers.audio.watch import Stage, Watch
from providers.errors import InvalidRequest
from providers.whole_files import whole_file

# Louder, speech would be flattened by the limiter, and would not come to what was asked for.
LOUDNESS, LOUDNESS_MIN, LOUDNESS_MAX = -16.0, -36.0, -12.0
MOST_SAMPLE_RATE = 48_000
GAP_MAX = 600.0
# An encoder that leaves something out may let a peak come back a little higher.
_CEILING_DB, _LOSSY_CEILING_DB, _FULL_SCALE_DB = -1.0, -2.0, 0.0
# So much may stand between samples; what has this room needs no limiter.
_BETWEEN_SAMPLES_DB = 3.0
# A quarter of what EBU R128 lets a live programme be off; and how far a limiter's effect is made good.
_NEAR_ENOUGH_DB, _MOST_MORE_DB, _LEAST_SLOPE = 0.25, 24.0, 0.25
# Where, in the whole, measuring begins, and each attempt to write.
_MEASURING, _WRITING = 0.02, (0.4, 0.8, 0.88, 0.93, 0.97, 1.0)


def _nobody_listens(_: float) -> None:
    return None


def _nobody_cancels() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a part is heard, in seconds; the gap after it is not in it."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Merged:
    """What was written. `loudness`: LUFS, None for silence and where it was left as it is; `gain`: dB."""

    slots: list[Slot]
    duration: float
    sample_rate: int
    channels: int
    loudness: float | None
    gain: float


@dataclass(frozen=True, slots=True)
class _Measured:
    """`lengths`: the samples of each part, without its gap."""

    lengths: list[int]
    loudness: float | None
    peak: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """Parts and where they lie."""

    parts: Sequence[Part]
    shape: Shape
    lengths: Sequence[int]

    def gap(self, number: int) -> int:
        return round(self.parts[number].gap * self.shape.sample_rate)

    @property
    def samples(self) -> int:
        return sum(length + self.gap(number) for number, length in enumerate(self.lengths))

    def starts(self) -> Iterator[int]:
        start = 0
        for number, length in enumerate(self.lengths):
            yield start
            start += length + self.gap(number)

    def heard(self) -> Iterator[Floats]:
        """All samples, gaps too. A file that changed since it was measured still keeps to its place."""
        for number, length in enumerate(self.lengths):
            left = length * self.shape.channels
            for samples, _ in part_samples(self.parts, number, self.shape):
                yield samples[:left]
                left -= len(samples[:left])
            yield from self.shape.silence(left // self.shape.channels + self.gap(number))

    def slots(self) -> list[Slot]:
        rate = self.shape.sample_rate
        return [
            Slot(start / rate, (start + length) / rate)
            for start, length in zip(self.starts(), self.lengths, strict=True)
        ]

    def chapters(self, title: str) -> list[Chapter]:
        """What comes before the first title is a chapter named like the whole."""
        named = [(part.chapter, start) for part, start in zip(self.parts, self.starts(), strict=True) if part.chapter]
        if named and named[0][1]:
            named.insert(0, (title or self.parts[0].name, 0))
        ends = [*(start for _, start in named), self.samples][1:]
        return [Chapter(name, start, end) for (name, start), end in zip(named, ends, strict=True)]


def merge(
    parts: Sequence[Part],
    target: Target,
    path: Path,
    *,
    title: str = "",
    author: str = "",
    cover: bytes = b"",
    sample_rate: int | None = None,
    channels: int | None = None,
    loudness: float | None = LOUDNESS,
    progress: Callable[[float], None] = _nobody_listens,
    cancelled: Callable[[], bool] = _nobody_cancels,
) -> Merged:
    """Write the parts, one behind the other, into a new file at `path`: whole, or not at all.

    Without `sample_rate` and `channels` as good as the best of the parts, up to 48 kHz and stereo. `cover` is a JPEG,
    for what can hold one. `loudness` is LUFS; None leaves it as it is. Raises BadPart, which names the part; Cancelled;
    OSError where the file can't be written.
    """
    _check(parts, loudness)
    whole = Stage(Watch(progress, cancelled))
    shape = _target_shape(parts, target, sample_rate, channels, whole.between(0, _MEASURING))
    stage = whole.between(_MEASURING, _WRITING[0])
    measured = _measure(parts, shape, stage, how_loud=loudness is not None)
    plan = _Plan(parts, shape, measured.lengths)
    label = Label(plan.samples, title, author, plan.chapters(title), cover)
    with whole_file(path) as file:
        made, gain = _Levelled(plan, label, target, measured, loudness).write(file, whole)
    whole.at(1)
    return Merged(plan.slots(), plan.samples / shape.sample_rate, shape.sample_rate, shape.channels, made, gain)


def timeline(
    parts: Sequence[Part],
    *,
    progress: Callable[[float], None] = _nobody_listens,
    cancelled: Callable[[], bool] = _nobody_cancels,
) -> list[Slot]:
    """Where each part is heard in what `merge` makes of the same parts."""
    _check(parts, None)
    whole = Stage(Watch(progress, cancelled))
    shape = shape_of(parts, MOST_SAMPLE_RATE, whole.between(0, _MEASURING))
    measured = _measure(parts, shape, whole.between(_MEASURING, 1), how_loud=False)
    return _Plan(parts, shape, measured.lengths).slots()


def _check(parts: Sequence[Part], loudness: float | None) -> None:
    if not parts:
        raise InvalidRequest("There is nothing to merge: no line has audio.")
    if loudness is not None and not LOUDNESS_MIN <= loudness <= LOUDNESS_MAX:
        raise InvalidRequest(f"Loudness must be from {LOUDNESS_MIN:g} to {LOUDNESS_MAX:g} LUFS.", param="loudness")
    if not all(0 <= part.gap <= GAP_MAX for part in parts):
        raise InvalidRequest(f"A gap must be from 0 to {GAP_MAX:g} seconds.", param="gap")


def _target_shape(
    parts: Sequence[Part], target: Target, sample_rate: int | None, channels: int | None, stage: Stage
) -> Shape:
    if sample_rate is None or channels is None:
        found = shape_of(parts, MOST_SAMPLE_RATE, stage)
        sample_rate, channels = sample_rate or found.sample_rate, channels or found.channels
    return Shape(target.sample_rate(sample_rate), channels)


def _measure(parts: Sequence[Part], shape: Shape, stage: Stage, *, how_loud: bool) -> _Measured:
    meter, lengths = Meter(shape) if how_loud else None, list[int]()
    peak = 0.0
    for number, part in enumerate(parts):
        length = 0
        for samples, share in part_samples(parts, number, shape):
            stage.at((number + share) / len(parts))
            length += len(samples) // shape.channels
            peak = max(peak, float(np.abs(samples).max(initial=0.0)))
            if meter:
                meter.write(samples)
        for silence in shape.silence(round(part.gap * shape.sample_rate)):
            stage.at((number + 1) / len(parts))
            if meter:
                meter.write(silence)
        lengths.append(length)
    return _Measured(lengths, meter.loudness() if meter else None, peak)


class _Levelled:
    """Writes what was measured as loud as it is wanted."""

    def __init__(self, plan: _Plan, label: Label, target: Target, measured: _Measured, wanted: float | None) -> None:
        self._plan, self._label, self._target = plan, label, target
        self._measured, self._wanted = measured, wanted
        lossless = _CEILING_DB if target.is_lossless else _LOSSY_CEILING_DB
        self._ceiling = _FULL_SCALE_DB if wanted is None else lossless

    def write(self, file: BinaryIO, whole: Stage) -> tuple[float | None, float]:
        """The loudness that came out, and the gain that made it. Where a limiter took too much, once more."""
        tried = list[tuple[float, float]]()
        gain = self._first_gain()
        for start, end in pairwise(_WRITING):
            file.seek(0)
            file.truncate()
            made = self._attempt(file, gain, whole.between(start, end))
            if made is None or self._wanted is None or abs(made - self._wanted) <= _NEAR_ENOUGH_DB:
                break
            tried.append((gain, made))
            better = self._better_gain(tried, self._wanted)
            if end == _WRITING[-1] or better == gain:
                break
            gain = better
        return made, gain

    def _first_gain(self) -> float:
        found = self._measured.loudness
        return 0.0 if self._wanted is None or found is None else self._wanted - found

    def _better_gain(self, tried: Sequence[tuple[float, float]], wanted: float) -> float:
        """Limited, a decibel more of gain makes less than one of loudness: how much less, two attempts tell."""
        gain, made = tried[-1]
        slope = 1.0
        if len(tried) > 1:
            gain_before, made_before = tried[-2]
            slope = min(max((made - made_before) / (gain - gain_before), _LEAST_SLOPE), 1.0)
        return min(gain + (wanted - made) / slope, self._first_gain() + _MOST_MORE_DB)

    @translated()
    def _attempt(self, file: BinaryIO, gain: float, stage: Stage) -> float | None:
        plan = self._plan
        writer = writer_of(file, self._target, plan.shape, self._label)
        limited = decibels(self._measured.peak) + gain > self._ceiling - (self._ceiling < 0) * _BETWEEN_SAMPLES_DB
        leveller = Leveller(plan.shape, gain, self._ceiling) if limited else None
        done, louder = 0, np.float32(factor(gain))
        for samples in plan.heard():
            stage.at(done / max(plan.samples, 1))
            done += len(samples) // plan.shape.channels
            _write(writer, leveller.write(samples) if leveller else samples * louder)
        if leveller:
            _write(writer, leveller.flush())
        writer.close()
        if leveller:
            return leveller.loudness()
        return None if self._measured.loudness is None else self._measured.loudness + gain


def _write(writer: Writer, samples: Floats) -> None:
    if len(samples):
        writer.write(samples)
