"""What a merged recording can be written as, with its tags and chapters: streamed into a file that can be read back."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Iterator
from enum import StrEnum
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Protocol

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container.output import OutputContainer
from av.packet import Packet
from av.rational import AVRational
from av.stream import Disposition, Stream

from providers.audio.formats import CODECS, Codec, target_sample_rate
from providers.audio.labels import Label
from providers.audio.m4b import M4bWriter
from providers.audio.parts import Floats, Shape
from providers.speech import AudioFormat

if TYPE_CHECKING:
    # It is in PyAV's stubs only.
    from av.container.core import Chapter as ChapterInfo

_MUXER_OPTIONS = {"id3v2_version": "3", "metadata_header_padding": "0", "rf64": "auto"}
# Those that hold a picture as ffmpeg writes it; Opus holds one as a comment.
_PICTURED = ("mp3", "flac")
_WAV = Codec("pcm_s16le", "wav")
_OPUS_SAMPLE_RATE = 48_000
# LAME makes everything so much softer at our bit rates; in floats there is room to make it louder before.
_LAME_FACTOR, _LAME_FORMAT = np.float32(0.95), "fltp"
# Stereo speech is mostly the same on both sides.
_STEREO_BIT_RATE = Fraction(5, 3)


class Target(StrEnum):
    WAV = "wav"
    MP3 = "mp3"
    FLAC = "flac"
    OPUS = "opus"
    M4B = "m4b"

    @property
    def content_type(self) -> str:
        return "audio/mp4" if self is Target.M4B else AudioFormat(self.value).content_type

    @property
    def is_lossless(self) -> bool:
        return self in (Target.WAV, Target.FLAC)

    @property
    def codec(self) -> Codec:
        return _WAV if self is Target.WAV else CODECS[self._format]

    @property
    def _format(self) -> AudioFormat:
        return AudioFormat.AAC if self is Target.M4B else AudioFormat(self.value)

    def sample_rate(self, wanted: int) -> int:
        """The rate that is written where `wanted` is asked for."""
        return _OPUS_SAMPLE_RATE if self is Target.OPUS else target_sample_rate(self._format, wanted)

    def bit_rate(self, channels: int) -> int | None:
        mono = self.codec.bit_rate
        return mono if mono is None or channels == 1 else int(mono * _STEREO_BIT_RATE)


class Writer(Protocol):
    def write(self, samples: Floats) -> None: ...

    def close(self) -> None: ...


class ContainerWriter:
    """Everything but M4B, by ffmpeg's own muxers, which need no more memory for more audio."""

    def __init__(self, file: BinaryIO, target: Target, shape: Shape, label: Label) -> None:
        self._shape, self._position = shape, 0
        codec = target.codec
        self._container = av.open(file, "w", format=codec.muxer, container_options=_MUXER_OPTIONS)
        stream = self._container.add_stream(codec.encoder, shape.sample_rate, dict(codec.options), layout=shape.layout)
        assert isinstance(stream, AudioStream)
        if bit_rate := target.bit_rate(shape.channels):
            stream.codec_context.bit_rate = bit_rate
        self._factor = np.float32(1)
        if target is Target.MP3:
            stream.codec_context.format = _LAME_FORMAT
            self._factor /= _LAME_FACTOR
        self._stream = stream
        picture = _picture_stream(self._container, label.cover) if label.cover and target in _PICTURED else None
        self._container.metadata.update(label.tags())
        if target is Target.MP3:
            self._container.set_chapters(_id3_chapters(label, shape.sample_rate))
        elif target in (Target.FLAC, Target.OPUS):
            self._container.metadata.update(_chapter_comments(label, shape.sample_rate))
        if target is Target.OPUS and label.cover:
            self._container.metadata["METADATA_BLOCK_PICTURE"] = _picture_comment(label.cover)
        if picture is not None:
            self._container.start_encoding()
            packet = Packet(label.cover)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = picture, 0, 0, True
            self._container.mux(packet)

    def write(self, samples: Floats) -> None:
        self._container.mux(self._stream.encode(self._shape.frame(samples * self._factor, self._position)))
        self._position += len(samples) // self._shape.channels

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


def _picture_stream(container: OutputContainer, cover: bytes) -> Stream:
    with av.open(BytesIO(cover), format="jpeg_pipe") as read:
        size = read.streams.video[0]
        stream = container.add_mux_stream("mjpeg", width=size.width, height=size.height)
    stream.disposition = Disposition.attached_pic
    # What ID3 and FLAC call the kind of picture.
    stream.metadata["comment"] = "Cover (front)"
    return stream


def _picture_comment(cover: bytes) -> str:
    """FLAC's block for a picture, as Vorbis comments hold it: its kind (3, a front cover), type, sizes left open."""
    kind = b"image/jpeg"
    head = struct.pack(">II", 3, len(kind)) + kind + bytes(4 + 4 * 4)
    return b64encode(head + struct.pack(">I", len(cover)) + cover).decode()


def _id3_chapters(label: Label, sample_rate: int) -> list[ChapterInfo]:
    return [
        {
            "id": number,
            "start": chapter.start,
            "end": chapter.end,
            "time_base": AVRational(1, sample_rate),
            "metadata": {"title": chapter.title},
        }
        for number, chapter in enumerate(label.chapters)
    ]


def _chapter_comments(label: Label, sample_rate: int) -> Iterator[tuple[str, str]]:
    """Vorbis comments, by hand: ffmpeg's own round the second and then add its thousandths."""
    for number, chapter in enumerate(label.chapters):
        seconds, thousandths = divmod(round(chapter.start * 1000 / sample_rate), 1000)
        minutes, hours = seconds // 60 % 60, seconds // 3600
        yield f"CHAPTER{number:03}", f"{hours:02}:{minutes:02}:{seconds % 60:02}.{thousandths:03}"
        yield f"CHAPTER{number:03}NAME", chapter.title


def writer_of(file: BinaryIO, target: Target, shape: Shape, label: Label) -> Writer:
    if target is Target.M4B:
        return M4bWriter(file, shape, label, target.bit_rate(shape.channels) or 0)
    return ContainerWriter(file, target, shape, label)
