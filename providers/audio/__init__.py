"""Audio in and out: the only package that touches PyAV, and so ffmpeg's libraries. Inside, everything is mono s16le.

Synchronous: call it in a thread. Whatever is wrong with audio is `providers.errors.BadAudio`.

Input is opened by a demuxer that its own first bytes name, never by guessing: a playlist (ffconcat, m3u8) would make
ffmpeg read other files.
"""

from providers.audio.decoding import AudioInfo, decode, probe, to_reference_wav, to_wav
from providers.audio.encoding import encode
from providers.audio.formats import is_foreign, sniff, target_sample_rate
from providers.audio.transcoder import Transcoder
from providers.audio.wav import wav_header, wav_sizes_are_true

__all__ = [
    "AudioInfo",
    "Transcoder",
    "decode",
    "encode",
    "is_foreign",
    "probe",
    "sniff",
    "target_sample_rate",
    "to_reference_wav",
    "to_wav",
    "wav_header",
    "wav_sizes_are_true",
]
