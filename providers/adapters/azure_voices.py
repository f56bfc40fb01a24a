"""Azure's list of voices: several hundred entries, each with its styles and roles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from providers.errors import UpstreamFailed
from providers.speech import Voice


@dataclass(frozen=True, slots=True)
class ListedVoice:
    voice: Voice
    roles: tuple[str, ...]


def parse_azure_voices(payload: Any) -> Iterator[ListedVoice]:
    """UpstreamFailed when this is not the list."""
    if not isinstance(payload, list):
        raise UpstreamFailed("The answer is not a list of Azure's voices.")
    for item in payload:
        if isinstance(item, dict) and isinstance(item.get("ShortName"), str):
            yield _entry(item)


def _entry(item: dict[str, Any]) -> ListedVoice:
    """Ids are taken byte for byte: some have held Cyrillic letters that look Latin."""
    roles = _texts(item.get("RolePlayList"))
    notes = [item.get("LocaleName"), item.get("VoiceType"), item.get("Status") if item.get("Status") != "GA" else ""]
    if roles:
        notes.append(f"roles: {', '.join(roles)}")
    voice = Voice(
        id=item["ShortName"],
        name=str(item.get("DisplayName") or item.get("LocalName") or item["ShortName"]),
        language=str(item.get("Locale") or ""),
        gender=str(item.get("Gender") or "").lower(),
        description=", ".join(str(note) for note in notes if note),
        styles=_texts(item.get("StyleList")),
    )
    return ListedVoice(voice, roles)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
