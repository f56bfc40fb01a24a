"""A strict Azure speech service, written from the contract: it parses the markup, refuses with empty bodies, and passes
over in silence what the real one passes over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from providers.audio import encode
from providers.speech import AudioFormat
from tests.upstreams.common import Received, Refusal, Send, Switches, Upstream, spoken_samples

_SYNTHESIS = "{http://www.w3.org/2001/10/synthesis}"
_MSTTS = "{https://www.w3.org/2001/mstts}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
# What may stand inside what; prosody may hold neither lang nor express-as.
_INSIDE = {
    f"{_SYNTHESIS}speak": {f"{_SYNTHESIS}voice", f"{_MSTTS}backgroundaudio"},
    f"{_SYNTHESIS}voice": {f"{_SYNTHESIS}lang", f"{_MSTTS}express-as", f"{_SYNTHESIS}prosody"},
    f"{_SYNTHESIS}lang": {f"{_MSTTS}express-as", f"{_SYNTHESIS}prosody"},
    f"{_MSTTS}express-as": {f"{_SYNTHESIS}lang", f"{_SYNTHESIS}prosody"},
    f"{_SYNTHESIS}prosody": set(),
}
OUTPUT_FORMATS = {
    "audio-24khz-96kbitrate-mono-mp3": (AudioFormat.MP3, "audio/mpeg"),
    "ogg-24khz-16bit-mono-opus": (AudioFormat.OPUS, "audio/ogg; codecs=opus"),
    "riff-24khz-16bit-mono-pcm": (AudioFormat.WAV, "audio/x-wav"),
    "raw-24khz-16bit-mono-pcm": (AudioFormat.PCM, "audio/basic"),
}


def listed(name: str, gender: str = "Female", **more: Any) -> dict[str, Any]:
    locale = "-".join(name.split("-")[:2])
    return {
        "Name": f"Microsoft Server Speech Text to Speech Voice ({locale}, {name})",
        "DisplayName": name.rpartition("-")[2].removesuffix("Neural"),
        "LocalName": name.rpartition("-")[2],
        "ShortName": name,
        "Gender": gender,
        "Locale": locale,
        "LocaleName": "English (United States)",
        "SampleRateHertz": "24000",
        "VoiceType": "Neural",
        "Status": "GA",
        "WordsPerMinute": "150",
        **more,
    }


VOICES = [
    listed("en-US-JennyNeural", StyleList=["cheerful", "whispering"], RolePlayList=["Boy", "Girl"]),
    listed("en-US-GuyNeural", "Male"),
    listed("en-US-AvaMultilingualNeural", SecondaryLocaleList=["de-DE", "fr-FR"]),
    listed("en-US-Ava:DragonHDLatestNeural", Status="Preview"),
    # The second letter is Cyrillic.
    listed("en-US-J\N{CYRILLIC SMALL LETTER IE}nnyNeural"),
]


@dataclass(frozen=True, slots=True)
class Said:
    """What one request asked the voice to do."""

    text: str
    voice: str
    locale: str = "en-US"
    language: str = ""
    style: str = ""
    degree: str = ""
    role: str = ""
    rate: str = ""


@dataclass(slots=True)
class AzureSwitches(Switches):
    prefix: str = ""
    deployment: str = ""
    """The only `deploymentId` that is known; empty where none is wanted."""
    gateway_errors: bool = False
    """Refuse keys with the JSON of the gateway hosts, not with an empty body."""
    voices: object = None
    """What the list answers in place of VOICES."""


class AzureUpstream(Upstream):
    switches: AzureSwitches

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = AzureSwitches(**switches)
        self.said: list[Said] = []

    async def route(self, request: Received, send: Send) -> None:
        prefix = self.switches.prefix
        if request.path not in (f"{prefix}/cognitiveservices/v1", f"{prefix}/cognitiveservices/voices/list"):
            raise Refusal(404, "Resource not found")
        self._check_key(request)
        if request.path.endswith("/v1"):
            if request.method != "POST":
                raise nothing(405)
            await self._speak(request, send)
        else:
            await self.send_json(send, VOICES if self.switches.voices is None else self.switches.voices)

    def _check_key(self, request: Received) -> None:
        key = self.switches.key
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not key or key in (request.headers.get("ocp-apim-subscription-key"), token):
            return
        if not self.switches.gateway_errors:
            raise nothing(401)
        given = request.headers.get("ocp-apim-subscription-key", "")
        said = f"Access denied due to invalid subscription key {given} or wrong API endpoint."
        raise Refusal(401, body=b'{"error":{"code":"401","message":"%s"}}' % said.encode())

    async def _speak(self, request: Received, send: Send) -> None:
        if request.headers.get("content-type", "").partition(";")[0] != "application/ssml+xml":
            raise nothing(415)
        if self.switches.deployment and request.query != f"deploymentId={self.switches.deployment}":
            raise nothing(400)
        format = OUTPUT_FORMATS.get(request.headers.get("x-microsoft-outputformat", ""))
        if format is None or len(request.headers.get("user-agent", "")) >= 255:
            raise nothing(400)
        said = parse(request.body)
        self.said.append(said)
        speech = self.switches.speech
        if speech is None:
            speech = await asyncio.to_thread(_spoken, said, format[0]) if _speakable(said) else b""
        await self.send_audio(send, {"content-type": self.switches.speech_type or format[1]}, speech)


class Silent(Refusal):
    """Without a word, as most of its refusals are."""

    def content(self) -> bytes:
        return b""


def nothing(status: int, **headers: str) -> Refusal:
    return Silent(status, headers={"content-type": "text/plain", **headers})


def parse(body: bytes) -> Said:
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise nothing(400) from None
    if root.tag != f"{_SYNTHESIS}speak" or root.get("version") != "1.0" or not root.get(_LANG):
        raise nothing(400)
    elements = {element.tag: element for element in _checked(root)}
    voice = elements[f"{_SYNTHESIS}voice"]
    if voice.get("name") not in [entry["ShortName"] for entry in VOICES]:
        raise nothing(400)
    expression, lang = elements.get(f"{_MSTTS}express-as"), elements.get(f"{_SYNTHESIS}lang")
    prosody = elements.get(f"{_SYNTHESIS}prosody")
    return Said(
        text="".join(voice.itertext()),
        voice=voice.get("name", ""),
        locale=root.get(_LANG, ""),
        language="" if lang is None else lang.get(_LANG, ""),
        style="" if expression is None else expression.get("style", ""),
        degree="" if expression is None else expression.get("styledegree", ""),
        role="" if expression is None else expression.get("role", ""),
        rate="" if prosody is None else prosody.get("rate", ""),
    )


def _checked(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """All of the elements, once each stands where it may."""
    if element.tag == f"{_SYNTHESIS}speak" and ((element.text or "").strip() or not len(element)):
        raise nothing(400)
    yield element
    for child in element:
        if child.tag not in _INSIDE[element.tag] or (child.tail or "").strip():
            raise nothing(400)
        yield from _checked(child)


def _speakable(said: Said) -> bool:
    """A voice of one language is silent inside a `lang` element, and any voice without words."""
    return any(map(str.isalnum, said.text)) and (not said.language or "Multilingual" in said.voice)


@lru_cache(maxsize=64)
def _spoken(said: Said, format: AudioFormat) -> bytes:
    rate = min(max(float(said.rate or 1), 0.5), 2.0)
    return encode(spoken_samples(said.text, rate), 24_000, format)
