"""Speech as the audio of a chat completion: Xiaomi's MiMo (preset, clone, design) and OpenAI's gpt-audio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import httpx

from providers.adapters.base import Adapter
from providers.adapters.chat_dialects import KNOWN_VOICES, Dialect, chat_body, dialect_of, host_dialect
from providers.adapters.completions import completion_sounds
from providers.adapters.json_audio import begin_audio, json_payloads
from providers.adapters.listing import key_is_proved, list_config, parse_models, parse_voices
from providers.adapters.openai_server import ABSENT, WEB_PAGE, ServerAddress
from providers.errors import SpeechError, UpstreamFailed, UpstreamUnauthorized
from providers.http import Answer, answered, bearer, checked_key, exchange
from providers.speech import (
    AudioFormat,
    Capabilities,
    Health,
    Model,
    Option,
    OptionType,
    ProviderConfig,
    SpeechAudio,
    SpeechRequest,
    TaskMode,
    TaskModeFields,
    Voice,
)

_CHAT_PATH = "/chat/completions"
_VOICE_PATHS = ("/speakers", "/audio/voices", "/voices")
# A busy MiMo gateway has been seen to refuse a key that it took before, and to take it again a moment later.
_REFUSED_KEY_WAITS = (0.2, 0.5)


class ChatCompletionsAdapter(Adapter):
    label = "Chat completions (MiMo, gpt-audio)"
    capabilities = Capabilities(
        task_modes={
            TaskMode.PRESET: TaskModeFields(frozenset({"voice"}), frozenset({"model", "instruction"})),
            TaskMode.CLONE: TaskModeFields(frozenset({"reference"}), frozenset({"model", "instruction"})),
            TaskMode.DESIGN: TaskModeFields(frozenset({"instruction"}), frozenset({"model"})),
        },
        formats=frozenset({AudioFormat.PCM}),
        instructions=True,
        streaming=True,
        needs_base_url=True,
        piece_characters=2500,
        provider_options=(
            Option("model", "Model", help="Sent for voices that name no model."),
            Option(
                "dialect",
                "Dialect",
                OptionType.CHOICE,
                default="auto",
                choices=("auto", *Dialect),
                help="auto: MiMo for its own host and for models whose names begin with mimo-, else OpenAI.",
            ),
            Option(
                "auth_header",
                "Header of the key",
                OptionType.CHOICE,
                default="auto",
                choices=("auto", "api-key", "authorization"),
                help="auto: api-key for MiMo, else Authorization: Bearer.",
            ),
            Option("stream", "Stream", OptionType.BOOLEAN, default=True, help="Ask for sound while it is made."),
        ),
        character_options=(
            Option("temperature", "Temperature", OptionType.NUMBER, minimum=0.0, maximum=1.5),
            Option(
                "directions",
                "Brackets in the text are directions",
                OptionType.BOOLEAN,
                default=False,
                help="MiMo acts on (whispering) or [laughs] and does not say it. Off: such words are spoken.",
            ),
        ),
    )

    def __init__(self, config: ProviderConfig, client: httpx.AsyncClient) -> None:
        super().__init__(config, client)
        self._address = ServerAddress(config.base_url, _CHAT_PATH)
        self._key_worked = False

    @asynccontextmanager
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        stream = bool(self.config.options.get("stream", True))
        # A reference makes the body many megabytes long.
        body = await asyncio.to_thread(chat_body, self.config, request, stream=stream)
        async with self._completion(body, mimo=self._speaks_mimo(request.model)) as answer:
            answer.check()
            sounds = completion_sounds(json_payloads(answer, self.config), request.text, self.config)
            audio = await begin_audio(sounds, answer, self.config)
            self._address.settled = self._key_worked = True
            yield audio

    @asynccontextmanager
    async def _completion(self, body: bytes, *, mimo: bool) -> AsyncIterator[Answer]:
        waits = _REFUSED_KEY_WAITS if self._key_worked and mimo else ()
        for wait in waits:
            async with self._send("POST", _CHAT_PATH, body) as answer:
                if answer.status != 401:
                    yield answer
                    return
            await asyncio.sleep(wait)
        async with self._send("POST", _CHAT_PATH, body) as answer:
            yield answer

    async def voices(self) -> list[Voice]:
        if host := host_dialect(self.config):
            return list(KNOWN_VOICES[host])
        for path in _VOICE_PATHS:
            async with self._send("GET", path) as answer:
                if answer.status not in ABSENT:
                    answer.check()
                    # Some servers answer every unknown path with their start page.
                    with suppress(UpstreamFailed):
                        return parse_voices(await answer.json())
        return list(KNOWN_VOICES[Dialect.MIMO]) if self._speaks_mimo() else []

    async def models(self) -> list[Model]:
        async with self._send("GET", "/models") as answer:
            if answer.status in ABSENT:
                return []
            answer.check()
            models = parse_models(await answer.json())
        speaking = [model for model in models if "tts" in model.id or "audio" in model.id]
        return speaking if host_dialect(self.config) and speaking else models

    async def health(self) -> Health:
        try:
            async with self._send("GET", "/models") as answer:
                if answer.status in ABSENT:
                    return await self._health_without_models()
                answer.check()
                if answer.is_web_page:
                    return Health(True, WEB_PAGE, right_kind=False)
                parse_models(await answer.json())
            return Health(True, key_accepted=await self._key_accepted())
        except UpstreamUnauthorized as error:
            return Health(True, error.message + self._key_hint(), key_accepted=False)
        except SpeechError as error:
            return Health(answered(error), error.message)

    async def _key_accepted(self) -> bool | None:
        """MiMo and OpenAI list their models to nobody without a key; other servers may."""
        if host_dialect(self.config):
            return True
        return await key_is_proved(self.client, self.config, self._address.url("/models"))

    async def _health_without_models(self) -> Health:
        """Asked with GET, a server that completes chats answers anything but 404, most of them 405."""
        async with self._send("GET", _CHAT_PATH) as answer:
            if answer.status != 404 and not answer.is_web_page:
                return Health(True, right_kind=True)
        reason = f"A server answers there, but it has neither models nor {_CHAT_PATH}: check the base URL."
        return Health(True, reason, right_kind=False)

    def _key_hint(self) -> str:
        wrong_plan = self.config.key.startswith("tp-") is not ("//token-plan-" in self._address.root)
        if host_dialect(self.config) is Dialect.MIMO and wrong_plan:
            return " Keys that begin with tp- work only at https://token-plan-…, all others only at https://api.…"
        return ""

    def _speaks_mimo(self, model: str = "") -> bool:
        return dialect_of(self.config, model) is Dialect.MIMO

    def _authorization(self) -> dict[str, str]:
        chosen = self.config.options.get("auth_header")
        if chosen == "api-key" or (chosen != "authorization" and self._speaks_mimo()):
            key = checked_key(self.config)
            return {"api-key": key} if key else {}
        return bearer(self.config)

    def _send(self, method: str, path: str, body: bytes = b"") -> AbstractAsyncContextManager[Answer]:
        return self._address.ask(path, lambda url: self._exchange(method, url, body))

    def _exchange(self, method: str, url: str, body: bytes) -> AbstractAsyncContextManager[Answer]:
        config = self.config if body else list_config(self.config)
        headers = self._authorization()
        if body:
            headers["content-type"] = "application/json"
        return exchange(self.client, config, method, url, headers=headers, content=body)
