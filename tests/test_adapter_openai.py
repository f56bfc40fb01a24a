"""The OpenAI-compatible adapter against a strict server, and that server against OpenAI's own client."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import av
import httpx
import openai
import pytest

from providers.adapters import adapter_class
from providers.adapters.listing import parse_models, parse_voices
from providers.adapters.openai import OpenAIAdapter
from providers.audio import probe
from providers.errors import (
    BadAudio,
    ProviderError,
    ProviderUnavailable,
    SpeechError,
    UnsupportedOption,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamQuotaSpent,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from providers.http import make_client
from providers.speech import AudioFormat, Model, ProviderConfig, SpeechAudio, SpeechRequest, Voice
from tests.hearing import assert_heard
from tests.sounds import muxed
from tests.upstreams.common import spoken_samples
from tests.upstreams.openai import MODELS, SPEECH_MODELS, VOICE_SHAPES, VOICES, OpenAIUpstream, Refusal, speak
from tests.upstreams.serving import (
    HURRIED_SECONDS,
    PATIENT_SECONDS,
    Stage,
    closed_port,
    read_request,
    serve,
    serve_raw,
    serving,
)

KEY = "sk-top-secret-0123456789"
TEXT = "The quick brown fox jumps over the lazy dog."
REQUEST = SpeechRequest(TEXT, model="tts-1", voice="alloy", format=AudioFormat.MP3)
FORMATS = list(AudioFormat)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_client() as made:
        yield made


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="module")
def url(stage: Stage) -> Iterator[str]:
    with serve(stage) as address:
        yield address


@pytest.fixture
def upstream(stage: Stage) -> OpenAIUpstream:
    stage.app = made = OpenAIUpstream()
    return made


@pytest.fixture(autouse=True)
def _always_fresh(upstream: OpenAIUpstream) -> None:
    """No test sees another's server."""


@pytest.fixture
def adapter(client: httpx.AsyncClient, url: str) -> OpenAIAdapter:
    return make_adapter(client, f"{url}/v1")


def make_adapter(client: httpx.AsyncClient, base_url: str, **values: Any) -> OpenAIAdapter:
    config = ProviderConfig(id=1, name="Faraway", kind="openai", base_url=base_url, timeout=PATIENT_SECONDS)
    return OpenAIAdapter(replace(config, **values), client)


async def take(adapter: OpenAIAdapter, request: SpeechRequest = REQUEST) -> tuple[bytes, SpeechAudio]:
    async with adapter.speak(request) as audio:
        return b"".join([chunk async for chunk in audio.chunks]), audio


def seconds(data: bytes) -> float:
    with av.open(io.BytesIO(data), "r") as container:
        return sum((frame.samples / frame.sample_rate for frame in container.decode(audio=0)), 0.0)


# The server must be right before anything that it proves is.


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
async def test_openais_own_client_speaks_with_the_server(url: str, format: Any) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as sdk:
        answer = await sdk.audio.speech.create(
            model="gpt-4o-mini-tts", voice="nova", input=TEXT, response_format=format, speed=1.0, instructions="warmly"
        )
        assert_heard(TEXT, answer.content)


async def test_openais_own_client_understands_the_servers_refusals(upstream: OpenAIUpstream, url: str) -> None:
    upstream.switches.key = KEY
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as sdk:
        assert [model.id async for model in sdk.models.list()] == list(MODELS)
        with pytest.raises(openai.BadRequestError) as bad:
            await sdk.audio.speech.create(model="tts-1", voice="nobody", input="hi")
        assert bad.value.param == "voice"
        with pytest.raises(openai.BadRequestError):
            await sdk.audio.speech.create(model="tts-1", voice="nova", input="hi", speed=9)
        with pytest.raises(openai.BadRequestError) as unknown:
            await sdk.audio.speech.create(model="tts-1", voice="nova", input="hi", extra_body={"lang_code": "a"})
        assert unknown.value.param == "lang_code"
        with pytest.raises(openai.NotFoundError) as missing:
            await sdk.audio.speech.create(model="tts-9", voice="nova", input="hi")
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.AuthenticationError) as wrong:
            await sdk.with_options(api_key="other").models.list()
        assert wrong.value.code == "invalid_api_key"


@pytest.mark.parametrize("body", [{}, {"model": None}, {"model": "tts-1", "voice": "nova"}, {"speed": "fast"}, []])
async def test_the_server_refuses_what_is_missing_or_null(url: str, body: object) -> None:
    async with httpx.AsyncClient(timeout=60, trust_env=False) as plain:
        answer = await plain.post(f"{url}/v1/audio/speech", json=body)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


# Speaking.


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("chunked", [True, False])
async def test_speech_is_heard_in_every_format(
    upstream: OpenAIUpstream, adapter: OpenAIAdapter, format: AudioFormat, chunked: bool
) -> None:
    upstream.switches.chunked = chunked
    data, audio = await take(adapter, replace(REQUEST, format=format))
    assert audio.format is format
    assert audio.sample_rate == (24_000 if format is AudioFormat.PCM else 0)
    assert audio.streaming is chunked
    assert data == speak(TEXT, format.value, 1.0)
    assert_heard(TEXT, data)


async def test_only_what_is_set_is_sent(upstream: OpenAIUpstream, adapter: OpenAIAdapter) -> None:
    await take(adapter, replace(REQUEST, format=AudioFormat.OPUS))
    assert upstream.spoken == [{"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "opus"}]
    headers = upstream.requests[0].headers
    assert headers["content-type"] == "application/json"
    assert "authorization" not in headers


async def test_all_that_is_set_is_sent(upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str) -> None:
    adapter = make_adapter(client, f"{url}/v1", key=KEY, options={"model": "tts-1-hd"})
    upstream.switches.key = KEY
    data, _ = await take(adapter, replace(REQUEST, model="", instructions="Whisper “softly”\n", speed=1.5))
    assert upstream.spoken == [
        {
            "model": "tts-1-hd",
            "input": TEXT,
            "voice": "alloy",
            "instructions": "Whisper “softly”\n",
            "response_format": "mp3",
            "speed": 1.5,
        }
    ]
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert_heard(TEXT, data)
    assert seconds(data) < 0.85 * seconds(speak(TEXT, "mp3", 1.0))


async def test_a_speed_of_1_is_sent_where_the_server_has_one_of_its_own(
    upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str
) -> None:
    await take(make_adapter(client, f"{url}/v1", options={"send_speed": True}))
    assert upstream.spoken[0]["speed"] == 1.0


@pytest.mark.parametrize(("chosen", "asked"), [("auto", "mp3"), ("pcm", "pcm"), ("wav", "wav")])
async def test_a_server_with_few_formats_is_asked_for_one_that_it_has(
    upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str, chosen: str, asked: str
) -> None:
    data, audio = await take(make_adapter(client, f"{url}/v1", options={"ask_for": chosen}))
    assert upstream.spoken[0]["response_format"] == asked == audio.format
    assert_heard(TEXT, data)


async def test_what_openai_itself_is_sent() -> None:
    """Its older models drop an instruction without a word, and a voice of the account's own is an object."""
    bodies: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, content=speak(TEXT, "mp3", 1.0))

    custom = replace(REQUEST, voice="voice_1234", instructions="Whisper.")
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        adapter = make_adapter(client, "https://api.openai.com/v1")
        for model in ("tts-1", "tts-1-hd"):
            with pytest.raises(UnsupportedOption, match="can't follow instructions") as caught:
                await take(adapter, replace(custom, model=model))
            assert caught.value.param == "instructions"
        await take(adapter, replace(custom, model="gpt-4o-mini-tts"))
        await take(make_adapter(client, "http://speech.example/v1"), custom)
    assert [body["voice"] for body in bodies] == [{"id": "voice_1234"}, "voice_1234"]
    assert [body["instructions"] for body in bodies] == ["Whisper."] * 2


@pytest.mark.parametrize(("options", "field"), [({}, "language"), ({"language_field": "lang_code"}, "lang_code")])
async def test_a_language_is_sent_under_the_servers_own_name(
    upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str, options: dict[str, str], field: str
) -> None:
    adapter = make_adapter(client, f"{url}/v1", options=options)
    with pytest.raises(UpstreamRejected, match=f"Unrecognized request argument supplied: {field}"):
        await take(adapter, replace(REQUEST, language="en"))
    assert upstream.spoken[0][field] == "en"


async def test_its_own_headers_are_kept_for_the_log(upstream: OpenAIUpstream, adapter: OpenAIAdapter) -> None:
    upstream.switches.headers = {"X-Neiroha-Backend": "Kokoro", "set-cookie": "a=b", "x-path": "/srv/secret.wav"}
    _, audio = await take(adapter)
    assert audio.headers == {"openai-processing-ms": "12", "x-request-id": "req_1", "x-neiroha-backend": "Kokoro"}


async def test_chunks_are_handed_on_as_they_come(upstream: OpenAIUpstream, adapter: OpenAIAdapter) -> None:
    upstream.switches.gated = True
    upstream.release()
    async with adapter.speak(REQUEST) as audio:
        assert audio.streaming
        received = await anext(audio.chunks)
        assert received == speak(TEXT, "mp3", 1.0)[: upstream.switches.chunk_bytes]
        for _ in range(2):
            upstream.release()
            received += await anext(audio.chunks)
        assert upstream.chunks_sent == 3
        upstream.release(1000)
        async for chunk in audio.chunks:
            received += chunk
    assert received == speak(TEXT, "mp3", 1.0)


async def test_many_calls_at_once(upstream: OpenAIUpstream, adapter: OpenAIAdapter) -> None:
    upstream.switches.held = True
    calls = [asyncio.create_task(take(adapter)) for _ in range(20)]
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.current == 20)
    upstream.release(20)
    answers = await asyncio.gather(*calls)
    assert {data for data, _ in answers} == {speak(TEXT, "mp3", 1.0)}
    assert upstream.peak == 20


# The format that it truly has.


@pytest.mark.parametrize("sent", FORMATS)
@pytest.mark.parametrize("asked", FORMATS)
async def test_bytes_decide_the_format(
    upstream: OpenAIUpstream, adapter: OpenAIAdapter, asked: AudioFormat, sent: AudioFormat
) -> None:
    upstream.switches.speech = speak(TEXT, sent.value, 1.0)
    upstream.switches.speech_type = {AudioFormat.PCM: "audio/pcm", AudioFormat.MP3: "audio/mpeg"}.get(sent, "")
    if sent is AudioFormat.AAC and asked is AudioFormat.PCM:
        upstream.switches.speech_type = "audio/aac"
    _, audio = await take(adapter, replace(REQUEST, format=asked))
    assert audio.format is sent


async def test_samples_that_look_like_an_mp3_frame_are_samples(
    upstream: OpenAIUpstream, adapter: OpenAIAdapter
) -> None:
    upstream.switches.speech = b"\xff\xfb\x90\x00" + b"\x10\x00" * 100
    _, audio = await take(adapter, replace(REQUEST, format=AudioFormat.PCM))
    assert audio.format is AudioFormat.PCM
    _, audio = await take(adapter, replace(REQUEST, format=AudioFormat.MP3))
    assert audio.format is AudioFormat.MP3


@pytest.mark.parametrize(
    ("content_type", "rate"),
    [("audio/pcm", 24_000), ("audio/pcm;rate=22050", 22_050), ("audio/L16; rate=16000; channels=1", 16_000)],
)
async def test_the_rate_of_samples(
    upstream: OpenAIUpstream, adapter: OpenAIAdapter, content_type: str, rate: int
) -> None:
    upstream.switches.speech_type = content_type
    _, audio = await take(adapter, replace(REQUEST, format=AudioFormat.PCM))
    assert (audio.format, audio.sample_rate) == (AudioFormat.PCM, rate)


FOREIGN = [("ogg", "vorbis", "audio/ogg"), ("webm", "libopus", "audio/webm"), ("ipod", "aac", "audio/aac")]


@pytest.mark.parametrize("format", [AudioFormat.OPUS, AudioFormat.AAC, AudioFormat.PCM])
@pytest.mark.parametrize(("container", "codec", "content_type"), FOREIGN)
async def test_a_format_that_nobody_can_ask_for_is_decoded(
    upstream: OpenAIUpstream,
    adapter: OpenAIAdapter,
    container: str,
    codec: str,
    content_type: str,
    format: AudioFormat,
) -> None:
    """Ogg Vorbis calls itself audio/ogg, as Opus does; no player of Opus speaks it."""
    upstream.switches.speech = muxed(container, codec, spoken_samples(TEXT, 1.0), 24_000)
    upstream.switches.speech_type = content_type
    data, audio = await take(adapter, replace(REQUEST, format=format))
    assert (audio.format, audio.sample_rate, audio.streaming) == (AudioFormat.WAV, 0, False)
    assert probe(data).format is AudioFormat.WAV
    assert_heard(TEXT, data)


async def test_such_a_file_that_is_cut_off_is_bad_audio(upstream: OpenAIUpstream, adapter: OpenAIAdapter) -> None:
    upstream.switches.speech = muxed("ogg", "vorbis", spoken_samples(TEXT, 1.0), 24_000)[:-100]
    with pytest.raises(BadAudio, match="cut off"):
        await take(adapter)


EMPTY_WAV = b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 24000, 48000, 2, 16)
EMPTY_WAV += b"data" + struct.pack("<I", 0)


@pytest.mark.parametrize("format", [AudioFormat.MP3, AudioFormat.WAV, AudioFormat.PCM])
@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param(b"", "", id="nothing"),
        pytest.param(EMPTY_WAV, "audio/wav", id="a WAV without a sample"),
        pytest.param(b'{"error":{"message":"voice not loaded"}}', "application/json", id="JSON"),
        pytest.param(b'{"error":{"message":"voice not loaded"}}', "audio/mpeg", id="JSON that says it is audio"),
        pytest.param(b"<!DOCTYPE html>\n<html><title>Welcome</title></html>", "text/html", id="a page"),
        pytest.param(b'data: {"type":"speech.audio.delta","audio":"UklG"}\n\n', "text/event-stream", id="events"),
        pytest.param("不是声音".encode() * 20, "text/plain; charset=utf-8", id="text"),
    ],
)
async def test_a_success_without_sound_is_bad_audio(
    upstream: OpenAIUpstream,
    adapter: OpenAIAdapter,
    format: AudioFormat,
    chunked: bool,
    body: bytes,
    content_type: str,
) -> None:
    upstream.switches.speech, upstream.switches.speech_type, upstream.switches.chunked = body, content_type, chunked
    with pytest.raises(BadAudio, match="Faraway answered") as caught:
        await take(adapter, replace(REQUEST, format=format))
    if b"not loaded" in body:
        assert caught.value.message.endswith("voice not loaded")


async def test_bytes_that_are_no_format_are_bad_audio(upstream: OpenAIUpstream, adapter: OpenAIAdapter) -> None:
    upstream.switches.speech = b"\x00\x01\x02\x03" * 50
    with pytest.raises(BadAudio, match="not audio"):
        await take(adapter)


# What goes wrong.


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal(400, "Bad"), UpstreamRejected),
        (Refusal(401, "No"), UpstreamUnauthorized),
        (Refusal(403, body=b'{"detail":"Not authenticated"}'), UpstreamUnauthorized),
        (Refusal(404, body=b'{"detail":"Voice not found"}'), UpstreamRejected),
        (Refusal(429, "Slow down", headers={"retry-after": "3"}), UpstreamBusy),
        (Refusal(429, "Pay", code="insufficient_quota"), UpstreamQuotaSpent),
        (Refusal(500, body=b"<html><title>Oh no</title>"), UpstreamFailed),
        (Refusal(503, "Overloaded"), UpstreamBusy),
    ],
)
async def test_a_refusal_is_translated(
    upstream: OpenAIUpstream, adapter: OpenAIAdapter, refusal: Refusal, error: type[ProviderError]
) -> None:
    upstream.switches.refusals = [refusal]
    with pytest.raises(error) as caught:
        await take(adapter)
    assert type(caught.value) is error
    assert caught.value.retry_after == (3 if refusal.headers else None)
    assert len(upstream.requests) == 1
    await take(adapter)


async def test_a_stalled_server_is_asked_once(upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str) -> None:
    upstream.switches.held = True
    with pytest.raises(UpstreamTimeout):
        await take(make_adapter(client, url, timeout=HURRIED_SECONDS))
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1)
    assert len(upstream.requests) == 1


async def test_a_stream_that_stalls_is_a_timeout(upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str) -> None:
    # The words are made beforehand, so that only the stall takes time.
    await take(make_adapter(client, f"{url}/v1"))
    upstream.switches.gated = True
    upstream.release()
    async with make_adapter(client, f"{url}/v1", timeout=3 * HURRIED_SECONDS).speak(REQUEST) as audio:
        await anext(audio.chunks)
        with pytest.raises(UpstreamTimeout):
            await anext(audio.chunks)


async def test_a_stream_that_is_cut_says_so(upstream: OpenAIUpstream, adapter: OpenAIAdapter) -> None:
    upstream.switches.cut_after = 2
    received = b""
    async with adapter.speak(REQUEST) as audio:
        with pytest.raises(UpstreamUnreachable, match="broke the connection"):
            async for chunk in audio.chunks:
                received += chunk
    assert received == speak(TEXT, "mp3", 1.0)[: 2 * upstream.switches.chunk_bytes]


async def test_cancelling_closes_the_connection(upstream: OpenAIUpstream, adapter: OpenAIAdapter) -> None:
    upstream.switches.held = True
    call = asyncio.create_task(take(adapter))
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.current == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1 and seen.current == 0)


async def test_cancelling_a_stream_closes_the_connection(upstream: OpenAIUpstream, adapter: OpenAIAdapter) -> None:
    upstream.switches.gated = True
    upstream.release(2)
    call = asyncio.create_task(take(adapter))
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.chunks_sent == 2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1)


async def test_leaving_a_stream_closes_the_connection(upstream: OpenAIUpstream, adapter: OpenAIAdapter) -> None:
    upstream.switches.gated = True
    upstream.release()
    with pytest.raises(KeyError):
        async with adapter.speak(REQUEST) as audio:
            await anext(audio.chunks)
            raise KeyError("the reader's own failure stays what it is")
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1)
    gc.collect()


async def test_a_dead_pooled_connection_fails_no_request(client: httpx.AsyncClient) -> None:
    body = speak(TEXT, "mp3", 1.0)
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def dying(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)
        read_request(connection)

    def living(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)

    async with serve_raw(dying, living) as address:
        adapter = make_adapter(client, f"{address}/v1")
        assert (await take(adapter))[0] == body
        assert (await take(adapter))[0] == body


@pytest.mark.parametrize("key", [KEY, "“typed by a word processor”"])
async def test_no_failure_shows_the_key(
    upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str, key: str
) -> None:
    upstream.switches.key = "another"
    adapter = make_adapter(client, f"{url}/v1", key=key)
    with pytest.raises(SpeechError) as caught:
        await take(adapter)
    health = await adapter.health()
    error: BaseException | None = caught.value
    assert isinstance(error, UpstreamUnauthorized | ProviderUnavailable)
    while error is not None:
        assert key not in f"{error} {error!r}"
        error = error.__cause__
    assert key not in repr(adapter.config)
    assert key not in repr(health)


# Addresses.


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/audio/speech", "/v1/audio/speech/", "/v1?tenant=7#top"])
async def test_a_base_url_may_be_typed_in_many_ways(
    upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str, end: str
) -> None:
    adapter = make_adapter(client, f" {url}{end} ")
    await take(adapter)
    await take(adapter)
    found = [request for request in upstream.requests if request.path == "/v1/audio/speech"]
    assert len(found) == 2
    assert len(upstream.requests) == (2 if "v1" in end else 3), "the right address is remembered"
    assert {request.query for request in upstream.requests} == {"tenant=7" if "?" in end else ""}
    assert len(await adapter.voices()) == len(VOICES)
    assert (await adapter.health()).reason == ""


async def test_a_server_without_v1_is_asked_once(upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str) -> None:
    upstream.switches.prefix = ""
    adapter = make_adapter(client, url)
    await take(adapter)
    with pytest.raises(UpstreamRejected, match="tts-9"):
        await take(adapter, replace(REQUEST, model="tts-9"))
    assert [request.path for request in upstream.requests] == ["/audio/speech"] * 2


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/audio/speech"])
async def test_a_start_page_beside_v1_is_not_the_server(path: str) -> None:
    """It answers every path, those of other methods too. While the server starts it is all there is."""
    served: set[str] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=speak(TEXT, "mp3", 1.0)) if request.url.path in served else PAGE

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        adapter = make_adapter(client, "http://speech.example")
        with pytest.raises(BadAudio, match="Welcome"):
            await take(adapter)
        served.add(path)
        data, _ = await take(adapter)
    assert data == speak(TEXT, "mp3", 1.0)


async def test_calls_at_once_find_v1_together(upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str) -> None:
    adapter = make_adapter(client, url)
    await asyncio.gather(*(take(adapter) for _ in range(5)))
    await take(adapter)
    assert {request.path for request in upstream.requests} == {"/audio/speech", "/v1/audio/speech"}


async def test_a_wrong_address_is_refused_once_more_only(
    upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str
) -> None:
    with pytest.raises(UpstreamRejected, match="answered 404"):
        await take(make_adapter(client, f"{url}/nowhere"))
    assert [request.path for request in upstream.requests] == ["/nowhere/audio/speech", "/nowhere/v1/audio/speech"]


@pytest.mark.parametrize("base_url", ["", "localhost:8880", "ftp://127.0.0.1", "http://[::1"])
async def test_a_base_url_that_is_none(client: httpx.AsyncClient, base_url: str) -> None:
    adapter = make_adapter(client, base_url)
    with pytest.raises(ProviderUnavailable):
        await take(adapter)
    health = await adapter.health()
    assert not health.reachable
    assert "not a valid http or https address" in health.reason


# Lists.


@pytest.mark.parametrize("shape", VOICE_SHAPES)
@pytest.mark.parametrize("path", ["/audio/voices", "/voices", "/speakers", "root:/voices", "root:/speakers"])
async def test_voices_are_found_in_every_shape_and_place(
    upstream: OpenAIUpstream, adapter: OpenAIAdapter, shape: str, path: str
) -> None:
    upstream.switches.voices_shape, upstream.switches.voices_path = shape, path
    expected = [] if shape in ("null", "nothing") else list(VOICES)
    assert [voice.id for voice in await adapter.voices()] == expected


@pytest.mark.parametrize(
    ("payload", "voices"),
    [
        (["a", "b", "a"], [Voice("a", "a"), Voice("b", "b")]),
        ({"voices": [{"voice_id": "v", "name": "Vee"}]}, [Voice("v", "Vee")]),
        ({"voices": [{"name": "v"}]}, [Voice("v", "v")]),
        ({"voices": [{"id": "i", "voice_id": "v", "name": "n"}]}, [Voice("i", "n")]),
        ({"data": [{"id": "a", "language": "en-US", "gender": "female", "description": "Warm"}], "voices": ["a", "b"]},)
        + ([Voice("a", "a", "en-US", "female", "Warm")],),
        ({"data": [], "voices": ["a"]}, [Voice("a", "a")]),
        (
            {"voices": ["vivian"], "uploaded_voices": [{"name": "mine"}]},
            [Voice("vivian", "vivian"), Voice("mine", "mine")],
        ),
        ([{"name": "Ann", "voice_id": "ann", "lang": "en", "preview_url": ""}], [Voice("ann", "Ann", "en")]),
        ([None, 7, True, {}, {"id": None}, {"id": ""}, "a\nb", "x" * 500, {"id": ["a"]}], [Voice("7", "7")]),
        ({"voices": [{"id": "a", "name": "\ud800"}, "\udc00"]}, [Voice("a", "a")]),
        ({"voices": {"a": 1}}, []),
        ({"data": None}, []),
    ],
)
def test_shapes_of_voice_lists(payload: object, voices: list[Voice]) -> None:
    assert parse_voices(payload) == voices


@pytest.mark.parametrize("payload", ["voices", 7, None, {"detail": "Not Found"}, {"error": {"message": "x"}}])
def test_what_is_no_list(payload: object) -> None:
    with pytest.raises(UpstreamFailed):
        parse_voices(payload)
    with pytest.raises(UpstreamFailed):
        parse_models(payload)


def test_shapes_of_model_lists() -> None:
    assert parse_models({"object": "list", "data": [{"id": "tts-1"}, {"id": "tts-1"}]}) == [Model("tts-1")]
    assert parse_models({"models": [{"id": "k", "name": "Kokoro"}]}) == [Model("k", "Kokoro")]
    assert parse_models({}) == []


async def test_models(upstream: OpenAIUpstream, adapter: OpenAIAdapter) -> None:
    assert [model.id for model in await adapter.models()] == list(MODELS)


async def test_a_server_that_lists_nothing(upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str) -> None:
    upstream.switches.prefix = "/elsewhere/v1"
    adapter = make_adapter(client, f"{url}/v1")
    assert await adapter.voices() == []
    assert await adapter.models() == []


async def test_a_page_in_place_of_a_list_is_passed_over(client: httpx.AsyncClient) -> None:
    async def pages(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        listed = scope["path"] == "/v1/voices"
        body, kind = (b'["a"]', b"application/json") if listed else (b"<html>Welcome</html>", b"text/html")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body})

    async with serving(pages) as address:
        adapter = make_adapter(client, f"{address}/v1")
        assert await adapter.voices() == [Voice("a", "a")]
        assert await adapter.models() == []


@pytest.mark.parametrize(("status", "error"), [(401, UpstreamUnauthorized), (429, UpstreamBusy), (500, UpstreamFailed)])
async def test_a_list_that_is_refused_is_no_empty_list(
    upstream: OpenAIUpstream, adapter: OpenAIAdapter, status: int, error: type[ProviderError]
) -> None:
    upstream.switches.refusals = [Refusal(status, "No"), Refusal(status, "No")]
    with pytest.raises(error):
        await adapter.voices()
    with pytest.raises(error):
        await adapter.models()


async def test_openai_itself_lists_no_voices(client: httpx.AsyncClient) -> None:
    voices = await make_adapter(client, "https://API.openai.com/v1/").voices()
    assert [voice.id for voice in voices] == list(VOICES)
    assert all("OpenAI lists no voices" in voice.description for voice in voices)
    looks_alike = make_adapter(client, "http://127.0.0.1:1/api.openai.com")
    with pytest.raises(UpstreamUnreachable):
        await looks_alike.voices()


async def test_openai_itself_lists_models_that_do_not_speak() -> None:
    listed = {"object": "list", "data": [{"id": id} for id in MODELS]}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=listed))
    async with httpx.AsyncClient(transport=transport) as client:
        adapter = make_adapter(client, "https://api.openai.com/v1")
        assert [model.id for model in await adapter.models()] == list(SPEECH_MODELS)


# Health.


async def test_health_of_a_server_that_is_well(upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str) -> None:
    upstream.switches.key = KEY
    health = await make_adapter(client, f"{url}/v1", key=KEY).health()
    assert (health.reachable, health.reason) == (True, "")
    assert upstream.spoken == []


async def test_health_of_a_wrong_key(upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str) -> None:
    upstream.switches.key = KEY
    for key in ("", "sk-wrong-key"):
        health = await make_adapter(client, f"{url}/v1", key=key).health()
        assert (health.reachable, health.key_accepted) == (True, False)
        assert health.reason.startswith("Faraway answered 401")
    upstream.switches.refusals = [Refusal(403, body=b'{"detail":"Invalid API key"}')]
    assert (await make_adapter(client, f"{url}/v1", key=KEY).health()).key_accepted is False


async def test_a_key_is_proved_by_a_403_too(client: httpx.AsyncClient) -> None:
    """As Speaches answers."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if "authorization" in request.headers else 403, json={"data": []})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        assert (await make_adapter(client, "http://speech.example/v1", key=KEY).health()).key_accepted is True


@pytest.mark.parametrize("models_path", ["/models", "/nowhere"])
async def test_a_key_is_proved_by_its_absence(
    upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str, models_path: str
) -> None:
    """A list that came with the key may be for anybody. Where there are no models, voices prove it."""
    upstream.switches.key, upstream.switches.models_path = KEY, models_path
    health = await make_adapter(client, f"{url}/v1?tenant=7", key=KEY).health()
    assert (health.reachable, health.reason, health.key_accepted) == (True, "", True)
    proof = upstream.requests[-1]
    assert (proof.method, proof.query) == ("GET", "tenant=7")
    assert "authorization" not in proof.headers


async def test_a_list_for_anybody_proves_no_key(upstream: OpenAIUpstream, client: httpx.AsyncClient, url: str) -> None:
    health = await make_adapter(client, f"{url}/v1", key=KEY).health()
    assert (health.reachable, health.reason, health.key_accepted) == (True, "", None)
    assert len(upstream.requests) == 2
    upstream.requests.clear()
    assert (await make_adapter(client, f"{url}/v1").health()).key_accepted is None
    assert len(upstream.requests) == 1, "without a key there is nothing to prove"


async def test_a_proof_that_fails_is_no_illness(client: httpx.AsyncClient) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": []}) if "authorization" in request.headers else httpx.Response(500)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        health = await make_adapter(client, "http://speech.example/v1", key=KEY).health()
    assert (health.reachable, health.reason, health.key_accepted) == (True, "", None)


PAGE = httpx.Response(200, html="<!doctype html><title>Welcome</title>")


@pytest.mark.parametrize(
    ("served", "well"),
    [
        ({}, False),
        ({"/v1/models": {"data": []}}, True),
        ({"/v1/audio/voices": {"voices": []}}, True),
    ],
)
@pytest.mark.parametrize("base_url", ["http://speech.example", "http://speech.example/v1"])
async def test_health_of_a_web_page(served: dict[str, object], well: bool, base_url: str) -> None:
    """A start page answers for every path that is not the server's own."""

    def answer(request: httpx.Request) -> httpx.Response:
        found = served.get(request.url.path)
        return PAGE if found is None else httpx.Response(200, json=found)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        health = await make_adapter(client, base_url).health()
    assert health.reachable
    assert health.right_kind is (None if well else False)
    assert ("web page" in health.reason) is not well


async def test_health_of_speech_that_refuses_the_key() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403 if request.url.path.endswith("/speech") else 404)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        health = await make_adapter(client, "http://speech.example/v1", key=KEY).health()
    assert (health.reachable, health.key_accepted) == (True, False)


async def test_health_of_a_closed_port(client: httpx.AsyncClient) -> None:
    with closed_port() as port:
        health = await make_adapter(client, f"http://127.0.0.1:{port}/v1").health()
    assert not health.reachable
    assert "nothing accepts connections" in health.reason


@pytest.mark.parametrize(
    ("served", "well"),
    [
        ({"GET /v1/models": {}}, True),
        ({"GET /v1/audio/voices": {"voices": []}}, True),
        ({"POST /v1/audio/speech": None}, True),
        ({"GET /": "hello"}, False),
    ],
)
async def test_health_of_a_server_with_little(served: dict[str, object], well: bool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if f"{request.method} {path}" in served:
            return httpx.Response(200, content=json.dumps(served[f"{request.method} {path}"]))
        return httpx.Response(405 if f"POST {path}" in served else 404)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        health = await make_adapter(client, "http://speech.example").health()
    assert health.reachable
    assert ("check the base URL" in health.reason) is not well
    assert health.right_kind is (None if well else False)


def test_it_is_registered_and_says_what_it_can_do() -> None:
    assert adapter_class("openai") is OpenAIAdapter
    capabilities = OpenAIAdapter.capabilities
    assert capabilities.needs_base_url
    assert not capabilities.needs_key
    assert capabilities.formats == frozenset(AudioFormat)
    assert OpenAIAdapter.unavailable() == ""
