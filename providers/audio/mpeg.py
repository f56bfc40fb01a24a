"""MP3 and ADTS AAC streams cut into frames, without decoding: tags are skipped, a cut-off end is noticed.

Sources: ISO/IEC 11172-3 and 13818-3 (MPEG audio frame), 13818-7 (ADTS), id3.org (ID3v2.4), and the Xing, Info and
LAME tag as LAME and ffmpeg write it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from providers.errors import BadAudio

_BIT_RATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BIT_RATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLE_RATES = (44_100, 48_000, 32_000)
_VERSION_1, _VERSION_2, _VERSION_2_5 = 3, 2, 0
_RATE_DIVISORS = {_VERSION_1: 1, _VERSION_2: 2, _VERSION_2_5: 4}
_LAYER_3 = 1
_SINGLE_CHANNEL = 3
# The first true sample leaves a decoder this much later than the encoder's own delay says.
_MP3_DECODER_DELAY = 529

_HEADER_BYTES = 7
_ID3_HEADER_BYTES = 10
_FRAME_OR_TAG = re.compile(rb"\xff|ID3")
_MAX_JUNK_BYTES = 1 << 20


def mp3_frame_bytes(header: bytes) -> int:
    """The size of the layer III frame that begins with these bytes (4 are enough); 0 when none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0 or header[1] >> 1 & 3 != _LAYER_3:
        return 0
    version, bit_rate_index, rate_index = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version not in _RATE_DIVISORS or bit_rate_index in (0, 15) or rate_index == 3:
        return 0
    bit_rate = (_BIT_RATES_1 if version == _VERSION_1 else _BIT_RATES_2)[bit_rate_index] * 1000
    sample_rate = _SAMPLE_RATES[rate_index] // _RATE_DIVISORS[version]
    return _mp3_frame_samples(header) // 8 * bit_rate // sample_rate + (header[2] >> 1 & 1)


def adts_frame_bytes(header: bytes) -> int:
    """The size of the ADTS frame that begins with these bytes (7 are enough); 0 when none does."""
    if len(header) < _HEADER_BYTES or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return size if size > _HEADER_BYTES else 0


def id3_tag_bytes(head: bytes) -> int:
    """The size of the ID3v2 tag that begins with these bytes (10 are enough); 0 when none does."""
    if len(head) < _ID3_HEADER_BYTES or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    footer = _ID3_HEADER_BYTES if head[5] & 0x10 else 0
    return _ID3_HEADER_BYTES + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + footer


def _mp3_frame_samples(header: bytes) -> int:
    return 1152 if header[1] >> 3 & 3 == _VERSION_1 else 576


class FrameSplitter:
    """Bytes in pieces of any size -> whole frames. What lies between frames is dropped, unless it never ends."""

    def __init__(self, frame_bytes: Callable[[bytes], int]) -> None:
        self._frame_bytes = frame_bytes
        self._buffer = bytearray()
        self._skip = 0
        self._junk = 0
        # Out of sync, a header counts only when the next frame follows it: other data looks like one now and then.
        self._synced = False

    def feed(self, chunk: bytes) -> list[bytes]:
        self._buffer += chunk
        return self._take_frames(final=False)

    def finish(self) -> list[bytes]:
        return self._take_frames(final=True)

    @property
    def cut_off(self) -> bool:
        """After `finish`: the bytes end inside a frame or a tag."""
        return bool(self._buffer) or self._skip > 0

    def _take_frames(self, *, final: bool) -> list[bytes]:
        frames = []
        while size := self._next_frame_bytes(final):
            frames.append(bytes(self._buffer[:size]))
            del self._buffer[:size]
            self._synced, self._junk = True, 0
        return frames

    def _next_frame_bytes(self, final: bool) -> int:
        """Drop what is no frame; the size of the whole frame in front, or 0 when bytes are missing."""
        while self._buffer:
            head = bytes(self._buffer[:_ID3_HEADER_BYTES])
            size = self._frame_bytes(head)
            needed = size if self._synced else size + _HEADER_BYTES
            if self._skip:
                self._skip_tag()
            elif len(head) < _ID3_HEADER_BYTES and not final:
                return 0
            elif tag_bytes := id3_tag_bytes(head):
                self._skip = tag_bytes
            elif size and len(self._buffer) < needed and (self._synced or not final):
                return 0
            elif size and (self._synced or self._is_followed(size)):
                return size
            elif self._synced and len(head) < _HEADER_BYTES and head[0] == 0xFF:
                return 0
            else:
                self._lose_sync()
        return 0

    def _skip_tag(self) -> None:
        dropped = min(self._skip, len(self._buffer))
        del self._buffer[:dropped]
        self._skip -= dropped

    def _is_followed(self, size: int) -> bool:
        """Another frame, a tag or the end comes right after the first `size` bytes."""
        following = bytes(self._buffer[size : size + _HEADER_BYTES])
        at_end = len(self._buffer) == size
        return at_end or following[:3] in (b"ID3", b"TAG", b"APE") or self._frame_bytes(following) > 0

    def _lose_sync(self) -> None:
        self._synced = False
        found = _FRAME_OR_TAG.search(self._buffer, 1)
        # The first two bytes of a tag may be the last that came.
        dropped = found.start() if found else max(len(self._buffer) - 2, 1)
        del self._buffer[:dropped]
        self._junk += dropped
        if self._junk > _MAX_JUNK_BYTES:
            raise BadAudio("No audio frames are in what the provider sent.")


@dataclass(frozen=True, slots=True)
class InfoTag:
    """What an MP3 says about itself in its first frame, which holds no audio.

    `frames` is 0 where it does not say. Of the samples that a decoder gives for the frames after it, the first `skip`
    are the encoder's, then `samples` are the recording (None: all that follow).
    """

    frames: int
    skip: int
    samples: int | None


def read_info_tag(frame: bytes) -> InfoTag | None:
    """None for a frame of audio."""
    single, version_1 = frame[3] >> 6 == _SINGLE_CHANNEL, frame[1] >> 3 & 3 == _VERSION_1
    at = 4 + ((17 if single else 32) if version_1 else (9 if single else 17))
    if frame[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags = frame[at + 7]
    frames = int.from_bytes(frame[at + 8 : at + 12]) if flags & 1 else 0
    at += 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    if frame[at : at + 4] not in (b"LAME", b"Lavf", b"Lavc"):
        return InfoTag(frames, 0, None)
    delays = int.from_bytes(frame[at + 21 : at + 24])
    delay, padding = delays >> 12, delays & 0xFFF
    samples = frames * _mp3_frame_samples(frame) - delay - padding
    return InfoTag(frames, delay + _MP3_DECODER_DELAY, max(samples, 0) if frames else None)
