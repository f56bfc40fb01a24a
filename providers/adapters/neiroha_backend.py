"""What Neiroha's own local backends share: a root address, routes with older names, WAV answers, health, logs."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, ClassVar

import httpx

from providers.adapters.base import Adapter, BackendLogs, ModelControl
from providers.adapters.listing import parse_models
from providers.adapters.receiving import received_audio
from providers.errors import (
    InvalidRequest,
    SpeechError,
    UnsupportedOption,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamUnauthorized,
    VoiceNotFound,
)
from providers.http import Answer, answered, bearer, exchange
from providers.speech import (
    AudioFormat,
    Health,
    Model,
    OptionValue,
    ProviderConfig,
    Reference,
    SpeechAudio,
    SpeechRequest,
    TaskMode,
    Voice,
)

# Less than the callers of `health` wait, so that it can say why.
HEALTH_SECONDS = 10.0
LOG_LINES = 1000
_LINE_CHARACTERS = 200
_SHARED_PORT = "Both use port 9880, and the one that finds it taken moves to another port."
_ENDS = ("/audio/speech", "/v1")

Profile = dict[str, Any]


class NeirohaBackend(Adapter, BackendLogs):
    """`backend_id` is the name in `/health` and in audio headers; routes are named newest first."""

    backend_id: ClassVar[str]
    voice_routes: ClassVar[tuple[str, ...]]
    log_routes: ClassVar[tuple[str, ...]]
    voice_set_field: ClassVar[str] = "model"
    names_fold: ClassVar[bool] = False

    def __init__(self, config: ProviderConfig, client: httpx.AsyncClient) -> None:
        super().__init__(config, client)
        root = config.base_url.strip().partition("#")[0].partition("?")[0].rstrip("/")
        for end in _ENDS:
            root = root.removesuffix(end).rstrip("/")
        self._root = root

    # Lists.

    async def models(self) -> list[Model]:
        """The voice sets; the backends refuse the ids of their model presets here."""
        async with self._ask("GET", "/v1/models") as answer:
            answer.check()
            return parse_models(await answer.json())

    async def voices(self) -> list[Voice]:
        """Each id once; a voice that is in several voice sets names none."""
        voices: dict[str, Voice] = {}
        for voice in map(self._voice, await self._profiles()):
            known = voices.get(voice.id, voice)
            voices[voice.id] = voice if known.model == voice.model else replace(known, model="")
        voices.pop("", None)
        return list(voices.values())

    async def logs(self, lines: int) -> str:
        limit = min(max(lines, 1), LOG_LINES)
        async with self._ask("GET", *self.log_routes, params={"limit": limit}) as answer:
            answer.check()
            return (await answer.read()).decode("utf-8", "replace")

    def _voice(self, profile: Profile) -> Voice:
        id = line(profile, "id")
        return Voice(
            id=id,
            name=line(profile, "display_name", "name") or id,
            language=line(profile, "text_lang", "language"),
            description=line(profile, "description"),
            model=line(profile, self.voice_set_field),
            task_mode=TaskMode.PRESET,
        )

    async def _profiles(self) -> list[Profile]:
        async with self._ask("GET", *self.voice_routes) as answer:
            answer.check()
            listed = await answer.json()
        profiles = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(profiles, list):
            raise UpstreamFailed(f"{self.config.name} did not answer with a list of voices.")
        return [profile for profile in profiles if isinstance(profile, dict)]

    async def _profile(self, request: SpeechRequest) -> Profile:
        """The registered voice that is asked for, by id or else by name. VoiceNotFound when none is listed."""
        wanted, profiles = self._folded(request.voice), await self._profiles()
        named = (
            [profile for profile in profiles if self._folded(line(profile, key)) == wanted]
            for key in ("id", "display_name", "name")
        )
        found = next(filter(None, named), [])
        for profile in found:
            if not request.model or self._folded(line(profile, self.voice_set_field)) == self._folded(request.model):
                return profile
        place = f" in its voice set “{request.model}”" if request.model else ""
        others = ", ".join(f"“{line(profile, self.voice_set_field)}”" for profile in found)
        hint = f" It is in {others}." if others else ""
        raise VoiceNotFound(f"{self.config.name} has no voice “{request.voice}”{place}.{hint}", param="voice")

    def _folded(self, name: str) -> str:
        return name.strip().casefold() if self.names_fold else name

    # Speech.

    async def _audio(self, answer: Answer) -> SpeechAudio:
        """The speech of an answer that was asked for as WAV, since all else needs ffmpeg over there or is refused."""
        if answer.status == 404 and error_code(answer) == "invalid_reference_audio":
            raise UpstreamRejected(f"{self.config.name} can't find the recording of this voice on its own disk.")
        answer.check()
        sender = str(answer.headers.get("x-neiroha-backend", self.backend_id))
        if sender != self.backend_id:
            raise UpstreamRejected(self._wrong_backend(sender))
        audio = await received_audio(answer, self.config, AudioFormat.WAV)
        audio.headers = {name: value for name, value in audio.headers.items() if name != "x-neiroha-output-path"}
        return audio

    def _refuse_options(self, request: SpeechRequest, names: frozenset[str], where: str) -> None:
        """UnsupportedOption for options that the backend would drop in silence."""
        if given := sorted(names & request.options.keys()):
            raise UnsupportedOption(f"{self.label} has no {', '.join(given)} {where}: empty these options.")

    # Requests.

    @asynccontextmanager
    async def _ask(self, method: str, *routes: str, **request: Any) -> AsyncIterator[Answer]:
        """The answer of the first route that exists. UpstreamRejected, saying what answers there, when none does."""
        async with self._exchange(self.config, method, *routes, **request) as answer:
            if self._lacks_route(answer):
                raise await self._misplaced()
            yield answer

    @asynccontextmanager
    async def _exchange(
        self, config: ProviderConfig, method: str, *routes: str, **request: Any
    ) -> AsyncIterator[Answer]:
        headers = bearer(config) | request.pop("headers", {})
        for route in routes:
            async with exchange(self.client, config, method, self._root + route, headers=headers, **request) as answer:
                if route == routes[-1] or not self._lacks_route(answer):
                    yield answer
                    return

    def _lacks_route(self, answer: Answer) -> bool:
        """An unknown route has no code, or over VoxCPM2 that of an unknown voice. With 404, a voice's own route is the
        only one asked here that means it."""
        return answer.status in (404, 405) and error_code(answer) in ("", "voice_not_found")

    async def _misplaced(self) -> UpstreamRejected:
        health = await self.health()
        outdated = f"{self.config.name} has no such route: update {self.label} or check the base URL."
        return UpstreamRejected(health.reason or outdated)

    # Health.

    async def health(self) -> Health:
        quick = replace(self.config, timeout=min(self.config.timeout, HEALTH_SECONDS))
        try:
            told = await self._told(quick)
        except SpeechError as error:
            return Health(answered(error), error.message)
        found = _backend_of(told)
        if found != self.backend_id:
            return Health(True, self._wrong_backend(found), right_kind=False)
        health = Health(True, right_kind=True, model_loaded=_loaded(told), admin_url=_admin_url(told))
        try:
            return replace(health, key_accepted=await self._key_accepted(quick))
        except UpstreamUnauthorized as error:
            return replace(health, reason=f"{error.message} Enter the key of {self.label}.", key_accepted=False)
        except SpeechError as error:
            return replace(health, reason=error.message)

    @abstractmethod
    async def _key_accepted(self, config: ProviderConfig) -> bool | None:
        """Asks a protected route, as `/health` is open to everybody. None where the backend has no keys."""

    async def _told(self, config: ProviderConfig) -> Profile:
        """What `/health` says; nothing when it is not the health of any such backend."""
        async with self._exchange(config, "GET", "/health", "/api/health") as answer:
            if answer.status in (404, 405):
                return {}
            answer.check()
            with suppress(ValueError, RecursionError):
                told = json.loads(await answer.read())
                return told if isinstance(told, dict) else {}
            return {}

    def _wrong_backend(self, found: str) -> str:
        other = _LABELS.get(found, "another server")
        shared = f" {_SHARED_PORT}" if {found, self.backend_id} <= _ON_9880 else ""
        return (
            f"{other} answers at the address of {self.config.name}, not {self.label}.{shared}"
            f" Enter the address that {self.label} names when it starts."
        )


class LoadableBackend(NeirohaBackend, ModelControl):
    """A backend that can be told to load and unload the model that it was started with."""

    actions = ("load", "unload", "reload")
    action_roots: ClassVar[tuple[str, ...]]

    async def act(self, action: str) -> None:
        if action not in self.actions:
            raise InvalidRequest(f"{self.label} can't {action}.", param="action")
        routes = (f"{root}/{action}" for root in self.action_roots)
        async with self._ask("POST", *routes, **self._action_request(action)) as answer:
            answer.check()

    def _action_request(self, action: str) -> dict[str, Any]:
        return {}


_LABELS = {"cosyvoice3": "CosyVoice3", "gpt-sovits": "GPT-SoVITS", "voxcpm": "VoxCPM2"}
_ON_9880 = {"cosyvoice3", "gpt-sovits"}


def _backend_of(told: Profile) -> str:
    """VoxCPM2 is the only one that does not name itself."""
    if named := line(told, "backend"):
        return named
    return "voxcpm" if {"asr_enabled", "model_loaded"} <= told.keys() else ""


def _loaded(told: Profile) -> bool | None:
    loaded = told.get("model_loaded", told.get("loaded"))
    return loaded if isinstance(loaded, bool) else None


def _admin_url(told: Profile) -> str:
    """Only a web address, since it becomes a link."""
    url = line(told, "admin_url")
    return url if url.startswith(("http://", "https://")) else ""


def line(members: Mapping[str, Any], *names: str) -> str:
    """The first member that is a usable line of text, else nothing."""
    for name in names:
        value = members.get(name)
        if isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= _LINE_CHARACTERS:
            return value
    return ""


def error_code(answer: Answer) -> str:
    """The backends' own error code; empty for errors of their web framework."""
    if answer.ok:
        return ""
    with suppress(ValueError, RecursionError):
        match json.loads(answer.head):
            case {"error": {"code": str(code)}}:
                return code
    return ""


def present(fields: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    """Without what is empty: the backends refuse nulls, and take an empty value for a wish."""
    return {name: value for name, value in fields.items() if value != ""}


async def upload(fields: Mapping[str, OptionValue], part: str, reference: Reference) -> dict[str, Any]:
    """A multipart request for `exchange`, as bytes: such a body can be sent again on a fresh connection."""
    return await asyncio.to_thread(_multipart, fields, part, reference)


def _multipart(fields: Mapping[str, OptionValue], part: str, reference: Reference) -> dict[str, Any]:
    data = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in fields.items()}
    files = {part: (reference.filename, reference.audio, "audio/wav")}
    request = httpx.Request("POST", "http://localhost", data=data, files=files)
    return {"headers": {"content-type": request.headers["content-type"]}, "content": request.read()}
