"""Faster or slower without a change of pitch, and louder or softer."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.filter import Graph

from providers.audio.samples import frames_of, pcm_of


class Tempo:
    """Mono samples in, as many as `speed` makes of them out, pitch kept; and louder or softer by `gain_db`."""

    def __init__(self, speed: float, gain_db: float, sample_rate: int) -> None:
        self._speed, self._sample_rate = speed, sample_rate
        self._samples_in = self._samples_out = 0
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add_abuffer(
            sample_rate=sample_rate, format="s16", layout="mono", time_base=Fraction(1, sample_rate)
        )
        filters = [self._graph.add(name, arguments) for name, arguments in self._chain(speed, gain_db)]
        self._graph.link_nodes(source, *filters, self._graph.add("abuffersink")).configure()

    @staticmethod
    def _chain(speed: float, gain_db: float) -> Iterator[tuple[str, str]]:
        # One atempo would leave samples out above 2 and can't go below 0.5.
        steps = 0 if speed == 1 else 1 if 0.5 <= speed <= 2 else 2
        for _ in range(steps):
            yield "atempo", f"{speed ** (1 / steps):.6f}"
        if gain_db:
            yield "volume", f"volume={gain_db}dB:precision=float"
            yield "alimiter", "limit=0.95:level=0:latency=1"
        yield "aformat", "sample_fmts=s16:channel_layouts=mono"

    def write(self, pcm: bytes) -> bytes:
        stretched = self._run(pcm)
        self._samples_out += len(stretched) // 2
        return stretched

    def flush(self) -> bytes:
        """The rest, so that the length is exact: atempo by itself keeps up to 0.1 s back."""
        missing = 2 * (round(self._samples_in / self._speed) - self._samples_out)
        tail = self._run(bytes(self._sample_rate))
        self._graph.push(None)
        return (tail + self._pull())[:missing].ljust(missing, b"\0")

    def _run(self, pcm: bytes) -> bytes:
        for frame in frames_of(pcm, self._sample_rate, self._samples_in):
            self._graph.push(frame)
        self._samples_in += len(pcm) // 2
        return self._pull()

    def _pull(self) -> bytes:
        pulled = bytearray()
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return bytes(pulled)
            assert isinstance(frame, AudioFrame)
            pulled += pcm_of(frame)
