"""Neiroha's VoxCPM2 backend: registered voices, clones, ultimate clones and designed voices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from providers.adapters.base import VoiceRegistry
from providers.adapters.neiroha_backend import LoadableBackend, Profile, line, present, upload
from providers.errors import InvalidRequest, UnsupportedOption, UpstreamRejected, VoiceNotFound
from providers.speech import (
    AudioFormat,
    Capabilities,
    Option,
    OptionType,
    OptionValue,
    ProviderConfig,
    SpeechAudio,
    SpeechRequest,
    TaskMode,
    TaskModeFields,
)

_SPEECH = ("/api/voxcpm/tts", "/voxcpm/speech")
_UPLOAD = ("/api/voxcpm/tts/upload", "/voxcpm/speech/upload")
_VOICES = ("/api/voxcpm/voices", "/voxcpm/voices")
_CAPABILITIES = ("/api/voxcpm/capabilities", "/voxcpm/capabilities")
# Ids are folders over there. Spaces would be changed, separators are refused with a broken connection.
_FORBIDDEN_IN_IDS = frozenset('/\\<>:"|?* ')
# Paths to recordings are left out: they would be files of the backend's machine.
_PROFILE_FIELDS = frozenset(
    {"name", "display_name", "model", "voice_set", "mode", "instruction", "description"}
    | {"language", "text_lang", "prompt_lang", "cfg_value", "inference_timesteps", "normalize", "denoise"}
)
# The backend takes this name for no voice at all, even where one is registered under it.
_NO_VOICE = "default"
_SWITCH = ("on", "off")


class VoxCPMAdapter(LoadableBackend, VoiceRegistry):
    label = "VoxCPM2"
    backend_id = "voxcpm"
    voice_routes = _VOICES
    log_routes = ("/api/voxcpm/logs", "/voxcpm/logs")
    action_roots = ("/api/voxcpm", "/voxcpm")
    capabilities = Capabilities(
        task_modes={
            TaskMode.PRESET: TaskModeFields(frozenset({"voice"}), frozenset({"model", "instruction"})),
            TaskMode.CLONE: TaskModeFields(frozenset({"reference"}), frozenset({"prompt_text", "instruction"})),
            TaskMode.DESIGN: TaskModeFields(frozenset({"instruction"})),
        },
        # It takes a speed and ignores it.
        speed=None,
        formats=frozenset({AudioFormat.WAV}),
        instructions=True,
        needs_base_url=True,
        piece_characters=600,
        default_concurrency=1,
        character_options=(
            Option(
                "clone_mode",
                "Way of cloning",
                OptionType.CHOICE,
                choices=("clone", "ultimate_clone"),
                help="Ultimate continues the recording and needs its words, but follows no instruction. "
                "By default it is used where there are words and no instruction.",
            ),
            Option(
                "auto_asr",
                "Let the backend hear the recording's words",
                OptionType.BOOLEAN,
                default=False,
                help="For ultimate clones without a prompt text; the backend must run with speech recognition.",
            ),
            Option("cfg_value", "Guidance (CFG)", OptionType.NUMBER, minimum=0.1, maximum=10.0),
            Option("inference_timesteps", "Inference steps", OptionType.INTEGER, minimum=1, maximum=100),
            Option("normalize", "Normalise the text", OptionType.CHOICE, choices=_SWITCH),
            Option("denoise", "Denoise the recording", OptionType.CHOICE, choices=_SWITCH),
        ),
    )

    @asynccontextmanager
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        routes, sent = await self._sent(request)
        async with self._ask("POST", *routes, **sent) as answer:
            yield await self._audio(answer)

    async def _sent(self, request: SpeechRequest) -> tuple[tuple[str, ...], dict[str, Any]]:
        common = {"text": request.text, "response_format": "wav", "instruction": request.instructions}
        fields = common | _controls(request)
        if request.task_mode is TaskMode.DESIGN:
            return _SPEECH, {"json": present(fields | {"mode": "design"})}
        if request.task_mode is TaskMode.PRESET:
            # Without a mode, so that the voice's own counts.
            return _SPEECH, {"json": present(fields | await self._registered(request))}
        if request.reference is None:
            raise InvalidRequest("Cloning needs reference audio.", param="reference")
        fields |= await self._cloning(request)
        part = "prompt_audio" if fields["mode"] == "ultimate_clone" else "reference_audio"
        return _UPLOAD, await upload(present(fields), part, request.reference)

    async def _registered(self, request: SpeechRequest) -> dict[str, OptionValue]:
        """Looked up each time: the backend answers an unknown voice with another one and no error."""
        profile = await self._profile(request)
        if request.instructions and profile.get("prompt_text"):
            raise UnsupportedOption(
                f"Voice “{request.voice}” continues a recording and can't follow instructions.", param="instructions"
            )
        return {"voice_id": line(profile, "id"), "model": line(profile, "model") if request.model else ""}

    async def _profiles(self) -> list[Profile]:
        return [profile for profile in await super()._profiles() if profile.get("id") != _NO_VOICE]

    async def _cloning(self, request: SpeechRequest) -> dict[str, OptionValue]:
        hears = bool(request.options.get("auto_asr")) and not request.prompt_text
        usual = "ultimate_clone" if (request.prompt_text or hears) and not request.instructions else "clone"
        mode = request.options.get("clone_mode") or usual
        if mode == "clone":
            # Words would turn it into an ultimate clone.
            return {"mode": mode}
        if request.instructions:
            raise UnsupportedOption("An ultimate clone can't follow instructions.", param="instructions")
        if hears:
            await self._require_recognition()
            return {"mode": mode, "auto_asr": True}
        if not request.prompt_text:
            raise InvalidRequest("An ultimate clone needs the words of its reference audio.", param="prompt_text")
        return {"mode": mode, "prompt_text": request.prompt_text}

    async def _require_recognition(self) -> None:
        if not (await self._told(self.config)).get("asr_enabled"):
            raise UnsupportedOption(
                f"{self.config.name} runs without speech recognition: enter the words of the reference audio.",
                param="prompt_text",
            )

    async def _key_accepted(self, config: ProviderConfig) -> bool:
        async with self._exchange(config, "GET", *_CAPABILITIES) as answer:
            answer.check()
            told = await answer.json()
        if not isinstance(told, dict) or told.get("object") != "voxcpm.capabilities":
            raise UpstreamRejected(self._wrong_backend(""))
        return True

    async def registered_voices(self) -> list[dict[str, object]]:
        return await super()._profiles()

    async def registered_voice(self, voice_id: str) -> dict[str, object]:
        for profile in await self.registered_voices():
            if profile.get("id") == voice_id:
                return profile
        raise VoiceNotFound(f"{self.config.name} has no voice “{voice_id}”.", param="voice_id")

    async def register_voice(self, voice_id: str, profile: dict[str, object]) -> None:
        if not _is_id(voice_id) or voice_id == _NO_VOICE:
            raise InvalidRequest(f"“{voice_id}” can't be a voice id: use letters, digits and -.", param="voice_id")
        if refused := sorted(profile.keys() - _PROFILE_FIELDS):
            raise UnsupportedOption(
                f"Can't be registered from here: {', '.join(refused)}. Recordings are sent with each request, by a"
                " character that clones, or are put on the backend's machine there.",
                param=refused[0],
            )
        sent = {name: value for name, value in profile.items() if value is not None}
        async with self._ask("POST", *_VOICES, json={"id": voice_id, **sent}) as answer:
            answer.check()

    async def delete_voice(self, voice_id: str) -> None:
        await self.registered_voice(voice_id)
        if not _is_id(voice_id):
            raise UnsupportedOption(f"{self.config.name} can't delete a voice with this id.", param="voice_id")
        routes = (f"{route}/{quote(voice_id, safe='')}" for route in _VOICES)
        async with self._exchange(self.config, "DELETE", *routes) as answer:
            if answer.status == 404:
                raise VoiceNotFound(f"{self.config.name} has no voice “{voice_id}” any more.", param="voice_id")
            answer.check()


def _is_id(voice_id: str) -> bool:
    return voice_id.isprintable() and voice_id.strip(".") != "" and not _FORBIDDEN_IN_IDS & set(voice_id)


def _controls(request: SpeechRequest) -> dict[str, OptionValue]:
    """What is set: a value that is sent beats the voice's own."""
    options = request.options
    numbers = {name: options[name] for name in ("cfg_value", "inference_timesteps") if name in options}
    return numbers | {name: options[name] == "on" for name in ("normalize", "denoise") if name in options}
