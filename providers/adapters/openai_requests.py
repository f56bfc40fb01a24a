"""What a server with OpenAI's `audio/speech` is asked: only what is set, in the words that this server knows."""

from __future__ import annotations

from providers.adapters.openai_server import OPENAI_HOST, host_of
from providers.errors import UnsupportedOption
from providers.speech import AudioFormat, Option, OptionType, ProviderConfig, SpeechRequest, Voice

OPENAI_VOICES = tuple(
    Voice(name, name.capitalize(), description="Built in. OpenAI lists no voices, and some models lack this one.")
    for name in (
        *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer"),
        *("verse", "marin", "cedar"),
    )
)
PROVIDER_OPTIONS = (
    Option("model", "Model", help="Sent for characters that name no model."),
    Option(
        "language_field",
        "Name of the language field",
        OptionType.CHOICE,
        default="language",
        choices=("language", "lang_code"),
        help="OpenAI itself has none: leave a character's language empty there.",
    ),
    Option(
        "ask_for",
        "Format to ask for",
        OptionType.CHOICE,
        default="auto",
        choices=("auto", *AudioFormat),
        help="auto: whatever is wanted. Choose one that the server has, if it refuses others.",
    ),
    Option(
        "send_speed",
        "Send a speed of 1 too",
        OptionType.BOOLEAN,
        default=False,
        help="For servers with a speed of their own, such as openai-edge-tts. Strict ones may refuse it.",
    ),
)


def is_openai(config: ProviderConfig) -> bool:
    return host_of(config.base_url) == OPENAI_HOST


def sent_voice(config: ProviderConfig, voice: str) -> object:
    """A voice that the account at OpenAI has made is an object."""
    return {"id": voice} if is_openai(config) and voice.startswith("voice_") else voice


def asked_format(config: ProviderConfig, request: SpeechRequest) -> AudioFormat:
    chosen = config.options.get("ask_for")
    return AudioFormat(chosen) if chosen in list(AudioFormat) else request.format


def speech_body(config: ProviderConfig, request: SpeechRequest, asked: AudioFormat) -> dict[str, object]:
    """Strict servers refuse nulls and fields that they do not know. UnsupportedOption for what OpenAI would drop."""
    model = request.model or str(config.options.get("model") or "")
    if is_openai(config) and request.instructions and model.startswith("tts-1"):
        raise UnsupportedOption(f"OpenAI's {model} can't follow instructions.", param="instructions")
    fields: dict[str, object] = {
        "model": model,
        "input": request.text,
        "voice": sent_voice(config, request.voice),
        "instructions": request.instructions,
        str(config.options.get("language_field") or "language"): request.language,
        "response_format": asked.value,
        "speed": request.speed if request.speed != 1.0 or config.options.get("send_speed") else "",
    }
    return {name: value for name, value in fields.items() if value != ""}
