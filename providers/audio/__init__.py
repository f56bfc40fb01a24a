"""Audio in and out: the only package that touches PyAV, and so ffmpeg's libraries. Inside, everything is mono s16le,
but for what is merged (`merge.py`), which keeps its channels in floats.

Synchronous: call it in a thread. Whatever is wrong with audio is `providers.errors.BadAudio`.

Input is opened by a demuxer that its own first bytes name, never by guessing: a playlist (ffconcat, m3u8) would make
ffmpeg read other files.
"""

from providers.audio.decoding import AudioInfo, decode, probe, to_reference_wav, to_wav
from providers.audio.dub import Background, Dub, Dubbed, Speech, write_dub, write_film
from providers.audio.encoding import encode
from providers.audio.film import FilmLabel
from providers.audio.footage import Film, FootageInfo, probe_footage
from providers.audio.formats import is_foreign, sniff, target_sample_rate
from providers.audio.merge import LOUDNESS, LOUDNESS_MAX, LOUDNESS_MIN, Merged, Slot, merge, timeline
from providers.audio.parts import BadPart, Part
from providers.audio.targets import Target
from providers.audio.transcoder import Transcoder
from providers.audio.watch import Cancelled, Stage, Watch
from providers.audio.wav import WAV_HEADER_BYTES, wav_header, wav_sizes_are_true
from providers.audio.whole import stated, transcoded

__all__ = [
    "LOUDNESS",
    "LOUDNESS_MAX",
    "LOUDNESS_MIN",
    "WAV_HEADER_BYTES",
    "AudioInfo",
    "Background",
    "BadPart",
    "Cancelled",
    "Dub",
    "Dubbed",
    "Film",
    "FilmLabel",
    "FootageInfo",
    "Merged",
    "Part",
    "Slot",
    "Speech",
    "Stage",
    "Target",
    "Transcoder",
    "Watch",
    "decode",
    "encode",
    "is_foreign",
    "merge",
    "probe",
    "probe_footage",
    "sniff",
    "stated",
    "target_sample_rate",
    "timeline",
    "to_reference_wav",
    "to_wav",
    "transcoded",
    "wav_header",
    "wav_sizes_are_true",
    "write_dub",
    "write_film",
]
