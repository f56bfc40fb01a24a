"""The X-Neiroha- headers of an audio answer: what is known before the first byte."""

from __future__ import annotations

from urllib.parse import quote

from banks.delivery import Speech

# What a header may hold as it is; all else is percent-encoded.
_PLAIN = " !#$&'()*+,/:;=?@[]"


def speech_headers(speech: Speech) -> dict[str, str]:
    headers = {
        "X-Neiroha-Backend": speech.speaker.provider.kind,
        "X-Neiroha-Voice": quote(speech.speaker.name, safe=_PLAIN),
        "X-Neiroha-Queue-Ms": str(round(speech.queue_seconds * 1000)),
    }
    if preset := speech.upstream.model_preset or speech.speaker.model:
        headers["X-Neiroha-Model-Preset"] = quote(preset, safe=_PLAIN)
    if speech.fallback_for is not None:
        headers["X-Neiroha-Fallback-For"] = quote(speech.fallback_for.name, safe=_PLAIN)
    if speech.cache:
        headers["X-Neiroha-Cache"] = speech.cache
    if speech.sample_rate:
        headers["X-Neiroha-Sample-Rate"] = str(speech.sample_rate)
    return headers | _timing(speech.inference_seconds, speech.audio_seconds)


def _timing(inference: float | None, audio: float | None) -> dict[str, str]:
    headers = {}
    if inference is not None:
        headers["X-Neiroha-Inference-Ms"] = str(round(inference * 1000))
    if audio:
        headers["X-Neiroha-Audio-Seconds"] = f"{audio:.3f}"
    if audio and inference is not None:
        headers["X-Neiroha-RTF"] = f"{inference / audio:.4f}"
    return headers
