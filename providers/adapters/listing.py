"""Voice and model lists: how they are asked for, the many shapes that they come in, and what they prove."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import httpx

from providers.errors import SpeechError, UpstreamFailed
from providers.http import exchange
from providers.speech import Model, ProviderConfig, Voice

LIST_SECONDS = 15.0
_MAX_CHARACTERS = 200


def list_config(config: ProviderConfig) -> ProviderConfig:
    """For calls that take no time when all is well."""
    return replace(config, timeout=min(config.timeout, LIST_SECONDS))


async def key_is_proved(client: httpx.AsyncClient, config: ProviderConfig, url: str) -> bool | None:
    """Of a list that came with the key: True when it is refused without. None when anybody gets it, as that says
    nothing of the key."""
    if config.key.strip():
        with suppress(SpeechError):
            async with exchange(client, list_config(config), "GET", url) as answer:
                return True if answer.status in (401, 403) else None
    return None


def parse_voices(payload: object) -> list[Voice]:
    """Every voice once, in order; an empty list is no fault. UpstreamFailed when this is no list of voices.

    Takes `[...]`, `{"voices": [...]}` and `{"data": [...]}` of names or objects, `{"voices": null}` and `{}`.
    """
    voices: dict[str, Voice] = {}
    for entry in _entries(payload, ("data", "voices"), ("uploaded_voices",)):
        id = _first(entry, "id", "voice_id", "name")
        if id:
            voices.setdefault(id, _voice(id, entry))
    return list(voices.values())


def parse_models(payload: object) -> list[Model]:
    """As `parse_voices`, of `{"data": [...]}` and `{"models": [...]}`."""
    models: dict[str, Model] = {}
    for entry in _entries(payload, ("data", "models")):
        id = _first(entry, "id", "name")
        if id:
            models.setdefault(id, Model(id, _first(entry, "name")))
    return list(models.values())


def _entries(payload: object, names: tuple[str, ...], more: tuple[str, ...] = ()) -> Iterator[dict[str, object]]:
    """The entries under the first of `names` that has any, then those under each of `more`."""
    if isinstance(payload, list):
        lists: list[object] = [payload]
    elif isinstance(payload, dict) and (not payload or any(name in payload for name in names)):
        lists = [
            next((payload[name] for name in names if payload.get(name)), []),
            *(payload.get(name) for name in more),
        ]
    else:
        raise UpstreamFailed("The answer is not a list in a known shape.")
    for entries in lists:
        for entry in entries if isinstance(entries, list) else ():
            yield entry if isinstance(entry, dict) else {"id": entry}


def _voice(id: str, entry: dict[str, object]) -> Voice:
    return Voice(
        id=id,
        name=_first(entry, "name", "label", "display_name") or id,
        language=_first(entry, "language", "lang", "locale", "language_code", "lang_code"),
        gender=_first(entry, "gender"),
        description=_first(entry, "description"),
    )


def _first(entry: dict[str, object], *names: str) -> str:
    """The first member that is a usable line of text or a number; empty when none is."""
    for name in names:
        value = entry.get(name)
        text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
        if text and text.isprintable() and len(text) <= _MAX_CHARACTERS:
            return text
    return ""
