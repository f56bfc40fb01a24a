"""A strict Gemini speech service, written from the contract. Like protobuf's JSON it takes camelCase and snake_case."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.upstreams.common import Received, Refusal, Send, Switches, Upstream, spoken_samples
from tests.upstreams.events import EventsUpstream, cut, data_event, true_wav

PROMPTED = ("gemini-2.5-flash-preview-tts", "gemini-2.5-pro-preview-tts", "gemini-3.1-flash-tts-preview")
VERBATIM = ("gemini-3.8-flash-tts", "gemini-3.8-flash-lite-tts")
TTS_MODELS = (*PROMPTED, *VERBATIM)
VOICES = (
    *("zephyr", "puck", "charon", "kore", "fenrir", "leda", "orus", "aoede", "callirrhoe", "autonoe", "enceladus"),
    *("iapetus", "umbriel", "algieba", "despina", "erinome", "algenib", "rasalgethi", "laomedeia", "achernar"),
    *("alnilam", "schedar", "gacrux", "pulcherrima", "achird", "zubenelgenubi", "vindemiatrix", "sadachbia"),
    *("sadaltager", "sulafat"),
)
_SPEECH = {
    "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": str}, "voice": str},
    "languageCode": str,
    "multiSpeakerVoiceConfig": dict,
}
_GENERATION = {"responseModalities": list, "speechConfig": _SPEECH, "temperature": float, "topP": float, "topK": int}
_ORDER = re.compile(r"(?:Read|Say|Speak)\b(?:(?s:.*?)\n\n|[^\n]*?: )")


@dataclass(slots=True)
class GeminiSwitches(Switches):
    prefix: str = ""
    versions: tuple[str, ...] = ("v1beta", "v1")
    extra_voices: list[dict[str, Any]] | None = field(default_factory=list)
    """What `/voices` lists beside the prebuilt ones; None has no such list."""
    models: tuple[str, ...] = TTS_MODELS
    page_limit: int = 1000
    unexplained: int = 0
    """So many answers are without sound and end with OTHER."""
    block: str = ""
    finish: str = "STOP"
    parts: list[dict[str, Any]] | None = None
    """Of the answer, in place of sound."""
    piece_bytes: int = 9601
    cut_events: int = 0
    """So many events are missing at the end of a stream."""
    last_reason: str = ""
    """The finish reason of a stream that was cut."""


class GeminiUpstream(EventsUpstream, Upstream):
    switches: GeminiSwitches

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = GeminiSwitches(**switches)

    @property
    def spoken(self) -> list[Any]:
        return [request.json() for request in self.requests if request.method == "POST"]

    async def route(self, request: Received, send: Send) -> None:
        version, _, path = request.path.removeprefix(self.switches.prefix).removeprefix("/").partition("/")
        if not request.path.startswith(self.switches.prefix) or version not in self.switches.versions:
            raise Refusal(404, body=b"<html><title>Error 404 (Not Found)!!1</title></html>")
        self._check_key(request)
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        model, _, method = path.removeprefix("models/").partition(":")
        if request.method == "GET" and path == "models":
            await self._list_models(query, send)
        elif request.method == "GET" and path == "voices" and self.switches.extra_voices is not None:
            await self._list_voices(query, send)
        elif request.method == "GET" and model in self.switches.models:
            await self.send_json(send, _model(model))
        elif request.method == "POST" and method in ("generateContent", "streamGenerateContent"):
            await self._generate(request, model, send, events=method.startswith("stream") and query.get("alt") == "sse")
        else:
            raise error(404, "NOT_FOUND", f"models/{model} is not found for API version {version}.")

    def _check_key(self, request: Received) -> None:
        key = self.switches.key
        given = request.headers.get("x-goog-api-key") or parse_qs(request.query).get("key", [""])[0]
        if not key or given == key:
            return
        if "authorization" in request.headers:
            raise error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if not given:
            raise error(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers.")
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        raise error(400, "INVALID_ARGUMENT", f"API key not valid: {given}. Please pass a valid API key.", info)

    async def _list_models(self, query: dict[str, str], send: Send) -> None:
        others = [{"name": "models/embedding-1", "supportedGenerationMethods": ["embedContent"]}]
        entries = [*others, *map(_model, ("gemini-3.8-flash", *self.switches.models))]
        page, mark = self._page(entries, query.get("pageSize", "50"), query.get("pageToken", ""))
        await self.send_json(send, {"models": page, **({"nextPageToken": mark} if mark else {})})

    async def _list_voices(self, query: dict[str, str], send: Send) -> None:
        prebuilt = [{"id": name.title(), "type": "prebuilt", "display_name": name.title()} for name in VOICES]
        entries = [*prebuilt, *(self.switches.extra_voices or [])]
        page, mark = self._page(entries, query.get("page_size", "50"), query.get("page_token", ""))
        await self.send_json(send, {"voices": page, "next_page_token": mark})

    def _page(self, entries: list[Any], size: str, mark: str) -> tuple[list[Any], str]:
        if not 1 <= int(size) <= 1000:
            raise error(400, "INVALID_ARGUMENT", "The page size must be from 1 to 1000.")
        start, end = int(mark or 0), int(mark or 0) + min(int(size), self.switches.page_limit)
        return entries[start:end], str(end) if end < len(entries) else ""

    async def _generate(self, request: Received, model: str, send: Send, *, events: bool) -> None:
        if model not in self.switches.models:
            raise error(404, "NOT_FOUND", f"models/{model} is not found or is not supported for this method.")
        text = _text(_camel(request.json()), model)
        if self.switches.speech is not None:
            await self.send_audio(
                send, {"content-type": self.switches.speech_type or "application/json"}, self.switches.speech
            )
        elif events:
            await self.send_events(send, [data_event(event, "\r\n\r\n") for event in await self._stream(text)])
        else:
            await self.send_json(send, await self._whole(text, model))

    async def _whole(self, text: str | None, model: str) -> dict[str, Any]:
        if silence := self._silence(text):
            return silence
        assert text is not None
        wav, pcm = await asyncio.to_thread(lambda: (true_wav(text), spoken_samples(text, 1.0)))
        mime = "audio/L16;codec=pcm;rate=24000" if "2.5" in model else "audio/l16; rate=24000; channels=1"
        part = _sound("audio/wav", wav) if model in VERBATIM else _sound(mime, pcm)
        return _response([{"thought": True, "text": "Thinking."}, part], self.switches.finish)

    async def _stream(self, text: str | None) -> list[dict[str, Any]]:
        if silence := self._silence(text):
            return [silence]
        assert text is not None
        pcm = await asyncio.to_thread(spoken_samples, text, 1.0)
        pieces = cut(pcm, self.switches.piece_bytes)
        events = [_response([_sound("audio/L16; Rate=24000", piece)]) for piece in pieces]
        events.append({"candidates": [{"content": {}, "finishReason": self.switches.finish, "index": 0}]})
        events = events[: len(events) - self.switches.cut_events]
        if self.switches.last_reason:
            events[-1] = {"candidates": [{"finishReason": self.switches.last_reason, "index": 0}]}
        return events

    def _silence(self, text: str | None) -> dict[str, Any]:
        """The answer without sound that it has to be, if any."""
        if self.switches.block:
            return {"promptFeedback": {"blockReason": self.switches.block}, "modelVersion": "m"}
        if self.switches.unexplained:
            self.switches.unexplained -= 1
            return {"candidates": [{"finishReason": "OTHER", "index": 0}]}
        if text is None:
            return _response([{"text": "That is a good question."}], "STOP")
        if self.switches.parts is not None:
            return _response(self.switches.parts, self.switches.finish)
        if self.switches.finish != "STOP":
            return {"candidates": [{"finishReason": self.switches.finish, "index": 0}]}
        return {}


def error(code: int, status: str, message: str, *details: dict[str, Any], headers: Any = None) -> Refusal:
    body = {"error": {"code": code, "message": message, "status": status, "details": list(details)}}
    return Refusal(code, body=json.dumps(body).encode(), headers=headers or {})


def quota_error(quota: str, delay: str = "") -> Refusal:
    violation = {"quotaMetric": "generate_requests", "quotaId": quota, "quotaDimensions": {}, "quotaValue": "10"}
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
    ]
    if delay:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    return error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", *details)


def _model(id: str) -> dict[str, Any]:
    methods = ["generateContent", "countTokens"]
    return {"name": f"models/{id}", "displayName": id.title(), "supportedGenerationMethods": methods}


def _sound(mime: str, data: bytes) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime, "data": base64.b64encode(data).decode()}}


def _response(parts: list[dict[str, Any]], finish: str = "") -> dict[str, Any]:
    candidate = {"content": {"parts": parts, "role": "model"}, "index": 0}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 60, "totalTokenCount": 69}
    finished = {"finishReason": finish} if finish else {}
    return {"candidates": [{**candidate, **finished}], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}


def _camel(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if isinstance(value, dict):
        return {re.sub(r"_([a-z])", lambda m: m[1].upper(), name): _camel(item) for name, item in value.items()}
    return value


def _check(value: dict[str, Any], known: dict[str, Any], place: str) -> None:
    for name, item in value.items():
        if name not in known:
            raise error(400, "INVALID_ARGUMENT", f"Invalid JSON payload received. Unknown name \"{name}\" at '{place}'")
        if isinstance(known[name], dict):
            _check(item, known[name], f"{place}.{name}")


def _text(body: dict[str, Any], model: str) -> str | None:
    """What the model would speak; None where it would rather answer."""
    if "systemInstruction" in body:
        raise error(400, "INVALID_ARGUMENT", "Developer instruction is not enabled for this model")
    _check(body, {"contents": list, "generationConfig": _GENERATION}, "")
    (content,) = body["contents"]
    part = content["parts"][0]
    metadata = {"speechMetadata": {"style": str, "speaker": str}} if model in VERBATIM else {}
    _check(part, {"text": str, **metadata}, "contents[0].parts[0]")
    _check_generation(body.get("generationConfig", {}), model)
    text = str(part["text"])
    if model in VERBATIM:
        return text
    spoken = _ORDER.sub("", text, count=1)
    return None if spoken == text and text.endswith("?") else spoken


def _check_generation(config: dict[str, Any], model: str) -> None:
    invalid = error(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
    if config.get("responseModalities") != ["AUDIO"]:
        raise error(400, "INVALID_ARGUMENT", "The requested combination of response modalities is not supported.")
    if model in VERBATIM and {"temperature", "topP", "topK"} & set(config):
        raise invalid
    if "speechConfig" not in config and "3.1" in model:
        raise invalid
    voice = config.get("speechConfig", {}).get("voiceConfig", {})
    if len(voice) > 1 or ("voice" in voice and model not in VERBATIM):
        raise invalid
    name = voice.get("prebuiltVoiceConfig", {}).get("voiceName", "kore")
    if name.lower() not in VOICES or not voice.get("voice", "voice_").lower().startswith(
        ("voice_", "voicekey_", *VOICES)
    ):
        raise error(400, "INVALID_ARGUMENT", f"Voice name {voice} is not supported.")
