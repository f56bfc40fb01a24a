"""Neiroha's GPT-SoVITS backend: registered voices, and clones of a recording of 3 to 10 seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from providers.adapters.neiroha_backend import LoadableBackend, Profile, error_code, line, present, upload
from providers.audio import probe
from providers.errors import BadAudio, InvalidRequest, UnsupportedOption, UpstreamFailed, UpstreamRejected
from providers.http import Answer
from providers.speech import (
    AudioFormat,
    Capabilities,
    Option,
    OptionType,
    OptionValue,
    ProviderConfig,
    Reference,
    SpeechAudio,
    SpeechRequest,
    TaskMode,
    TaskModeFields,
    Voice,
)

REFERENCE_SECONDS = (3.0, 10.0)
_SPEECH = ("/v1/audio/speech",)
_CLONE = ("/api/gpt-sovits/clone/upload", "/gpt-sovits/clone/upload")
_WEIGHTS = ("gpt_weights_path", "sovits_weights_path")
# As its text front end names them; the first of each is what a plain language code means.
_LANGUAGES = ("zh", "en", "ja", "ko", "yue", "auto", "auto_yue", "all_zh", "all_ja", "all_ko", "all_yue")
_ALIASES = {"cmn": "zh", "zh-hk": "yue", "zh-mo": "yue"}
_CUTS = ("cut0", "cut1", "cut2", "cut3", "cut4", "cut5")
# A clone's upload has no place for these.
_SAMPLING = frozenset(
    {"text_split_method", "top_k", "top_p", "temperature", "repetition_penalty", "sample_steps", "seed"}
)
_LANGUAGE_HELP = "Beats the character's language. “all_” reads everything as that language."


class GPTSoVITSAdapter(LoadableBackend):
    label = "GPT-SoVITS"
    backend_id = "gpt-sovits"
    voice_routes = ("/api/gpt-sovits/voices", "/gpt-sovits/voices")
    log_routes = ("/api/gpt-sovits/logs", "/gpt-sovits/logs")
    voice_set_field = "voice_set_id"
    action_roots = ("/api/gpt-sovits", "/gpt-sovits")
    capabilities = Capabilities(
        task_modes={
            TaskMode.PRESET: TaskModeFields(frozenset({"voice"}), frozenset({"model", "language", "prompt_language"})),
            TaskMode.CLONE: TaskModeFields(
                frozenset({"reference", "prompt_text"}), frozenset({"language", "prompt_language"})
            ),
        },
        formats=frozenset({AudioFormat.WAV}),
        # It takes any number; this is the range of its own page, beyond which words get lost.
        speed=(0.6, 1.65),
        needs_base_url=True,
        piece_characters=600,
        default_concurrency=1,
        provider_options=(
            Option("gpt_weights_path", "GPT weights", help="For clones and loading: a path on the backend's machine."),
            Option("sovits_weights_path", "SoVITS weights", help="The same for the other half of the model."),
        ),
        character_options=(
            Option("text_lang", "Text language", OptionType.CHOICE, choices=_LANGUAGES, help=_LANGUAGE_HELP),
            Option("prompt_lang", "Prompt language", OptionType.CHOICE, choices=_LANGUAGES, help=_LANGUAGE_HELP),
            Option("text_split_method", "Split the text", OptionType.CHOICE, choices=_CUTS),
            Option("top_k", "Top k", OptionType.INTEGER, minimum=1, maximum=100),
            Option("top_p", "Top p", OptionType.NUMBER, minimum=0.0, maximum=1.0),
            Option("temperature", "Temperature", OptionType.NUMBER, minimum=0.0, maximum=2.0),
            Option("repetition_penalty", "Repetition penalty", OptionType.NUMBER, minimum=0.0, maximum=2.0),
            Option("sample_steps", "Sampling steps", OptionType.INTEGER, minimum=1, maximum=128),
            Option("seed", "Seed", OptionType.INTEGER, minimum=-1, help="-1 is another one each time."),
        ),
    )

    @asynccontextmanager
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        registered = request.task_mode is TaskMode.PRESET
        languages = _languages(request, "" if registered else "auto")
        fields = {"response_format": "wav", "speed": request.speed if request.speed != 1.0 else "", **languages}
        if registered:
            sent = {"json": present(fields | await self._registered(request))}
        else:
            sent = await self._cloned(request, fields)
        async with self._ask("POST", *(_SPEECH if registered else _CLONE), **sent) as answer:
            code = error_code(answer)
            if registered and (answer.status == 404 or code == "voice_not_found"):
                # The backend says the same of an unknown voice and of a lost recording.
                await self._profile(request)
            if answer.status == 400 and code == "invalid_request":
                await self._explain(answer, set(languages.values()))
            yield await self._audio(answer)

    async def _registered(self, request: SpeechRequest) -> dict[str, OptionValue]:
        """Without its voice set a voice would be looked for in the active one only."""
        profile = {} if request.model else await self._profile(request)
        voice, model = line(profile, "id") or request.voice, line(profile, "voice_set_id") or request.model
        if not _can_be_answered(voice):
            raise UnsupportedOption(
                f"{self.label} can't answer for voice “{voice}”: give it an id of Latin letters there.", param="voice"
            )
        sampling = {name: request.options[name] for name in sorted(_SAMPLING & request.options.keys())}
        return {"input": request.text, "voice": voice, "model": model, **sampling}

    async def _cloned(self, request: SpeechRequest, fields: dict[str, OptionValue]) -> dict[str, Any]:
        self._refuse_options(request, _SAMPLING, "for clones")
        if request.reference is None:
            raise InvalidRequest("Cloning needs reference audio.", param="reference")
        if not request.prompt_text.strip():
            raise InvalidRequest(f"{self.label} needs the words of the reference audio.", param="prompt_text")
        await self._check_length(request.reference)
        fields |= {"text": request.text, "prompt_text": request.prompt_text, "speaker": "neiroha"}
        return await upload(present(fields | self._weights()), "ref_audio", request.reference)

    async def _check_length(self, reference: Reference) -> None:
        try:
            seconds = (await asyncio.to_thread(probe, reference.audio)).duration
        except BadAudio as error:
            raise InvalidRequest(f"The reference audio can't be read: {error.message}", param="reference") from error
        low, high = REFERENCE_SECONDS
        if not low <= seconds <= high:
            raise UnsupportedOption(
                f"{self.label} clones from {low:g} to {high:g} seconds of reference audio; this one has {seconds:.1f}.",
                param="reference",
            )

    async def _explain(self, answer: Answer, languages: set[str]) -> None:
        """Everything else that this code stands for has been checked, so it is a language or a failure of the engine,
        which the backend reports as if the request were wrong."""
        spoken = (await self._told(self.config)).get("languages")
        unknown = sorted(languages - {"", *spoken}) if isinstance(spoken, list) and spoken else []
        if unknown:
            raise UnsupportedOption(f"The model of {self.config.name} has no {' or '.join(unknown)}.", param="language")
        try:
            answer.check()
        except UpstreamRejected as error:
            raise UpstreamFailed(error.message) from error

    def _weights(self) -> dict[str, OptionValue]:
        return {name: self.config.options.get(name, "") for name in _WEIGHTS}

    def _voice(self, profile: Profile) -> Voice:
        voice = super()._voice(profile)
        usable = "" if _can_be_answered(voice.id) else "can't be used: the backend answers Latin voice ids only"
        lost = "its recording is missing on the backend" if profile.get("has_reference_audio") is False else ""
        return replace(voice, description=" · ".join(filter(None, (voice.description, usable, lost))))

    async def _key_accepted(self, config: ProviderConfig) -> None:
        """There is no key. The lists are asked for all the same: one broken voice breaks them all."""
        try:
            async with self._exchange(config, "GET", "/v1/models") as answer:
                answer.check()
        except UpstreamFailed as error:
            hint = "One voice there may name a model preset that does not exist."
            raise UpstreamFailed(f"{error.message} {hint}") from error

    def _action_request(self, action: str) -> dict[str, Any]:
        """Loading needs a body, were it empty."""
        return {} if action == "unload" else {"json": present(self._weights())}


def _languages(request: SpeechRequest, default: str) -> dict[str, str]:
    """The two languages by the backend's names."""
    return {
        "text_lang": str(request.options.get("text_lang") or _language(request.language) or default),
        "prompt_lang": str(request.options.get("prompt_lang") or _language(request.prompt_language) or default),
    }


def _language(code: str) -> str:
    """Its name of a language such as zh-CN. UnsupportedOption for one that it does not speak."""
    wanted = code.strip().lower()
    for name in (wanted, wanted.replace("_", "-").partition("-")[0]):
        known = _ALIASES.get(name, name)
        if known in ("", *_LANGUAGES):
            return known
    raise UnsupportedOption(f"GPT-SoVITS does not speak “{code}”, but zh, en, ja, ko and yue.", param="language")


def _can_be_answered(voice_id: str) -> bool:
    """Any other id breaks the answer's headers, after the work is done."""
    return all(ord(letter) < 256 for letter in voice_id)
