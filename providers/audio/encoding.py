"""Samples out: whole files with true headers, and streams for a sink that can't seek."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec import CodecContext
from av.packet import Packet

from providers.audio.formats import CODECS, Codec, target_sample_rate
from providers.audio.samples import MonoConverter, frames_of, translated
from providers.audio.wav import wav_header
from providers.errors import BadAudio
from providers.speech import AudioFormat

_FILE_OPTIONS = {"id3v2_version": "0", "metadata_header_padding": "0"}
# Ogg pages leave ten times a second, not once.
_STREAM_OPTIONS = {"page_duration": "100000", **_FILE_OPTIONS}
# The longest that every player takes.
_FLAC_BLOCK_SAMPLES = 4608
# The mark of the format, and the head of its only block of metadata.
_FLAC_HEAD = b"fLaC\x80"


class Sink:
    """A file that can only be written to, as a socket is."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


class PlainWriter:
    """WAV of unknown length, or headerless PCM."""

    def __init__(self, header: bytes, sink: Sink) -> None:
        self._sink = sink
        sink.write(header)

    def write(self, pcm: bytes) -> None:
        self._sink.write(pcm)

    def close(self) -> None:
        return None


class CodecWriter:
    """Mono samples in, one encoded file into `sink`. A sink that can't seek gets a stream."""

    def __init__(self, codec: Codec, sample_rate: int, sink: Sink | BytesIO) -> None:
        streaming = isinstance(sink, Sink)
        options = _STREAM_OPTIONS if streaming else _FILE_OPTIONS
        self._sample_rate, self._samples = sample_rate, 0
        self._container = av.open(sink, "w", format=codec.muxer, container_options=options)
        stream = self._container.add_stream(codec.encoder, sample_rate, dict(codec.options), layout="mono")
        assert isinstance(stream, AudioStream)
        if codec.bit_rate:
            stream.codec_context.bit_rate = codec.bit_rate
        self._container.start_encoding()
        context = stream.codec_context
        self._skip = context.initial_padding // context.frame_size if streaming and codec.drops_delay else 0
        self._stream = stream

    def write(self, pcm: bytes) -> None:
        for frame in frames_of(pcm, self._sample_rate, self._samples):
            self._mux(self._stream.encode(frame))
        self._samples += len(pcm) // 2

    def close(self) -> None:
        self._mux(self._stream.encode(None))
        self._container.close()

    def _mux(self, packets: list[Packet[AudioStream]]) -> None:
        kept = packets[self._skip :]
        self._skip -= len(packets) - len(kept)
        self._container.mux(kept)


@translated()
def encode(pcm: bytes, sample_rate: int, format: AudioFormat) -> bytes:
    """Mono s16le samples as a whole file, true sizes in its header; PCM is 24 kHz without a header."""
    if len(pcm) < 2:
        raise BadAudio("There are no samples to encode.")
    target_rate = target_sample_rate(format, sample_rate)
    if target_rate != sample_rate:
        mono = MonoConverter(lambda _: target_rate)
        pcm = b"".join([*map(mono.convert, frames_of(pcm, sample_rate)), mono.flush()])
    if format is AudioFormat.PCM:
        return pcm
    if format is AudioFormat.WAV:
        return wav_header(target_rate, len(pcm)) + pcm
    if format is AudioFormat.FLAC:
        return _flac(pcm, target_rate)
    sink = BytesIO()
    writer = CodecWriter(CODECS[format], target_rate, sink)
    writer.write(pcm)
    writer.close()
    return sink.getvalue()


def _flac(pcm: bytes, sample_rate: int) -> bytes:
    """Without a muxer, through which each block would go by itself. Many files are encoded beside each other, and each
    step of one waits for the interpreter."""
    encoder = CodecContext.create("flac", "w")
    assert isinstance(encoder, AudioCodecContext)
    encoder.sample_rate, encoder.time_base = sample_rate, Fraction(1, sample_rate)
    encoder.format, encoder.layout = "s16", "mono"
    encoder.options = {"frame_size": str(_FLAC_BLOCK_SAMPLES)}
    encoder.open()
    packets = [packet for frame in (*frames_of(pcm, sample_rate), None) for packet in encoder.encode(frame)]
    # Of the whole: how long it is, and its checksum. It comes last and belongs first.
    stream_info = bytes(packets[-1].get_sidedata("new_extradata"))
    return b"".join([_FLAC_HEAD, len(stream_info).to_bytes(3), stream_info, *map(bytes, packets)])
