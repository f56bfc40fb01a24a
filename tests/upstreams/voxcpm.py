"""A strict VoxCPM2 backend, written from the contract: it refuses what the real one refuses, and swallows what the
real one swallows, an unknown voice and a speed above all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.upstreams import neiroha_backend
from tests.upstreams.common import Received, Refusal, Send
from tests.upstreams.neiroha_backend import (
    MAYBE_TEXT,
    NUMBER,
    SWITCH,
    TEXT,
    WHOLE,
    BackendUpstream,
    Handler,
    Part,
    Typed,
    form_fields,
    json_fields,
    last_segment,
    query_number,
)

MODES = {
    "design": ("design", "voice_design", "voice-design", "tts"),
    "clone": ("clone", "reference", "reference_only", "controllable_clone", "preset_voice", "cross_lingual"),
    "ultimate_clone": ("ultimate_clone", "ultimate-clone", "continuation", "prompt_clone"),
}
ALIASES = ("voxcpm2", "openbmb/voxcpm2", "voxcpm-openai-tts", "tts-1", "tts-1-hd")
_INSTRUCTIONS = ("instructions", "instruction", "control", "instruct_text")
_PROMPT_TEXTS = ("prompt_text", "ref_text", "reference_text", "transcript")
_REFERENCES = ("reference_audio", "reference_audio_path", "reference_wav_path", "ref_audio")
_PROMPTS = ("prompt_audio", "prompt_audio_path", "prompt_wav_path")
_VOICE_KEYS = ("voice_id", "profile", "character_name", "speaker", "voice")
_CONTROLS: dict[str, Typed] = {
    **dict.fromkeys((*_INSTRUCTIONS, *_PROMPT_TEXTS, "language", "format", "response_format"), TEXT),
    "auto_asr": SWITCH,
    "normalize": SWITCH,
    "denoise": SWITCH,
    "speed": NUMBER,
    "cfg_value": NUMBER,
    "inference_timesteps": WHOLE,
}
_JSON: dict[str, Typed] = _CONTROLS | dict.fromkeys(
    ("text", "input", "model", "mode", *_VOICE_KEYS, *_REFERENCES, *_PROMPTS), MAYBE_TEXT
)
_FORM: dict[str, Typed] = _CONTROLS | dict.fromkeys(
    ("text", "input", "model", "mode", *_VOICE_KEYS, "ref_audio", "reference_audio_path", "prompt_audio_path"), TEXT
)
_FORBIDDEN = frozenset('/\\<>:"|?*')


@dataclass(slots=True)
class Switches(neiroha_backend.Switches):
    asr: bool = False
    fallback_port: bool = False


def profile(id: str, **values: Any) -> dict[str, Any]:
    return {
        "id": id,
        "display_name": id,
        "engine": "voxcpm2",
        "model": "studio",
        "voice_set": "studio",
        "model_preset": "voxcpm2-default",
        "mode_hint": "clone",
        "mode": "clone",
        "audio_path": f"runtime/voices/{id}/reference.wav",
        "reference_audio": f"runtime/voices/{id}/reference.wav",
        "prompt_audio_path": None,
        "prompt_audio": None,
        "prompt_text": "",
        "instruction": "",
        "language": "en",
        "text_lang": "en",
        "prompt_lang": "",
        "description": "",
        "speed": 1.0,
        "cfg_value": 2.0,
        "inference_timesteps": 10,
        "normalize": False,
        "denoise": False,
        "engine_options": {},
        "sample_rate": None,
        "created_at": "",
        "updated_at": "",
        **values,
    }


class VoxCPMUpstream(BackendUpstream):
    """`voices` are its registered profiles by id; `missing_files` the recordings that its disk has lost."""

    switches: Switches
    sample_rate = 48_000
    public = ("/health", "/api/health")

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = Switches(**switches)
        self.missing_files: set[str] = set()
        made = [
            profile("ada", display_name="Ada Lovelace", description="Warm"),
            profile("bard", mode="ultimate_clone", mode_hint="ultimate_clone", prompt_text="To be or not to be."),
            profile("captain", mode="design", mode_hint="design", audio_path=None, reference_audio=None)
            | {"instruction": "A deep old voice", "model": "sea", "voice_set": "sea"},
            profile("小雅", display_name="小雅", language="zh"),
        ]
        self.voices = {made_profile["id"]: made_profile for made_profile in made}

    def error(self, status: int, code: str, message: str, type: str = "invalid_request_error") -> Refusal:
        error = {"code": code, "message": message, "details": {}, "type": type}
        return Refusal(status, body=json.dumps({"error": error}).encode())

    def unknown_route(self, status: int, message: str) -> Refusal:
        return self.error(status, "voice_not_found" if status == 404 else "invalid_request", message)

    def check_key(self, request: Received) -> None:
        if not self.switches.key or request.path == "/":
            return
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        given = bearer if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
        if given != self.switches.key:
            raise self.error(401, "auth_required", f"API key {given} is not valid.", "auth_error")

    def routes(self) -> dict[str, dict[str, Handler]]:
        routes: dict[str, dict[str, Handler]] = {
            "/v1/models": self.listing(self._voice_sets),
            "/v1/audio/voices": self.listing(self._openai_voices),
            "/v1/audio/speech": {"POST": self._openai_speech},
        }
        for path in ("/health", "/api/health"):
            routes[path] = self.listing(self._health)
        for path in ("/api/voxcpm/tts", "/api/voxcpm/speech", "/voxcpm/speech", "/voxcpm/generate"):
            routes[path] = {"POST": self._native_speech}
        for path in ("/api/voxcpm/tts/upload", "/api/voxcpm/speech/upload", "/voxcpm/speech/upload"):
            routes[path] = {"POST": self._upload}
        for root in ("/api/voxcpm", "/voxcpm"):
            routes[f"{root}/capabilities"] = self.listing(self._capabilities)
            routes[f"{root}/logs"] = {"GET": self._logs}
            routes[f"{root}/voices"] = self.listing(self._registered) | {"POST": self._register}
            routes[f"{root}/voices/*"] = {"GET": self._read, "DELETE": self._delete}
            for action in ("load", "unload", "reload"):
                routes[f"{root}/{action}"] = {"POST": self._act}
        return routes

    # What it tells.

    def _health(self) -> object:
        return {
            "status": "ok",
            "model": "openbmb/VoxCPM2",
            "device": "auto",
            "model_loaded": self.switches.loaded,
            "asr_enabled": self.switches.asr,
            "asr_loaded": False,
            "asr_model_source": "",
            "denoiser_enabled": False,
            "api_url": "http://127.0.0.1:8000",
            "admin_url": "http://127.0.0.1:8001",
            "port_fallback": self.switches.fallback_port,
            "active_model_preset": "voxcpm2-default",
            "active_voice_set": "studio",
            "default_voice": "ada",
        }

    def _capabilities(self) -> object:
        return {
            "object": "voxcpm.capabilities",
            "engine": "voxcpm2",
            "asr_enabled": self.switches.asr,
            "supported_modes": [{"name": name, "aliases": MODES[name], "required_fields": []} for name in MODES],
        }

    def _sets(self) -> set[str]:
        return {voice["model"] for voice in self.voices.values()}

    def _voice_sets(self) -> object:
        sets = [
            {"id": name, "object": "model", "owned_by": "neiroha", "name": name.title()}
            for name in sorted(self._sets())
        ]
        return {"object": "list", "data": sets, "legacy_model_aliases": list(ALIASES)}

    def _openai_voices(self) -> object:
        listed = [{"id": voice["id"], "name": voice["display_name"]} for voice in self.voices.values()]
        return {"object": "list", "data": listed or [{"id": "default", "name": "default"}]}

    def _registered(self) -> object:
        return {"object": "list", "data": list(self.voices.values())}

    async def _logs(self, request: Received, send: Send) -> None:
        limit = min(max(query_number(request, "limit", 120), 1), 1000)
        lines = [f"line {number}" for number in range(2000, 2000 - limit, -1)]
        await self.send(send, 200, {"content-type": "text/plain; charset=utf-8"}, "\n".join(lines).encode())

    async def _act(self, request: Received, send: Send) -> None:
        if request.body:
            raise self.error(400, "invalid_request", "No body is taken here")
        self.switches.loaded = not request.path.endswith("/unload")
        await self.send_json(send, {"loaded": self.switches.loaded, "model": "openbmb/VoxCPM2", "device": "cpu"})

    # The registry.

    async def _read(self, request: Received, send: Send) -> None:
        await self.send_json(send, self.voices[await self._id(request, send)])

    async def _delete(self, request: Received, send: Send) -> None:
        id = await self._id(request, send)
        del self.voices[id]
        await self.send_json(send, {"deleted": True, "id": id})

    async def _id(self, request: Received, send: Send) -> str:
        id = last_segment(request)
        if _FORBIDDEN & set(id):
            await self.crash(send)
        if id not in self.voices:
            raise self.error(404, "voice_not_found", f"Voice {id} is not registered")
        return id

    async def _register(self, request: Received, send: Send) -> None:
        fields = json_fields(request, {"id": TEXT, "name": MAYBE_TEXT, "display_name": MAYBE_TEXT}, ("id",))
        id = fields["id"].replace(" ", "_")
        if not id or _FORBIDDEN & set(id):
            raise self.error(400, "invalid_request", "id holds forbidden characters")
        for path in ("audio_path", "reference_audio", "reference_audio_path", "prompt_audio", "prompt_audio_path"):
            if fields.get(path):
                raise self.error(404, "invalid_reference_audio", f"{fields[path]} does not exist")
        created = id not in self.voices
        old = profile(id, mode="design", audio_path=None, reference_audio=None) if created else self.voices[id]
        self.voices[id] = old | fields | {"id": id, "display_name": fields.get("name", old["display_name"])}
        await self.send_json(send, {"created": created, "voice": self.voices[id]}, 201 if created else 200)

    # Speech.

    async def _openai_speech(self, request: Received, send: Send) -> None:
        fields = json_fields(request, {**_JSON, "voice": Typed(object, nullable=True)})
        self.record(request, fields)
        voice = fields.get("voice")
        await self._speak(send, fields, {}, voice.get("id") if isinstance(voice, dict) else voice)

    async def _native_speech(self, request: Received, send: Send) -> None:
        fields = json_fields(request, _JSON)
        self.record(request, fields)
        await self._speak(send, fields, {}, _first(fields, _VOICE_KEYS))

    async def _upload(self, request: Received, send: Send) -> None:
        fields, files = form_fields(request, _FORM, ("reference_audio", "prompt_audio"), ("text",))
        self.record(request, fields, files)
        await self._speak(send, fields, files, _first(fields, _VOICE_KEYS))

    async def _speak(self, send: Send, fields: dict[str, Any], files: dict[str, Part], voice: str | None) -> None:
        text = _first(fields, ("text", "input"))
        if not text:
            raise self.error(400, "invalid_request", "text is empty")
        if fields.get("response_format", "wav").lower() not in ("wav", ""):
            raise self.error(400, "unsupported_format", "Only wav")
        found = self._found(voice, fields)
        self._check_mode(fields, files, found)
        shown = (voice or "ada").encode("latin-1", "ignore").decode("latin-1") or "voice_1a2b"
        headers = {
            "x-neiroha-backend": "voxcpm",
            "x-neiroha-model-preset": "voxcpm2-default",
            "x-neiroha-voice": shown,
            "x-neiroha-inference-ms": "480",
            "x-neiroha-output-path": "outputs/speech.wav",
            "x-voxcpm-rtf": "0.2",
            "content-disposition": 'inline; filename="speech.wav"',
        }
        await self.send_speech(send, text, "wav", 1.0, headers)

    def _found(self, voice: str | None, fields: dict[str, Any]) -> dict[str, Any] | None:
        """None speaks with a generic voice, and says nothing about it."""
        name, model = (voice or "default").replace(" ", "_"), fields.get("model") or ""
        if _FORBIDDEN & set(name):
            raise self.error(400, "invalid_request", "voice holds forbidden characters")
        if model and model.lower() not in {*ALIASES, *(known.lower() for known in self._sets())}:
            raise self.error(400, "voice_not_found", f"Unknown model {model}")
        # A set's id in another case is taken, but then no voice is in it.
        inside = [known for known in self.voices.values() if model in ("", known["model"]) or model.lower() in ALIASES]
        found = [known for known in inside if name in (known["id"], known["display_name"]) and name != "default"]
        if found and found[0]["id"] in self.missing_files:
            raise self.error(404, "invalid_reference_audio", f"/srv/{found[0]['audio_path']} does not exist")
        return found[0] if found else None

    def _check_mode(self, fields: dict[str, Any], files: dict[str, Part], found: dict[str, Any] | None) -> None:
        known = found or {}
        audio = bool(files or known.get("audio_path") or _first(fields, (*_REFERENCES, *_PROMPTS)))
        words = _first(fields, _PROMPT_TEXTS) or known.get("prompt_text")
        style = _first(fields, _INSTRUCTIONS) or known.get("instruction")
        asked = (fields.get("mode") or "").lower().replace(" ", "_") or known.get("mode", "")
        mode = next((mode for mode, names in MODES.items() if asked in names), "")
        mode = mode or ("ultimate_clone" if words else "clone" if audio else "design")
        if asked == "preset_voice" and found is None:
            raise self.error(400, "invalid_request", "Voice is not registered")
        if mode == "design" and (audio or words):
            raise self.error(400, "invalid_request", "design takes no audio and no prompt text")
        if mode != "design" and not audio:
            raise self.error(400, "invalid_request", f"{mode} needs audio")
        if fields.get("auto_asr") and not words and not self.switches.asr:
            raise self.error(500, "inference_failed", "ASR is not enabled")
        if mode == "ultimate_clone" and not words and not fields.get("auto_asr"):
            raise self.error(400, "invalid_request", "ultimate_clone needs prompt_text")
        if words and style:
            raise self.error(400, "invalid_request", "prompt_text and an instruction exclude each other")


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((fields[name] for name in names if (fields.get(name) or "").strip()), None)


def make(**switches: Any) -> VoxCPMUpstream:
    """The application, to be served by hand."""
    return VoxCPMUpstream(**switches)


app = make()
