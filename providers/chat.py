"""Asking a chat model behind an OpenAI-compatible endpoint for an answer in JSON.

Nothing here knows what is asked. Failures are of the one family; a server that refuses JSON mode is asked once more
without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from providers.adapters.completions import choices_of
from providers.errors import ProviderUnavailable, UpstreamFailed, UpstreamRejected
from providers.http import Answer, bearer, exchange, scrubbed
from providers.speech import ProviderConfig

PATH = "/chat/completions"
# Of a whole answer; what is asked for here takes a hundredth of it.
ANSWER_BYTES = 512 * 1024
# Statuses of servers that do not know `response_format`, or not this one.
_REFUSALS = (400, 422)
# Where JSON may begin in an answer that is mostly words.
_MOST_BEGINNINGS = 500


class AnswerFormat(StrEnum):
    SCHEMA = "json_schema"
    OBJECT = "json_object"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`schema` is a JSON schema of the answer, which is one object; `instructions` tell of it in words too."""

    instructions: str
    text: str
    schema: Mapping[str, Any]
    model: str = ""
    format: AnswerFormat = AnswerFormat.OBJECT


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """`json_refused`: the server would not answer in this format, and was asked for plain text."""

    text: str
    json_refused: bool = False


async def complete(client: httpx.AsyncClient, config: ProviderConfig, request: ChatRequest) -> ChatAnswer:
    """One answer. ProviderError; never what is not an answer to its end."""
    if config.problem:
        raise ProviderUnavailable(config.problem)
    if request.format is not AnswerFormat.TEXT:
        async with _asked(client, config, request, request.format) as answer:
            if answer.status not in _REFUSALS:
                return ChatAnswer(await _words(answer, config))
    async with _asked(client, config, request, AnswerFormat.TEXT) as answer:
        return ChatAnswer(await _words(answer, config), json_refused=request.format is not AnswerFormat.TEXT)


def _asked(
    client: httpx.AsyncClient, config: ProviderConfig, request: ChatRequest, format: AnswerFormat
) -> AbstractAsyncContextManager[Answer]:
    messages = [{"role": "system", "content": request.instructions}, {"role": "user", "content": request.text}]
    body: dict[str, Any] = {"model": request.model, "messages": messages}
    if format is AnswerFormat.SCHEMA:
        body["response_format"] = {
            "type": format.value,
            "json_schema": {"name": "answer", "strict": True, "schema": request.schema},
        }
    elif format is AnswerFormat.OBJECT:
        body["response_format"] = {"type": format.value}
    url = config.base_url.rstrip("/").removesuffix(PATH) + PATH
    return exchange(client, config, "POST", url, json=body, headers=bearer(config))


async def _words(answer: Answer, config: ProviderConfig) -> str:
    answer.check()
    try:
        completion = json.loads(await answer.read(ANSWER_BYTES))
    except (ValueError, RecursionError) as error:
        raise UpstreamFailed(f"{config.name} did not answer with JSON.") from error
    choice = next(iter(choices_of(completion, config)), None)
    message = choice.get("message") if choice else None
    if choice is None or not isinstance(message, dict):
        raise UpstreamFailed(f"{config.name} sent something that is not a chat completion.")
    if isinstance(refused := message.get("refusal"), str) and refused:
        raise UpstreamRejected(scrubbed(f"{config.name} refused: {refused}", config))
    match choice.get("finish_reason"):
        case "content_filter":
            raise UpstreamRejected(f"The content filter of {config.name} refused the text.")
        case "length":
            raise UpstreamRejected(f"{config.name} stopped in the middle of its answer: send it less text at once.")
    return _content(message.get("content"))


def _content(content: object) -> str:
    """Some servers give a list of parts in place of a text."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, fences and words around them or not. An outer one that is broken gives way to those
    in it. Takes a while on a hostile text, so not for the event loop."""
    decoder = json.JSONDecoder()
    # What a reasoning model thinks aloud may hold drafts.
    text = text.rpartition("</think>")[2]
    at = -1
    for _beginning in range(_MOST_BEGINNINGS):
        at = text.find("{", at + 1)
        if at < 0:
            return
        with suppress(ValueError, RecursionError):
            found, end = decoder.raw_decode(text, at)
            at = end - 1
            yield found
