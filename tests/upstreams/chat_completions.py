"""Strict chat completions with audio, written from the contract: MiMo's, and OpenAI's gpt-audio. Both speak words."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any

from providers.audio import encode, probe
from providers.speech import AudioFormat
from tests.upstreams.common import Received, Refusal, Send, Switches, speak
from tests.upstreams.events import EventsUpstream, cut, data_event, true_wav

MIMO_PRESETS = {
    "mimo-v2-tts": ("mimo_default", "default_zh", "default_en"),
    "mimo-v2.5-tts": ("mimo_default", "冰糖", "茉莉", "苏打", "白桦", "Mia", "Chloe", "Milo", "Dean"),
}
MIMO_MODELS = (*MIMO_PRESETS, "mimo-v2.5-tts-voicedesign", "mimo-v2.5-tts-voiceclone")
OPENAI_MODELS = ("gpt-audio", "gpt-audio-mini")
OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "marin", "cedar"),
)
REFERENCE_LIMIT = 10_000_000
_MIMO_FIELDS = frozenset({"model", "messages", "audio", "stream", "temperature", "top_p", "max_completion_tokens"})
_OPENAI_FIELDS = frozenset({"model", "messages", "audio", "modalities", "stream", "stream_options", "temperature"})
_DATA_URL = re.compile(r"data:audio/(?:mpeg|mp3|wav);base64,([A-Za-z0-9+/]+=*)")
_LEADING_STYLE = re.compile(r"^\s*(<style>.*?</style>|\(.*?\)|（.*?）|\[.*?\])")
_TAG = re.compile(r"\[.*?\]|\(.*?\)|（.*?）")


@dataclass(slots=True)
class ChatSwitches(Switches):
    dialect: str = "mimo"
    prefix: str = "/v1"
    auth: tuple[str, ...] = ("api-key", "authorization")
    speakers: object = None
    """What `/speakers` answers; it does not exist without."""
    models: bool = True
    finish: str = "stop"
    saying: str = ""
    """What gpt-audio says in place of the text."""
    refusing: str = ""
    """What gpt-audio writes in place of speaking."""
    piece_bytes: int = 9601
    """Of a streamed piece of sound: odd, so that samples are cut in two."""
    message: dict[str, Any] = field(default_factory=dict)
    """Members of the answer's message, in place of the true ones."""
    drop_events: int = 0
    """So many events are missing at the end of a stream."""


class ChatUpstream(EventsUpstream):
    switches: ChatSwitches

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = ChatSwitches(**switches)

    @property
    def spoken(self) -> list[Any]:
        """The bodies of the completions that were asked for."""
        return [request.json() for request in self.requests if request.method == "POST"]

    async def route(self, request: Received, send: Send) -> None:
        prefix = self.switches.prefix
        self._check_key(request)
        match request.method, request.path.removeprefix(prefix):
            case _ if not request.path.startswith(prefix):
                raise Refusal(404, f"Invalid URL ({request.method} {request.path})")
            case "POST", "/chat/completions":
                await self._complete(request, send)
            case _, "/chat/completions":
                raise Refusal(405, "Method Not Allowed")
            case "GET", "/models" if self.switches.models:
                models = MIMO_MODELS if self.switches.dialect == "mimo" else (*OPENAI_MODELS, "gpt-5")
                await self.send_json(send, {"object": "list", "data": [{"id": id} for id in (*models, "other")]})
            case "GET", "/speakers" if self.switches.speakers is not None:
                await self.send_json(send, self.switches.speakers)
            case _:
                raise Refusal(404, f"Invalid URL ({request.method} {request.path})")

    def _check_key(self, request: Received) -> None:
        key = self.switches.key
        given = {
            "api-key": request.headers.get("api-key", ""),
            "authorization": request.headers.get("authorization", "").removeprefix("Bearer "),
        }
        if key and key not in [given[name] for name in self.switches.auth]:
            if self.switches.dialect == "mimo":
                raise mimo_refusal(401, "Invalid API Key", f"Please provide valid API Key, not {given}", "invalid_key")
            raise Refusal(401, f"Incorrect API key provided: {given}", code="invalid_api_key")

    async def _complete(self, request: Received, send: Send) -> None:
        fields = request.json()
        if self.switches.dialect == "mimo":
            text, transcript = _mimo_text(fields), None
        else:
            text = transcript = self.switches.saying or _openai_text(fields)
        if self.switches.speech is not None:
            headers = {"content-type": self.switches.speech_type or "application/json", **self.switches.headers}
            await self.send_audio(send, headers, self.switches.speech)
        elif fields.get("stream"):
            pcm = await asyncio.to_thread(speak, text, "pcm", 1.0)
            events = self._deltas(fields["model"], pcm, transcript)
            await self.send_events(send, events[: len(events) - self.switches.drop_events])
        else:
            audio = await asyncio.to_thread(_file, text, fields["audio"].get("format", "wav"))
            await self.send_json(send, self._completion(fields["model"], audio, transcript))

    def _completion(self, model: str, audio: bytes, transcript: str | None) -> dict[str, Any]:
        mimo = self.switches.dialect == "mimo"
        sound = {
            "id": "a1",
            "data": base64.b64encode(audio).decode(),
            "expires_at": None if mimo else 1_795_000_000,
            "transcript": transcript,
        }
        message: dict[str, Any] = {"role": "assistant", "content": "" if mimo else None, "audio": sound}
        if self.switches.refusing:
            message |= {"refusal": self.switches.refusing, "audio": None}
        message |= self.switches.message
        choice: dict[str, Any] = {"index": 0, "finish_reason": self.switches.finish, "message": message}
        return {"id": "c1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}

    def _deltas(self, model: str, pcm: bytes, transcript: str | None) -> list[bytes]:
        if self.switches.refusing:
            return self._ended([{"role": "assistant", "content": None}, {"refusal": self.switches.refusing}])
        if self.switches.dialect == "mimo":
            # v2.5 gives everything at the end in one go.
            size = len(pcm) if "v2.5" in model else self.switches.piece_bytes
            pieces: list[dict[str, Any]] = [
                {"id": "a1", "data": _base64(piece), "transcript": None} for piece in cut(pcm, size)
            ]
            return self._ended([{"role": "assistant", "content": "", "audio": None}, *_deltas_of(pieces)])
        words = [{"transcript": f"{word} "} for word in (transcript or "").split()]
        sound = [{"data": _base64(piece)} for piece in cut(pcm, self.switches.piece_bytes)]
        deltas: list[dict[str, Any]] = [{"id": "a1"}, *words[:2], *sound, *words[2:], {"expires_at": 1_795_000_000}]
        return self._ended([{"role": "assistant", "refusal": None}, *_deltas_of(deltas)])

    def _ended(self, deltas: list[dict[str, Any]]) -> list[bytes]:
        choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        if self.switches.dialect == "openai":
            del choices[-1]["finish_reason"]
        choices.append({"index": 0, "delta": {}, "finish_reason": self.switches.finish})
        chunks = [[choice] for choice in choices] + ([[]] if self.switches.dialect == "mimo" else [])
        chunk: dict[str, Any] = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return [*(data_event({**chunk, "choices": choices}) for choices in chunks), b"data: [DONE]\n\n"]


def mimo_refusal(
    status: int, message: str, param: str = "", type: str = "invalid_request", *, stream: bool = False
) -> Refusal:
    """The code is text, the explanation is in `param`, and a stream is refused with an event."""
    error = {"error": {"code": str(status), "message": message, "param": param, "type": type}}
    return Refusal(status, body=b"data:" * stream + json.dumps(error, ensure_ascii=False).encode())


def _deltas_of(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"audio": piece} for piece in pieces]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _file(text: str, format: str) -> bytes:
    if format == "wav":
        return speak(text, "wav", 1.0)
    return speak(text, {"pcm16": "pcm"}.get(format, format), 1.0)


def _mimo_text(fields: dict[str, Any]) -> str:
    """What MiMo would speak: directions are acted on and not said."""
    stream = fields.get("stream", False)
    problem = _mimo_problem(fields)
    if problem:
        raise mimo_refusal(400, "Param Incorrect", problem, stream=stream)
    text = fields["messages"][-1]["content"]
    if "禁" in text:
        raise mimo_refusal(421, "Content filter", "The text was refused", stream=stream)
    return _TAG.sub(" ", _LEADING_STYLE.sub("", text, count=1))


def _mimo_problem(fields: dict[str, Any]) -> str:
    model, audio = fields.get("model"), fields.get("audio")
    messages = fields.get("messages")
    if unknown := set(fields) - _MIMO_FIELDS:
        return f"unknown fields {sorted(unknown)}"
    if model not in MIMO_MODELS:
        return f"Not supported model {model}"
    if not isinstance(messages, list) or not messages or messages[-1].get("role") != "assistant":
        return "the last message must be the assistant's"
    if not messages[-1]["content"].strip():
        return "assistant content is empty"
    if not isinstance(audio, dict) or audio.get("format", "wav") not in ("wav", "mp3", "pcm", "pcm16"):
        return "audio format must be one of wav, mp3, pcm, pcm16"
    if not 0 <= fields.get("temperature", 0.6) <= 1.5:
        return "temperature must be from 0 to 1.5"
    return _voice_problem(model, messages, audio)


def _voice_problem(model: str, messages: list[dict[str, str]], audio: dict[str, str]) -> str:
    direction = next((message["content"] for message in messages if message["role"] == "user"), None)
    if model.endswith("-voicedesign"):
        return "voice is not supported" if "voice" in audio else "" if direction else "user content is required"
    if model.endswith("-voiceclone"):
        return _reference_problem(audio.get("voice", ""))
    return "" if audio.get("voice", "mimo_default") in MIMO_PRESETS[model] else f"voice {audio['voice']} not found"


def _reference_problem(voice: str) -> str:
    url = _DATA_URL.fullmatch(voice)
    if url is None:
        return f"voice must be a data URL, not {voice[:400]}"
    if len(url[1]) > REFERENCE_LIMIT:
        return "the voice sample is larger than 10 MB"
    return "" if probe(base64.b64decode(url[1])).duration >= 1 else "the voice sample is too short"


def _openai_text(fields: dict[str, Any]) -> str:
    """What gpt-audio would speak: without an order it answers, as a chat model does."""
    if unknown := set(fields) - _OPENAI_FIELDS:
        raise Refusal(400, f"Unrecognized request argument supplied: {sorted(unknown)[0]}")
    if fields["model"] not in OPENAI_MODELS:
        raise Refusal(404, f"The model `{fields['model']}` does not exist.", code="model_not_found")
    if "audio" not in fields.get("modalities", []):
        raise Refusal(400, "This model requires that either input content or output modality contain audio.")
    audio = fields.get("audio", {})
    for name in ("voice", "format"):
        if name not in audio:
            raise Refusal(400, f"Missing required parameter: 'audio.{name}'.", param=f"audio.{name}")
    if audio["voice"] not in OPENAI_VOICES:
        raise Refusal(400, f"Invalid value: '{audio['voice']}'.", param="audio.voice", code="invalid_value")
    allowed = ("pcm16",) if fields.get("stream") else ("wav", "mp3", "flac", "opus", "aac", "pcm16")
    if audio["format"] not in allowed:
        raise Refusal(400, f"audio.format '{audio['format']}' is not supported here.", param="audio.format")
    order, text = fields["messages"][0], fields["messages"][-1]
    if text["role"] != "user":
        raise Refusal(400, "There is nothing to answer.")
    ordered = order["role"] in ("system", "developer") and "word for word" in order["content"]
    return str(text["content"]) if ordered else "Sure, what would you like to talk about today?"


def reference_wav(text: str) -> bytes:
    return true_wav(text)


def reference_mp3(text: str) -> bytes:
    return encode(speak(text, "pcm", 1.0), 24_000, AudioFormat.MP3)
