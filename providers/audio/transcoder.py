"""From one or more source files to one target file, as the bytes come."""

from __future__ import annotations

from collections.abc import Iterable

from av.audio.frame import AudioFrame

from providers.audio.encoding import CodecWriter, PlainWriter, Sink
from providers.audio.formats import CODECS, target_sample_rate
from providers.audio.samples import MonoConverter, translated
from providers.audio.sources import Source, open_source
from providers.audio.tempo import Tempo
from providers.audio.wav import wav_header
from providers.errors import BadAudio, InvalidRequest
from providers.speech import SPEED_MAX, SPEED_MIN, AudioFormat


class Transcoder:
    """Bytes of one or more source files in, bytes of one target file out, as they come.

    For each file `start_file`, `feed` and `end_file`; at last `finish`. The first file's rate makes the target's
    (`sample_rate`, 0 before). Whatever returns bytes may return none. After an exception it is of no more use.
    """

    def __init__(self, target: AudioFormat, *, speed: float = 1.0, gain_db: float = 0.0) -> None:
        if not SPEED_MIN <= speed <= SPEED_MAX:
            raise InvalidRequest(f"Speed must be from {SPEED_MIN} to {SPEED_MAX:g}.", param="speed")
        self.sample_rate = 0
        self.samples_out = 0
        self._target, self._speed, self._gain_db = target, speed, gain_db
        self._sink = Sink()
        self._writer: PlainWriter | CodecWriter | None = None
        self._source: Source | None = None
        self._converter = MonoConverter(self._choose_rate)
        self._tempo: Tempo | None = None
        self._file_has_sound = False

    @property
    def seconds(self) -> float:
        """How much audio was produced so far, after `speed`."""
        return self.samples_out / self.sample_rate if self.sample_rate else 0.0

    @translated()
    def start_file(self, format: AudioFormat, sample_rate: int = 0) -> None:
        """A new source file begins; `sample_rate` is for headerless PCM."""
        self._source = open_source(format, sample_rate)
        self._converter = MonoConverter(self._choose_rate)
        self._tempo = None
        self._file_has_sound = False

    @translated()
    def feed(self, chunk: bytes) -> bytes:
        self._convert(self._current_source().feed(chunk))
        return self._sink.take()

    @translated()
    def end_file(self) -> bytes:
        """The source file is complete. Raises BadAudio when it held no sound or is cut off."""
        self._convert(self._current_source().finish())
        self._stretch(self._converter.flush())
        if not self._file_has_sound:
            raise BadAudio("The audio holds no sound.")
        if self._tempo:
            self._write(self._tempo.flush())
        self._source = None
        return self._sink.take()

    @translated()
    def finish(self) -> bytes:
        """The end of the target file."""
        if self._writer is None:
            raise BadAudio("There is no audio.")
        self._writer.close()
        return self._sink.take()

    def _current_source(self) -> Source:
        if self._source is None:
            raise RuntimeError("start_file comes first")
        return self._source

    def _choose_rate(self, source_rate: int) -> int:
        self.sample_rate = self.sample_rate or target_sample_rate(self._target, source_rate)
        return self.sample_rate

    def _convert(self, frames: Iterable[AudioFrame]) -> None:
        for frame in frames:
            self._stretch(self._converter.convert(frame))

    def _stretch(self, pcm: bytes) -> None:
        self._file_has_sound = self._file_has_sound or bool(pcm)
        if pcm and (self._speed != 1 or self._gain_db):
            self._tempo = self._tempo or Tempo(self._speed, self._gain_db, self.sample_rate)
            pcm = self._tempo.write(pcm)
        self._write(pcm)

    def _write(self, pcm: bytes) -> None:
        if pcm:
            self._writer = self._writer or self._new_writer()
            self._writer.write(pcm)
            self.samples_out += len(pcm) // 2

    def _new_writer(self) -> PlainWriter | CodecWriter:
        if self._target is AudioFormat.WAV:
            return PlainWriter(wav_header(self.sample_rate, None), self._sink)
        if self._target is AudioFormat.PCM:
            return PlainWriter(b"", self._sink)
        return CodecWriter(CODECS[self._target], self.sample_rate, self._sink)
