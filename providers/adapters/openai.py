"""OpenAI's `audio/speech` and the many servers that imitate it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import httpx

from providers.adapters.base import Adapter
from providers.adapters.listing import parse_models, parse_voices
from providers.adapters.receiving import received_audio
from providers.errors import (
    SpeechError,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamUnauthorized,
)
from providers.http import Answer, bearer, exchange
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

T = TypeVar("T")

LIST_SECONDS = 15.0
_SPEECH_PATH = "/audio/speech"
_VOICE_PATHS = ("/audio/voices", "/voices", "/speakers")
_MODEL_PATHS = ("/models", "/audio/models")
_OPENAI_HOST = "api.openai.com"
_OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer"),
    *("verse", "marin", "cedar"),
)
_OPENAI_NOTE = "Built in. OpenAI lists no voices, and some models lack this one."


class _NotListed(UpstreamRejected):
    """The server has no such list."""


class OpenAIAdapter(Adapter):
    label = "OpenAI-compatible"
    capabilities = Capabilities(
        task_modes={
            TaskMode.PRESET: TaskModeFields(
                required=frozenset({"voice"}), optional=frozenset({"model", "instruction", "language"})
            )
        },
        formats=frozenset(AudioFormat),
        speed=(0.25, 4.0),
        instructions=True,
        streaming=True,
        needs_base_url=True,
        piece_characters=4096,
        provider_options=(
            Option("model", "Model", help="Sent for characters that name no model."),
            Option(
                "language_field",
                "Name of the language field",
                OptionType.CHOICE,
                default="language",
                choices=("language", "lang_code"),
                help="OpenAI itself has none: leave a character's language empty there.",
            ),
        ),
    )

    def __init__(self, config: ProviderConfig, client: httpx.AsyncClient) -> None:
        super().__init__(config, client)
        address, _, self._query = config.base_url.strip().partition("#")[0].partition("?")
        self._address = address.rstrip("/").removesuffix(_SPEECH_PATH).rstrip("/")
        self._settled = "v1" in self._address.split("/")

    @asynccontextmanager
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        async with self._post(_SPEECH_PATH, self._body(request)) as answer:
            answer.check()
            self._settled = True
            yield await received_audio(answer, self.config, request.format)

    async def voices(self) -> list[Voice]:
        if self._is_openai:
            return [Voice(name, name.capitalize(), description=_OPENAI_NOTE) for name in _OPENAI_VOICES]
        with suppress(_NotListed):
            return await self._listed(_VOICE_PATHS, parse_voices)
        return []

    async def models(self) -> list[Model]:
        with suppress(_NotListed):
            models = await self._listed(_MODEL_PATHS, parse_models)
            speaking = [model for model in models if "tts" in model.id]
            return speaking if self._is_openai and speaking else models
        return []

    async def health(self) -> Health:
        try:
            for find in (self._find_models, self._find_voices, self._find_speech):
                with suppress(_NotListed):
                    await find()
                    return Health(True)
        except SpeechError as error:
            answered = isinstance(error, (UpstreamUnauthorized, UpstreamRejected, UpstreamBusy, UpstreamFailed))
            return Health(answered, error.message)
        return Health(True, "A server answers there, but it has neither models nor speech: check the base URL.")

    async def _find_models(self) -> None:
        await self._listed(_MODEL_PATHS, parse_models)

    async def _find_voices(self) -> None:
        await self._listed(_VOICE_PATHS, parse_voices)

    async def _find_speech(self) -> None:
        """Asked with GET, a server that speaks answers anything but 404, most of them 405."""
        for address in self._addresses():
            async with self._exchange("GET", address + _SPEECH_PATH) as answer:
                if answer.status != 404:
                    return
        raise _NotListed(f"{self.config.name} has no {_SPEECH_PATH}.")

    @property
    def _is_openai(self) -> bool:
        return self._address.lower().split("/")[2:3] == [_OPENAI_HOST]

    def _body(self, request: SpeechRequest) -> dict[str, str | float]:
        """Only what is set: strict servers refuse nulls and fields that they do not know."""
        language_field = str(self.config.options.get("language_field") or "language")
        fields: dict[str, str | float] = {
            "model": request.model or str(self.config.options.get("model") or ""),
            "input": request.text,
            "voice": request.voice,
            "instructions": request.instructions,
            language_field: request.language,
            "response_format": request.format.value,
            "speed": request.speed if request.speed != 1.0 else "",
        }
        return {name: value for name, value in fields.items() if value != ""}

    @asynccontextmanager
    async def _post(self, path: str, body: dict[str, str | float]) -> AsyncIterator[Answer]:
        """Not found at an address without /v1, it is sent once more with it, and what works is remembered."""
        address = self._address
        async with self._exchange("POST", address + path, json=body) as answer:
            if self._settled or answer.status not in (404, 405):
                yield answer
                return
        async with self._exchange("POST", f"{address}/v1{path}", json=body) as answer:
            if answer.status not in (404, 405):
                self._address, self._settled = f"{address}/v1", True
            yield answer

    def _exchange(self, method: str, url: str, **request: Any) -> AbstractAsyncContextManager[Answer]:
        config = (
            self.config if method == "POST" else replace(self.config, timeout=min(self.config.timeout, LIST_SECONDS))
        )
        query = f"?{self._query}" if self._query else ""
        return exchange(self.client, config, method, url + query, headers=bearer(self.config), **request)

    def _addresses(self) -> list[str]:
        """Where lists may be: under the base URL, then at the root beside /v1 or in the /v1 that was left out."""
        if self._address.endswith("/v1"):
            return [self._address, self._address.removesuffix("/v1")]
        return [self._address] if self._settled else [self._address, f"{self._address}/v1"]

    async def _listed(self, paths: Sequence[str], parse: Callable[[object], list[T]]) -> list[T]:
        for address in self._addresses():
            for path in paths:
                with suppress(_NotListed):
                    return await self._list_at(address + path, parse)
        raise _NotListed(f"{self.config.name} has no list of these.")

    async def _list_at(self, url: str, parse: Callable[[object], list[T]]) -> list[T]:
        async with self._exchange("GET", url) as answer:
            if answer.status in (404, 405):
                raise _NotListed(f"{self.config.name} answered {answer.status}.")
            answer.check()
            try:
                return parse(await answer.json())
            except UpstreamFailed as error:
                # Many servers answer every unknown path with their start page.
                raise _NotListed(error.message) from error
