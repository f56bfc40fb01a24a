"""Azure's speech service through its REST interface."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace

import httpx

from providers.adapters.azure_endpoints import Endpoints, endpoints
from providers.adapters.azure_voices import ListedVoice, parse_azure_voices
from providers.adapters.base import Adapter
from providers.adapters.listing import key_is_proved, list_config
from providers.adapters.receiving import received_audio
from providers.adapters.ssml import RATE_MAX, RATE_MIN, build_ssml
from providers.errors import (
    BadAudio,
    ProviderError,
    SpeechError,
    UnsupportedOption,
)
from providers.http import Answer, answered, checked_key, error_text, exchange, refusal
from providers.speech import (
    AudioFormat,
    Capabilities,
    Health,
    Option,
    OptionType,
    ProviderConfig,
    SpeechAudio,
    SpeechRequest,
    TaskMode,
    TaskModeFields,
    Voice,
)

VOICES_SECONDS = 3600.0
_OUTPUT_FORMATS = {
    AudioFormat.MP3: "audio-24khz-96kbitrate-mono-mp3",
    AudioFormat.OPUS: "ogg-24khz-16bit-mono-opus",
    AudioFormat.WAV: "riff-24khz-16bit-mono-pcm",
    AudioFormat.PCM: "raw-24khz-16bit-mono-pcm",
}
_ROLES = (
    *("Girl", "Boy", "YoungAdultFemale", "YoungAdultMale"),
    *("OlderAdultFemale", "OlderAdultMale", "SeniorFemale", "SeniorMale"),
)
_HINTS = {
    401: "the key is wrong, or belongs to another region than the base URL",
    403: "the resource takes no calls from this network",
    429: "its quota is used up, or it is still scaling up",
}


class AzureAdapter(Adapter):
    label = "Azure Speech"
    capabilities = Capabilities(
        task_modes={TaskMode.PRESET: TaskModeFields(frozenset({"voice"}), frozenset({"language"}))},
        formats=frozenset(_OUTPUT_FORMATS),
        speed=(RATE_MIN, RATE_MAX),
        streaming=True,
        needs_base_url=True,
        needs_key=True,
        # After ten minutes the service cuts the sound without an error: digits in a slow voice, at half speed.
        piece_characters=800,
        character_options=(
            Option("style", "Style", help="One of the styles that the voice lists, such as cheerful."),
            Option("styledegree", "Strength of the style", OptionType.NUMBER, minimum=0.01, maximum=2.0),
            Option("role", "Role", OptionType.CHOICE, choices=_ROLES, help="Only for voices that list it."),
        ),
    )

    def __init__(self, config: ProviderConfig, client: httpx.AsyncClient) -> None:
        super().__init__(config, client)
        self._endpoints = endpoints(config.base_url)
        self._listed: dict[str, ListedVoice] = {}
        self._listed_at = 0.0

    @asynccontextmanager
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        ssml = build_ssml(request)
        await self._check_expression(request)
        headers = {
            "content-type": "application/ssml+xml",
            "x-microsoft-outputformat": _OUTPUT_FORMATS[request.format],
        }
        async with self._call("POST", headers, ssml) as answer:
            if not answer.ok:
                sent = f"sent were the voice “{request.voice}” and the format {_OUTPUT_FORMATS[request.format]}"
                raise self._refusal(answer, sent)
            if not answer.head:
                raise BadAudio(
                    f"{self.config.name} answered without any sound: the voice may not speak the language of the text."
                )
            yield await received_audio(answer, self.config, request.format)

    async def voices(self) -> list[Voice]:
        async with self._call("GET") as answer:
            if not answer.ok:
                raise self._refusal(answer)
            self._listed = {entry.voice.id: entry for entry in parse_azure_voices(await answer.json())}
            self._listed_at = time.monotonic()
        return [entry.voice for entry in self._listed.values()]

    async def health(self) -> Health:
        try:
            async with self._call("GET") as answer:
                if not answer.ok:
                    # 403 is about the network.
                    refused = False if answer.status == 401 else None
                    return Health(True, self._refusal(answer).message, key_accepted=refused)
                if not answer.head.lstrip().startswith(b"["):
                    wrong = "A server answers there, but it does not list Azure's voices."
                    return Health(True, wrong, right_kind=False)
            # A container lists them to anybody.
            proved = await key_is_proved(self.client, self.config, self._endpoints.voices)
            return Health(True, key_accepted=proved, right_kind=True)
        except SpeechError as error:
            return Health(answered(error), error.message)

    async def _check_expression(self, request: SpeechRequest) -> None:
        """UnsupportedOption for a style or role that the voice lacks: the service would ignore it without a word."""
        style, role = (str(request.options.get(name) or "") for name in ("style", "role"))
        if not style and not role:
            return
        if not self._listed or time.monotonic() - self._listed_at > VOICES_SECONDS:
            # Speech does not wait for a list that can't be had.
            with suppress(SpeechError):
                await self.voices()
        # Custom voices are not listed.
        if entry := self._listed.get(request.voice):
            for kind, wanted, offered in (("style", style, entry.voice.styles), ("role", role, entry.roles)):
                if wanted and wanted not in offered:
                    known = ", ".join(offered) or "none"
                    raise UnsupportedOption(f"The voice {request.voice} has no {kind} “{wanted}”. It has: {known}.")

    @asynccontextmanager
    async def _call(
        self, method: str, headers: dict[str, str] | None = None, ssml: bytes = b""
    ) -> AsyncIterator[Answer]:
        """The first of the addresses that is found is remembered."""
        found = self._endpoints
        if found.fallback:
            async with self._exchange(method, found, headers, ssml) as answer:
                if answer.status != 404:
                    self._endpoints = replace(found, fallback=None)
                    yield answer
                    return
            found = found.fallback
        async with self._exchange(method, found, headers, ssml) as answer:
            if answer.status != 404:
                self._endpoints = found
            yield answer

    def _exchange(
        self, method: str, found: Endpoints, headers: dict[str, str] | None, ssml: bytes
    ) -> AbstractAsyncContextManager[Answer]:
        url = found.speak if method == "POST" else found.voices
        config = self.config if method == "POST" else list_config(self.config)
        headers = {**(headers or {}), **self._authorization()}
        return exchange(self.client, config, method, url, headers=headers, content=ssml)

    def _authorization(self) -> dict[str, str]:
        key = checked_key(self.config)
        if key.startswith("aad#"):
            return {"authorization": f"Bearer {key}"}
        return {"ocp-apim-subscription-key": key} if key else {}

    def _refusal(self, answer: Answer, sent: str = "") -> ProviderError:
        """Its bodies are mostly empty: the reason may stand beside the status, and the rest is what we know."""
        hint = sent if answer.status == 400 else _HINTS.get(answer.status, "")
        words = "; ".join(filter(None, (answer.reason_phrase, error_text(answer.head), hint)))
        return refusal(answer.status, answer.headers, words.encode(), self.config)
