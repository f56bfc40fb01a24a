"""Films to test with: a clock in the picture, a block whose place tells the time, and clicks in the sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from numpy.typing import NDArray

FRAME_RATE, SIZE, RATE = 10, 64, 48_000
CODECS = {
    "mp4": ("mp4", "libx264", "aac"),
    "mov": ("mov", "libx264", "aac"),
    "mkv": ("matroska", "libx264", "aac"),
    "webm": ("webm", "libvpx", "libopus"),
}
_PIECE = RATE // FRAME_RATE


def film(
    folder: Path,
    seconds: float,
    *,
    container: str = "mp4",
    name: str = "film",
    sound: bool = True,
    level: float = 0.1,
    every: float = 1.0,
) -> Path:
    """`level` is that of a tone of 220 Hz, on a little noise; a click stands at each multiple of `every` seconds."""
    path = folder / f"{name}.{container}"
    muxer, codec, encoder = CODECS[container]
    with av.open(str(path), "w", format=muxer) as made:
        made.metadata["title"] = "A film"
        picture = made.add_stream(codec, rate=FRAME_RATE)
        assert isinstance(picture, VideoStream)
        picture.width, picture.height, picture.pix_fmt = SIZE, SIZE, "yuv420p"
        if codec == "libx264":
            picture.options = {"preset": "ultrafast", "bf": "2"}
        quick = {"aac_coder": "fast"} if encoder == "aac" else {}
        track = made.add_stream(encoder, RATE, quick, layout="stereo") if sound else None
        assert track is None or isinstance(track, AudioStream)
        if track is not None:
            track.metadata.update({"language": "eng", "title": "English"})
        for number in range(round(seconds * FRAME_RATE)):
            frame = av.VideoFrame.from_ndarray(_clock(number), format="gray8").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            made.mux(picture.encode(frame))
            if track is not None:
                made.mux(track.encode(_sound(number, level, every)))
        made.mux(picture.encode(None))
        if track is not None:
            made.mux(track.encode(None))
    return path


def _clock(number: int) -> NDArray[np.uint8]:
    """Eight rows of eight blocks: the bits of the number of the frame, white where they are set."""
    bits = np.array([number >> place & 1 for place in range(16)], np.uint8) * 235
    return np.repeat(np.repeat(np.pad(bits, (0, 48)).reshape(8, 8), 8, axis=0), 8, axis=1)


def _sound(number: int, level: float, every: float) -> av.AudioFrame:
    moments = (np.arange(_PIECE) + number * _PIECE) / RATE
    # ffmpeg's encoder of AAC thinks about pure tones for a long time.
    samples = level * np.sin(2 * np.pi * 220 * moments) + 0.5 * ((moments % every) < 0.001)
    samples += np.random.default_rng(number).normal(0, 0.01, _PIECE)
    frame = av.AudioFrame.from_ndarray(np.stack([samples, samples]).astype(np.float32), "fltp", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, number * _PIECE, Fraction(1, RATE)
    return frame


def clock_of(path: Path) -> Iterator[tuple[float, int]]:
    """When each frame is shown, and the number that it shows."""
    with av.open(str(path)) as media:
        for frame in media.decode(video=0):
            shown = frame.to_ndarray(format="gray")[4::8, 4::8].ravel()[:16] > 128
            assert frame.time is not None
            yield frame.time, int((shown * (1 << np.arange(16))).sum())


@dataclass(frozen=True, slots=True)
class Copied:
    """What is in a packet, and when: presentation and decoding, in seconds."""

    content: bytes
    pts: float | None
    dts: float | None


def packets(path: Path, kind: str = "video", number: int = 0) -> list[Copied]:
    with av.open(str(path)) as media:
        stream = [one for one in media.streams if one.type == kind][number]
        return [
            Copied(bytes(packet), _seconds(packet.pts, packet), _seconds(packet.dts, packet))
            for packet in media.demux(stream)
            if packet.size
        ]


def _seconds(time: int | None, packet: av.Packet[av.stream.Stream]) -> float | None:
    return None if time is None else float(time * packet.time_base)


def sound(path: Path, number: int = 0) -> NDArray[np.float64]:
    """The left side of a track at 48 kHz, each sample at its time."""
    with av.open(str(path)) as media:
        # Going from one side to two would make it softer.
        resampler = av.AudioResampler("fltp", media.streams.audio[number].codec_context.layout.name, RATE)
        pieces: list[NDArray[np.float32]] = []
        first: float | None = None
        for frame in media.decode(audio=number):
            first = frame.time if first is None else first
            pieces += [one.to_ndarray()[0] for one in resampler.resample(frame)]
        pieces += [one.to_ndarray()[0] for one in resampler.resample(None) if one]
    samples = np.concatenate(pieces).astype(np.float64)
    late = round((first or 0.0) * RATE)
    return np.pad(samples, (late, 0)) if late > 0 else samples[-late:]


def rms(samples: NDArray[np.float64], start: float, end: float) -> float:
    """Between two moments."""
    return float(np.sqrt(np.mean(samples[round(start * RATE) : round(end * RATE)] ** 2)))


def pitched(samples: NDArray[np.float64], hertz: float, start: float, end: float) -> float:
    """How much of one pitch is heard between two moments: the height of its wave."""
    piece = samples[round(start * RATE) : round(end * RATE)]
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(piece)) / RATE)
    return float(2 * np.abs(np.mean(piece * wave)))


def onset(samples: NDArray[np.float64], hertz: float, near: float) -> float:
    """When a pitch begins that is not there before: to about two milliseconds, within a quarter of a second."""
    window, step = round(0.01 * RATE), 24
    start = max(round((near - 0.25) * RATE), 0)
    piece = samples[start : start + round(0.6 * RATE)]
    wave = piece * np.exp(-2j * np.pi * hertz * np.arange(len(piece)) / RATE)
    sums = np.concatenate([[0], np.cumsum(wave)])
    heights = np.abs(sums[window::step] - sums[:-window:step])
    place = int(np.flatnonzero(heights > heights.max() / 2)[0])
    return (start + place * step + window / 2) / RATE


def tracks(path: Path) -> Sequence[tuple[str, str, str]]:
    """Kind, language and title of each."""
    with av.open(str(path)) as media:
        return [
            (one.type, one.language or "", one.metadata.get("title") or one.metadata.get("name", ""))
            for one in media.streams
        ]
