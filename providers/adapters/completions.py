"""What a chat completion answers, whole or in deltas: its sound, or why there is none."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from providers.adapters.chat_dialects import says_the_same
from providers.adapters.json_audio import Sound, decode_base64
from providers.errors import BadAudio, ProviderError, UpstreamFailed, UpstreamRejected
from providers.http import refusal, scrubbed
from providers.speech import ProviderConfig

# Errors inside a successful answer have only a name to tell what they are.
_STATUSES = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "slow_down": 429,
    "invalid_api_key": 401,
    "invalid_request_error": 400,
    "server_is_overloaded": 503,
}


async def completion_sounds(events: AsyncIterator[Any], text: str, config: ProviderConfig) -> AsyncIterator[Sound]:
    """The sound of every message or delta.

    Raises where there is none, where the answer does not come to a proper end, and where it says something else than
    `text`: before any sound when the answer is whole, after it when it came in deltas.
    """
    heard = _Heard()
    async for event in events:
        for choice in choices_of(event, config):
            if data := heard.take(choice):
                if heard.whole:
                    heard.check(text, config)
                yield Sound(await decode_base64(data, config))
    heard.check(text, config)


@dataclass(slots=True)
class _Heard:
    """What came so far."""

    words: str = ""
    transcript: str = ""
    reason: str = ""
    sound: bool = False
    whole: bool = False

    def take(self, choice: dict[str, Any]) -> object:
        """The base64 that it holds, empty when it holds none."""
        self.whole = isinstance(choice.get("message"), dict)
        message = _object(choice.get("message") if self.whole else choice.get("delta"))
        audio = _object(message.get("audio"))
        self.words += str(message.get("refusal") or message.get("content") or "")
        self.transcript += str(audio.get("transcript") or "")
        self.reason = str(choice.get("finish_reason") or self.reason or ("stop" if self.whole else ""))
        self.sound = self.sound or bool(audio.get("data"))
        return audio.get("data") or ""

    def check(self, text: str, config: ProviderConfig) -> None:
        if error := self._unfinished(config.name):
            raise error
        if not self.sound and self.words:
            raise UpstreamRejected(scrubbed(f"{config.name} answered with words, not with sound: {self.words}", config))
        if not self.sound:
            raise BadAudio(f"{config.name} answered without any sound.")
        if self.transcript and not says_the_same(text, self.transcript):
            said = f"{config.name} said something else than the text: “{self.transcript}”"
            raise BadAudio(scrubbed(said, config))

    def _unfinished(self, name: str) -> ProviderError | None:
        match self.reason:
            case "content_filter":
                return UpstreamRejected(f"The content filter of {name} refused the text.")
            case "length":
                return UpstreamRejected(f"{name} stopped before the end of the text: it is too long for one answer.")
            case "repetition_truncation":
                return UpstreamFailed(f"{name} broke off because its speech went in circles. Trying again can help.")
            case "":
                return UpstreamFailed(f"{name} ended its answer before the speech was finished.")
        return None


def choices_of(event: Any, config: ProviderConfig) -> list[dict[str, Any]]:
    if not isinstance(event, dict):
        raise UpstreamFailed(f"{config.name} sent something that is not a chat completion.")
    if error := event.get("error"):
        raise refusal(_status(_object(error)), {}, json.dumps(event).encode(), config)
    choices = event.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _status(error: dict[str, Any]) -> int:
    for name in map(str, (error.get("code"), error.get("type"))):
        if re.fullmatch("[45][0-9]{2}", name):
            return int(name)
        if name in _STATUSES:
            return _STATUSES[name]
    return 500


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
