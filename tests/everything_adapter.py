"""A provider kind that only tests register: it declares one of everything, so that forms have all to show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from providers.adapters.base import Adapter
from providers.speech import (
    AudioFormat,
    Capabilities,
    Health,
    Option,
    OptionType,
    SpeechAudio,
    SpeechRequest,
    TaskMode,
    TaskModeFields,
    Voice,
)


class EverythingAdapter(Adapter):
    label = "Everything <kind>"
    capabilities = Capabilities(
        task_modes={
            TaskMode.PRESET: TaskModeFields(required=frozenset({"voice"}), optional=frozenset({"model"})),
            TaskMode.CLONE: TaskModeFields(
                required=frozenset({"reference"}), optional=frozenset({"prompt_text", "prompt_language", "language"})
            ),
            TaskMode.DESIGN: TaskModeFields(required=frozenset({"instruction"})),
        },
        formats=frozenset({AudioFormat.WAV}),
        needs_base_url=True,
        needs_key=True,
        default_concurrency=7,
        provider_options=(
            Option("region", "Region", OptionType.CHOICE, default="north", choices=("north", "south")),
            Option("retries", "Retries", OptionType.INTEGER, default=2, minimum=0, maximum=5, help="0 <= n <= 5"),
            Option("warm", "Keep it warm", OptionType.BOOLEAN, default=True),
            Option("title", "Title", OptionType.TEXT),
        ),
        character_options=(
            Option("temperature", "Temperature", OptionType.NUMBER, default=0.8, minimum=0.0, maximum=2.0),
            Option("seed", "Seed", OptionType.INTEGER),
        ),
    )

    @classmethod
    def unavailable(cls) -> str:
        return "It needs a machine that does not exist."

    @asynccontextmanager
    async def speak(self, request: SpeechRequest) -> AsyncIterator[SpeechAudio]:
        yield SpeechAudio(chunks=_nothing(), format=AudioFormat.WAV)

    async def voices(self) -> list[Voice]:
        return []

    async def health(self) -> Health:
        return Health(reachable=False, reason=self.unavailable())


async def _nothing() -> AsyncIterator[bytes]:
    yield b""
