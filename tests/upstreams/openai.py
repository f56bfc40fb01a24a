"""A strict OpenAI audio server, written from the contract: it speaks real words and refuses what OpenAI refuses."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tests.upstreams import common
from tests.upstreams.common import CutOff, Received, Refusal, Send, speak

__all__ = [
    "CONTENT_TYPES",
    "MODELS",
    "SPEECH_MODELS",
    "VOICES",
    "VOICE_SHAPES",
    "CutOff",
    "OpenAIUpstream",
    "Received",
    "Refusal",
    "Switches",
    "speak",
]

VOICES = (
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "fable",
    "onyx",
    "nova",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
)
SPEECH_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
MODELS = (*SPEECH_MODELS, "gpt-5")
CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
VOICE_SHAPES: dict[str, object] = {
    "voices of names": {"voices": list(VOICES)},
    "voices of objects": {"voices": [{"id": name, "name": name.title()} for name in VOICES]},
    "data": {"object": "list", "data": [{"voice_id": name, "name": name.title()} for name in VOICES]},
    "data and voices": {"data": [{"id": name, "language": "en"} for name in VOICES], "voices": list(VOICES)},
    "names": list(VOICES),
    "objects": [{"name": name.title(), "voice_id": name, "preview_url": "", "lang": "en"} for name in VOICES],
    "null": {"voices": None},
    "nothing": {},
}
_FIELDS = frozenset({"model", "input", "voice", "instructions", "response_format", "speed", "stream_format"})


@dataclass(slots=True)
class Switches(common.Switches):
    prefix: str = "/v1"
    models_path: str = "/models"
    voices_path: str = "/audio/voices"
    voices_shape: str = "voices of objects"


class OpenAIUpstream(common.Upstream):
    switches: Switches

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = Switches(**switches)

    @property
    def spoken(self) -> list[Any]:
        """The bodies of the speech requests that came."""
        return [request.json() for request in self.requests if request.path.endswith("/audio/speech") and request.body]

    async def route(self, request: Received, send: Send) -> None:
        prefix = self.switches.prefix
        self._check_key(request)
        match request.method, request.path:
            case "POST", path if path == f"{prefix}/audio/speech":
                await self._speak(request, send)
            case _, path if path == f"{prefix}/audio/speech":
                raise Refusal(405, f"Not allowed to {request.method} on {path}")
            case "GET", path if path == prefix + self.switches.models_path:
                listed = [{"id": id, "object": "model", "created": 1, "owned_by": "openai"} for id in MODELS]
                await self.send_json(send, {"object": "list", "data": listed})
            case "GET", path if path == self._voices_path:
                await self.send_json(send, VOICE_SHAPES[self.switches.voices_shape])
            case _, path:
                raise Refusal(404, f"Invalid URL ({request.method} {path})")

    @property
    def _voices_path(self) -> str:
        path = self.switches.voices_path
        return path.removeprefix("root:") if path.startswith("root:") else self.switches.prefix + path

    def _check_key(self, request: Received) -> None:
        if not self.switches.key:
            return
        given = request.headers.get("authorization", "")
        if not given:
            raise Refusal(401, "You didn't provide an API key.")
        if given != f"Bearer {self.switches.key}":
            # OpenAI shows a part of the key; some imitators show all of it.
            raise Refusal(401, f"Incorrect API key provided: {given}", code="invalid_api_key")

    async def _speak(self, request: Received, send: Send) -> None:
        fields = _checked(request)
        format = fields.get("response_format", "mp3")
        speech = self.switches.speech
        if speech is None:
            speech = await asyncio.to_thread(speak, fields["input"], format, fields.get("speed", 1.0))
        headers = {
            "content-type": self.switches.speech_type or CONTENT_TYPES[format],
            "x-request-id": f"req_{len(self.requests)}",
            "openai-processing-ms": "12",
            **self.switches.headers,
        }
        await self.send_audio(send, headers, speech)


def _checked(request: Received) -> dict[str, Any]:
    """The fields of a speech request, or what OpenAI says about them."""
    if request.headers.get("content-type") != "application/json":
        raise Refusal(400, "You must send a JSON body.")
    try:
        fields = request.json()
    except ValueError:
        raise Refusal(400, "We could not parse the JSON body of your request.") from None
    for name in fields:
        if name not in _FIELDS:
            raise Refusal(400, f"Unrecognized request argument supplied: {name}", param=name)
    for name in ("model", "input", "voice"):
        if name not in fields:
            raise Refusal(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    _check_values(fields)
    return dict(fields)


def _check_values(fields: dict[str, Any]) -> None:
    for name in ("model", "input", "instructions", "response_format", "stream_format"):
        if name in fields and not isinstance(fields[name], str):
            raise Refusal(400, f"Invalid type for '{name}': expected a string.", param=name, code="invalid_type")
    if fields["model"] not in SPEECH_MODELS:
        raise Refusal(404, f"The model `{fields['model']}` does not exist.", code="model_not_found")
    if not 1 <= len(fields["input"]) <= 4096:
        raise Refusal(400, "Invalid 'input': from 1 to 4096 characters.", param="input", code="string_too_long")
    voice = fields["voice"]
    if (voice.get("id") if isinstance(voice, dict) else voice) not in VOICES:
        raise Refusal(400, f"Invalid value: '{voice}'. Supported values are: {VOICES}.", param="voice")
    if fields.get("response_format", "mp3") not in CONTENT_TYPES:
        raise Refusal(400, "Invalid value for 'response_format'.", param="response_format", code="invalid_value")
    if fields.get("stream_format", "audio") != "audio":
        raise Refusal(400, "This model cannot stream in that way.", param="stream_format", code="invalid_value")
    speed = fields.get("speed", 1.0)
    if isinstance(speed, bool) or not isinstance(speed, (int, float)) or not 0.25 <= speed <= 4.0:
        raise Refusal(400, "Invalid 'speed': from 0.25 to 4.0.", param="speed", code="decimal_out_of_range")
