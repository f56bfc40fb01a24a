"""Recordings to merge, and what is measured of the result, apart from the product's own code."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from providers.audio import Part, encode
from providers.speech import AudioFormat
from tests.sounds import spoken, wav_file

type Samples = NDArray[np.float64]

CLICK_SECONDS = 0.002
# Each by another voice, in another format, rate and number of channels.
SCRIPT = (
    "The quick brown fox jumps over the lazy dog.",
    "Nobody in the village was surprised at all.",
    "She sold her house near the river last winter.",
    "This is the second time that I have been here today.",
    "The train to the mountains leaves in the morning.",
    "We waited for hours, but the doctor never came.",
)


def s16(samples: Samples) -> bytes:
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def script_files(folder: Path) -> list[Part]:
    """The script, spoken: WAV in stereo, MP3, Opus, FLAC, AAC and raw samples, from 22.05 to 48 kHz."""
    both = np.frombuffer(spoken(SCRIPT[0]), "<i2").repeat(2).tobytes()
    files = [
        (AudioFormat.WAV, wav_file(both, 24_000, channels=2)),
        (AudioFormat.MP3, encode(spoken(SCRIPT[1]), 24_000, AudioFormat.MP3)),
        (AudioFormat.OPUS, encode(spoken(SCRIPT[2]), 24_000, AudioFormat.OPUS)),
        (AudioFormat.FLAC, encode(*_espeak(SCRIPT[3], folder), AudioFormat.FLAC)),
        (AudioFormat.AAC, encode(spoken(SCRIPT[4]), 24_000, AudioFormat.AAC)),
        (AudioFormat.PCM, spoken(SCRIPT[5])),
    ]
    return [written(folder, number, format, content) for number, (format, content) in enumerate(files, start=1)]


def written(folder: Path, number: int, format: AudioFormat, content: bytes, gap: float = 0.6) -> Part:
    path = folder / f"source-{number}.{format}"
    path.write_bytes(content)
    return Part(path, format, f"Line {number}", gap)


def _espeak(text: str, folder: Path) -> tuple[bytes, int]:
    """22.05 kHz samples."""
    path = folder / "espeak.wav"
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", "150", "-w", path, text], check=True)
    return path.read_bytes()[44:], 22_050


def clicks(
    folder: Path, rates: Sequence[tuple[AudioFormat, int]], seconds: float = 2.6, gap: float = 0.4
) -> list[Part]:
    """A click, then a tone, in each format and rate."""
    parts = []
    for number, (format, rate) in enumerate(rates):
        moments = np.arange(round(seconds * rate)) / rate
        samples = 0.05 * np.sin(2 * np.pi * 200 * moments) * (moments > 0.1) * (moments < seconds - 0.1)
        click = moments < CLICK_SECONDS
        samples[click] += 0.6 * np.sin(2 * np.pi * 3000 * moments[click])
        pcm = s16(samples)
        content = wav_file(pcm, rate) if format is AudioFormat.WAV else encode(pcm, rate, format)
        parts.append(written(folder, number, format, content, gap))
    return parts


@dataclass(frozen=True, slots=True)
class Heard:
    """A decoded file: samples of its first channel, or of all."""

    samples: Samples
    sample_rate: int
    channels: int

    @property
    def seconds(self) -> float:
        return float(self.samples.shape[-1]) / self.sample_rate

    @property
    def loudness(self) -> float:
        return float(self._measured()["lavfi.r128.I"])

    @property
    def true_peak(self) -> float:
        """dBTP."""
        measured = self._measured()
        return max(float(value) for name, value in measured.items() if name.startswith("lavfi.r128.true_peaks_ch"))

    def _measured(self) -> dict[str, float]:
        layout = "mono" if self.channels == 1 else "stereo"
        graph, rate = Graph(), self.sample_rate
        source = graph.add_abuffer(sample_rate=rate, format="fltp", layout=layout, time_base=Fraction(1, rate))
        meter = graph.add("ebur128", "metadata=1:framelog=quiet:peak=true")
        graph.link_nodes(source, meter, graph.add("abuffersink")).configure()
        whole = self.samples.shape[-1] // (rate // 10) * (rate // 10)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(self.samples[:, :whole], np.float32), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        graph.push(frame)
        graph.push(None)
        last: dict[str, str] = {}
        for frame in _pulled(graph):
            last = frame.metadata
        peaks = {name: 20 * math.log10(float(value) or 1e-9) for name, value in last.items() if "true_peaks" in name}
        return {"lavfi.r128.I": float(last["lavfi.r128.I"]), **peaks}

    def click_after(self, seconds: float) -> float:
        """Where the first click is from shortly before `seconds` on."""
        start = max(round((seconds - 0.05) * self.sample_rate), 0)
        window = np.abs(self.samples[0][start : start + round(0.2 * self.sample_rate)])
        return (start + int(np.flatnonzero(window > window.max() / 4)[0])) / self.sample_rate


def _pulled(graph: Graph) -> Iterator[av.AudioFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(frame, av.AudioFrame)
        yield frame


def heard(path: Path) -> Heard:
    with av.open(str(path)) as container:
        frames = [_planar(frame) for frame in container.decode(audio=0)]
        context = container.streams.audio[0].codec_context
        return Heard(np.concatenate(frames, axis=1), context.sample_rate, frames[0].shape[0])


def _planar(frame: av.AudioFrame) -> Samples:
    samples = frame.to_ndarray()
    scale = {np.dtype(np.int16): 32768.0, np.dtype(np.int32): 2147483648.0}.get(samples.dtype, 1.0)
    planar = samples if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels).T
    return np.asarray(planar / scale, np.float64)


def chapters(path: Path) -> list[tuple[float, float, str]]:
    """Start and end in seconds, and the title."""
    with av.open(str(path)) as container:
        return [
            (
                float(chapter["start"] * chapter["time_base"]),
                float(chapter["end"] * chapter["time_base"]),
                chapter["metadata"]["title"],
            )
            for chapter in container.chapters()
        ]


def after(calls: int) -> Callable[[], bool]:
    """What is asked whether to end, and says so the next time after that many."""
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > calls

    return cancelled
