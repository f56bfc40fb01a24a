"""Google's Gemini speech models through the Gemini Developer API."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx

from providers.adapters.base import Adapter
from providers.adapters.gemini_answers import Unexplained, gemini_refusal, gemini_sounds
from providers.adapters.gemini_requests import PREBUILT_VOICES, StylePlace, gemini_body, may_stream, style_place
from providers.adapters.json_audio import begin_audio, json_payloads
from providers.adapters.listing import list_config, parse_voices
from providers.errors import (
    ProviderUnavailable,
    SpeechError,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamUnauthorized,
)
from providers.http import Answer, answered, checked_key, exchange
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

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
PAGE_SIZE = 1000
MAX_PAGES = 50
# Once: daily quotas are small, and the caller may try again too.
_UNEXPLAINED_WAITS = (0.5,)
_VERSION_SEGMENT = re.compile(r"/v1(?:alpha|beta)?(?=/|$)")


class GeminiAdapter(Adapter):
    label = "Google Gemini"
    capabilities = Capabilities(
        task_modes={
            TaskMode.PRESET: TaskModeFields(frozenset({"voice"}), frozenset({"model", "instruction", "language"}))
        },
        formats=frozenset({AudioFormat.PCM}),
        instructions=True,
        streaming=True,
        needs_key=True,
        # Speech drifts after a few minutes and ends at eleven: this is two minutes of English, six of Chinese.
        piece_characters=1500,
        default_concurrency=2,
        provider_options=(
            Option("model", "Model", help="Sent for voices that name no model."),
            Option(
                "style_place",
                "Where the style goes",
                OptionType.CHOICE,
                default="auto",
                choices=("auto", *StylePlace),
                help="auto: into the prompt for models before 3.8, which read it; into the metadata for all others.",
            ),
            Option("api_version", "API version", OptionType.CHOICE, default="v1beta", choices=("v1beta", "v1")),
            Option("stream", "Stream", OptionType.BOOLEAN, default=True, help="Ask for sound while it is made."),
        ),
    )

    def __init__(self, config: ProviderConfig, client: httpx.AsyncClient) -> None:
        super().__init__(config, client)
        address = (config.base_url.strip() or DEFAULT_BASE_URL).partition("#")[0].partition("?")[0]
        version = str(config.options.get("api_version") or "v1beta")
        self._address = f"{_VERSION_SEGMENT.split(address, maxsplit=1)[0].rstrip('/')}/{version}"

    @asynccontextmanager
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        model = self._model(request)
        for wait in (*_UNEXPLAINED_WAITS, None):
            async with self._generate(request, model) as answer:
                sounds = gemini_sounds(json_payloads(answer, self.config), self.config, model)
                try:
                    audio = await begin_audio(sounds, answer, self.config)
                except Unexplained:
                    if wait is None:
                        raise
                else:
                    yield audio
                    return
            await asyncio.sleep(wait)

    def _model(self, request: SpeechRequest) -> str:
        model = (request.model or str(self.config.options.get("model") or "")).removeprefix("models/")
        if not model:
            raise ProviderUnavailable(f"{self.config.name} needs a model: name one for the voice or for the provider.")
        return model

    @asynccontextmanager
    async def _generate(self, request: SpeechRequest, model: str) -> AsyncIterator[Answer]:
        place = style_place(model, str(self.config.options.get("style_place") or ""))
        stream = bool(self.config.options.get("stream", True)) and may_stream(request.text)
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path = f"/models/{quote(model, safe='')}:{method}"
        async with self._exchange("POST", path, json=gemini_body(request, place)) as answer:
            self._check(answer, model)
            yield answer

    async def models(self) -> list[Model]:
        models = [
            Model(str(entry.get("name")).removeprefix("models/"), str(entry.get("displayName") or ""))
            for entry in await self._pages("/models", "models", "pageSize", "pageToken", "nextPageToken")
            if "generateContent" in (entry.get("supportedGenerationMethods") or ())
        ]
        # Nothing but their names tells which of them speak.
        return [model for model in models if "tts" in model.id] or models

    async def voices(self) -> list[Voice]:
        """Those that every model has, then those that the account can choose for models from 3.8 on."""
        try:
            listed = await self._pages("/voices", "voices", "page_size", "page_token", "next_page_token")
        except _NotListed:
            return list(PREBUILT_VOICES)
        known = {voice.id.lower() for voice in PREBUILT_VOICES}
        more = [voice for voice in parse_voices(listed) if voice.id.lower() not in known]
        return [*PREBUILT_VOICES, *more]

    async def health(self) -> Health:
        try:
            async with self._exchange("GET", "/models?pageSize=1") as answer:
                self._check(answer)
                payload = None if answer.is_web_page else await answer.json()
        except UpstreamUnauthorized as error:
            return Health(True, error.message, key_accepted=False)
        except SpeechError as error:
            return Health(answered(error), error.message)
        if not isinstance(payload, dict) or "models" not in payload:
            return Health(True, "A server answers there, but it does not list Gemini's models.", right_kind=False)
        return Health(True, key_accepted=True, right_kind=True)

    async def _pages(self, path: str, name: str, size: str, token: str, next_token: str) -> list[dict[str, Any]]:
        """The entries of all pages. _NotListed when there is no such list."""
        entries: list[dict[str, Any]] = []
        mark = ""
        for _ in range(MAX_PAGES):
            query = httpx.QueryParams({size: PAGE_SIZE} | ({token: mark} if mark else {}))
            async with self._exchange("GET", f"{path}?{query}") as answer:
                if answer.status == 404:
                    raise _NotListed(f"{self.config.name} has no list of {name}.")
                self._check(answer)
                page = await answer.json()
            if not isinstance(page, dict):
                raise UpstreamFailed(f"{self.config.name} did not answer with a list of {name}.")
            entries += [entry for entry in page.get(name) or () if isinstance(entry, dict)]
            mark, previous = str(page.get(next_token) or ""), mark
            if mark in ("", previous):
                break
        return entries

    def _check(self, answer: Answer, model: str = "") -> None:
        if not answer.ok:
            raise gemini_refusal(answer.status, answer.headers, answer.head, self.config, model)

    def _exchange(self, method: str, path: str, **request: Any) -> AbstractAsyncContextManager[Answer]:
        config = self.config if method == "POST" else list_config(self.config)
        # Never as a parameter of the address, which ends up in logs.
        key = checked_key(self.config)
        headers = {"x-goog-api-key": key} if key else {}
        return exchange(self.client, config, method, self._address + path, headers=headers, **request)


class _NotListed(UpstreamRejected):
    """The service has no such list."""
