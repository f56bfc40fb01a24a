"""How loud a recording is (EBU R128), and making it as loud as it should be without peaks beyond a ceiling.

A limiter that sees samples only lets through what lies between them, so ours works on four times as many.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph

from providers.audio.parts import Floats, Shape, floats_of
from providers.audio.samples import translated

# What ebur128 says of silence.
_SILENT = -69.9
_OVERSAMPLED = 4
# The limiter asks for doubles, which would make the resampling dearer by a third.
_IN_FLOATS = "internal_sample_fmt=fltp"
_INTEGRATED = "lavfi.r128.I"
_METER = ("ebur128", "metadata=1:framelog=quiet")


def factor(decibels: float) -> float:
    return math.pow(10.0, decibels / 20)


def decibels(factor: float) -> float:
    return 20 * math.log10(factor) if factor > 0 else -math.inf


class _Chain:
    """Samples through filters, at the end of which stands the meter."""

    def __init__(self, shape: Shape, filters: Sequence[tuple[str, str]]) -> None:
        self._shape, self._position = shape, 0
        # The meter says nothing with a last frame that is no whole tenth of a second.
        self._last = deque[AudioFrame](maxlen=2)
        self._graph = Graph()
        self._graph.threads = 1
        rate = shape.sample_rate
        source = self._graph.add_abuffer(
            sample_rate=rate, format="flt", layout=shape.layout, time_base=Fraction(1, rate)
        )
        shaped = ("aformat", f"sample_fmts=flt:channel_layouts={shape.layout}")
        nodes = [self._graph.add(name, arguments) for name, arguments in (*filters, _METER, shaped)]
        self._graph.link_nodes(source, *nodes, self._graph.add("abuffersink")).configure()

    @translated()
    def write(self, samples: Floats) -> Floats:
        if not len(samples):
            return samples
        self._graph.push(self._shape.frame(samples, self._position))
        self._position += len(samples) // self._shape.channels
        return self._pulled()

    @translated()
    def flush(self) -> Floats:
        self._graph.push(None)
        return self._pulled()

    def loudness(self) -> float | None:
        """Integrated LUFS of what came out; None for silence, and for less than 0.4 s."""
        said = [float(frame.metadata[_INTEGRATED]) for frame in self._last if _INTEGRATED in frame.metadata]
        return said[-1] if said and said[-1] > _SILENT else None

    def _pulled(self) -> Floats:
        return np.concatenate([np.zeros(0, np.float32), *map(floats_of, self._frames())])

    def _frames(self) -> Iterator[AudioFrame]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, AudioFrame)
            self._last.append(frame)
            yield frame


class Meter:
    """The integrated loudness of samples."""

    def __init__(self, shape: Shape) -> None:
        self._chain = _Chain(shape, [])

    def write(self, samples: Floats) -> None:
        self._chain.write(samples)

    def loudness(self) -> float | None:
        self._chain.flush()
        return self._chain.loudness()


class Leveller:
    """Samples in, as many out, louder by `gain_db` and never above the ceiling (dBFS between samples)."""

    def __init__(self, shape: Shape, gain_db: float, ceiling_db: float) -> None:
        rate = shape.sample_rate
        self._chain = _Chain(
            shape,
            [
                ("volume", f"volume={gain_db:.3f}dB:precision=float"),
                ("aresample", f"{rate * _OVERSAMPLED}:{_IN_FLOATS}"),
                ("alimiter", f"limit={factor(ceiling_db):.6f}:level=0:latency=1"),
                ("aresample", f"{rate}:{_IN_FLOATS}"),
            ],
        )

    def write(self, samples: Floats) -> Floats:
        return self._chain.write(samples)

    def flush(self) -> Floats:
        return self._chain.flush()

    def loudness(self) -> float | None:
        """Of all that came out."""
        return self._chain.loudness()
