"""OpenAI's `audio/speech` and the many servers that imitate it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

import httpx

from providers.adapters.base import Adapter
from providers.adapters.listing import key_is_proved, list_config, parse_models, parse_voices
from providers.adapters.openai_requests import (
    OPENAI_VOICES,
    PROVIDER_OPTIONS,
    asked_format,
    is_openai,
    speech_body,
)
from providers.adapters.openai_server import ABSENT, WEB_PAGE, ServerAddress
from providers.adapters.receiving import received_audio
from providers.errors import SpeechError, UpstreamFailed, UpstreamRejected, UpstreamUnauthorized
from providers.http import Answer, answered, bearer, exchange
from providers.speech import (
    AudioFormat,
    Capabilities,
    Health,
    Model,
    ProviderConfig,
    SpeechAudio,
    SpeechRequest,
    TaskMode,
    TaskModeFields,
    Voice,
)

T = TypeVar("T")

_SPEECH_PATH = "/audio/speech"
_VOICE_PATHS = ("/audio/voices", "/voices", "/speakers")
_MODEL_PATHS = ("/models", "/audio/models")


class _NotListed(UpstreamRejected):
    """The server has no such list."""


class _WebPage(_NotListed):
    """A web page is where the list should be."""


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
        provider_options=PROVIDER_OPTIONS,
    )

    def __init__(self, config: ProviderConfig, client: httpx.AsyncClient) -> None:
        super().__init__(config, client)
        self._address = ServerAddress(config.base_url, _SPEECH_PATH)

    @asynccontextmanager
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        asked = asked_format(self.config, request)
        body = speech_body(self.config, request, asked)
        async with self._address.ask(_SPEECH_PATH, lambda url: self._exchange("POST", url, json=body)) as answer:
            answer.check()
            audio = await received_audio(answer, self.config, asked)
            self._address.settled = True
            yield audio

    async def voices(self) -> list[Voice]:
        if is_openai(self.config):
            return list(OPENAI_VOICES)
        with suppress(_NotListed):
            return (await self._listed(_VOICE_PATHS, parse_voices))[1]
        return []

    async def models(self) -> list[Model]:
        with suppress(_NotListed):
            _, models = await self._listed(_MODEL_PATHS, parse_models)
            speaking = [model for model in models if "tts" in model.id]
            return speaking if is_openai(self.config) and speaking else models
        return []

    async def health(self) -> Health:
        wrong = "A server answers there, but it has neither models nor speech: check the base URL."
        try:
            for find in (self._find_models, self._find_voices, self._find_speech):
                try:
                    return Health(True, key_accepted=await find())
                except _WebPage as error:
                    wrong = error.message
                except _NotListed:
                    continue
        except UpstreamUnauthorized as error:
            return Health(True, error.message, key_accepted=False)
        except SpeechError as error:
            return Health(answered(error), error.message)
        return Health(True, wrong, right_kind=False)

    async def _find_models(self) -> bool | None:
        """Whether the list proves the key."""
        url, _ = await self._listed(_MODEL_PATHS, parse_models)
        return await key_is_proved(self.client, self.config, url)

    async def _find_voices(self) -> bool | None:
        url, _ = await self._listed(_VOICE_PATHS, parse_voices)
        return await key_is_proved(self.client, self.config, url)

    async def _find_speech(self) -> None:
        """Asked with GET, a server that speaks answers anything but 404, most of them 405."""
        for root in self._address.roots():
            async with self._exchange("GET", self._address.url(_SPEECH_PATH, root)) as answer:
                if answer.status in (401, 403):
                    answer.check()
                if answer.status != 404 and not answer.is_web_page:
                    return
        raise _NotListed(f"{self.config.name} has no {_SPEECH_PATH}.")

    def _exchange(self, method: str, url: str, **request: Any) -> AbstractAsyncContextManager[Answer]:
        config = self.config if method == "POST" else list_config(self.config)
        return exchange(self.client, config, method, url, headers=bearer(self.config), **request)

    async def _listed(self, paths: Sequence[str], parse: Callable[[object], list[T]]) -> tuple[str, list[T]]:
        """The first list that is found, and where. _NotListed when there is none, _WebPage when pages were."""
        missing = _NotListed(f"{self.config.name} has no list of these.")
        for url in (self._address.url(path, root) for root in self._address.roots() for path in paths):
            try:
                return url, await self._list_at(url, parse)
            except _WebPage as error:
                missing = error
            except _NotListed:
                continue
        raise missing

    async def _list_at(self, url: str, parse: Callable[[object], list[T]]) -> list[T]:
        async with self._exchange("GET", url) as answer:
            if answer.status in ABSENT:
                raise _NotListed(f"{self.config.name} answered {answer.status}.")
            answer.check()
            if answer.is_web_page:
                raise _WebPage(WEB_PAGE)
            try:
                return parse(await answer.json())
            except UpstreamFailed as error:
                raise _NotListed(error.message) from error
