"""Source files while they come: bytes in pieces of any size -> decoded frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec import CodecContext
from av.packet import Packet

from providers.audio import mpeg
from providers.audio.decoding import decoded
from providers.audio.samples import frames_of
from providers.audio.wav import PcmReader, WavReader
from providers.errors import BadAudio
from providers.speech import AudioFormat

_MAX_BUFFERED_BYTES = 64 << 20


class Source(Protocol):
    def feed(self, chunk: bytes) -> Iterable[AudioFrame]: ...

    def finish(self) -> Iterable[AudioFrame]: ...


class _SampleSource:
    """WAV and headerless PCM, as they come."""

    def __init__(self, reader: WavReader | PcmReader) -> None:
        self._reader = reader

    def feed(self, chunk: bytes) -> Iterable[AudioFrame]:
        pcm = self._reader.feed(chunk)
        return frames_of(pcm, self._reader.sample_rate) if pcm else ()

    def finish(self) -> Iterable[AudioFrame]:
        pcm = self._reader.finish()
        return frames_of(pcm, self._reader.sample_rate) if pcm else ()


class _MpegSource:
    """MP3 and ADTS AAC, frame by frame as they come."""

    def __init__(self, format: AudioFormat) -> None:
        self._is_mp3 = format is AudioFormat.MP3
        self._splitter = mpeg.FrameSplitter(mpeg.mp3_frame_bytes if self._is_mp3 else mpeg.adts_frame_bytes)
        decoder = CodecContext.create("mp3float" if self._is_mp3 else "aac", "r")
        assert isinstance(decoder, AudioCodecContext)
        self._decoder = decoder
        self._frames_missing = self._skip = 0
        self._left: int | None = None

    def feed(self, chunk: bytes) -> Iterator[AudioFrame]:
        for frame in self._splitter.feed(chunk):
            yield from self._decode(frame)

    def finish(self) -> Iterator[AudioFrame]:
        for frame in self._splitter.finish():
            yield from self._decode(frame)
        # Some encoders count the frame that says how many there are.
        if self._splitter.cut_off or self._frames_missing > 1:
            raise BadAudio("The audio is cut off.")

    def _decode(self, frame: bytes) -> Iterator[AudioFrame]:
        if self._is_mp3 and (tag := mpeg.read_info_tag(frame)):
            self._frames_missing, self._skip, self._left = tag.frames, tag.skip, tag.samples
            return
        self._frames_missing -= 1
        try:
            decoded = self._decoder.decode(Packet(frame))
        except av.InvalidDataError:
            return  # a damaged frame is left out, as players do
        for piece in decoded:
            yield from self._trim(piece)

    def _trim(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """Without what the encoder added before and after the recording."""
        start = min(self._skip, frame.samples)
        self._skip -= start
        stop = frame.samples if self._left is None else min(frame.samples, start + self._left)
        if self._left is not None:
            self._left -= stop - start
        if stop - start == frame.samples:
            yield frame
        elif start < stop:
            samples = np.ascontiguousarray(frame.to_ndarray()[:, start:stop], np.float32)
            trimmed = AudioFrame.from_ndarray(samples, frame.format.name, frame.layout.name)
            trimmed.sample_rate = frame.sample_rate
            yield trimmed


class _FileSource:
    """Ogg and FLAC: decoded when the file is complete."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, chunk: bytes) -> Iterable[AudioFrame]:
        self._data += chunk
        if len(self._data) > _MAX_BUFFERED_BYTES:
            raise BadAudio(f"The audio has more than {_MAX_BUFFERED_BYTES >> 20} MB.")
        return ()

    def finish(self) -> Iterator[AudioFrame]:
        return decoded(bytes(self._data), strict=True)


def open_source(format: AudioFormat, sample_rate: int) -> Source:
    if format is AudioFormat.PCM:
        return _SampleSource(PcmReader(sample_rate))
    if format is AudioFormat.WAV:
        return _SampleSource(WavReader())
    return _MpegSource(format) if format in (AudioFormat.MP3, AudioFormat.AAC) else _FileSource()
