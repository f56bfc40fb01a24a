"""A strict CosyVoice3 backend, written from the contract: an explicit mode beats the voice's own, the code of an
unknown voice means other things too, and while it clones it answers nobody else."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.upstreams import neiroha_backend
from tests.upstreams.common import Received, Refusal, Send
from tests.upstreams.neiroha_backend import (
    CONTENT_TYPES,
    MAYBE_TEXT,
    NUMBER,
    SWITCH,
    TEXT,
    WHOLE,
    BackendUpstream,
    Handler,
    Typed,
    form_fields,
    invalid,
    json_fields,
    query_number,
)

MODES = {
    "zero_shot": ("zero_shot", "prompt_clone", "prompt-clone", "clone", "voice_clone", "zero-shot", "语音克隆"),
    "cross_lingual": ("cross_lingual", "cross-lingual", "fine_grained", "跨语种克隆"),
    "instruct": ("instruct", "instruction", "instruction_control", "voice_design", "指令控制"),
    "sft": ("sft", "preset", "pretrained", "preset_voice", "预训练音色"),
}
ACTIVE_SET = "studio"
_ACTIVE_ALIASES = ("", "cosyvoice", "cosyvoice-openai-tts", "tts-1", "tts-1-hd")
_VOICE_KEYS = ("profile", "character_name", "speaker", "voice")
_PATHS = ("prompt_audio_path", "reference_audio_path", "ref_audio_path")
_WORDS = ("prompt_text", "reference_text")
_STYLES = ("instruct_text", "instruction_text", "instructions", "voice_instruction")
_SPEAKERS = ("sft_spk", "spk_id")
_JSON: dict[str, Typed] = {
    **dict.fromkeys(
        ("text", "input", *_VOICE_KEYS, "mode", *_PATHS, *_WORDS, *_STYLES, *_SPEAKERS, "prompt_lang", "format"),
        MAYBE_TEXT,
    ),
    "model": MAYBE_TEXT,
    "speed": Typed(float, low=0.25, high=4.0),
    "response_format": TEXT,
    "seed": Typed(int, nullable=True),
    "stream": SWITCH,
    "text_frontend": SWITCH,
}
_FORM: dict[str, Typed] = {
    **dict.fromkeys(
        ("text", "input", *_VOICE_KEYS, "mode", *_PATHS, *_WORDS, *_STYLES, *_SPEAKERS, "prompt_lang"), TEXT
    ),
    "response_format": TEXT,
    "speed": NUMBER,
    "seed": WHOLE,
    "text_frontend": SWITCH,
}


@dataclass(frozen=True, slots=True)
class Profile:
    id: str
    name: str
    mode: str
    voice_set: str = ACTIVE_SET
    words: str = ""
    style: str = ""
    speaker: str = ""
    description: str = ""

    @property
    def audio(self) -> str:
        return "" if self.mode == "sft" else f"runtime/voices/{self.id}/reference.wav"


class CosyVoiceUpstream(BackendUpstream):
    """`voices` are its profiles; `missing_files` the ids whose recordings its disk has lost."""

    switches: neiroha_backend.Switches
    sample_rate = 24_000
    public = ("/health", "/api/health", "/docs", "/redoc", "/openapi.json", "/favicon.ico")

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = neiroha_backend.Switches(**switches)
        self.missing_files: set[str] = set()
        self._cloning = asyncio.Lock()
        self.voices = [
            Profile("ada", "Ada Lovelace", "zero_shot", words="Hello there.", description="Warm"),
            Profile("crier", "Crier", "cross_lingual"),
            Profile("herald", "Herald", "instruct", style="Proudly"),
            Profile("radio", "Radio", "sft", speaker="speaker 1"),
            Profile("小雅", "小雅", "zero_shot", words="你好"),
            Profile("sailor", "Sailor", "zero_shot", "sea", words="Ahoy."),
            Profile("twin", "Twin", "cross_lingual"),
            Profile("twin", "Twin", "cross_lingual", "sea"),
        ]

    def error(self, status: int, code: str, message: str, type: str = "invalid_request_error") -> Refusal:
        error: dict[str, object] = {"code": code, "message": message, "details": {}, "type": type, "param": None}
        return Refusal(status, body=json.dumps({"error": error}).encode())

    def check_key(self, request: Received) -> None:
        if not self.switches.key:
            return
        authorization = request.headers.get("authorization", "")
        bearer = authorization.startswith("Bearer ")
        given = authorization.removeprefix("Bearer ") if bearer else request.headers.get("x-api-key", "")
        if given != self.switches.key:
            raise self.error(401, "auth_required", f"API key {given} is not valid.", "authentication_error")

    async def route(self, request: Received, send: Send) -> None:
        """The model runs on the event loop when it clones from an upload, so nothing else moves meanwhile."""
        async with self._cloning:
            if request.path.endswith("/upload"):
                await super().route(request, send)
                return
        await super().route(request, send)

    def routes(self) -> dict[str, dict[str, Handler]]:
        routes: dict[str, dict[str, Handler]] = {}
        for path in ("/health", "/api/health"):
            routes[path] = self.listing(self._health)
        for path in ("/v1/models", "/models"):
            routes[path] = self.listing(lambda: {"object": "list", "data": self._sets()})
        for path in ("/v1/audio/speech", "/audio/speech"):
            routes[path] = {"POST": self._openai_speech}
        for path in ("/api/cosyvoice/voices", "/api/cosyvoice/profiles", "/cosyvoice/profiles", "/cosyvoice3/profiles"):
            routes[path] = self.listing(self._profiles)
        for path in ("/api/cosyvoice/logs", "/cosyvoice3/logs"):
            routes[path] = {"GET": self._logs}
        for path in ("/api/cosyvoice/tts", "/api/cosyvoice/speech", "/cosyvoice/speech"):
            routes[path] = {"POST": self._native_speech}
        for path in ("/api/cosyvoice/tts/upload", "/api/cosyvoice/speech/upload", "/cosyvoice/speech/upload"):
            routes[path] = {"POST": self._upload}
        return routes

    # What it tells.

    def _health(self) -> object:
        return {
            "status": "ok",
            "backend": "cosyvoice3",
            "version": "1.0",
            "model": "pretrained/CosyVoice3",
            "loaded_model": "pretrained/CosyVoice3" if self.switches.loaded else "",
            "model_loaded": self.switches.loaded,
            "sample_rate": self.sample_rate if self.switches.loaded else 0,
            "api_url": "http://127.0.0.1:9880",
            "admin_url": "http://127.0.0.1:9881",
            "active_voice_set": ACTIVE_SET,
            "default_voice": "ada",
            "authRequired": bool(self.switches.key),
        }

    def _sets(self) -> list[object]:
        names = sorted({voice.voice_set for voice in self.voices})
        return [{"id": name, "object": "model", "owned_by": "neiroha", "name": f"The {name}"} for name in names]

    def _profiles(self) -> object:
        listed = [
            {
                "id": voice.id,
                "name": voice.name,
                "mode": MODES[voice.mode][1],
                "engine_mode": voice.mode,
                "model": voice.voice_set,
                "description": voice.description,
                "reference_audio": voice.audio,
                "has_prompt_audio": bool(voice.audio) and voice.id not in self.missing_files,
                "sft_spk": voice.speaker,
            }
            for voice in self.voices
        ]
        return {"object": "list", "data": listed, "voice_sets": self._sets()}

    async def _logs(self, request: Received, send: Send) -> None:
        limit = query_number(request, "limit", 160)
        if not 1 <= limit <= 1000:
            raise invalid("query", "limit", "Input should be from 1 to 1000", limit)
        content = "\n".join(f"line {number}" for number in range(2000, 2000 - limit, -1))
        await self.send_json(send, {"object": "log", "name": "backend.log", "newest_first": True, "content": content})

    # Speech.

    async def _openai_speech(self, request: Received, send: Send) -> None:
        known = _JSON | {"voice": Typed(object, nullable=True), "model": TEXT}
        fields = json_fields(request, known, ("voice",))
        self.record(request, fields)
        await self._speak(send, {"response_format": "mp3"} | fields, unknown_voice=404)

    async def _native_speech(self, request: Received, send: Send) -> None:
        fields = json_fields(request, _JSON)
        self.record(request, fields)
        await self._speak(send, fields)

    async def _upload(self, request: Received, send: Send) -> None:
        fields, files = form_fields(request, _FORM, ("prompt_audio",), ("text",))
        self.record(request, fields, files)
        if not 0.25 <= fields.get("speed", 1.0) <= 4.0:
            raise self.error(400, "voice_not_found", "1 validation error for SpeechRequest: speed")
        await self._speak(send, fields, uploaded=bool(files))

    async def _speak(
        self, send: Send, fields: dict[str, Any], *, uploaded: bool = False, unknown_voice: int = 400
    ) -> None:
        text = _first(fields, ("text", "input"))
        if not text:
            raise self.error(400, "invalid_request", "text is empty")
        format = fields.get("response_format", "wav").strip().lower()
        if format not in CONTENT_TYPES:
            raise self.error(400, "unsupported_format", f"Unknown format {format}")
        name = _first(fields, _VOICE_KEYS)
        voice = self._found(name, "" if uploaded else fields.get("model") or "")
        if name and voice is None and not uploaded:
            raise self.error(unknown_voice, "voice_not_found", f"未找到角色: {name}")
        audio = uploaded or (voice is not None and bool(voice.audio)) or bool(_first(fields, _PATHS))
        mode = self._mode(fields, voice, audio)
        if voice and not uploaded and mode != "sft" and voice.id in self.missing_files:
            raise self.error(404, "invalid_reference_audio", f"/srv/{voice.audio} does not exist")
        headers = {
            "x-neiroha-backend": "cosyvoice3",
            "x-neiroha-model-preset": "cosyvoice3-default",
            "x-neiroha-cosyvoice-mode": mode,
            "x-neiroha-inference-ms": "480",
            "x-neiroha-output-path": "outputs/speech.wav",
            **({"x-neiroha-voice": quote(voice.id)} if voice else {}),
        }
        await self.send_speech(send, text, format, fields.get("speed", 1.0), headers)

    def _found(self, name: str, model: str) -> Profile | None:
        chosen = ACTIVE_SET if model.lower() in _ACTIVE_ALIASES else model.lower()
        sets = {known.voice_set for known in self.voices}
        chosen = next((known for known in sets if chosen in (known, f"the {known}")), "")
        if not chosen:
            raise self.error(400, "voice_not_found", f"未找到 voice set: {model}")
        inside = [voice for voice in self.voices if voice.voice_set == chosen]
        return next((voice for voice in inside if name.lower() in (voice.id.lower(), voice.name.lower())), None)

    def _mode(self, fields: dict[str, Any], voice: Profile | None, audio: bool) -> str:
        words = _first(fields, _WORDS) or (voice.words if voice else "")
        style = _first(fields, _STYLES) or (voice.style if voice else "")
        speaker = _first(fields, _SPEAKERS) or (voice.speaker if voice else "")
        asked = (fields.get("mode") or "").strip().lower().replace(" ", "_")
        mode = next((mode for mode, names in MODES.items() if asked in names), "")
        if asked and not mode:
            raise self.error(400, "unsupported_format", f"Unknown mode {asked}")
        if not mode:
            inferred = "instruct" if style else "zero_shot" if words else "cross_lingual"
            mode = inferred if audio else voice.mode if voice else ""
        if not mode:
            raise self.error(400, "voice_not_found", "No mode can be told from this request")
        missing = {"zero_shot": not words, "instruct": not style, "sft": not speaker}.get(mode, False)
        if mode != "sft" and not audio:
            raise self.error(400, "invalid_reference_audio", f"{mode} needs reference audio")
        if missing:
            raise self.error(400, "invalid_request", f"{mode} needs more text")
        return mode


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = fields.get(name)
        value = value.get("id") if isinstance(value, dict) else value
        if value and value.strip():
            return str(value)
    return ""


def make(**switches: Any) -> CosyVoiceUpstream:
    """The application, to be served by hand."""
    return CosyVoiceUpstream(**switches)


app = make()
