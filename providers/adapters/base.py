"""The contract that every adapter keeps. Adapters import no Django and share nothing that changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import httpx

from providers.speech import Capabilities, Health, Model, ProviderConfig, SpeechAudio, SpeechRequest, Voice


class Adapter(ABC):
    """One provider kind. An instance serves one provider's configuration on one event loop, many calls at once.

    Every method raises only `providers.errors.SpeechError`; cancelling a call ends what it started.
    """

    label: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    def __init__(self, config: ProviderConfig, client: httpx.AsyncClient) -> None:
        self.config = config
        self.client = client

    @classmethod
    def unavailable(cls) -> str:
        """Why this kind can't work on this machine, with what to do about it; empty when it can."""
        return ""

    @abstractmethod
    def speak(self, request: SpeechRequest) -> AbstractAsyncContextManager[SpeechAudio]:
        """Speak one text. Entering starts the work and waits for the answer to begin; leaving frees it."""

    @abstractmethod
    async def voices(self) -> list[Voice]: ...

    async def models(self) -> list[Model]:
        return []

    @abstractmethod
    async def health(self) -> Health: ...

    async def close(self) -> None:
        """Give back what the adapter keeps between calls; the client belongs to its maker.

        What still speaks through it speaks to its end, and a later call still works: the pieces of a long text are
        calls of their own.
        """
        return None


class BackendLogs(ABC):
    """An adapter whose backend shows its log."""

    @abstractmethod
    async def logs(self, lines: int) -> str:
        """The newest lines of the backend's log, newest first."""


class ModelControl(ABC):
    """An adapter whose backend can load and unload its model."""

    actions: ClassVar[tuple[str, ...]]
    """Of "load", "unload", "reload": those that the backend has."""

    @abstractmethod
    async def act(self, action: str) -> None: ...


class VoiceRegistry(ABC):
    """An adapter whose backend keeps voices that we may list, read, create and delete."""

    @abstractmethod
    async def registered_voices(self) -> list[dict[str, object]]: ...

    @abstractmethod
    async def registered_voice(self, voice_id: str) -> dict[str, object]:
        """VoiceNotFound when there is none."""

    @abstractmethod
    async def register_voice(self, voice_id: str, profile: dict[str, object]) -> None:
        """Create the voice, or change the fields that are given."""

    @abstractmethod
    async def delete_voice(self, voice_id: str) -> None:
        """VoiceNotFound when there is none."""
