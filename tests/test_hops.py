"""The hop header: a provider that points at ourselves is told so at once, in place of a storm."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from api.models import RequestLog
from banks.models import Bank
from providers.adapters import adapter_class
from providers.audio import wav_header
from providers.errors import SpeechError
from providers.hops import HOP_HEADER, INSTANCE, MAX_HOPS, arrive, hop_value
from providers.http import make_client
from providers.models import Provider
from tests.conftest import add_character
from tests.test_adapters import REMOTE, attempt, config, request
from tests.test_api_errors import change_settings, refusal, say
from tests.test_api_speech import STORY
from tests.test_api_streams import eventually, snapshot
from tests.test_request_log import written
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import read_request, serve, serve_raw, serving

OTHERS = [f"{number:016x}" for number in range(1, MAX_HOPS + 2)]


def in_its_own_context(header: str) -> tuple[str, str]:
    """What `arrive` says of this header, and what goes on from there."""
    return contextvars.copy_context().run(lambda: (arrive(header), hop_value()))


# The rule.


def test_a_request_of_our_own_names_this_process() -> None:
    assert hop_value() == INSTANCE
    assert in_its_own_context("") == ("", INSTANCE)


def test_passed_servers_are_named_in_order() -> None:
    assert in_its_own_context(", ".join(OTHERS[:2])) == ("", f"{OTHERS[0]}, {OTHERS[1]}, {INSTANCE}")
    assert in_its_own_context(",".join(OTHERS[:MAX_HOPS]))[0] == ""


@pytest.mark.parametrize("hops", [[INSTANCE], [OTHERS[0], INSTANCE], [INSTANCE, OTHERS[0]], [*OTHERS, INSTANCE]])
def test_coming_back_is_a_loop(hops: list[str]) -> None:
    assert "leads, directly or by way of other servers" in in_its_own_context(", ".join(hops))[0]


def test_too_many_servers_are_a_loop() -> None:
    assert "more than 5 servers" in in_its_own_context(", ".join(OTHERS))[0]


@pytest.mark.parametrize(
    "junk",
    ["x" * 9000, INSTANCE + "0", INSTANCE.upper() + "G", "a,b\u00ffc,", "1" * 15, ";" * 99],
    # An instance's id is drawn anew in each process: it would make the tests' own names differ between workers.
    ids=["long", "longer", "not hexadecimal", "signs", "short", "separators"],
)
def test_what_is_no_list_of_servers_is_dropped(junk: str) -> None:
    assert in_its_own_context(junk) == ("", INSTANCE)


async def test_what_a_request_passed_stays_with_it() -> None:
    async def request(header: str) -> str:
        arrive(header)
        return await asyncio.create_task(later())

    async def later() -> str:
        await asyncio.sleep(0)
        return hop_value()

    values = await asyncio.gather(*(asyncio.create_task(request(hop)) for hop in OTHERS))
    assert values == [f"{hop}, {INSTANCE}" for hop in OTHERS]
    assert hop_value() == INSTANCE


# The server.


@pytest.fixture
def upstream(bank: Bank) -> Iterator[OpenAIUpstream]:
    """A provider “Upstream”, and its character “Alloy” in the bank."""
    app = OpenAIUpstream()
    with serve(app) as url:
        provider = Provider.objects.create(name="Upstream", kind="openai", base_url=f"{url}/v1")
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        yield app


def point_at(bank: Bank, base_url: str) -> None:
    """A provider “Mirror” at this address, and its character “Echo” in the bank."""
    provider = Provider.objects.create(name="Mirror", kind="openai", base_url=base_url)
    add_character(bank, provider, "Echo", voice="Echo", model="Stories")


def spoken(rows: list[RequestLog]) -> list[tuple[int, str]]:
    return [(row.status, row.error_code) for row in rows if row.path.endswith("/audio/speech")]


@pytest.mark.parametrize("path", ["/v1", "/v1/audio/speech", ""])
def test_a_provider_that_is_ourselves_ends_at_once(client_http: httpx.Client, bank: Bank, path: str) -> None:
    change_settings(log_requests=True)
    point_at(bank, f"{client_http.base_url}".rstrip("/") + path)
    response = say(client_http, voice="Echo")
    error = refusal(response, 500)
    assert error["code"] == "upstream_rejected"
    assert error["message"].startswith("Mirror answered 508: The request came back to the server that it started from.")
    assert "Change the base URL of this provider" in error["message"] and not error["message"].endswith("…")
    assert response.headers["x-should-retry"] == "false"
    # The one from outside, and the one that came back.
    assert sorted(spoken(written(2))) == [(500, "upstream_rejected"), (508, "provider_loop")]


def test_long_text_makes_no_storm_either(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(log_requests=True)
    point_at(bank, f"{client_http.base_url}".rstrip("/") + "/v1")
    error = refusal(say(client_http, voice="Echo", input="A sentence of several words. " * 140), 500)
    assert error["code"] == "upstream_rejected"
    assert sorted(spoken(written(2))) == [(500, "upstream_rejected"), (508, "provider_loop")]


def test_a_request_that_comes_back_is_refused_in_the_apis_shape(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(log_requests=True)
    for path in ("/v1/audio/speech", "/v1/models", "/health", "/v1/nowhere"):
        response = client_http.request("GET", path, headers={HOP_HEADER: f"{OTHERS[0]}, {INSTANCE}"})
        error = refusal(response, 508)
        assert (error["code"], error["type"], error["param"]) == ("provider_loop", "server_error", None)
        assert response.headers["x-should-retry"] == "false"
        assert "retry-after" not in response.headers
    assert {row.error_code for row in written(4)} == {"provider_loop"}


def test_more_than_five_hops_are_refused(client_http: httpx.Client, bank: Bank) -> None:
    response = say(client_http, voice="Heart")
    assert response.status_code == 200
    body = {"input": "Hello there.", "voice": "Heart"}
    for hops, status in ((OTHERS[:MAX_HOPS], 200), (OTHERS, 508)):
        answer = client_http.post("/v1/audio/speech", json=body, headers={HOP_HEADER: ", ".join(hops)})
        assert answer.status_code == status


def test_several_headers_count_as_one(client_http: httpx.Client, bank: Bank) -> None:
    headers = [(HOP_HEADER, OTHERS[0]), (HOP_HEADER, INSTANCE)]
    assert refusal(client_http.get("/v1/models", headers=headers), 508)["code"] == "provider_loop"


def test_the_header_is_handed_on_and_grows(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    body = {"input": "Hello there.", "voice": "Alloy"}
    for sent, received in (("", INSTANCE), (OTHERS[0], f"{OTHERS[0]}, {INSTANCE}"), ("", INSTANCE)):
        answer = client_http.post("/v1/audio/speech", json=body, headers={HOP_HEADER: sent} if sent else {})
        assert answer.status_code == 200, answer.text
        assert upstream.requests[-1].headers[HOP_HEADER] == received


def test_every_piece_and_every_try_is_handed_on_with_it(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    provider = Provider.objects.get(name="Upstream")
    provider.piece_characters = 120
    provider.save()
    upstream.switches.refusals = [Refusal(502, "Bad gateway")]
    body = {"input": STORY, "voice": "Alloy"}
    answer = client_http.post("/v1/audio/speech", json=body, headers={HOP_HEADER: OTHERS[0]})
    assert answer.status_code == 200, answer.text
    texts = [sent["input"] for sent in upstream.spoken]
    assert texts[0] == texts[1] and len(set(texts)) > 3
    assert {request.headers[HOP_HEADER] for request in upstream.requests} == {f"{OTHERS[0]}, {INSTANCE}"}


def test_what_is_read_ahead_of_a_slow_reader_is_asked_for_with_it(
    client_http: httpx.Client, upstream: OpenAIUpstream
) -> None:
    """Another task asks for the pieces then."""
    provider = Provider.objects.get(name="Upstream")
    provider.piece_characters = 120
    provider.save()
    upstream.switches.speech = wav_header(24_000, 2_000_000) + bytes(range(250)) * 8000
    body = {"input": STORY, "voice": "Alloy", "response_format": "wav"}
    with client_http.stream("POST", "/v1/audio/speech", json=body, headers={HOP_HEADER: OTHERS[0]}) as answer:
        parts = answer.iter_raw()
        assert next(parts)
        eventually(lambda: not snapshot().running)
        assert len(b"".join(parts)) > 6_000_000
    assert len(upstream.requests) > 3
    assert {request.headers[HOP_HEADER] for request in upstream.requests} == {f"{OTHERS[0]}, {INSTANCE}"}


@pytest.mark.parametrize("kind", REMOTE)
async def test_every_kind_of_provider_is_told(kind: str) -> None:
    seen: list[str] = []

    def refuse(connection: socket.socket) -> None:
        seen.append(read_request(connection).decode("latin-1").lower())
        connection.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def ask(client: httpx.AsyncClient, url: str) -> None:
        arrive(OTHERS[0])
        adapter = adapter_class(kind)(replace(config(kind), base_url=url), client)
        await adapter.health()
        for mode in adapter.capabilities.task_modes:
            with pytest.raises(SpeechError):
                await attempt(adapter, request(kind, mode))

    async with serve_raw(*[refuse] * 40) as url, make_client() as client:
        await asyncio.create_task(ask(client, url))
    assert len(seen) > 1
    assert [one for one in seen if f"\r\n{HOP_HEADER}: {OTHERS[0]}, {INSTANCE}\r\n" not in one] == []


async def test_it_is_handed_on_by_way_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = OpenAIUpstream()
    async with serving(proxy) as address:
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.delenv("no_proxy", raising=False)
        async with make_client() as client:
            await client.get("http://speech.example/v1/models", headers={HOP_HEADER: OTHERS[3]})
    assert proxy.requests[0].headers[HOP_HEADER] == INSTANCE, "what stands there is ours, whoever set it"


def test_a_circle_of_several_servers_is_not_multiplied_by_retries(
    client_http: httpx.Client, upstream: OpenAIUpstream
) -> None:
    """The next server in the circle has heard the 508, and answers that its provider failed for good."""
    upstream.switches.refusals = [
        Refusal(500, "Mirror answered 508: Change the base URL", headers={"x-should-retry": "false"}) for _ in range(9)
    ]
    error = refusal(say(client_http, voice="Alloy"), 500)
    assert "Change the base URL" in error["message"]
    assert len(upstream.requests) == 1
