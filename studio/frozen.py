"""What a take is spoken with, frozen when it is asked for, so that later changes of the character don't reach it.

Stored as JSON in `Take.made_with_json` and read nowhere but here. The provider's address, key and limits are not part
of it: they are those of the moment at which it is spoken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from banks.roster import Speaker
from providers.speech import OptionValue, ProviderConfig, TaskMode


@dataclass(frozen=True, slots=True)
class FrozenVoice:
    """A character's values. `reference` is a name in the private storage."""

    name: str
    bank: str
    provider_id: int
    provider: str
    kind: str
    task_mode: TaskMode = TaskMode.PRESET
    model: str = ""
    voice: str = ""
    reference: str = ""
    prompt_text: str = ""
    prompt_language: str = ""
    language: str = ""
    instruction: str = ""
    speed: float = 1.0
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    fallback: FrozenVoice | None = None

    @classmethod
    def of(cls, speaker: Speaker) -> Self:
        provider = speaker.provider
        return cls(
            provider_id=provider.id,
            provider=provider.name,
            kind=provider.kind,
            fallback=cls.of(speaker.fallback) if speaker.fallback else None,
            **{name: getattr(speaker, name) for name in _SAME},
        )

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        values = {each.name: stored[each.name] for each in fields(cls) if each.name in stored}
        fallback = cls.read(stored["fallback"]) if stored.get("fallback") else None
        return cls(**values | {"task_mode": TaskMode(values["task_mode"]), "fallback": fallback})

    def speaker(self, config_of: Callable[[FrozenVoice], ProviderConfig | None]) -> Speaker | None:
        """With the provider as it is now; None where there is none any more. A fallback may be missing."""
        config = config_of(self)
        if config is None:
            return None
        return Speaker(
            id="",
            provider=config,
            fallback=self.fallback.speaker(config_of) if self.fallback else None,
            **{name: getattr(self, name) for name in _SAME},
        )


# What a speaker and its frozen values name alike.
_SAME = tuple(
    each.name for each in fields(FrozenVoice) if each.name not in ("provider_id", "provider", "kind", "fallback")
)


@dataclass(frozen=True, slots=True)
class MadeWith:
    """`speed` multiplies the voice's own, and `instruction`, unless it is empty, replaces it: as in Wish."""

    voice: FrozenVoice
    speed: float = 1.0
    instruction: str = ""

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        return cls(FrozenVoice.read(stored["voice"]), float(stored["speed"]), stored["instruction"])

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


# A character's other name, bank or fallback does not change how it sounds.
_NOT_HEARD = ("name", "bank", "provider", "fallback")


def content_hash(spoken: str, made_with: MadeWith, format: str) -> str:
    """The same for takes that sound the same: of the text as it is sent, the voice's values and the format."""
    values = made_with.as_json()
    voice = {name: value for name, value in values.pop("voice").items() if name not in _NOT_HEARD}
    heard = json.dumps([spoken, voice, values, str(format)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(heard.encode("utf-8", "surrogatepass")).hexdigest()
