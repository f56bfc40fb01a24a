"""The chat client against a strict local server: what it asks for, and what it makes of good and bad answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError

from providers.chat import ANSWER_BYTES, AnswerFormat, ChatAnswer, ChatRequest, complete, objects_in
from providers.errors import (
    ProviderError,
    ProviderUnavailable,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamQuotaSpent,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from providers.http import make_client
from providers.speech import ProviderConfig
from tests.upstreams.chat_model import MODEL, ChatModelUpstream
from tests.upstreams.common import Refusal
from tests.upstreams.serving import HURRIED_SECONDS, PATIENT_SECONDS, closed_port, serving

KEY = "sk-a-very-secret-key-0123456789"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}
REQUEST = ChatRequest("Answer in JSON.", "Do you work?", SCHEMA, MODEL)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_client() as made:
        yield made


def config(url: str, **values: Any) -> ProviderConfig:
    return ProviderConfig(
        0, "The chat model", "chat", **{"base_url": f"{url}/v1", "timeout": PATIENT_SECONDS, "key": KEY, **values}
    )


async def asked(
    client: httpx.AsyncClient,
    upstream: ChatModelUpstream,
    format: AnswerFormat = AnswerFormat.OBJECT,
    timeout: float = PATIENT_SECONDS,
) -> ChatAnswer:
    async with serving(upstream) as url:
        request = ChatRequest(REQUEST.instructions, REQUEST.text, SCHEMA, MODEL, format)
        return await complete(client, config(url, timeout=timeout), request)


@pytest.mark.parametrize("format", AnswerFormat)
async def test_it_asks_in_each_format(client: httpx.AsyncClient, format: AnswerFormat) -> None:
    upstream = ChatModelUpstream(key=KEY)
    assert await asked(client, upstream, format) == ChatAnswer('{"ok": true}')
    (body,) = upstream.asked
    assert body.get("response_format", {"type": "text"})["type"] == format
    assert [message["content"] for message in body["messages"]] == [REQUEST.instructions, REQUEST.text]
    assert "authorization" not in json.dumps(body) and upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_the_fake_server_is_what_openais_own_library_takes_it_for() -> None:
    upstream = ChatModelUpstream(key=KEY, formats=("json_object",))
    async with serving(upstream) as url, AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as library:
        messages: Any = [{"role": "system", "content": "JSON"}, {"role": "user", "content": "Do you work?"}]
        answer = await library.chat.completions.create(
            model=MODEL, messages=messages, response_format={"type": "json_object"}
        )
        assert answer.choices[0].message.content == '{"ok": true}' and answer.choices[0].finish_reason == "stop"
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
        with pytest.raises(BadRequestError):
            await library.chat.completions.create(model=MODEL, messages=messages, response_format=wanted)


@pytest.mark.parametrize("base", ["/v1", "/v1/", "/v1/chat/completions"])
async def test_the_address_may_be_written_as_people_do(client: httpx.AsyncClient, base: str) -> None:
    upstream = ChatModelUpstream()
    async with serving(upstream) as url:
        await complete(client, config(url, base_url=url + base), REQUEST)
    assert upstream.requests[0].path == "/v1/chat/completions"


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("format", [AnswerFormat.OBJECT, AnswerFormat.SCHEMA])
async def test_json_mode_that_is_refused_is_left_out_once(
    client: httpx.AsyncClient, format: AnswerFormat, status: int
) -> None:
    upstream = ChatModelUpstream(formats=(), refusal_status=status)
    assert await asked(client, upstream, format) == ChatAnswer('{"ok": true}', json_refused=True)
    assert ["response_format" in body for body in upstream.asked] == [True, False]


async def test_what_is_refused_without_json_mode_too_is_refused(client: httpx.AsyncClient) -> None:
    upstream = ChatModelUpstream(refusals=[Refusal(400, "Too long."), Refusal(400, "Too long.")])
    with pytest.raises(UpstreamRejected, match="Too long"):
        await asked(client, upstream)
    assert len(upstream.requests) == 2


async def test_plain_text_is_asked_for_once(client: httpx.AsyncClient) -> None:
    upstream = ChatModelUpstream(refusals=[Refusal(400, "Too long.")])
    with pytest.raises(UpstreamRejected):
        await asked(client, upstream, AnswerFormat.TEXT)
    assert len(upstream.requests) == 1


MEANT = [
    (Refusal(401, f"Incorrect API key provided: Bearer {KEY}"), UpstreamUnauthorized),
    (Refusal(403, "Not for you."), UpstreamUnauthorized),
    (Refusal(402, "Pay first."), UpstreamQuotaSpent),
    (Refusal(404, "No such model."), UpstreamRejected),
    (Refusal(429, "Slow down.", headers={"retry-after": "7"}), UpstreamBusy),
    (Refusal(429, "Spent.", code="insufficient_quota"), UpstreamQuotaSpent),
    (Refusal(500, "Oh."), UpstreamFailed),
    (Refusal(503, "Later."), UpstreamBusy),
    (Refusal(301, headers={"location": "http://127.0.0.1:1/elsewhere"}), UpstreamRejected),
]


@pytest.mark.parametrize(("refusal", "kind"), MEANT, ids=[f"{one.status}-{one.code or ''}" for one, _kind in MEANT])
async def test_each_status_is_what_it_is_with_providers(
    client: httpx.AsyncClient, refusal: Refusal, kind: type[ProviderError]
) -> None:
    upstream = ChatModelUpstream(refusals=[refusal])
    with pytest.raises(ProviderError) as raised:
        await asked(client, upstream)
    assert type(raised.value) is kind and KEY not in raised.value.message
    assert raised.value.retry_after == (7.0 if "retry-after" in refusal.headers else None)
    # Neither refusal leads to a second request, nor a redirect to another server.
    assert len(upstream.requests) == 1


async def test_an_answer_that_is_cut_off(client: httpx.AsyncClient) -> None:
    with pytest.raises(UpstreamUnreachable):
        await asked(client, ChatModelUpstream(cut=True))


async def test_an_answer_that_does_not_come(client: httpx.AsyncClient) -> None:
    with pytest.raises(UpstreamTimeout):
        await asked(client, ChatModelUpstream(held=True), timeout=HURRIED_SECONDS)


async def test_a_server_that_is_not_there(client: httpx.AsyncClient) -> None:
    with closed_port() as port, pytest.raises(UpstreamUnreachable):
        await complete(client, config(f"http://127.0.0.1:{port}"), REQUEST)


@pytest.mark.parametrize("address", ["http://169.254.169.254/v1", "http://[fd00:ec2::254]/v1"])
async def test_addresses_that_no_provider_may_have(client: httpx.AsyncClient, address: str) -> None:
    with pytest.raises(ProviderUnavailable, match="may not be called"):
        await complete(client, config("", base_url=address), REQUEST)


async def test_private_addresses_are_refused_where_they_are_not_allowed() -> None:
    upstream = ChatModelUpstream()
    async with serving(upstream) as url, make_client(public=True) as public:
        with pytest.raises(ProviderUnavailable, match="this machine itself"):
            await complete(public, config(url), REQUEST)
    assert upstream.requests == []


async def test_a_huge_answer_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    with pytest.raises(UpstreamFailed, match="more than"):
        await asked(client, ChatModelUpstream(raw=b" " * (ANSWER_BYTES + 1)))


BROKEN: list[tuple[bytes, type[ProviderError]]] = [
    (b"", UpstreamFailed),
    (b"<html>Hello</html>", UpstreamFailed),
    (b"[" * 100_000, UpstreamFailed),
    (b"\xff\xfe", UpstreamFailed),
    (b"[]", UpstreamFailed),
    (b"{}", UpstreamFailed),
    (b'{"choices": []}', UpstreamFailed),
    (b'{"choices": [{"message": null}]}', UpstreamFailed),
    (b'{"choices": ["no"]}', UpstreamFailed),
    (b'{"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}', UpstreamBusy),
]


@pytest.mark.parametrize(("body", "kind"), BROKEN, ids=range(len(BROKEN)))
async def test_answers_that_are_no_completion(
    client: httpx.AsyncClient, body: bytes, kind: type[ProviderError]
) -> None:
    with pytest.raises(ProviderError) as raised:
        await asked(client, ChatModelUpstream(raw=body))
    assert type(raised.value) is kind


async def test_answers_that_were_not_finished(client: httpx.AsyncClient) -> None:
    with pytest.raises(UpstreamRejected, match="less text at once"):
        await asked(client, ChatModelUpstream(finish="length"))
    with pytest.raises(UpstreamRejected, match="content filter"):
        await asked(client, ChatModelUpstream(finish="content_filter"))
    with pytest.raises(UpstreamRejected, match="I would rather not"):
        await asked(client, ChatModelUpstream(message={"content": None, "refusal": "I would rather not."}))


async def test_content_in_parts_and_without_any(client: httpx.AsyncClient) -> None:
    parts = [{"type": "text", "text": '{"ok":'}, {"type": "text", "text": " true}"}, {"type": "image"}, 7]
    assert (await asked(client, ChatModelUpstream(message={"content": parts}))).text == '{"ok": true}'
    assert (await asked(client, ChatModelUpstream(message={"content": None}))).text == ""


async def test_leaving_ends_the_call(client: httpx.AsyncClient) -> None:
    upstream = ChatModelUpstream(held=True)
    async with serving(upstream) as url:
        call = asyncio.create_task(complete(client, config(url), REQUEST))
        await asyncio.to_thread(upstream.wait_for, lambda each: each.current == 1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.to_thread(upstream.wait_for, lambda each: each.disconnects == 1)


FOUND: list[tuple[str, list[dict[str, Any]]]] = [
    ('{"a": 1}', [{"a": 1}]),
    ('Here you are:\n```json\n{"a": {"b": 2}}\n```\nAnything else?', [{"a": {"b": 2}}]),
    ('<think>{"a": 0}, or rather</think>{"a": 1}', [{"a": 1}]),
    ('{"a": 1} and {"a": 2}', [{"a": 1}, {"a": 2}]),
    ('[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
    # Broken off: what is whole in it is found.
    ('{"all": [{"a": 1}, {"a": 2}, {"a"', [{"a": 1}, {"a": 2}]),
    ("{ no } {{ none }", []),
    ("", []),
    ('{"a": ' * 5000, []),
    ('{"n": ' + "9" * 5000 + "}", []),
]


@pytest.mark.parametrize(("text", "found"), FOUND, ids=range(len(FOUND)))
def test_objects_are_found_among_words(text: str, found: list[dict[str, Any]]) -> None:
    assert list(objects_in(text)) == found


def test_a_config_with_a_problem_calls_nobody() -> None:
    with pytest.raises(ProviderUnavailable, match="enter it again"):
        asyncio.run(_unusable())


async def _unusable() -> None:
    async with make_client() as client:
        await complete(client, config("http://127.0.0.1:9", problem="The key is gone: enter it again."), REQUEST)
