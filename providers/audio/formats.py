"""The formats from outside: how a file begins, which demuxer reads it, how each is encoded. No codec is needed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from providers.audio import mpeg
from providers.errors import BadAudio
from providers.speech import PCM_SAMPLE_RATE, AudioFormat

_OGG_HEADER_BYTES = 27


@dataclass(frozen=True, slots=True)
class Codec:
    """How a format is encoded; no `sample_rates` means any. `drops_delay`: a stream leaves out the frames that hold
    nothing but the encoder's delay."""

    encoder: str
    muxer: str
    bit_rate: int | None = None
    sample_rates: tuple[int, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    drops_delay: bool = False


CODECS = {
    # Constant 96 kbit/s is transparent for mono speech, and players compute a stream's length from the bit rate.
    # Without a reservoir no frame borrows bits from one that is left out.
    AudioFormat.MP3: Codec(
        "libmp3lame", "mp3", 96_000, (22_050, 24_000, 44_100, 48_000), {"reservoir": "0"}, drops_delay=True
    ),
    # 48 kbit/s is transparent for mono speech.
    AudioFormat.OPUS: Codec("libopus", "ogg", 48_000, (16_000, 24_000, 48_000)),
    # Not below 44.1 kHz, where the delay and padding that ADTS can't declare last up to 85 ms.
    AudioFormat.AAC: Codec("aac", "adts", 96_000, (44_100, 48_000)),
    AudioFormat.FLAC: Codec("flac", "flac"),
}

_DEMUXERS = {
    AudioFormat.WAV: "wav",
    AudioFormat.FLAC: "flac",
    AudioFormat.OPUS: "ogg",
    AudioFormat.MP3: "mp3",
    AudioFormat.AAC: "aac",
}


def sniff(head: bytes) -> AudioFormat | None:
    """What a file's first bytes show; None is nothing of ours (JSON, HTML, Ogg Vorbis, ...).

    What is in an Ogg stands behind its page header: until the 36 bytes that tell are there, it counts as OPUS.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return AudioFormat.WAV
    if head[:4] == b"fLaC":
        return AudioFormat.FLAC
    if head[:4] == b"OggS":
        return AudioFormat.OPUS if _first_ogg_packet(head)[:8] in (b"", b"OpusHead") else None
    if head[:3] == b"ID3" or mpeg.mp3_frame_bytes(head):
        return AudioFormat.MP3
    is_adts = len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0
    return AudioFormat.AAC if is_adts else None


def _first_ogg_packet(head: bytes) -> bytes:
    """Empty where its name is not whole."""
    start = _OGG_HEADER_BYTES + (head[_OGG_HEADER_BYTES - 1] if len(head) >= _OGG_HEADER_BYTES else 0)
    return head[start:] if len(head) >= start + len(b"OpusHead") else b""


def is_foreign(head: bytes) -> bool:
    """Whether a file is none of ours, but in a container that can be read: Ogg Vorbis, MP4, WebM."""
    return sniff(head) is None and (head[:4] in (b"OggS", b"\x1a\x45\xdf\xa3") or head[4:8] == b"ftyp")


def demuxer_of(file: BinaryIO) -> str:
    """ffmpeg's name of the container. No other one is ever opened."""
    head = _bytes_at(file, 0)
    if head[4:8] == b"ftyp":
        return "mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    found = sniff(_bytes_at(file, mpeg.id3_tag_bytes(head))) or sniff(head)
    if found is None:
        raise BadAudio("This is not audio, or not in a format that can be read.")
    return _DEMUXERS[found]


def _bytes_at(file: BinaryIO, position: int) -> bytes:
    file.seek(position)
    return file.read(12)


def ogg_is_cut_off(data: bytes) -> bool:
    """The last page is not whole."""
    page = data.rfind(b"OggS")
    if len(data) < page + _OGG_HEADER_BYTES:
        return True
    segments = page + _OGG_HEADER_BYTES + data[page + _OGG_HEADER_BYTES - 1]
    return len(data) < segments + sum(data[page + _OGG_HEADER_BYTES : segments])


def target_sample_rate(target: AudioFormat, source_rate: int) -> int:
    """The source's own rate where the target can have it, else a multiple, else the next that it can."""
    if target is AudioFormat.PCM:
        return PCM_SAMPLE_RATE
    rates = CODECS[target].sample_rates if target in CODECS else ()
    if not rates:
        return source_rate
    multiples = [rate for rate in rates if rate % source_rate == 0]
    return min(multiples or [rate for rate in rates if rate > source_rate] or [max(rates)])
