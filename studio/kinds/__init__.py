"""The kinds of projects: one file and one line each."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from studio.kinds.base import Kind

_KINDS = {
    "dialogue": "studio.kinds.dialogue.Dialogue",
    "phase": "studio.kinds.phase.Phase",
    "novel": "studio.kinds.novel.Novel",
    "dub": "studio.kinds.dub.Dub",
}


def kinds() -> dict[str, type[Kind]]:
    return {name: kind(name) for name in _KINDS}


@cache
def kind(name: str) -> type[Kind]:
    """KeyError for a kind that this version doesn't have."""
    module, _, attribute = _KINDS[name].rpartition(".")
    found: type[Kind] = getattr(import_module(module), attribute)
    return found
