"""Recordings that lines are fitted to: films and long sound files, which are read from the disk, never held whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from providers.audio.decoding import NO_PROTOCOLS
from providers.audio.formats import demuxer_of, sniff
from providers.audio.parts import Floats, Shape, floats_of
from providers.audio.samples import Converter, translated
from providers.audio.wav import wav_is_cut_off
from providers.errors import BadAudio
from providers.speech import AudioFormat

_BROKEN = "The file is damaged or cut off: send it again, whole."
LONGEST_SECONDS = 12 * 3600.0
# A file whose last packet ends so much before its header says was cut off.
_MISSING_SECONDS = 1.0
# So far before the end packets are looked at.
_TAIL_SECONDS = 2.0
_DOCTYPE_BYTES = 64
# Sound that is so much beside its time is put right, by silence or by leaving something out.
_LOOSE_SECONDS = 0.02
_SILENT_PIECE = 48_000


class Film(StrEnum):
    """The containers that a dub can be put into."""

    MP4 = "mp4"
    MOV = "mov"
    MKV = "mkv"
    WEBM = "webm"

    @property
    def content_type(self) -> str:
        return {"mov": "video/quicktime", "mkv": "video/x-matroska"}.get(self.value, f"video/{self.value}")

    @property
    def muxer(self) -> str:
        return "matroska" if self is Film.MKV else self.value

    @property
    def is_matroska(self) -> bool:
        return self in (Film.MKV, Film.WEBM)


@dataclass(frozen=True, slots=True)
class FootageInfo:
    """`container` names the file's suffix; `duration` is seconds; `frame_rate` frames a second, None without a picture;
    `channels` of its sound, 0 without any."""

    container: Film | AudioFormat
    duration: float
    frame_rate: float | None
    channels: int

    @property
    def has_sound(self) -> bool:
        return self.channels > 0

    @property
    def content_type(self) -> str:
        return self.container.content_type


def probe_footage(path: Path) -> FootageInfo:
    """BadAudio for a file that is not one of these, is broken or cut off, or holds neither picture nor sound."""
    with path.open("rb") as file:
        container = _container_of(file)
        if container is AudioFormat.WAV and wav_is_cut_off(file):
            raise BadAudio(_BROKEN)
    with opened(path) as media:
        picture = picture_of(media)
        rate = None if picture is None or not isinstance(container, Film) else _frame_rate(picture)
        channels = _channels(media)
        if rate is None and not channels:
            raise BadAudio("The file holds neither a picture nor sound.")
        duration = _duration(media)
    if duration > LONGEST_SECONDS:
        raise BadAudio(f"The recording is longer than {LONGEST_SECONDS / 3600:.0f} hours: cut it into parts.")
    return FootageInfo(container, duration, rate, channels)


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """By the demuxer that its own first bytes name, and nothing that it refers to. BadAudio."""
    with path.open("rb") as file, translated():
        demuxer = demuxer_of(file)
        file.seek(0)
        try:
            media = av.open(file, "r", format=demuxer, container_options=NO_PROTOCOLS)
        except av.FFmpegError as error:
            raise BadAudio(_BROKEN) from error
        with media:
            yield media


def picture_of(media: InputContainer) -> VideoStream | None:
    """The first that moves: a cover is none."""
    moving = (one for one in media.streams.video if not one.disposition & Disposition.attached_pic)
    return next(moving, None)


def sound_of(path: Path, shape: Shape) -> Iterator[Floats]:
    """The samples of its first track of sound from time zero on, each at its own time: silence where there is none.
    Damaged parts are left out."""
    with opened(path) as media:
        track = _Timed(shape)
        for packet in media.demux(media.streams.audio[0]):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                continue
            for frame in frames:
                yield from track.samples(frame)
        yield track.tail()


class _Timed:
    """Frames in, samples out, as many as their times say."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._converter = Converter("flt", shape.layout, lambda _: shape.sample_rate)
        self._clock: float | None = None
        self._given = self._skip = 0

    def samples(self, frame: AudioFrame) -> Iterator[Floats]:
        start = self._clock or 0.0
        if frame.pts is not None and frame.time_base is not None:
            start = float(frame.pts * frame.time_base)
        if self._clock is None or abs(start - self._clock) > _LOOSE_SECONDS:
            yield from self._moved_to(start)
        self._clock = (self._clock or 0.0) + frame.samples / frame.sample_rate
        yield self._cut(_joined(self._converter.frames(frame)))

    def tail(self) -> Floats:
        return self._cut(_joined(self._converter.tail()))

    def _moved_to(self, seconds: float) -> Iterator[Floats]:
        yield self.tail()
        self._clock = seconds
        missing = round(seconds * self._shape.sample_rate) - self._given
        self._skip = max(-missing, 0)
        while missing > 0:
            piece = np.zeros(min(missing, _SILENT_PIECE) * self._shape.channels, np.float32)
            missing -= len(piece) // self._shape.channels
            yield self._counted(piece)

    def _cut(self, samples: Floats) -> Floats:
        dropped = min(self._skip, len(samples) // self._shape.channels)
        self._skip -= dropped
        return self._counted(samples[dropped * self._shape.channels :])

    def _counted(self, samples: Floats) -> Floats:
        self._given += len(samples) // self._shape.channels
        return samples


def _joined(frames: list[AudioFrame]) -> Floats:
    samples = np.concatenate([np.zeros(0, np.float32), *map(floats_of, frames)])
    return samples if np.isfinite(np.dot(samples, samples)) else np.nan_to_num(samples, posinf=1.0, neginf=-1.0)


def _container_of(file: BinaryIO) -> Film | AudioFormat:
    try:
        demuxer = demuxer_of(file)
    except BadAudio as error:
        text = "This is no recording that can be read: send MP4, MOV, MKV or WebM, or sound alone."
        raise BadAudio(text) from error
    file.seek(0)
    head = file.read(_DOCTYPE_BYTES)
    if demuxer == "mov":
        return Film.MOV if head[8:12] == b"qt  " else Film.MP4
    if demuxer == "matroska":
        return Film.WEBM if b"webm" in head else Film.MKV
    return sniff(head) or AudioFormat.MP3


def _frame_rate(picture: VideoStream) -> float:
    if picture.codec_context is None:
        raise BadAudio("The picture is in a format that is not known here: convert it to H.264, for instance.")
    return float(picture.average_rate or picture.guessed_rate or 25)


def _channels(media: InputContainer) -> int:
    """Found by decoding the beginning."""
    if not media.streams.audio:
        return 0
    stream = media.streams.audio[0]
    if stream.codec_context is None:
        raise BadAudio("The sound is in a format that is not known here: convert it to AAC, for instance.")
    frame = _first_frame(media, stream)
    media.seek(0)
    return frame.layout.nb_channels if frame else 0


def _first_frame(media: InputContainer, stream: AudioStream) -> AudioFrame | None:
    for packet in media.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            continue
        if frames:
            return frames[0]
    return None


def _duration(media: InputContainer) -> float:
    """As the header says, where the packets at the end bear it out; without one, by all packets."""
    films = media.format.name.startswith(("mov", "matroska"))
    declared = (media.duration or 0) / av.time_base if films else 0.0
    try:
        end = _end(media, declared)
    except av.FFmpegError as error:
        raise BadAudio(_BROKEN) from error
    if end + _MISSING_SECONDS < declared:
        raise BadAudio(_BROKEN)
    if not end:
        raise BadAudio("The file holds neither a picture nor sound.")
    return declared or end


def _end(media: InputContainer, declared: float) -> float:
    if declared > _TAIL_SECONDS:
        media.seek(round((declared - _TAIL_SECONDS) * av.time_base))
    end = 0.0
    for packet in media.demux():
        if packet.size and packet.pts is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return end
