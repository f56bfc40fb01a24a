"""Neiroha's CosyVoice3 backend: registered voices, and clones of a recording in three ways."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import httpx

from providers.adapters.neiroha_backend import NeirohaBackend, Profile, error_code, line, present, upload
from providers.errors import InvalidRequest, UnsupportedOption, UpstreamFailed
from providers.http import Answer
from providers.speech import (
    AudioFormat,
    Capabilities,
    Health,
    Option,
    OptionType,
    OptionValue,
    ProviderConfig,
    SpeechAudio,
    SpeechRequest,
    TaskMode,
    TaskModeFields,
    Voice,
)

_SPEECH = ("/api/cosyvoice/tts", "/cosyvoice/speech")
_UPLOAD = ("/api/cosyvoice/tts/upload", "/cosyvoice/speech/upload")
_NEEDS_WORDS, _NEEDS_STYLE = "zero_shot", "instruct"


class CosyVoiceAdapter(NeirohaBackend):
    label = "CosyVoice3"
    backend_id = "cosyvoice3"
    voice_routes = ("/api/cosyvoice/voices", "/cosyvoice/profiles", "/cosyvoice3/profiles")
    log_routes = ("/api/cosyvoice/logs", "/cosyvoice3/logs")
    names_fold = True
    capabilities = Capabilities(
        task_modes={
            TaskMode.PRESET: TaskModeFields(frozenset({"voice"}), frozenset({"model", "instruction"})),
            TaskMode.CLONE: TaskModeFields(frozenset({"reference"}), frozenset({"prompt_text", "instruction"})),
        },
        formats=frozenset({AudioFormat.WAV}),
        speed=(0.25, 4.0),
        instructions=True,
        needs_base_url=True,
        piece_characters=600,
        default_concurrency=1,
        character_options=(
            Option(
                "mode",
                "Mode",
                OptionType.CHOICE,
                choices=("zero_shot", "cross_lingual", "instruct"),
                help="By default a registered voice keeps its own; a clone takes instruct with an instruction, "
                "zero_shot with the recording's words, else cross_lingual.",
            ),
            Option("seed", "Seed", OptionType.INTEGER, minimum=0, help="The same seed speaks the same way again."),
            Option("text_frontend", "Normalise the text", OptionType.CHOICE, choices=("on", "off")),
        ),
    )

    def __init__(self, config: ProviderConfig, client: httpx.AsyncClient) -> None:
        super().__init__(config, client)
        self._uploads = 0

    def speak(self, request: SpeechRequest) -> AbstractAsyncContextManager[SpeechAudio]:
        return self._cloned(request) if request.task_mode is TaskMode.CLONE else self._registered(request)

    @asynccontextmanager
    async def _registered(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        # A mode beats the voice's own, so it goes only where somebody chose one.
        mode = request.options.get("mode", "")
        if request.instructions and mode not in ("", _NEEDS_STYLE):
            raise UnsupportedOption(f"Mode {mode} can't follow instructions.", param="instructions")
        fields = _fields(request) | {"voice": request.voice, "model": request.model, "mode": mode}
        if not request.model:
            # Only the active voice set would be searched.
            profile = await self._profile(request)
            fields |= {"voice": line(profile, "id"), "model": line(profile, "model")}
        async with self._ask("POST", *_SPEECH, json=present(fields)) as answer:
            if error_code(answer) == "voice_not_found":
                # The code stands for an unknown voice set and other refusals as well.
                await self._profile(request)
            audio = await self._audio(answer)
            self._check_followed(request, answer)
            yield audio

    @asynccontextmanager
    async def _cloned(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        if request.reference is None:
            raise InvalidRequest("Cloning needs reference audio.", param="reference")
        sent = await upload(present(_fields(request) | _cloning(request)), "prompt_audio", request.reference)
        with self._uploading():
            async with self._ask("POST", *_UPLOAD, **sent) as answer:
                yield await self._audio(answer)

    def _check_followed(self, request: SpeechRequest, answer: Answer) -> None:
        """A voice without a recording ignores an instruction; only the answer tells."""
        mode = answer.headers.get("x-neiroha-cosyvoice-mode", "")
        if request.instructions and mode and mode != _NEEDS_STYLE:
            raise UnsupportedOption(
                f"Voice “{request.voice}” can't follow instructions: {self.config.name} spoke it as {mode}.",
                param="instructions",
            )

    @contextmanager
    def _uploading(self) -> Iterator[None]:
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    async def health(self) -> Health:
        """While the backend clones it answers nothing else, which is no illness."""
        health = await super().health()
        return replace(health, reachable=True, reason="") if self._uploads and not health.reachable else health

    async def _key_accepted(self, config: ProviderConfig) -> bool:
        async with self._exchange(config, "GET", "/v1/models") as answer:
            answer.check()
        return True

    def _voice(self, profile: Profile) -> Voice:
        voice = super()._voice(profile)
        mode = line(profile, "engine_mode", "mode")
        lost = profile.get("has_prompt_audio") is False and mode in ("zero_shot", "cross_lingual", "instruct")
        notes = (voice.description, mode, "its recording is missing on the backend" if lost else "")
        return replace(voice, description=" · ".join(filter(None, notes)))

    async def logs(self, lines: int) -> str:
        try:
            log = json.loads(await super().logs(lines))
        except (ValueError, RecursionError) as error:
            raise UpstreamFailed(f"{self.config.name} did not answer with its log.") from error
        return str(log.get("content", "")) if isinstance(log, dict) else ""


def _fields(request: SpeechRequest) -> dict[str, OptionValue]:
    """What every request sends. A speed of 1 is left out, as it is the backend's own."""
    fields: dict[str, OptionValue] = {
        "text": request.text,
        "response_format": "wav",
        "instruct_text": request.instructions,
        "speed": request.speed if request.speed != 1.0 else "",
        "seed": request.options.get("seed", ""),
    }
    if "text_frontend" in request.options:
        fields["text_frontend"] = request.options["text_frontend"] == "on"
    return fields


def _cloning(request: SpeechRequest) -> dict[str, Any]:
    """The mode, and the recording's words where the mode reads them."""
    usual = _NEEDS_STYLE if request.instructions else _NEEDS_WORDS if request.prompt_text else "cross_lingual"
    mode = request.options.get("mode") or usual
    if mode != _NEEDS_STYLE and request.instructions:
        raise UnsupportedOption(f"A clone in mode {mode} can't follow instructions.", param="instructions")
    if mode == _NEEDS_STYLE and not request.instructions:
        raise InvalidRequest("A clone in mode instruct needs an instruction.", param="instructions")
    if mode == _NEEDS_WORDS and not request.prompt_text:
        raise InvalidRequest("A clone in mode zero_shot needs the words of its reference audio.", param="prompt_text")
    return {"mode": mode, "prompt_text": request.prompt_text if mode == _NEEDS_WORDS else ""}
