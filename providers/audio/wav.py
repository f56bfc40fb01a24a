"""WAV and headerless PCM by hand: read while the bytes come, converted to mono 16-bit little-endian (s16le).

Nothing is kept but the header and a part of a sample, so that a stream may last for ever.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import SEEK_END
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from providers.errors import BadAudio

WAV_HEADER_BYTES = 44
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WIDTHS = {_PCM: (1, 2, 3, 4), _FLOAT: (4, 8)}
_MAX_CHUNK_BYTES = 1 << 20
_UNKNOWN_SIZE = 0xFFFFFFFF
# Streaming writers put 0, 0x7FFFF000 (espeak-ng) or 0xFFFFFFFF where the size belongs.
_LARGEST_TRUE_SIZE = 0x7FFFEFFF
_TEXT_PROBE_BYTES = 16
_TEXT_BYTES = bytes(range(0x20, 0x7F)) + b"\t\r\n"


def wav_header(sample_rate: int, data_bytes: int | None) -> bytes:
    """The 44 bytes before mono 16-bit samples; None says that the length is not known yet."""
    data_size = _UNKNOWN_SIZE if data_bytes is None else min(data_bytes, _UNKNOWN_SIZE)
    riff_size = min(data_size + 36, _UNKNOWN_SIZE)
    fmt = (16, _PCM, 1, sample_rate, sample_rate * 2, 2, 16)
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", riff_size, b"WAVE", b"fmt ", *fmt, b"data", data_size)


def wav_sizes_are_true(file: bytes) -> bool:
    """Whether a whole WAV file's header says how much follows, so that any reader gets its length right."""
    at, true_end = 12, 8 + int.from_bytes(file[4:8], "little") == len(file)
    while len(file) >= at + 8:
        size = int.from_bytes(file[at + 4 : at + 8], "little")
        if file[at : at + 4] == b"data":
            return true_end and 0 < size <= len(file) - at - 8
        at += 8 + size + size % 2
    return False


def wav_is_cut_off(file: BinaryIO) -> bool:
    """Whether the samples end before the header says so; a header that doesn't know says nothing."""
    length, at = file.seek(0, SEEK_END), 12
    while at + 8 <= length:
        file.seek(at)
        head = file.read(8)
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            return 0 < size <= _LARGEST_TRUE_SIZE and at + 8 + size > length
        at += 8 + size + size % 2
    return True


@dataclass(frozen=True, slots=True)
class _SampleShape:
    """How samples lie in a WAV file; `width` is bytes a sample."""

    encoding: int
    width: int
    channels: int
    sample_rate: int

    @property
    def frame_bytes(self) -> int:
        return self.width * self.channels

    def to_mono(self, frames: bytes) -> bytes:
        """Whole frames in, mono s16le out."""
        if self.encoding == _PCM and self.frame_bytes == self.width == 2:
            return frames
        samples = self._to_s16(frames)
        if self.channels > 1:
            samples = samples.reshape(-1, self.channels).mean(axis=1).round().astype("<i2")
        return samples.tobytes()

    def _to_s16(self, frames: bytes) -> NDArray[np.int16]:
        if self.encoding == _FLOAT:
            floats = np.frombuffer(frames, f"<f{self.width}").astype(np.float64)
            floats = np.nan_to_num(floats, nan=0.0, posinf=1.0, neginf=-1.0).clip(-1.0, 1.0)
            return (floats * 32767).round().astype(np.int16)
        octets = np.frombuffer(frames, np.uint8)
        if self.width == 1:
            return (octets.astype("<i2") - 128) << 8
        # Little-endian: the two highest bytes of every sample are its 16-bit value.
        return np.ascontiguousarray(octets.reshape(-1, self.width)[:, -2:]).view("<i2").ravel()


def _parse_fmt(body: bytes) -> _SampleShape:
    if len(body) < 16:
        raise BadAudio("The WAV header is too short.")
    encoding, channels, sample_rate, _, frame_bytes, _ = struct.unpack_from("<HHIIHH", body)
    if encoding == _EXTENSIBLE:
        encoding = int.from_bytes(body[24:26], "little")
    if not 1 <= channels <= 64 or not 1000 <= sample_rate <= 768_000:
        raise BadAudio(f"The WAV header says {channels} channels at {sample_rate} Hz.")
    width, rest = divmod(frame_bytes, channels)
    if rest or width not in _WIDTHS.get(encoding, ()):
        raise BadAudio(f"WAV encoding {encoding} with {frame_bytes} bytes a frame is not supported.")
    return _SampleShape(encoding, width, channels, sample_rate)


class WavReader:
    """Bytes of one WAV file in pieces of any size -> mono s16le. Chunks other than `fmt ` and `data` are skipped."""

    def __init__(self) -> None:
        self.sample_rate = 0
        self._riff_seen = False
        self._shape: _SampleShape | None = None
        self._head = bytearray()
        self._in_data = False
        self._left: int | None = None
        self._carry = b""

    def feed(self, chunk: bytes) -> bytes:
        if not self._in_data:
            self._head += chunk
            if not self._read_head():
                return b""
            chunk = bytes(self._head)
            self._head.clear()
        return self._samples(chunk)

    def finish(self) -> bytes:
        """Nothing is left to give; raises where the file is cut off."""
        if not self._in_data:
            raise BadAudio("The WAV file ends inside its header.")
        if self._left:
            raise BadAudio(f"The WAV file is cut off: {self._left} bytes are missing.")
        return b""

    def _read_head(self) -> bool:
        """Drop chunks from the front until the samples; False while more bytes are needed."""
        if not self._riff_seen and not self._read_riff():
            return False
        while len(self._head) >= 8:
            name, size = struct.unpack_from("<4sI", self._head)
            if name == b"data":
                self._begin_data(size)
                return True
            end = 8 + size + size % 2
            if end > _MAX_CHUNK_BYTES:
                raise BadAudio("The WAV header is broken.")
            if len(self._head) < end:
                return False
            if name == b"fmt ":
                self._shape = _parse_fmt(bytes(self._head[8 : 8 + size]))
            del self._head[:end]
        return False

    def _read_riff(self) -> bool:
        if len(self._head) < 12:
            return False
        if self._head[:4] != b"RIFF" or self._head[8:12] != b"WAVE":
            raise BadAudio("This is not a WAV file.")
        del self._head[:12]
        self._riff_seen = True
        return True

    def _begin_data(self, size: int) -> None:
        if self._shape is None:
            raise BadAudio("The WAV file does not say how its samples lie.")
        self.sample_rate = self._shape.sample_rate
        self._left = size if 0 < size <= _LARGEST_TRUE_SIZE else None
        self._in_data = True
        del self._head[:8]

    def _samples(self, chunk: bytes) -> bytes:
        assert self._shape is not None
        if self._left is not None:
            chunk = chunk[: self._left]
            self._left -= len(chunk)
        data = self._carry + chunk
        whole = len(data) - len(data) % self._shape.frame_bytes
        self._carry = data[whole:]
        return self._shape.to_mono(data[:whole])


class PcmReader:
    """Headerless mono s16le in pieces of any size. Text, which is an error page, is refused."""

    def __init__(self, sample_rate: int) -> None:
        if sample_rate <= 0:
            raise BadAudio("The provider sent raw samples without saying their rate.")
        self.sample_rate = sample_rate
        self._carry = b""
        self._probed = False

    def feed(self, chunk: bytes) -> bytes:
        data = self._carry + chunk
        if not self._probed:
            if len(data) < _TEXT_PROBE_BYTES:
                self._carry = data
                return b""
            self._refuse_text(data[:_TEXT_PROBE_BYTES])
        whole = len(data) - len(data) % 2
        self._carry = data[whole:]
        return data[:whole]

    def finish(self) -> bytes:
        """The samples of a file too short to be probed before. An odd last byte is no sample."""
        if self._probed:
            return b""
        self._refuse_text(self._carry)
        return self._carry[: len(self._carry) // 2 * 2]

    def _refuse_text(self, head: bytes) -> None:
        self._probed = True
        if head and not head.strip(_TEXT_BYTES):
            raise BadAudio("The provider sent text in place of samples.")
