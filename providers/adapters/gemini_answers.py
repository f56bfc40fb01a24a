"""What Gemini answers: sound, or the many ways in which a success holds none, and what its errors mean."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from typing import Any

from providers.adapters.json_audio import Sound, decode_base64
from providers.errors import (
    BadAudio,
    ProviderError,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamQuotaSpent,
    UpstreamRejected,
    UpstreamUnauthorized,
)
from providers.http import RETRY_AFTER_SECONDS, refusal, scrubbed
from providers.speech import PCM_SAMPLE_RATE, ProviderConfig

_REASONS = {
    "SAFETY": "its safety filter objects",
    "IMAGE_SAFETY": "its safety filter objects",
    "BLOCKLIST": "it holds forbidden words",
    "PROHIBITED_CONTENT": "its content is prohibited",
    "RECITATION": "it would recite protected text",
    "LANGUAGE": "it is in a language that the model does not speak",
    "SPII": "it holds personal data",
    "OTHER": "no reason was given",
}


class Unexplained(UpstreamFailed):
    """No sound and no reason; the same request mostly works a moment later."""


def gemini_refusal(
    status: int, headers: Mapping[str, str], body: bytes, config: ProviderConfig, model: str = ""
) -> ProviderError:
    """A wrong key is a 400 here, and the wait after a 429 stands in the body."""
    error = refusal(status, headers, body, config)
    details = _details(body)
    if any(detail.get("reason") == "API_KEY_INVALID" for detail in details):
        return UpstreamUnauthorized(error.message)
    if status != 429:
        return error
    quotas = [str(violation.get("quotaId")) for detail in details for violation in _objects(detail.get("violations"))]
    if daily := next((quota for quota in quotas if "PerDay" in quota), None):
        spent = f"{config.name} has spent today's quota of {model or 'this model'} ({daily})."
        hint = "It starts anew at midnight Pacific time; another model may still have some."
        return UpstreamQuotaSpent(scrubbed(f"{spent} {hint}", config))
    delays = [_seconds(detail.get("retryDelay")) for detail in details if "retryDelay" in detail]
    return UpstreamBusy(error.message, retry_after=delays[0] if delays else error.retry_after)


async def gemini_sounds(payloads: AsyncIterator[Any], config: ProviderConfig, model: str = "") -> AsyncIterator[Sound]:
    """The sound of a whole answer or of a stream's events; raises where it is missing, refused or cut short."""
    reason, words, heard = "", "", False
    async for payload in payloads:
        # Without `alt=sse` the events of a stream are one array.
        for response in payload if isinstance(payload, list) else [payload]:
            candidate = _candidate(response, config, model)
            reason = str(candidate.get("finishReason") or reason)
            if error := _broken_off(reason, heard, config):
                raise error
            for part in _objects(_object(candidate.get("content")).get("parts")):
                blob = _object(part.get("inlineData"))
                words += str(part.get("text") or "")
                if blob and not part.get("thought"):
                    heard = True
                    yield Sound(await decode_base64(blob.get("data"), config), _rate(str(blob.get("mimeType"))))
    if not reason:
        raise UpstreamFailed(f"{config.name} ended its answer before the speech was finished.")
    if not heard:
        said = f"with text in place of sound: {words}" if words else "without any sound."
        raise BadAudio(scrubbed(f"{config.name} answered {said}", config))


def _candidate(response: Any, config: ProviderConfig, model: str) -> dict[str, Any]:
    if not isinstance(response, dict):
        raise UpstreamFailed(f"{config.name} sent something that is not an answer of Gemini's.")
    if error := _object(response.get("error")):
        code = error.get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        raise gemini_refusal(status, {}, json.dumps(response).encode(), config, model)
    if blocked := _object(response.get("promptFeedback")).get("blockReason"):
        raise UpstreamRejected(_explained(str(blocked), config))
    return next(iter(_objects(response.get("candidates"))), {})


def _broken_off(reason: str, heard: bool, config: ProviderConfig) -> ProviderError | None:
    match reason:
        case "" | "STOP":
            return None
        case "MAX_TOKENS":
            return UpstreamRejected(f"{config.name} stopped before the end of the text: it is too long for one answer.")
        case "OTHER" if heard:
            return UpstreamFailed(f"{config.name} broke off in the middle of the text (OTHER).")
        case "OTHER":
            return Unexplained(f"{config.name} answered without any sound or reason (OTHER). Trying again can help.")
        case _:
            return UpstreamRejected(_explained(reason, config))


def _explained(reason: str, config: ProviderConfig) -> str:
    return scrubbed(f"{config.name} refused the text ({reason}): {_REASONS.get(reason, 'see its documents')}.", config)


def _rate(mime_type: str) -> int:
    stated = re.search(r"rate\s*=\s*(\d{4,6})\b", mime_type, re.IGNORECASE)
    return int(stated[1]) if stated else PCM_SAMPLE_RATE


def _seconds(delay: object) -> float | None:
    """Of "31s" or "3000.5s"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(delay))
    return min(float(match[1]), RETRY_AFTER_SECONDS) if match else None


def _details(body: bytes) -> list[dict[str, Any]]:
    with suppress(ValueError, RecursionError):
        payload = json.loads(body)
        first = next(_objects(payload), {}) if isinstance(payload, list) else _object(payload)
        return list(_objects(_object(first.get("error")).get("details")))
    return []


def _objects(value: object) -> Iterator[dict[str, Any]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
