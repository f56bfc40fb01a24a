"""Speech through an OpenAI-compatible provider: what streams, what breaks, and that every slot comes back."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography.fernet import Fernet
from django.db.models import Sum
from django.utils import timezone
from pytest_django import Settings

from api import runtime
from banks.models import Bank, Character
from providers.audio import encode, wav_header
from providers.models import Provider, UsageMinute
from providers.queue import QueueSnapshot
from providers.speech import AudioFormat
from tests.conftest import add_character
from tests.hearing import assert_heard
from tests.local_time import zone_where_it_is
from tests.test_api_errors import change_settings, refusal, say
from tests.test_api_speech import SENTENCE, STORY, as_file, streamed
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import WAIT_SECONDS, serve

TONE = b"\x10\x00\xf0\xff" * 12_000


@pytest.fixture
def upstream(bank: Bank) -> Iterator[OpenAIUpstream]:
    """A provider “Upstream” with two places, and its character “Alloy” in the bank."""
    app = OpenAIUpstream(key="sk-upstream-secret")
    with serve(app) as url:
        provider = Provider.objects.create(
            name="Upstream", kind="openai", base_url=f"{url}/v1", api_key="sk-upstream-secret", max_concurrency=2
        )
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        yield app


def snapshot() -> QueueSnapshot:
    """The queue of the running application."""
    ((loop, running),) = runtime._runtimes.items()
    return asyncio.run_coroutine_threadsafe(running.engine.queue.snapshot(), loop).result(WAIT_SECONDS)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for another thread to bring it about."""
    pause = threading.Event()
    for _ in range(WAIT_SECONDS * 100):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it never came to that")


def free() -> bool:
    now = snapshot()
    return not now.running and not now.waiting


def stream(client: httpx.Client, **body: object) -> httpx.Response:
    request = client.build_request("POST", "/v1/audio/speech", json={"voice": "Alloy", "input": SENTENCE} | body)
    return client.send(request, stream=True)


@contextmanager
def asking(server: str) -> Iterator[None]:
    """Somebody has asked, and leaves at the end of the block."""
    address = urlsplit(server)
    with closing(HTTPConnection(address.hostname or "", address.port, timeout=WAIT_SECONDS)) as connection:
        body = json.dumps({"voice": "Alloy", "input": SENTENCE})
        connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        yield


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm", "flac"])
def test_speech_of_an_upstream_is_heard(client_http: httpx.Client, upstream: OpenAIUpstream, audio_format: str) -> None:
    response = say(client_http, voice="Alloy", input=SENTENCE, response_format=audio_format, speed=1.25)
    assert response.status_code == 200, response.text
    assert_heard(SENTENCE, as_file(response.content, audio_format))
    sent = upstream.spoken[-1]
    assert (sent["response_format"], sent["speed"], sent["voice"]) == (audio_format, 1.25, "alloy")
    assert "instructions" not in sent


def test_instructions_reach_the_upstream(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    assert say(client_http, voice="Alloy", instructions="Whisper.").status_code == 200
    assert upstream.spoken[-1]["instructions"] == "Whisper."


def test_bytes_are_passed_on_as_they_come(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.gated = True
    answer: list[httpx.Response] = []
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(lambda: answer.append(stream(client_http)))
        upstream.release()
        asking.result(WAIT_SECONDS)
        received = answer[0].iter_raw()
        first = next(received)
        assert 0 < len(first) <= upstream.switches.chunk_bytes
        upstream.wait_for(lambda app: app.chunks_sent == 1)
        assert len(snapshot().running) == 1, "the slot is held until the upstream's last byte"
        upstream.release(10_000)
        rest = b"".join(received)
    assert_heard(SENTENCE, first + rest)
    eventually(free)


def test_long_input_starts_before_the_last_piece_is_spoken(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    Provider.objects.filter(name="Upstream").update(piece_characters=120)
    Provider.objects.get(name="Upstream").save()
    upstream.switches.gated = True
    upstream.switches.chunked = True
    upstream.switches.chunk_bytes = 10_000_000
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(stream, client_http, input=STORY)
        upstream.release()
        received = asking.result(WAIT_SECONDS).iter_raw()
        first = next(received)
        assert len(upstream.spoken) < 3, "only the first pieces were asked for so far"
        upstream.release(100)
        rest = b"".join(received)
    assert len(upstream.spoken) > 3
    assert {sent["response_format"] for sent in upstream.spoken} == {"wav"}, "pieces are joined without a second loss"
    assert_heard(STORY, first + rest)


def test_a_client_that_leaves_frees_the_slot_and_the_upstream(
    client_http: httpx.Client, upstream: OpenAIUpstream
) -> None:
    upstream.switches.gated = True
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(stream, client_http)
        upstream.release()
        response = asking.result(WAIT_SECONDS)
    received = response.iter_raw()
    assert next(received)
    assert len(snapshot().running) == 1
    response.close()
    upstream.wait_for(lambda app: app.disconnects == 1 and app.current == 0)
    eventually(free)


def test_a_client_that_leaves_before_the_first_byte_frees_the_slot(server: str, upstream: OpenAIUpstream) -> None:
    upstream.switches.held = True
    with asking(server):
        upstream.wait_for(lambda app: app.current == 1)
    upstream.wait_for(lambda app: app.disconnects == 1 and app.current == 0)
    eventually(free)


def test_a_client_that_leaves_while_waiting_is_dropped(
    server: str, client_http: httpx.Client, upstream: OpenAIUpstream
) -> None:
    change_settings(queue_deadline_seconds=600)
    upstream.switches.held = True
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(say, client_http, voice="Alloy") for _ in range(2)]
        upstream.wait_for(lambda app: app.current == 2)
        with asking(server):
            eventually(lambda: len(snapshot().waiting) == 1)
        eventually(lambda: not snapshot().waiting)
        upstream.release(2)
        assert {future.result(WAIT_SECONDS).status_code for future in running} == {200}
    assert len(upstream.spoken) == 2, "nobody spoke for the one that left"
    eventually(free)


def test_never_more_at_once_than_the_provider_allows(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    change_settings(queue_deadline_seconds=600)
    upstream.switches.held = True
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(say, client_http, voice="Alloy") for _ in range(8)]
        eventually(lambda: len(snapshot().waiting) == 6)
        upstream.wait_for(lambda app: app.current == 2)
        upstream.release(8)
        assert {future.result(WAIT_SECONDS).status_code for future in asked} == {200}
    assert upstream.peak == 2
    eventually(free)


def test_a_wait_over_the_deadline_is_a_clear_503(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.held = True
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(say, client_http, voice="Alloy") for _ in range(2)]
        upstream.wait_for(lambda app: app.current == 2)
        change_settings(queue_deadline_seconds=1)
        late = say(client_http, voice="Alloy")
        error = refusal(late, 503)
        assert error["code"] == "queue_timeout" and "Upstream" in error["message"]
        assert 1 <= int(late.headers["retry-after"]) <= 60
        upstream.release(2)
        assert {future.result(WAIT_SECONDS).status_code for future in running} == {200}


def test_an_upstream_that_breaks_off_is_no_clean_end(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.cut_after = 2
    with pytest.raises(httpx.RemoteProtocolError):
        streamed(client_http, voice="Alloy", input=SENTENCE)
    eventually(free)
    _, chunks = streamed(client_http, voice="Alloy", input=SENTENCE, stream_format="sse")
    events = [json.loads(line.removeprefix("data: ")) for line in b"".join(chunks).decode().strip().split("\n\n")]
    kinds = [event["type"] for event in events]
    assert kinds[-1] == "speech.audio.error" and "speech.audio.done" not in kinds
    assert events[-1]["error"]["code"] == "upstream_unreachable"
    assert base64.b64decode(events[0]["audio"])
    eventually(free)


@pytest.mark.parametrize(
    ("answer", "code", "retry"),
    [
        (Refusal(401, "Incorrect API key provided: sk-upstream-secret"), "upstream_unauthorized", "false"),
        (Refusal(403, "Country"), "upstream_unauthorized", "false"),
        (Refusal(400, "The model `x` is odd"), "upstream_rejected", "false"),
        (Refusal(429, "Slow down"), "upstream_busy", "true"),
        (Refusal(500, "Oops"), "upstream_failed", "true"),
        (Refusal(502, body=b"<html><b>Bad</b> gateway</html>"), "upstream_failed", "true"),
    ],
)
def test_failures_of_the_upstream_are_told_apart(
    client_http: httpx.Client, upstream: OpenAIUpstream, answer: Refusal, code: str, retry: str
) -> None:
    upstream.switches.refusals = [answer] * 3
    response = say(client_http, voice="Alloy")
    error = refusal(response, 500)
    assert len(upstream.switches.refusals) == (2 if retry == "false" else 0), "only what can succeed is tried again"
    assert error["code"] == code and response.headers["x-should-retry"] == retry
    assert "sk-upstream-secret" not in response.text and "<" not in error["message"]
    eventually(free)


@pytest.mark.parametrize("body", [b"", b'{"error": "quota"}', b"<html>Sign in</html>", wav_header(24_000, 0)])
def test_an_upstream_that_lies_is_found_out(client_http: httpx.Client, upstream: OpenAIUpstream, body: bytes) -> None:
    upstream.switches.speech = body
    error = refusal(say(client_http, voice="Alloy", response_format="wav"), 500)
    assert error["code"] == "bad_audio"
    eventually(free)


def test_a_wav_made_for_a_stream_gets_true_sizes(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.chunked = False
    upstream.switches.speech = wav_header(24_000, None) + TONE
    response = say(client_http, voice="Alloy", response_format="wav")
    with wave.open(io.BytesIO(response.content)) as file:
        assert file.getnframes() == len(TONE) // 2
    assert int(response.headers["content-length"]) == len(response.content)


@pytest.mark.parametrize("audio_format", ["pcm", "wav"])
def test_what_a_passed_through_file_tells_is_in_the_headers(
    client_http: httpx.Client, upstream: OpenAIUpstream, audio_format: str
) -> None:
    upstream.switches.chunked = False
    upstream.switches.speech = encode(TONE, 24_000, AudioFormat(audio_format))
    headers = say(client_http, voice="Alloy", response_format=audio_format).headers
    assert headers["x-neiroha-sample-rate"] == "24000"
    assert float(headers["x-neiroha-audio-seconds"]) == pytest.approx(len(TONE) / 48_000, abs=0.001)


def test_another_format_than_asked_for_is_converted(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.speech = encode(TONE, 24_000, AudioFormat.MP3)
    for chunked in (True, False):
        upstream.switches.chunked = chunked
        response = say(client_http, voice="Alloy", response_format="flac")
        assert response.status_code == 200 and response.content[:4] == b"fLaC"


def test_an_unreachable_provider(client_http: httpx.Client, bank: Bank) -> None:
    dead = Provider.objects.create(name="Dead", kind="openai", base_url="http://127.0.0.1:9")
    add_character(bank, dead, "Ghost", voice="alloy")
    response = say(client_http, voice="Ghost")
    assert refusal(response, 500)["code"] == "upstream_unreachable"
    assert response.headers["x-should-retry"] == "true"


def test_what_is_on_its_way_finishes_from_frozen_values(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    """One request runs and one waits while provider, character and bank are archived under them."""
    change_settings(queue_deadline_seconds=600)
    upstream.switches.held = True
    provider = Provider.objects.get(name="Upstream")
    provider.max_concurrency = 1
    provider.save()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(say, client_http, voice="Alloy", input=SENTENCE) for _ in range(2)]
        eventually(lambda: len(snapshot().waiting) == 1 and upstream.current == 1)
        assert provider.remove(), "archived, as a character uses it"
        Bank.objects.get().remove()
        upstream.release(2)
        answers = [future.result(WAIT_SECONDS) for future in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert refusal(say(client_http, voice="Alloy"), 404)


def test_a_key_that_can_not_be_read_is_told(
    client_http: httpx.Client, upstream: OpenAIUpstream, settings: Settings
) -> None:
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    Provider.objects.defer("api_key").get(name="Upstream").save(update_fields=["name"])
    response = say(client_http, voice="Alloy")
    error = refusal(response, 500)
    assert error["code"] == "provider_unavailable" and "enter it again" in error["message"]
    assert response.headers["x-should-retry"] == "false"
    assert say(client_http, voice="Heart").status_code == 200


def test_a_passing_failure_is_tried_again_unheard(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.refusals = [Refusal(502, "Bad gateway"), Refusal(429, "Slow", headers={"retry-after": "1"})]
    response = say(client_http, voice="Alloy", input=SENTENCE, response_format="wav")
    assert response.status_code == 200
    assert_heard(SENTENCE, response.content)
    eventually(free)


def test_nothing_is_tried_again_once_something_was_heard(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.cut_after = 1
    with pytest.raises(httpx.RemoteProtocolError):
        streamed(client_http, voice="Alloy", input=SENTENCE)
    assert len(upstream.spoken) == 1


def test_a_long_pause_of_the_provider_is_a_clear_503(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.refusals = [Refusal(429, "Slow down", headers={"retry-after": "50"})]
    for _ in range(2):
        response = say(client_http, voice="Alloy")
        assert refusal(response, 503)["code"] == "provider_resting"
        assert 1 <= int(response.headers["retry-after"]) <= 50
    assert upstream.spoken == [] or len(upstream.requests) == 1, "asked once, then left alone"


def test_a_fallback_speaks_while_the_provider_is_down(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    alloy = Character.objects.get(name="Alloy")
    alloy.fallback = Character.objects.get(name="Heart")
    alloy.save()
    usual = say(client_http, voice="Alloy")
    assert "x-neiroha-fallback-for" not in usual.headers
    upstream.switches.refusals = [Refusal(401, "Incorrect API key"), Refusal(400, "Bad text")]
    response = say(client_http, voice="Alloy", input=SENTENCE)
    assert response.status_code == 200
    assert (response.headers["x-neiroha-voice"], response.headers["x-neiroha-fallback-for"]) == ("Heart", "Alloy")
    assert_heard(SENTENCE, response.content)
    assert refusal(say(client_http, voice="Alloy"), 500)["code"] == "upstream_rejected", "no provider helps bad text"
    upstream.switches.refusals = [Refusal(401, "Incorrect API key")]
    error = refusal(say(client_http, voice="Alloy", instructions="Whisper."), 500)
    assert error["code"] == "upstream_unauthorized", "what the fallback can't do is not dropped"
    alloy.fallback.enabled = False
    alloy.fallback.save()
    upstream.switches.refusals = [Refusal(401, "Incorrect API key")]
    assert refusal(say(client_http, voice="Alloy"), 500)


def test_a_days_budget_is_told_and_survives_a_restart(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    provider = Provider.objects.get(name="Upstream")
    provider.requests_per_day, provider.time_zone = 2, zone_where_it_is(12)
    provider.save()
    UsageMinute.objects.create(provider=provider, minute=timezone.now().replace(second=0, microsecond=0), requests=1)
    assert say(client_http, voice="Alloy").status_code == 200
    spent = say(client_http, voice="Alloy")
    assert refusal(spent, 429)["code"] == "daily_budget_spent"
    assert spent.headers["x-should-retry"] == "false" and int(spent.headers["retry-after"]) <= 60
    (running,) = runtime._runtimes.items()
    asyncio.run_coroutine_threadsafe(running[1].engine.ledger.flush(), running[0]).result(WAIT_SECONDS)
    assert provider.usage.aggregate(total=Sum("requests"))["total"] == 2
