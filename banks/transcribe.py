"""What a recording says, heard by a recogniser on this machine: the optional extra `transcribe`.

It is there when faster-whisper is installed and NEIROHA_TRANSCRIBE_MODEL names a folder with a model. Nothing is
downloaded, and no audio leaves the machine.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from django.conf import settings
from django.utils.translation import gettext as _

from providers.audio import decode
from providers.errors import ProviderUnavailable, SpeechError

MAX_SECONDS = 120
_SAMPLE_RATE = 16_000
# A large model takes gigabytes and all cores.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Heard:
    text: str
    language: str


def ready() -> bool:
    model = settings.TRANSCRIBE_MODEL
    return bool(model) and (Path(model) / "model.bin").is_file() and find_spec("faster_whisper") is not None


def transcribe(wav: bytes, language: str = "") -> Heard:
    """The words in `wav`. Without a language that the model knows, it finds out by itself. SpeechError."""
    if not ready():
        raise ProviderUnavailable(_("No recogniser is installed."))
    if not _one_at_a_time.acquire(blocking=False):
        raise ProviderUnavailable(_("Another recording is being listened to. Try again when it is done."))
    try:
        return _listen(wav, language)
    except SpeechError:
        raise
    except Exception as error:  # the recogniser documents no common exception
        raise ProviderUnavailable(_("The recogniser failed: %s") % str(error)[:300]) from error
    finally:
        _one_at_a_time.release()


def _listen(wav: bytes, language: str) -> Heard:
    from faster_whisper import WhisperModel

    pcm, _rate = decode(wav, sample_rate=_SAMPLE_RATE)
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768
    # Loaded for each recording: it is asked for seldom, and would hold its memory for ever.
    model = WhisperModel(settings.TRANSCRIBE_MODEL, device="cpu", compute_type="int8", local_files_only=True)
    spoken = language.split("-")[0].lower()
    segments, told = model.transcribe(samples, language=spoken if spoken in model.supported_languages else None)
    text = " ".join(segment.text.strip() for segment in segments)
    return Heard(text, language or str(told.language))
