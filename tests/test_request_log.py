from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx
import pytest
from asgiref.sync import async_to_sync

from api import runtime
from api.models import ApiKey, RequestLog
from api.record import MAX_PENDING, RequestRecord, RequestRecorder
from banks.models import Bank
from providers.models import Provider
from tests.conftest import add_character
from tests.test_api_errors import change_settings, say
from tests.test_api_streams import eventually
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import WAIT_SECONDS, serve


def written(count: int) -> list[RequestLog]:
    """The log in the order of the requests, once it holds so many: each is noted after its answer has ended."""
    (running,) = runtime._runtimes.items()

    def full() -> bool:
        asyncio.run_coroutine_threadsafe(running[1].recorder.flush(), running[0]).result(WAIT_SECONDS)
        return RequestLog.objects.count() >= count

    eventually(full)
    return list(RequestLog.objects.order_by("at", "pk"))


def test_nothing_is_logged_by_default(client_http: httpx.Client, bank: Bank) -> None:
    assert say(client_http).status_code == 200
    change_settings(log_requests=True)
    assert client_http.get("/v1/models").status_code == 200
    assert [row.path for row in written(1)] == ["/v1/models"]


def test_addresses_and_methods_that_a_database_would_not_take(client_http: httpx.Client, bank: Bank) -> None:
    """A log that could not be written would lose what others asked at the same time."""
    change_settings(log_requests=True)
    for method, path in (("GET", "/v1/a%00b"), ("UNSUBSCRIBE", "/v1/models"), ("GET", "/v1/" + "a" * 500)):
        assert client_http.request(method, path).status_code in (404, 405)
    assert [(row.method, row.path[:8]) for row in written(3)] == [
        ("GET", "/v1/a\N{REPLACEMENT CHARACTER}b"),
        ("UNSUBSCRIB", "/v1/mode"),
        ("GET", "/v1/aaaa"),
    ]


def test_the_log_holds_metadata_and_neither_text_nor_keys(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(log_requests=True, rate_limit_per_minute=4, max_body_bytes=300)
    key, secret = ApiKey.objects.issue(name="chat")
    headers = {"Authorization": f"Bearer {secret}"}
    body = {"input": "A very private sentence.", "voice": "Heart", "model": "Stories"}
    for sent, sent_headers in ((body, headers), (body, {}), (body | {"input": "x" * 400}, headers)):
        client_http.post("/v1/audio/speech", json=sent, headers=sent_headers)
    for _ in range(3):
        last = client_http.get("/v1/models", headers=headers)
    rows = written(6)
    assert [row.status for row in rows] == [200, 401, 413, 200, 200, 200]
    spoken = rows[0]
    assert (spoken.bank, spoken.character, spoken.provider) == ("Stories", "Heart", "Embedded")
    assert (spoken.key_name, spoken.characters, spoken.audio_format) == ("chat", len(body["input"]), "mp3")
    assert spoken.bytes_sent > 1000 and spoken.complete and spoken.total_ms >= spoken.first_byte_ms > 0
    assert spoken.address == "127.0.0.1" and spoken.path == "/v1/audio/speech"
    assert [row.error_code for row in rows[1:3]] == ["not_authenticated", "body_too_large"]
    assert rows[-1].request_id == last.headers["x-request-id"]
    everything = str(list(RequestLog.objects.values()))
    assert "private" not in everything and secret not in everything
    key.refresh_from_db()
    assert key.last_used_at is not None


def test_what_the_backend_says_is_served_and_logged(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(log_requests=True)
    told = {
        "x-neiroha-model-preset": "tts-large",
        "x-neiroha-audio-seconds": "1.5",
        "x-neiroha-output-path": "/srv/outputs/speech.mp3",
    }
    with serve(OpenAIUpstream(headers=told)) as url:
        provider = Provider.objects.create(name="Upstream", kind="openai", base_url=f"{url}/v1")
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        headers = say(client_http, voice="Alloy").headers
        say(client_http, voice="Alloy", response_format="wav", stream=True)
    assert headers["x-neiroha-model-preset"] == "tts-large" and headers["x-neiroha-audio-seconds"] == "1.500"
    assert "x-neiroha-output-path" not in headers
    whole, streamed = written(2)
    assert (whole.model_preset, whole.audio_ms) == ("tts-large", 1500)
    assert whole.inference_ms is not None and whole.inference_ms > 0
    assert whole.upstream.startswith("audio-seconds: 1.5; model-preset: tts-large; ")
    assert "/srv" not in whole.upstream
    assert streamed.inference_ms is not None and streamed.audio_ms is not None


def test_refusals_for_the_rate_are_logged_too(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(log_requests=True, rate_limit_per_minute=1)
    client_http.get("/v1/models")
    client_http.get("/v1/models")
    assert [(row.status, row.error_code) for row in written(2)] == [(200, ""), (429, "rate_limit_exceeded")]


def record(number: int) -> RequestRecord:
    return RequestRecord(f"req_{number}", "GET", "/v1/" + "x" * 500, "127.0.0.1", status=200)


@pytest.mark.django_db(transaction=True)
def test_the_log_is_bounded() -> None:
    recorder = RequestRecorder()
    for number in range(150):
        recorder.add(record(number), log=True, keep_rows=100)
    async_to_sync(recorder.flush)()
    kept = list(RequestLog.objects.order_by("pk").values_list("request_id", flat=True))
    assert (len(kept), kept[0], kept[-1]) == (100, "req_50", "req_149")


@pytest.mark.django_db(transaction=True)
def test_what_waits_to_be_written_is_bounded() -> None:
    recorder = RequestRecorder()
    for number in range(MAX_PENDING + 5):
        recorder.add(record(number), log=True, keep_rows=1_000_000)
    async_to_sync(recorder.flush)()
    assert RequestLog.objects.count() == MAX_PENDING
    assert not RequestLog.objects.filter(request_id="req_4").exists()


@pytest.mark.django_db(transaction=True)
def test_the_last_records_are_written_when_the_server_stops() -> None:
    async def serve_and_stop() -> None:
        recorder = RequestRecorder()
        writing = asyncio.create_task(recorder.run())
        await asyncio.sleep(0)
        recorder.add(record(1), log=True, keep_rows=100)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    asyncio.run(serve_and_stop())
    assert RequestLog.objects.get().at <= datetime.now(UTC)
