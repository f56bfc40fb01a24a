"""A long film that is dubbed: memory, time, and how far its end has drifted.

`python -m benchmarks.measure_dub` reads an order as JSON and prints its Dubbing.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
from av.audio.stream import AudioStream
from av.stream import Stream
from av.video.stream import VideoStream

from benchmarks.figures import Table
from benchmarks.measure_export import highest_memory, last_sound, source_files
from benchmarks.processes import answer_of
from benchmarks.stage import Stage
from providers.audio import Background, Dub, Film, FilmLabel, Speech, probe_footage, write_film

FRAME_RATE, SIZE, RATE = 25, 64, 48_000
REEL_SECONDS, CUE_SECONDS = 20.0, 5.0
SHORT_HOURS = 0.1
DUB_SECONDS = 3600.0
_CODECS = {Film.MP4: ("libx264", "aac"), Film.MKV: ("libx264", "libopus")}


@dataclass(frozen=True, slots=True)
class Dubbing:
    """`memory`: the most bytes that were resident, `before`: those before it began; `cpu`: seconds; `drift`: seconds
    from where the last cue should be heard to where it is."""

    container: str
    hours: float
    cues: int
    before: int
    memory: int
    cpu: float
    drift: float

    def row(self) -> list[str]:
        return [
            self.container,
            f"{self.hours:g}",
            str(self.cues),
            f"{self.before / 1e6:.0f}",
            f"{self.memory / 1e6:.0f}",
            f"{self.cpu / self.hours:.0f}",
            f"{self.drift * 1000:.2f}",
        ]


def measure(stage: Stage) -> list[Dubbing]:
    lengths = sorted({min(SHORT_HOURS, stage.settings.dub_hours), stage.settings.dub_hours})
    return [_measure_one(container, hours) for container in _CODECS for hours in lengths]


def table(dubbings: Sequence[Dubbing]) -> Table:
    return Table(
        "Dubs",
        ["container", "hours", "cues", "MB before", "MB at most", "CPU s an hour", "drift ms"],
        [dubbing.row() for dubbing in dubbings],
        note=f"A film of {FRAME_RATE} frames a second gets a dub in place of its sound: a cue every {CUE_SECONDS:g} s,"
        " every third stretched, over its lowered sound; each in a process of its own. MB: resident memory. Drift: of"
        " the last cue's beginning, found in the decoded track.",
    )


def _measure_one(container: Film, hours: float) -> Dubbing:
    order = {"container": container, "hours": hours}
    return Dubbing(**answer_of("benchmarks.measure_dub", order, seconds=DUB_SECONDS))


def reel(path: Path, container: Film, seconds: float) -> None:
    """Something that moves, and noise."""
    codec, encoder = _CODECS[container]
    chance = np.random.default_rng(1)
    with av.open(str(path), "w", format=container.muxer) as made:
        picture = made.add_stream(codec, FRAME_RATE, {"preset": "ultrafast", "bf": "0"})
        track = made.add_stream(encoder, RATE, layout="stereo")
        assert isinstance(picture, VideoStream) and isinstance(track, AudioStream)
        picture.width, picture.height, picture.pix_fmt = SIZE, SIZE, "yuv420p"
        for number in range(round(seconds * FRAME_RATE)):
            shown = chance.integers(0, 255, (SIZE, SIZE), np.uint8)
            frame = av.VideoFrame.from_ndarray(shown, format="gray8").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            made.mux(picture.encode(frame))
            samples = chance.normal(0, 0.02, (2, RATE // FRAME_RATE)).astype(np.float32)
            heard = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
            heard.sample_rate, heard.pts, heard.time_base = RATE, number * RATE // FRAME_RATE, Fraction(1, RATE)
            made.mux(track.encode(heard))
        made.mux(picture.encode(None))
        made.mux(track.encode(None))


def film(folder: Path, container: Film, hours: float) -> Path:
    """One reel again and again, which takes no encoding."""
    seconds = min(REEL_SECONDS, hours * 3600)
    short, path = folder / f"reel.{container}", folder / f"film.{container}"
    reel(short, container, seconds)
    with av.open(str(path), "w", format=container.muxer) as made:
        copies, last = list[Stream](), dict[int, int]()
        for number in range(round(hours * 3600 / seconds)):
            with av.open(str(short)) as media:
                copies = copies or [made.add_stream_from_template(one, opaque=True) for one in media.streams]
                for packet in media.demux():
                    if not packet.size or packet.pts is None:
                        continue
                    moved = round(number * seconds / packet.time_base)
                    packet.pts += moved
                    packet.dts = packet.pts if packet.dts is None else packet.dts + moved
                    track = packet.stream.index
                    # Encoders begin before their first sample and end behind the last.
                    if packet.dts <= last.get(track, packet.dts - 1):
                        continue
                    last[track], packet.stream = packet.dts, copies[track]
                    made.mux(packet)
    return path


def _dub(container: Film, hours: float) -> Dubbing:
    with tempfile.TemporaryDirectory(prefix="neiroha-dub-") as name:
        folder = Path(name)
        source, parts, process = film(folder, container, hours), source_files(folder), psutil.Process()
        starts = np.arange(0.5, hours * 3600 - CUE_SECONDS, CUE_SECONDS)
        speeches = [
            # Counted from the end: the last is a WAV that is not stretched, whose click is where it is said to be.
            Speech(parts[number % len(parts)], float(start), 1.2 if number % 3 == 1 else 1.0)
            for number, start in zip(range(len(starts) - 1, -1, -1), starts, strict=True)
        ]
        before, began = process.memory_info().rss, time.process_time()
        dub = Dub(speeches, Background(source, probe_footage(source), -12.0))
        label = FilmLabel("Dub", "de", replacing=True)
        made = write_film(dub, label, folder / f"made.{container}")
        cpu, most = time.process_time() - began, highest_memory(process)
        drift = last_sound(folder / f"made.{container}", made.duration - speeches[-1].start + 0.1) - speeches[-1].start
        return Dubbing(container, made.duration / 3600, len(speeches), before, most, cpu, drift)


def main() -> None:
    order = json.loads(input())
    print(json.dumps(asdict(_dub(Film(order["container"]), order["hours"]))))


if __name__ == "__main__":
    main()
