"""A strict server of chat completions in words, written from OpenAI's reference: it tells who speaks by simple rules,
or says whatever it is told to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.upstreams import common
from tests.upstreams.common import CutOff, Received, Refusal, Send

MODEL = "reader-1"
_FIELDS = frozenset({"model", "messages", "response_format"})
_SAID = re.compile(r"(?:said|asked) (\w+)|(\w+) (?:said|asked)")


@dataclass(slots=True)
class Switches(common.Switches):
    prefix: str = "/v1"
    formats: tuple[str, ...] = ("json_object", "json_schema")
    """The kinds of `response_format` that it knows."""
    refusal_status: int = 400
    """Of a format that it does not know."""
    content: str | list[str] | None = None
    """What it says in place of its own answer; of a list, one each time."""
    finish: str = "stop"
    message: dict[str, Any] | None = None
    """Members of the answer's message, in place of the true ones."""
    raw: bytes | None = None
    """The whole body of a successful answer."""
    cut: bool = False
    """Break the connection in the middle of an answer."""


class ChatModelUpstream(common.Upstream):
    switches: Switches

    def __init__(self, **switches: Any) -> None:
        super().__init__()
        self.switches = Switches(**switches)
        self.think: Callable[[dict[str, Any]], str] = told_by_words

    @property
    def asked(self) -> list[Any]:
        """The bodies of the completions that were asked for."""
        return [request.json() for request in self.requests if request.method == "POST"]

    @property
    def passages(self) -> list[dict[str, Any]]:
        """What the questions were about."""
        return [json.loads(body["messages"][-1]["content"]) for body in self.asked]

    async def route(self, request: Received, send: Send) -> None:
        if request.path != f"{self.switches.prefix}/chat/completions":
            raise Refusal(404, f"Invalid URL ({request.method} {request.path})")
        if request.method != "POST":
            raise Refusal(405, "Method Not Allowed")
        given = request.headers.get("authorization", "")
        if self.switches.key and given != f"Bearer {self.switches.key}":
            # Some imitators show all of the key.
            raise Refusal(401, f"Incorrect API key provided: {given}", code="invalid_api_key")
        body = checked(request)
        self._check_format(body)
        content = self._content(body)
        if self.switches.raw is not None:
            await self.send(send, 200, {"content-type": "application/json"}, self.switches.raw)
        elif self.switches.cut:
            half = json.dumps(self._completion(content)).encode()[:40]
            headers = [(b"content-type", b"application/json"), (b"content-length", b"4000")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": half, "more_body": True})
            raise CutOff
        else:
            await self.send_json(send, self._completion(content))

    def _check_format(self, body: dict[str, Any]) -> None:
        kind = body.get("response_format", {}).get("type", "")
        if not kind:
            return
        if kind not in self.switches.formats:
            raise Refusal(
                self.switches.refusal_status, "'response_format' is not supported here.", param="response_format"
            )
        if kind == "json_object" and not any("JSON" in message["content"] for message in body["messages"]):
            raise Refusal(400, "'messages' must contain the word 'json' in some form.", param="messages")
        if kind == "json_schema" and not is_strict_schema(body["response_format"]["json_schema"]):
            raise Refusal(400, "Invalid schema for response_format.", param="response_format")

    def _content(self, body: dict[str, Any]) -> str:
        told = self.switches.content
        if isinstance(told, list):
            return told.pop(0)
        if told is not None:
            return told
        if "passage" not in body["messages"][-1]["content"]:
            return '{"ok": true}'
        return self.think(json.loads(body["messages"][-1]["content"]))

    def _completion(self, content: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": content, "refusal": None, **(self.switches.message or {})}
        choice = {"index": 0, "finish_reason": self.switches.finish, "message": message, "logprobs": None}
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_795_000_000,
            "model": MODEL,
            "choices": [choice],
            "usage": usage,
        }


def checked(request: Received) -> dict[str, Any]:
    try:
        body: dict[str, Any] = request.json()
    except ValueError:
        raise Refusal(400, "We could not parse the JSON body of your request.") from None
    if unknown := body.keys() - _FIELDS:
        raise Refusal(400, f"Unrecognized request argument supplied: {unknown}")
    if body.get("model") != MODEL:
        raise Refusal(404, f"The model `{body.get('model')}` does not exist.", code="model_not_found")
    messages = body.get("messages")
    shapes = isinstance(messages, list) and [(sorted(one), one["role"], type(one["content"])) for one in messages]
    if shapes != [(["content", "role"], "system", str), (["content", "role"], "user", str)]:
        raise Refusal(400, "Invalid type for 'messages'.", param="messages")
    return body


def is_strict_schema(named: dict[str, Any]) -> bool:
    """As OpenAI wants it with `strict`: objects that name and require all of their members."""

    def strict(schema: dict[str, Any]) -> bool:
        if schema.get("type") == "array":
            return strict(schema["items"])
        if schema.get("type") != "object":
            return True
        members = schema["properties"]
        return (
            schema.get("additionalProperties") is False
            and schema.get("required") == list(members)
            and all(map(strict, members.values()))
        )

    return bool(named.get("name")) and named.get("strict") is True and strict(named["schema"])


def told_by_words(asked: dict[str, Any]) -> str:
    """Whoever “said” it; what stands in no quotes is the narrator's."""
    found = []
    for piece in asked["passage"]:
        if "line" not in piece:
            continue
        name = _SAID.search(piece["text"])
        speaker = (name[1] or name[2]) if name else asked["narrator"]
        found.append({"line": piece["line"], "speaker": speaker, "confidence": 0.9 if name else 0.6})
    return json.dumps({"speakers": found})
