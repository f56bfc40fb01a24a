"""A strict GPT-SoVITS backend, written from the contract: no key, exact case, engine failures that look like bad
requests, and answers that break on voice ids outside Latin-1."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from providers.audio import probe
from providers.errors import BadAudio
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

ACTIVE_SET = "studio"
_ACTIVE_ALIASES = ("", "default", "gpt-sovits", "tts-1", "tts-1-hd")
_REFERENCES = ("ref_audio_path", "reference_audio", "reference_audio_path")
_JSON: dict[str, Typed] = {
    **dict.fromkeys(("input", "text", "text_lang", "prompt_lang", "prompt_text", *_REFERENCES), MAYBE_TEXT),
    **dict.fromkeys(("gpt_weights_path", "sovits_weights_path"), MAYBE_TEXT),
    **dict.fromkeys(("model", "response_format", "instructions", "stream_format", "text_split_method"), TEXT),
    **dict.fromkeys(("speed", "top_p", "temperature", "repetition_penalty"), NUMBER),
    **dict.fromkeys(("batch_size", "top_k", "seed", "sample_steps"), WHOLE),
    "voice": Typed(object, nullable=True),
    "super_sampling": SWITCH,
}
_FORM: dict[str, Typed] = {
    **dict.fromkeys(("text", "prompt_text", "text_lang", "prompt_lang", "response_format", "speaker"), TEXT),
    **dict.fromkeys(("gpt_weights_path", "sovits_weights_path", "ref_audio_path"), TEXT),
    "speed": NUMBER,
}
_LOADING = dict.fromkeys(("config_path", "gpt_weights_path", "sovits_weights_path"), MAYBE_TEXT)


@dataclass(slots=True)
class Switches(neiroha_backend.Switches):
    languages: tuple[str, ...] = (
        "auto",
        "auto_yue",
        "en",
        "zh",
        "ja",
        "yue",
        "ko",
        "all_zh",
        "all_ja",
        "all_yue",
        "all_ko",
    )
    """Those of a model of version 2 or later; an older one has auto, en, zh, ja, all_zh and all_ja."""
    out_of_memory: bool = False
    broken_voice: bool = False
    """One voice names a model preset that does not exist."""


@dataclass(frozen=True, slots=True)
class Voice:
    id: str
    name: str
    voice_set: str = ACTIVE_SET
    description: str = ""


class GPTSoVITSUpstream(BackendUpstream):
    """`voices` are its registered voices; `missing_files` the ids whose recordings its disk has lost; `loads` the
    bodies that loading was asked with."""

    switches: Switches
    sample_rate = 32_000
    public = ("/",)

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = Switches(**switches)
        self.missing_files: set[str] = set()
        self.loads: list[dict[str, Any]] = []
        self.voices = [
            Voice("ada", "Ada Lovelace", description="Warm"),
            Voice("zoë", "Zoë"),
            Voice("小雅", "小雅"),
            Voice("sailor", "Sailor", "sea"),
        ]

    def error(self, status: int, code: str, message: str, type: str = "invalid_request_error") -> Refusal:
        error: dict[str, object] = {"code": code, "message": message, "details": {}, "type": type}
        return Refusal(status, body=json.dumps({"error": error}).encode())

    def no_ffmpeg(self) -> Refusal:
        return self.error(404, "invalid_request", "[Errno 2] No such file or directory: 'ffmpeg'")

    def routes(self) -> dict[str, dict[str, Handler]]:
        routes: dict[str, dict[str, Handler]] = {
            "/v1/models": {"GET": self._voice_sets},
            "/v1/audio/speech": {"POST": self._speech},
        }
        for path in ("/health", "/api/health"):
            routes[path] = self.listing(self._health)
        for root in ("/api/gpt-sovits", "/gpt-sovits"):
            routes[f"{root}/voices"] = {"GET": self._registered}
            routes[f"{root}/logs"] = {"GET": self._logs}
            routes[f"{root}/clone/upload"] = {"POST": self._clone}
            for action in ("load", "reload"):
                routes[f"{root}/{action}"] = {"POST": self._load}
            routes[f"{root}/unload"] = {"POST": self._unload}
        return routes

    # What it tells.

    def _health(self) -> object:
        return {
            "status": "ok",
            "backend": "gpt-sovits",
            "provider": "gpt-sovits",
            "active_voice_set": ACTIVE_SET,
            "default_voice": "ada",
            "admin_url": "http://127.0.0.1:9882",
            "loaded": self.switches.loaded,
            "languages": list(self.switches.languages) if self.switches.loaded else [],
            "cut_methods": ["cut0", "cut1", "cut2", "cut3", "cut4", "cut5"],
        }

    async def _voice_sets(self, request: Received, send: Send) -> None:
        if self.switches.broken_voice:
            await self.crash(send)
        names = sorted({voice.voice_set for voice in self.voices})
        sets = [{"id": name, "object": "model", "owned_by": "neiroha", "name": f"The {name}"} for name in names]
        await self.send_json(send, {"object": "list", "data": sets})

    async def _registered(self, request: Received, send: Send) -> None:
        if self.switches.broken_voice:
            await self.crash(send)
        listed = [
            {
                "id": voice.id,
                "object": "gpt_sovits.voice",
                "name": voice.name,
                "description": voice.description,
                # Here this is the preset; in the OpenAI list the same key is the voice set.
                "model_id": "v2proplus-clone",
                "model_type": "prompt_clone",
                "voice_set_id": voice.voice_set,
                "prompt_lang": "en",
                "text_lang": "en",
                "has_reference_audio": voice.id not in self.missing_files,
            }
            for voice in self.voices
        ]
        await self.send_json(send, {"object": "list", "data": listed})

    async def _logs(self, request: Received, send: Send) -> None:
        limit = query_number(request, "limit", 120)
        if not 1 <= limit <= 1000:
            raise invalid("query", "limit", "Input should be from 1 to 1000", limit)
        lines = [f"line {number}" for number in range(2000, 2000 - limit, -1)]
        await self.send(send, 200, {"content-type": "text/plain; charset=utf-8"}, "\n".join(lines).encode())

    async def _load(self, request: Received, send: Send) -> None:
        fields = json_fields(request, _LOADING)
        if any(value is None for value in fields.values()):
            raise self.error(400, "invalid_request", "null")
        self.loads.append(fields)
        self.switches.loaded = True
        await self.send_json(send, self._health())

    async def _unload(self, request: Received, send: Send) -> None:
        self.switches.loaded = False
        await self.send_json(send, self._health())

    # Speech.

    async def _speech(self, request: Received, send: Send) -> None:
        fields = json_fields(request, _JSON)
        self.record(request, fields)
        self._check(fields, ("input", "text"), "mp3")
        if fields.get("stream_format", "audio") not in ("audio", ""):
            raise self.error(400, "invalid_request", "stream_format")
        voice = self._found(fields)
        # An unknown voice is only noticed by the recording that nobody gave.
        if voice is None:
            raise self.error(404, "invalid_reference_audio", "ref_audio_path is required.")
        if voice.id in self.missing_files:
            raise self.error(404, "invalid_reference_audio", f"/srv/voices/{voice.id}/ref.wav does not exist")
        await self._answer_with(send, fields, "mp3", voice.id)

    def _found(self, fields: dict[str, Any]) -> Voice | None:
        model = fields.get("model", "default")
        known = {voice.voice_set for voice in self.voices}
        if model not in (*_ACTIVE_ALIASES, *known, *(f"The {name}" for name in known)):
            raise self.error(400, "voice_not_found", f"Unknown model {model}")
        chosen = ACTIVE_SET if model in _ACTIVE_ALIASES else model
        inside = [voice for voice in self.voices if voice.voice_set == chosen]
        name = fields.get("voice") or "default"
        name = name.get("id") if isinstance(name, dict) else name
        if name == "default" and inside:
            return inside[0]
        return next((voice for voice in inside if name in (voice.id, voice.name)), None)

    async def _clone(self, request: Received, send: Send) -> None:
        fields, files = form_fields(request, _FORM, ("ref_audio",), ("text", "prompt_text"))
        self.record(request, fields, files)
        fields = {"text_lang": "zh", "prompt_lang": "zh"} | fields
        self._check(fields, ("text",), "wav")
        if not files or not fields["prompt_text"].strip():
            raise self.error(400, "invalid_reference_audio", "reference audio and prompt_text are required")
        try:
            probe(files["ref_audio"].body)
        except BadAudio:
            raise self.error(400, "invalid_request", "Format not recognised.") from None
        if fields.get("gpt_weights_path", "").endswith("missing.ckpt"):
            raise self.error(404, "invalid_request", "weights do not exist")
        await self._answer_with(send, fields, "wav", fields.get("speaker", "clone"))

    def _check(self, fields: dict[str, Any], texts: tuple[str, ...], default_format: str) -> None:
        if not any((fields.get(name) or "").strip() for name in texts):
            raise self.error(400, "invalid_request", "text is empty")
        if fields.get("response_format", default_format) not in CONTENT_TYPES:
            raise self.error(400, "unsupported_format", "Unknown format")
        for name in ("text_lang", "prompt_lang"):
            if (fields.get(name) or "en").lower() not in self.switches.languages:
                raise self.error(400, "invalid_request", f"{name} {fields[name]} is not supported")
        if fields.get("text_split_method", "cut5") not in ("cut0", "cut1", "cut2", "cut3", "cut4", "cut5"):
            raise self.error(400, "invalid_request", "text_split_method")
        if self.switches.out_of_memory:
            raise self.error(400, "invalid_request", "CUDA out of memory. Tried to allocate 2.00 GiB")

    async def _answer_with(self, send: Send, fields: dict[str, Any], default_format: str, shown: str) -> None:
        try:
            shown.encode("latin-1")
        except UnicodeEncodeError as error:
            raise self.error(400, "invalid_request", f"'latin-1' codec can't encode: {error.reason}") from None
        headers = {
            "x-neiroha-backend": "gpt-sovits",
            "x-neiroha-model-preset": "v2proplus-clone",
            "x-neiroha-voice": shown,
            "x-neiroha-inference-ms": "480.125",
            "x-neiroha-output-path": "/srv/gpt-sovits/outputs/speech.wav",
        }
        text = fields.get("input") or fields["text"]
        format, speed = fields.get("response_format", default_format), fields.get("speed", 1.0) or 1.0
        await self.send_speech(send, text, format, speed, headers)


def make(**switches: Any) -> GPTSoVITSUpstream:
    """The application, to be served by hand."""
    return GPTSoVITSUpstream(**switches)


app = make()
