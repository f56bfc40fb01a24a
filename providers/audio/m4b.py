"""M4B audiobooks: AAC in MP4 with chapters.

ffmpeg's muxer keeps 72 bytes of memory for each of the 170,000 packets of an hour; here it is two, so that length costs
nothing. The index stands in front of the sound, for players that begin before they have all.

Sources: ISO/IEC 14496-12 (boxes), 14496-14 (mp4a, esds), 14496-3 (AudioSpecificConfig); Apple's QuickTime File Format
(text and chapter tracks, gmhd, metadata items); the Nero chapter box as players and ffmpeg read it.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.codec import CodecContext

from providers.audio.labels import Label
from providers.audio.parts import Floats, Shape

_FRAME_SAMPLES = 1024
_CHUNK_FRAMES = 50
# Room in the index for packets that an encoder may give beyond those that the samples make.
_SPARE_FRAMES = 16
_MDAT_HEADER_BYTES = 16
_AUDIO_TRACK, _TEXT_TRACK = 1, 2
_ENABLED_IN_MOVIE, _IN_MOVIE = 3, 2
_TEXT_SCALE = 1000
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED = 0x55C4
_UTF8 = b"\0\0\0\x0cencd\0\0\x01\0"
# A Nero chapter box has one byte for the number of chapters, and one for the length of a title.
_NERO_MOST = 255
_AUDIOBOOK = 2
# Of an item's value: what it is.
_JPEG = 13


# The index of ten hours is long: its pieces are put behind one another in the file, never in memory.
type Pieces = list[bytes | memoryview]


def _box(name: bytes, *bodies: bytes | memoryview | Pieces) -> Pieces:
    pieces: Pieces = []
    for body in bodies:
        if isinstance(body, list):
            pieces.extend(body)
        else:
            pieces.append(body)
    return [struct.pack(">I4s", 8 + _length(pieces), name), *pieces]


def _full(name: bytes, version: int, flags: int, *bodies: bytes | memoryview | Pieces) -> Pieces:
    return _box(name, struct.pack(">I", version << 24 | flags), *bodies)


def _length(pieces: Pieces) -> int:
    return sum(map(len, pieces))


class M4bWriter:
    """Samples in, the file out; `label.samples` of them must come."""

    def __init__(self, file: BinaryIO, shape: Shape, label: Label, bit_rate: int) -> None:
        self._file, self._shape, self._label = file, shape, label
        encoder = CodecContext.create("aac", "w")
        assert isinstance(encoder, AudioCodecContext)
        encoder.sample_rate, encoder.layout, encoder.format = shape.sample_rate, shape.layout, "fltp"
        encoder.bit_rate = bit_rate
        encoder.open()
        self._encoder, self._priming = encoder, encoder.initial_padding
        self._sizes, self._chunks, self._position = array("H"), array("Q"), 0
        self._titles = [_text_sample(chapter.title) for chapter in label.chapters]
        self._head_bytes = self._reserved()
        file.seek(self._head_bytes + _MDAT_HEADER_BYTES)
        file.write(b"".join(self._titles))

    def write(self, samples: Floats) -> None:
        frame = self._shape.frame(samples, self._position)
        self._position += len(samples) // self._shape.channels
        self._store(bytes(packet) for packet in self._encoder.encode(frame))

    def close(self) -> None:
        self._store(bytes(packet) for packet in self._encoder.encode(None))
        end = self._file.tell()
        head = _FTYP + self._moov()
        # What is reserved and not needed is a box of its own, at least as long as its header.
        rest = _box(b"free", bytes(self._head_bytes - _length(head) - 8))
        self._file.seek(0)
        self._file.writelines([*head, *rest, struct.pack(">I4sQ", 1, b"mdat", end - self._head_bytes)])
        self._file.seek(end)

    def _store(self, packets: Iterable[bytes]) -> None:
        for packet in packets:
            if len(self._sizes) % _CHUNK_FRAMES == 0:
                self._chunks.append(self._file.tell())
            self._sizes.append(len(packet))
            self._file.write(packet)

    def _reserved(self) -> int:
        """The bytes before the sound: a whole index for as many packets as will come, and a few more."""
        frames = -(-(self._label.samples + self._priming) // _FRAME_SAMPLES) + _SPARE_FRAMES
        return _length(_FTYP + self._moov()) + 4 * frames + 8 * (frames // _CHUNK_FRAMES + 1) + 12 + 8

    def _moov(self) -> Pieces:
        tracks = [self._audio_track()]
        if self._titles:
            tracks.append(self._text_track())
        times = struct.pack(">QQIQ", 0, 0, self._shape.sample_rate, self._label.samples)
        rest = struct.pack(">IH10x36s24xI", 0x10000, 0x100, _MATRIX, _TEXT_TRACK + 1)
        return _box(b"moov", _full(b"mvhd", 1, 0, times, rest), *tracks, self._user_data())

    def _audio_track(self) -> Pieces:
        # What the encoder puts before the first sample is not played.
        edit = _full(b"elst", 1, 0, struct.pack(">IQqI", 1, self._label.samples, self._priming, 0x10000))
        chapters = [_box(b"tref", _box(b"chap", struct.pack(">I", _TEXT_TRACK)))] if self._titles else []
        length = self._label.samples + self._priming
        media = _media(
            self._shape.sample_rate,
            length,
            b"soun",
            _full(b"smhd", 0, 0, bytes(4)),
            _sample_table(self._entry(), self._durations(length), self._sizes, self._chunks, _CHUNK_FRAMES),
        )
        header = _track_header(_AUDIO_TRACK, _ENABLED_IN_MOVIE, self._label.samples, volume=0x100)
        return _box(b"trak", header, _box(b"edts", edit), *chapters, media)

    def _durations(self, length: int) -> list[tuple[int, int]]:
        """The last packet is as short as what is left, so that the padding after it is not played either."""
        whole = max(len(self._sizes) - 1, 0)
        return [(whole, _FRAME_SAMPLES), (1, max(length - whole * _FRAME_SAMPLES, 0))]

    def _entry(self) -> Pieces:
        shape = struct.pack(">6xH8xHH4xI", 1, self._shape.channels, 16, self._shape.sample_rate << 16)
        config = _descriptor(5, self._encoder.extradata or b"")
        decoder = _descriptor(4, struct.pack(">BB3xII", 0x40, 0x15, self._bit_rate, self._bit_rate), config)
        stream = _descriptor(3, struct.pack(">HB", _AUDIO_TRACK, 0), decoder, _descriptor(6, b"\x02"))
        return _box(b"mp4a", shape, _full(b"esds", 0, 0, stream))

    @property
    def _bit_rate(self) -> int:
        return self._encoder.bit_rate or 0

    def _text_track(self) -> Pieces:
        starts = [round(chapter.start * _TEXT_SCALE / self._shape.sample_rate) for chapter in self._label.chapters]
        ends = [*starts[1:], round(self._label.samples * _TEXT_SCALE / self._shape.sample_rate)]
        durations = [(1, end - start) for start, end in zip(starts, ends, strict=True)]
        justified_in_the_middle = struct.pack(">6xH4xI35x", 1, 1)
        graphics = _full(b"gmin", 0, 0, struct.pack(">4H4x", 0x40, 0x8000, 0x8000, 0x8000))
        media = _media(
            _TEXT_SCALE,
            sum(duration for _, duration in durations),
            b"text",
            _box(b"gmhd", graphics, _box(b"text", _MATRIX)),
            _sample_table(
                _box(b"text", justified_in_the_middle),
                durations,
                [len(title) for title in self._titles],
                [self._head_bytes + _MDAT_HEADER_BYTES if self._sizes else 0],
                len(self._titles),
            ),
        )
        return _box(b"trak", _track_header(_TEXT_TRACK, _IN_MOVIE, self._label.samples, volume=0), media)

    def _user_data(self) -> Pieces:
        items = [_item(name, 1, value.encode()) for name, value in self._items() if value]
        items.append(_item(b"stik", 21, bytes([_AUDIOBOOK])))
        if self._label.cover:
            items.append(_item(b"covr", _JPEG, self._label.cover))
        handler = _full(b"hdlr", 0, 0, struct.pack(">4x4s4s9x", b"mdir", b"appl"))
        return _box(b"udta", self._nero_chapters(), _full(b"meta", 0, 0, handler, _box(b"ilst", *items)))

    def _items(self) -> Sequence[tuple[bytes, str]]:
        return (b"\xa9nam", self._label.title), (b"\xa9ART", self._label.author), (b"\xa9alb", self._label.title)

    def _nero_chapters(self) -> Pieces:
        """For players that know no chapter track. A longer list would be cut off in the middle of the book."""
        chapters = self._label.chapters
        if not 0 < len(chapters) <= _NERO_MOST:
            return []
        entries = [
            struct.pack(">QB", round(chapter.start * 10**7 / self._shape.sample_rate), len(title)) + title
            for chapter in chapters
            for title in (_cut(chapter.title, _NERO_MOST),)
        ]
        return _full(b"chpl", 1, 0, struct.pack(">4xB", len(chapters)), *entries)


_FTYP = _box(b"ftyp", b"M4B ", struct.pack(">I", 0x200), b"M4B ", b"M4A ", b"mp42", b"isom")


def _track_header(track: int, flags: int, length: int, *, volume: int) -> Pieces:
    body = struct.pack(">QQI4xQ8xHHH2x36s8x", 0, 0, track, length, 0, 0, volume, _MATRIX)
    return _full(b"tkhd", 1, flags, body)


def _media(scale: int, length: int, kind: bytes, header: Pieces, table: Pieces) -> Pieces:
    times = _full(b"mdhd", 1, 0, struct.pack(">QQIQHH", 0, 0, scale, length, _UNDETERMINED, 0))
    handler = _full(b"hdlr", 0, 0, struct.pack(">4x4s12x", kind), b"\0")
    here = _box(b"dinf", _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1)))
    return _box(b"mdia", times, handler, _box(b"minf", header, here, table))


def _sample_table(
    entry: Pieces, durations: Sequence[tuple[int, int]], sizes: Sequence[int], chunks: Sequence[int], a_chunk: int
) -> Pieces:
    """`durations`: how many samples, and how long each of them is; `a_chunk`: how many lie in one, but for the last."""
    runs = [(1, a_chunk)]
    if len(sizes) % a_chunk:
        runs.append((len(chunks), len(sizes) % a_chunk))
    runs = runs[-1:] if len(chunks) == 1 else runs
    return _box(
        b"stbl",
        _full(b"stsd", 0, 0, struct.pack(">I", 1), entry),
        _full(b"stts", 0, 0, struct.pack(">I", len(durations)), *(struct.pack(">II", *one) for one in durations)),
        _full(b"stsc", 0, 0, struct.pack(">I", len(runs)), *(struct.pack(">III", *run, 1) for run in runs)),
        _full(b"stsz", 0, 0, struct.pack(">II", 0, len(sizes)), _numbers(sizes, ">u4")),
        _full(b"co64", 0, 0, struct.pack(">I", len(chunks)), _numbers(chunks, ">u8")),
    )


def _numbers(values: Sequence[int], kind: str) -> memoryview:
    return np.array(values, kind).view(np.uint8).data


def _descriptor(tag: int, *bodies: bytes) -> bytes:
    body = b"".join(bodies)
    return bytes([tag, len(body)]) + body


def _item(name: bytes, kind: int, value: bytes) -> Pieces:
    return _box(name, _box(b"data", struct.pack(">I4x", kind), value))


def _text_sample(title: str) -> bytes:
    text = _cut(title, 0xFFFF)
    return struct.pack(">H", len(text)) + text + _UTF8


def _cut(text: str, most: int) -> bytes:
    """As UTF-8, no character in pieces."""
    return text.encode()[:most].decode(errors="ignore").encode()
