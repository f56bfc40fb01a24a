"""The registry: kind -> the adapter's place. A new provider kind adds one line here."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from providers.adapters.base import Adapter

_KINDS = {
    "azure": "providers.adapters.azure.AzureAdapter",
    "chat_completions": "providers.adapters.chat_completions.ChatCompletionsAdapter",
    "cosyvoice": "providers.adapters.cosyvoice.CosyVoiceAdapter",
    "embedded": "providers.adapters.embedded.EmbeddedAdapter",
    "gemini": "providers.adapters.gemini.GeminiAdapter",
    "gpt_sovits": "providers.adapters.gpt_sovits.GPTSoVITSAdapter",
    "openai": "providers.adapters.openai.OpenAIAdapter",
    "system": "providers.adapters.system.SystemAdapter",
    "voxcpm": "providers.adapters.voxcpm.VoxCPMAdapter",
}


def kinds() -> Iterator[str]:
    return iter(_KINDS)


def adapter_class(kind: str) -> type[Adapter]:
    """The adapter of a kind; KeyError for a kind that no line registers."""
    module_name, _, class_name = _KINDS[kind].rpartition(".")
    found: type[Adapter] = getattr(import_module(module_name), class_name)
    return found
