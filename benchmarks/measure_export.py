"""A long recording merged from many short files: memory, time, and how far its end has drifted.

`python -m benchmarks.measure_export` reads an order as JSON and prints its Export.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import av
import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.figures import Table
from benchmarks.processes import answer_of
from benchmarks.stage import Stage
from providers.audio import encode
from providers.audio.merge import merge
from providers.audio.parts import Part
from providers.audio.targets import Target
from providers.speech import AudioFormat

PART_SECONDS, GAP_SECONDS = 2.6, 0.4
RATES = (16_000, 22_050, 24_000, 44_100, 48_000)
FORMATS = (AudioFormat.WAV, AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.FLAC, AudioFormat.AAC)
CLICK_SECONDS = 0.002
CHAPTER_PARTS = 100
SHORT_HOURS = 0.1
EXPORT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Export:
    """`memory`: the most bytes that were resident, `before`: those before it began; `cpu`: seconds; `drift`: seconds
    from where the last part should be heard to where it is."""

    target: str
    hours: float
    before: int
    memory: int
    cpu: float
    drift: float
    size: int

    def row(self) -> list[str]:
        return [
            self.target,
            f"{self.hours:g}",
            f"{self.before / 1e6:.0f}",
            f"{self.memory / 1e6:.0f}",
            f"{self.cpu / self.hours:.0f}",
            f"{self.drift * 1000:.2f}",
            f"{self.size / 1e6:.0f}",
        ]


def measure(stage: Stage) -> list[Export]:
    lengths = sorted({min(SHORT_HOURS, stage.settings.export_hours), stage.settings.export_hours})
    return [_measure_one(target, hours) for target in Target for hours in lengths]


def table(exports: Sequence[Export]) -> Table:
    return Table(
        "Exports",
        ["target", "hours", "MB before", "MB at most", "CPU s an hour", "drift ms", "size MB"],
        [export.row() for export in exports],
        note=f"Merged from files of {PART_SECONDS:g} s in five formats and rates, brought to -16 LUFS; each in a"
        " process of its own. MB: resident memory. Drift: of the last file's beginning, found in the decoded export.",
    )


def _measure_one(target: Target, hours: float) -> Export:
    order = {"target": target, "hours": hours}
    return Export(**answer_of("benchmarks.measure_export", order, seconds=EXPORT_SECONDS))


def source_files(folder: Path) -> list[Part]:
    """One of each format and rate: a click, then something like speech."""
    noise = np.random.default_rng(1)
    parts = []
    for format, rate in zip(FORMATS, RATES, strict=True):
        moments = np.arange(round(PART_SECONDS * rate)) / rate
        words = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * moments)
        samples = noise.normal(0, 0.03, len(moments)) * words * (moments > 0.1) * (moments < PART_SECONDS - 0.2)
        click = moments < CLICK_SECONDS
        samples[click] += 0.6 * np.sin(2 * np.pi * 3000 * moments[click])
        path = folder / f"{rate}.{format}"
        path.write_bytes(encode((samples * 32767).astype("<i2").tobytes(), rate, format))
        parts.append(Part(path, format, path.name, gap=GAP_SECONDS))
    return parts


def _numbered(part: Part, number: int) -> Part:
    return part if number % CHAPTER_PARTS else replace(part, chapter=f"Chapter {number // CHAPTER_PARTS + 1}")


def last_sound(path: Path, seconds: float) -> float:
    """Where the click of the last `seconds` begins, counting the samples of the whole decoded file."""
    kept, samples, rate = [], 0, 1
    for piece, rate in _decoded(path):
        samples += len(piece)
        kept.append(piece)
        while sum(map(len, kept[1:])) > seconds * rate:
            del kept[0]
    end = np.abs(np.concatenate(kept))[-round(seconds * rate) :]
    loud = np.flatnonzero(end > end.max() / 4)
    return (samples - len(end) + int(loud[0])) / rate


def _decoded(path: Path) -> Iterator[tuple[NDArray[np.float32], int]]:
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray()
            scale = np.float32(32768 if samples.dtype == np.int16 else 1)
            first = samples.reshape(-1, frame.layout.nb_channels)[:, 0]
            yield np.asarray(first / scale, np.float32), frame.sample_rate


def _export(target: Target, hours: float) -> Export:
    with tempfile.TemporaryDirectory(prefix="neiroha-export-") as name:
        sources = source_files(Path(name))
        count = round(hours * 3600 / (PART_SECONDS + GAP_SECONDS)) // len(sources) * len(sources) + 1
        parts = [_numbered(sources[number % len(sources)], number) for number in range(count)]
        path, process = Path(name) / f"export.{target}", psutil.Process()
        before, began = process.memory_info().rss, time.process_time()
        merged = merge(parts, target, path, title="Ten hours")
        cpu, most = time.process_time() - began, highest_memory(process)
        slot = merged.slots[-1]
        drift = last_sound(path, merged.duration - slot.start + 0.1) - slot.start
        return Export(target, merged.duration / 3600, before, most, cpu, drift, path.stat().st_size)


def highest_memory(process: psutil.Process) -> int:
    """Where the system does not say it, what is resident now."""
    try:
        import resource
    except ImportError:
        return int(process.memory_info().rss)
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


def main() -> None:
    order = json.loads(sys.stdin.readline())
    print(json.dumps(asdict(_export(Target(order["target"]), order["hours"]))))


if __name__ == "__main__":
    main()
