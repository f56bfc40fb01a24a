"""What Gemini is asked: models before 3.8 read a prompt, later ones speak the text verbatim in a style beside it."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from providers.speech import SpeechRequest, Voice


class StylePlace(StrEnum):
    PROMPT = "prompt"
    METADATA = "metadata"


_VERSION = re.compile(r"gemini-(\d+)\.(\d+)")
_FIRST_VERBATIM = (3, 8)
# Streams of 3.1 were cut at a minute of sound.
_STREAM_SECONDS = 45


def style_place(model: str, chosen: str = "") -> StylePlace:
    """As chosen, else by the model's version. Names without one are taken for new: an old model refuses the metadata,
    while a new one would read a prompt aloud."""
    if chosen in list(StylePlace):
        return StylePlace(chosen)
    version = _VERSION.search(model)
    old = version is not None and (int(version[1]), int(version[2])) < _FIRST_VERBATIM
    return StylePlace.PROMPT if old else StylePlace.METADATA


def gemini_body(request: SpeechRequest, place: StylePlace) -> dict[str, Any]:
    speech: dict[str, Any] = {"voiceConfig": _voice(request.voice, place)}
    if request.language:
        speech["languageCode"] = request.language
    return {
        "contents": [{"role": "user", "parts": [_part(request, place)]}],
        "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": speech},
    }


def _part(request: SpeechRequest, place: StylePlace) -> dict[str, Any]:
    if place is StylePlace.METADATA:
        style = {"speechMetadata": {"style": request.instructions}} if request.instructions else {}
        return {"text": request.text, **style}
    # Without an order these models may answer a question in place of reading it.
    order = (
        f"Read the text below aloud. How to speak: {request.instructions}" if request.instructions else "Read aloud:"
    )
    return {"text": f"{order}\n\n{request.text}"}


def _voice(name: str, place: StylePlace) -> dict[str, Any]:
    prebuilt = place is StylePlace.PROMPT or name.lower() in _PREBUILT_NAMES
    return {"prebuiltVoiceConfig": {"voiceName": name}} if prebuilt else {"voice": name}


def may_stream(text: str) -> bool:
    """Whether the speech is surely short enough for a stream to hold."""
    ascii_characters = sum(map(str.isascii, text))
    return ascii_characters / 14 + (len(text) - ascii_characters) / 4 <= _STREAM_SECONDS


_PREBUILT = {
    "Zephyr": "Bright",
    "Puck": "Upbeat",
    "Charon": "Informative",
    "Kore": "Firm",
    "Fenrir": "Excitable",
    "Leda": "Youthful",
    "Orus": "Firm",
    "Aoede": "Breezy",
    "Callirrhoe": "Easy-going",
    "Autonoe": "Bright",
    "Enceladus": "Breathy",
    "Iapetus": "Clear",
    "Umbriel": "Easy-going",
    "Algieba": "Smooth",
    "Despina": "Smooth",
    "Erinome": "Clear",
    "Algenib": "Gravelly",
    "Rasalgethi": "Informative",
    "Laomedeia": "Upbeat",
    "Achernar": "Soft",
    "Alnilam": "Firm",
    "Schedar": "Even",
    "Gacrux": "Mature",
    "Pulcherrima": "Forward",
    "Achird": "Friendly",
    "Zubenelgenubi": "Casual",
    "Vindemiatrix": "Gentle",
    "Sadachbia": "Lively",
    "Sadaltager": "Knowledgeable",
    "Sulafat": "Warm",
}
_PREBUILT_NAMES = frozenset(map(str.lower, _PREBUILT))
PREBUILT_VOICES = tuple(Voice(name, name, description=character) for name, character in _PREBUILT.items())
