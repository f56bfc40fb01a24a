"""Whole files in: what they are, and their samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from typing import BinaryIO

import av
from av.audio.frame import AudioFrame

from providers.audio.formats import demuxer_of, ogg_is_cut_off, sniff
from providers.audio.samples import MonoConverter, translated
from providers.audio.wav import wav_header, wav_is_cut_off
from providers.errors import BadAudio
from providers.speech import AudioFormat

# Nothing that a file refers to is opened, whatever demuxer reads it.
NO_PROTOCOLS = {"protocol_whitelist": "none"}
_MAX_PCM_BYTES = 512 << 20
_REFERENCE_SAMPLE_RATE = 48_000
# A file that lacks this much of what its header promises was cut off.
_MISSING_SECONDS = 0.02
_OGG_PAGE_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """`format` is None for audio that can be decoded but is none of ours; `duration` is seconds, by decoding."""

    format: AudioFormat | None
    sample_rate: int
    channels: int
    duration: float


def decoded(data: bytes, *, strict: bool = False) -> Iterator[AudioFrame]:
    """The frames of a whole file. Damaged parts are left out, as players do; `strict` refuses a cut-off end."""
    return decoded_file(BytesIO(data), strict=strict)


def decoded_file(file: BinaryIO, *, strict: bool = False) -> Iterator[AudioFrame]:
    """As `decoded`, without ever holding the whole of it."""
    demuxer = demuxer_of(file)
    if strict and ((demuxer == "ogg" and ogg_is_cut_off(_end_of(file))) or (demuxer == "wav" and wav_is_cut_off(file))):
        raise BadAudio("The audio is cut off.")
    file.seek(0)
    with translated(), av.open(file, "r", format=demuxer, container_options=NO_PROTOCOLS) as container:
        if not container.streams.audio:
            raise BadAudio("The file holds no sound.")
        seconds, damaged = 0.0, False
        for packet in container.demux(container.streams.audio[0]):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                damaged = True
                continue
            damaged = damaged and not frames
            for frame in frames:
                seconds += frame.samples / frame.sample_rate
                yield frame
        if not seconds:
            raise BadAudio("The file holds no sound.")
        if strict and (damaged or seconds + _MISSING_SECONDS < (container.duration or 0) / av.time_base):
            raise BadAudio("The audio is cut off.")


def _end_of(file: BinaryIO) -> bytes:
    """More than the largest page of Ogg."""
    file.seek(max(file.seek(0, SEEK_END) - _OGG_PAGE_BYTES, 0))
    return file.read()


@translated()
def _decode(
    data: bytes, choose_rate: Callable[[int], int], max_seconds: float = math.inf, *, strict: bool = False
) -> tuple[bytes, int]:
    mono, pcm = MonoConverter(choose_rate), bytearray()
    for frame in decoded(data, strict=strict):
        pcm += mono.convert(frame)
        bytes_a_second = 2 * mono.sample_rate
        limit = min(max_seconds, _MAX_PCM_BYTES / bytes_a_second)
        if len(pcm) > limit * bytes_a_second:
            raise BadAudio(f"The audio is longer than {limit:.0f} seconds.")
    pcm += mono.flush()
    return bytes(pcm), mono.sample_rate


def probe(data: bytes) -> AudioInfo:
    """What a whole file is. Raises BadAudio for what can't be decoded or holds no sound."""
    frames = decoded(data)
    first = next(frames)
    duration = sum((frame.samples / frame.sample_rate for frame in frames), first.samples / first.sample_rate)
    return AudioInfo(sniff(data), first.sample_rate, first.layout.nb_channels, duration)


def decode(data: bytes, *, sample_rate: int | None = None) -> tuple[bytes, int]:
    """A whole file as mono s16le samples, and their rate: the file's own unless `sample_rate` asks for another."""
    return _decode(data, lambda source: sample_rate or source)


def to_wav(data: bytes) -> bytes:
    """A whole file as a mono 16-bit WAV file of its own rate. Raises BadAudio when it is cut off."""
    pcm, sample_rate = _decode(data, lambda source: source, strict=True)
    return wav_header(sample_rate, len(pcm)) + pcm


def to_reference_wav(data: bytes, *, max_seconds: float = 600) -> tuple[bytes, float]:
    """Any audio as a mono 16-bit WAV file of at most 48 kHz, and its seconds."""
    pcm, sample_rate = _decode(data, lambda source: min(source, _REFERENCE_SAMPLE_RATE), max_seconds)
    return wav_header(sample_rate, len(pcm)) + pcm, len(pcm) / 2 / sample_rate
