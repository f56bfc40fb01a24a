"""Azure's speech markup, always built as a tree, so that no text can become markup."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, tostring

from providers.errors import NothingToSay
from providers.speech import SpeechRequest

# Beyond these the service changes the rate without a word.
RATE_MIN, RATE_MAX = 0.5, 2.0
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOCALE = re.compile(r"[A-Za-z]{2,3}-[A-Za-z0-9]{2,4}(?![A-Za-z0-9])")


def build_ssml(request: SpeechRequest) -> bytes:
    """voice > lang > express-as > prosody > text, which is the only order that the service takes.

    NothingToSay when no character remains that XML can carry.
    """
    text = _allowed(request.text)
    if not text.strip():
        raise NothingToSay("The input holds no words to speak.", param="input")
    locale = _locale(request)
    speak = Element("speak", {"version": "1.0", "xmlns": "http://www.w3.org/2001/10/synthesis"})
    speak.set("xmlns:mstts", "https://www.w3.org/2001/mstts")
    speak.set("xml:lang", locale)
    inner = SubElement(speak, "voice", name=_allowed(request.voice))
    # Other voices speak one language, and answer this element with silence.
    if request.language and "multilingual" in request.voice.lower():
        inner = SubElement(inner, "lang", {"xml:lang": _allowed(request.language)})
    if expression := _expression(request):
        inner = SubElement(inner, "mstts:express-as", expression)
    if request.speed != 1.0:
        inner = SubElement(inner, "prosody", rate=f"{min(max(request.speed, RATE_MIN), RATE_MAX):.4g}")
    inner.text = text
    return tostring(speak, encoding="unicode").encode()


def _expression(request: SpeechRequest) -> dict[str, str]:
    names = ("style", "styledegree", "role") if request.options.get("style") else ("role",)
    return {name: _allowed(str(request.options[name])) for name in names if request.options.get(name)}


def _locale(request: SpeechRequest) -> str:
    own = _LOCALE.match(request.voice)
    return own[0] if own else _allowed(request.language) or "en-US"


def _allowed(text: str) -> str:
    """Without the characters that XML 1.0 forbids even as references."""
    return _FORBIDDEN.sub("", text)
