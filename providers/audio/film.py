"""A film with one more track of sound, or with another one; what it has is copied packet by packet, never encoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from providers.audio.footage import Film, opened, picture_of
from providers.audio.languages import three_letters
from providers.audio.parts import Floats, Shape
from providers.audio.samples import translated
from providers.errors import BadAudio

_COPIED = ("video", "audio", "subtitle")
# What the muxer says of the file itself.
_NOT_COPIED = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
# So far the new track is written ahead of the others.
_AHEAD_SECONDS = 0.5
_BIT_RATES = {1: 96_000, 2: 160_000}


@dataclass(frozen=True, slots=True)
class FilmLabel:
    """How the new track is called. `replacing`: in place of all sound that is there, else beside it; what is there and
    has no name is then called `original`."""

    title: str
    language: str = ""
    replacing: bool = False
    original: str = "Original"


class FilmWriter:
    """Writes into a file that can be sought in. What its container can't hold is left out, but for the picture."""

    def __init__(self, file: BinaryIO, film: Film, shape: Shape, label: FilmLabel) -> None:
        self._file, self._film, self._shape, self._label = file, film, shape, label
        self._position = 0

    @translated()
    def write(self, source: Path, sound: Iterator[Floats]) -> None:
        with (
            opened(source) as media,
            av.open(self._file, "w", format=self._film.muxer) as made,
        ):
            made.metadata.update(_kept(media.metadata))
            copies = self._copies(media, made)
            track = self._track(made)
            made.set_chapters(media.chapters())
            for packet in media.demux(*(stream for stream in media.streams if stream.index in copies)):
                # What ends a stream holds nothing.
                if not packet.size:
                    continue
                self._sound_until(_seconds(packet) + _AHEAD_SECONDS, made, track, sound)
                packet.stream = copies[packet.stream.index]
                made.mux(packet)
            self._sound_until(float("inf"), made, track, sound)
            made.mux(track.encode(None))

    def _sound_until(self, seconds: float, made: OutputContainer, track: AudioStream, sound: Iterator[Floats]) -> None:
        while self._position < seconds * self._shape.sample_rate and (samples := next(sound, None)) is not None:
            made.mux(track.encode(self._shape.frame(samples, self._position)))
            self._position += len(samples) // self._shape.channels

    def _copies(self, media: InputContainer, made: OutputContainer) -> dict[int, Stream]:
        """By the number of the stream that is copied."""
        picture, copies = picture_of(media), dict[int, Stream]()
        for stream in media.streams:
            if stream is picture:
                copies[stream.index] = self._copy(stream, made)
            elif self._is_kept(stream):
                with suppress(ValueError):
                    copies[stream.index] = self._copy(stream, made)
        if picture is None:
            raise BadAudio("There is no picture in it.")
        return copies

    def _is_kept(self, stream: Stream) -> bool:
        if stream.type == "attachment":
            return self._film is Film.MKV
        if stream.type == "audio" and self._label.replacing:
            return False
        # Matroska keeps covers among its attachments.
        cover = bool(stream.disposition & Disposition.attached_pic)
        return stream.type in _COPIED and stream.codec_context is not None and not (cover and self._film.is_matroska)

    def _copy(self, stream: Stream, made: OutputContainer) -> Stream:
        copy = made.add_stream_from_template(stream, opaque=True)
        copy.metadata.update(self._metadata(stream))
        copy.disposition = stream.disposition
        if stream.type == "audio":
            copy.disposition &= ~Disposition.default
            copy.metadata.setdefault("title", self._label.original)
        if stream.codec_context is not None and not self._film.is_matroska:
            # Players know HEVC by hvc1 or hev1, and take only theirs.
            copy.codec_context.codec_tag = stream.codec_context.codec_tag
        return copy

    def _metadata(self, stream: Stream) -> dict[str, str]:
        kept = _kept(stream.metadata)
        # MP4 is read with one name for it, and written with another.
        if "name" in kept:
            kept.setdefault("title", kept.pop("name"))
        return kept

    def _track(self, made: OutputContainer) -> AudioStream:
        codec = "libopus" if self._film.is_matroska else "aac"
        track = made.add_stream(codec, self._shape.sample_rate, layout=self._shape.layout)
        assert isinstance(track, AudioStream)
        track.codec_context.bit_rate = _BIT_RATES[self._shape.channels]
        track.metadata["title"] = self._label.title
        if language := three_letters(self._label.language, bibliographic=self._film is not Film.MP4):
            track.metadata["language"] = language
        track.disposition = Disposition.default | Disposition.dub
        return track


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if name.lower() not in _NOT_COPIED}


def _seconds(packet: Packet[Stream]) -> float:
    time = packet.dts if packet.dts is not None else packet.pts
    return float((time or 0) * packet.time_base)
