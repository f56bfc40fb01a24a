"""The Gemini adapter against a strict service, and that service against Google's own client."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import types
from google.genai.errors import ClientError

from providers.adapters import adapter_class
from providers.adapters.gemini import DEFAULT_BASE_URL, GeminiAdapter
from providers.adapters.gemini_requests import PREBUILT_VOICES, StylePlace, may_stream, style_place
from providers.errors import (
    BadAudio,
    ProviderError,
    ProviderUnavailable,
    SpeechError,
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
from tests.upstreams.common import Refusal, spoken_samples
from tests.upstreams.events import true_wav
from tests.upstreams.gemini import PROMPTED, TTS_MODELS, VERBATIM, VOICES, GeminiUpstream, error, quota_error
from tests.upstreams.serving import HURRIED_SECONDS, PATIENT_SECONDS, Stage, closed_port, serve

KEY = "AIzaTopSecret0123456789"
TEXT = "The quick brown fox jumps over the lazy dog."
LONG = "This sentence is here to be long enough. " * 16
REQUEST = SpeechRequest(TEXT, model="gemini-3.8-flash-tts", voice="Kore", format=AudioFormat.PCM)


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


@pytest.fixture(autouse=True)
def upstream(stage: Stage) -> GeminiUpstream:
    stage.app = made = GeminiUpstream(key=KEY)
    return made


@pytest.fixture
def adapter(client: httpx.AsyncClient, url: str) -> GeminiAdapter:
    return make_adapter(client, url)


def make_adapter(client: httpx.AsyncClient, base_url: str, **values: Any) -> GeminiAdapter:
    config = ProviderConfig(id=1, name="Faraway", kind="gemini", base_url=base_url, key=KEY, timeout=PATIENT_SECONDS)
    return GeminiAdapter(replace(config, **values), client)


async def take(adapter: GeminiAdapter, request: SpeechRequest = REQUEST) -> tuple[bytes, SpeechAudio]:
    async with adapter.speak(request) as audio:
        return b"".join([chunk async for chunk in audio.chunks]), audio


# The server must be right before anything that it proves is.


@pytest.fixture(scope="module", params=["v1beta", None], ids=["v1beta", "its own default"])
def sdk(url: str, request: pytest.FixtureRequest) -> Iterator[genai.Client]:
    made = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url, api_version=request.param))
    yield made
    made.close()


def asked_for(voice: str) -> types.GenerateContentConfig:
    prebuilt = types.PrebuiltVoiceConfig(voice_name=voice)
    speech = types.SpeechConfig(voice_config=types.VoiceConfig(prebuilt_voice_config=prebuilt))
    return types.GenerateContentConfig(response_modalities=["AUDIO"], speech_config=speech)


def sound_of(answer: types.GenerateContentResponse) -> bytes:
    contents = [candidate.content for candidate in answer.candidates or []]
    parts = [part for content in contents if content for part in content.parts or []]
    return b"".join(part.inline_data.data or b"" for part in parts if part.inline_data)


def test_googles_own_client_speaks_with_the_server(upstream: GeminiUpstream, sdk: genai.Client) -> None:
    prompt = f"Say cheerfully: {TEXT}"
    whole = sdk.models.generate_content(model="gemini-2.5-flash-preview-tts", contents=prompt, config=asked_for("kore"))
    assert sound_of(whole) == spoken_samples(TEXT, 1.0)
    part: Any = types.Part(text=TEXT, speech_metadata=types.SpeechMetadata(style="warm"))
    whole = sdk.models.generate_content(model="gemini-3.8-flash-tts", contents=[part], config=asked_for("Kore"))
    assert sound_of(whole) == true_wav(TEXT)
    pieces = sdk.models.generate_content_stream(model="gemini-3.8-flash-tts", contents=[part], config=asked_for("Kore"))
    assert b"".join(map(sound_of, pieces)) == spoken_samples(TEXT, 1.0)
    assert "voice_config" in json.dumps(upstream.spoken[0]), "this client writes snake_case inside"


def test_googles_own_client_reads_the_servers_lists(upstream: GeminiUpstream, sdk: genai.Client) -> None:
    listed = [model.name for model in sdk.models.list(config={"page_size": 2})]
    assert listed[2:] == [f"models/{id}" for id in TTS_MODELS]
    assert sdk.models.get(model="gemini-3.8-flash-tts").display_name == "Gemini-3.8-Flash-Tts"
    assert sum("pageToken" in request.query for request in upstream.requests) == 3


def test_googles_own_client_reads_the_servers_voices(url: str) -> None:
    sdk = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url))
    page = sdk.voices.list(page_size=10)
    assert [voice.id for voice in page.voices or []] == [name.title() for name in VOICES[:10]]
    assert page.next_page_token == "10"
    sdk.close()


@pytest.mark.parametrize(
    ("model", "config", "contents", "code"),
    [
        ("gemini-9-tts", {}, TEXT, 404),
        ("gemini-3.8-flash-tts", {"temperature": 1.0}, TEXT, 400),
        ("gemini-3.8-flash-tts", {"response_modalities": ["TEXT"]}, TEXT, 400),
        ("gemini-3.1-flash-tts-preview", {"speech_config": None}, TEXT, 400),
        ("gemini-3.8-flash-tts", {"system_instruction": "Be kind"}, TEXT, 400),
        ("gemini-2.5-flash-preview-tts", {}, [{"text": TEXT, "speech_metadata": {"style": "warm"}}], 400),
    ],
)
def test_googles_own_client_understands_the_servers_refusals(
    sdk: genai.Client, model: str, config: dict[str, Any], contents: Any, code: int
) -> None:
    asked = asked_for("Kore").model_copy(update=config)
    with pytest.raises(ClientError) as caught:
        sdk.models.generate_content(model=model, contents=contents, config=asked)
    assert caught.value.code == code


def test_googles_own_client_sees_voices_and_keys_refused(url: str, sdk: genai.Client) -> None:
    with pytest.raises(ClientError, match="not supported"):
        sdk.models.generate_content(model="gemini-3.8-flash-tts", contents=TEXT, config=asked_for("Nobody"))
    wrong = genai.Client(api_key="wrong", http_options=types.HttpOptions(base_url=url))
    with pytest.raises(ClientError, match="API_KEY_INVALID") as caught:
        wrong.models.generate_content(model="gemini-3.8-flash-tts", contents=TEXT, config=asked_for("Kore"))
    assert caught.value.code == 400
    wrong.close()


@pytest.mark.parametrize(("headers", "status"), [({}, 403), ({"authorization": f"Bearer {KEY}"}, 401)])
async def test_the_server_wants_the_key_in_its_own_header(url: str, headers: dict[str, str], status: int) -> None:
    async with httpx.AsyncClient(timeout=60, trust_env=False) as plain:
        answer = await plain.get(f"{url}/v1beta/models", headers=headers)
    assert answer.status_code == status


# Speaking.


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", TTS_MODELS)
async def test_speech_of_every_model(client: httpx.AsyncClient, url: str, model: str, stream: bool) -> None:
    adapter = make_adapter(client, url, options={"stream": stream})
    data, audio = await take(adapter, replace(REQUEST, model=model))
    whole_file = model in VERBATIM and not stream
    assert audio.streaming is stream
    assert (audio.format, audio.sample_rate) == ((AudioFormat.WAV, 0) if whole_file else (AudioFormat.PCM, 24_000))
    assert data == (true_wav(TEXT) if whole_file else spoken_samples(TEXT, 1.0))


@pytest.mark.parametrize("model", [PROMPTED[0], VERBATIM[0]])
async def test_speech_is_heard_and_its_style_is_not(adapter: GeminiAdapter, model: str) -> None:
    data, _ = await take(adapter, replace(REQUEST, model=model, instructions="warmly: like an old friend"))
    assert_heard(TEXT, data)


async def test_what_a_model_from_3_8_on_is_sent(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    await take(adapter)
    speech: dict[str, Any] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}
    assert upstream.spoken == [
        {
            "contents": [{"role": "user", "parts": [{"text": TEXT}]}],
            "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": speech},
        }
    ]
    await take(adapter, replace(REQUEST, instructions="warm", language="en-US", model="models/gemini-3.8-flash-tts"))
    assert upstream.spoken[1]["contents"][0]["parts"] == [{"text": TEXT, "speechMetadata": {"style": "warm"}}]
    assert upstream.spoken[1]["generationConfig"]["speechConfig"] == {**speech, "languageCode": "en-US"}
    request = upstream.requests[1]
    assert (request.path, request.query) == (
        "/v1beta/models/gemini-3.8-flash-tts:streamGenerateContent",
        "alt=sse",
    )
    assert request.headers["x-goog-api-key"] == KEY


async def test_what_an_older_model_is_sent(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    for instructions in ("", "Whisper."):
        await take(adapter, replace(REQUEST, model=PROMPTED[0], instructions=instructions))
    sent = [body["contents"][0]["parts"] for body in upstream.spoken]
    assert sent == [
        [{"text": f"Read aloud:\n\n{TEXT}"}],
        [{"text": f"Read the text below aloud. How to speak: Whisper.\n\n{TEXT}"}],
    ]


async def test_a_question_is_read_and_not_answered(adapter: GeminiAdapter) -> None:
    question = "What is the answer to this question?"
    data, _ = await take(adapter, replace(REQUEST, model=PROMPTED[0], text=question))
    assert data == spoken_samples(question, 1.0)


@pytest.mark.parametrize(
    ("model", "chosen", "place"),
    [
        ("gemini-2.5-pro-preview-tts", "", StylePlace.PROMPT),
        ("gemini-3.1-flash-tts-preview", "auto", StylePlace.PROMPT),
        ("gemini-3.8-flash-tts", "auto", StylePlace.METADATA),
        ("gemini-3.10-flash-tts", "", StylePlace.METADATA),
        ("gemini-4.0-tts", "", StylePlace.METADATA),
        ("gemini-tts-latest", "", StylePlace.METADATA),
        ("gemini-tts-latest", "prompt", StylePlace.PROMPT),
        ("gemini-2.5-pro-preview-tts", "metadata", StylePlace.METADATA),
    ],
)
def test_where_the_style_goes(model: str, chosen: str, place: StylePlace) -> None:
    assert style_place(model, chosen) is place


@pytest.mark.parametrize(
    ("model", "voice", "field"),
    [
        ("gemini-3.8-flash-tts", "kore", "prebuiltVoiceConfig"),
        ("gemini-3.8-flash-tts", "voice_abc", "voice"),
        ("gemini-2.5-flash-preview-tts", "kore", "prebuiltVoiceConfig"),
    ],
)
async def test_the_field_of_the_voice(
    upstream: GeminiUpstream, adapter: GeminiAdapter, model: str, voice: str, field: str
) -> None:
    await take(adapter, replace(REQUEST, model=model, voice=voice))
    assert list(upstream.spoken[0]["generationConfig"]["speechConfig"]["voiceConfig"]) == [field]


async def test_an_older_model_knows_no_other_field(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    with pytest.raises(UpstreamRejected, match="not supported"):
        await take(adapter, replace(REQUEST, model=PROMPTED[0], voice="voice_abc"))
    voice = upstream.spoken[0]["generationConfig"]["speechConfig"]["voiceConfig"]
    assert voice == {"prebuiltVoiceConfig": {"voiceName": "voice_abc"}}


async def test_the_providers_own_model(upstream: GeminiUpstream, client: httpx.AsyncClient, url: str) -> None:
    await take(make_adapter(client, url, options={"model": PROMPTED[1]}), replace(REQUEST, model=""))
    assert PROMPTED[1] in upstream.requests[0].path
    with pytest.raises(ProviderUnavailable, match="needs a model"):
        await take(make_adapter(client, url), replace(REQUEST, model=""))


async def test_a_model_can_not_lead_elsewhere(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    with pytest.raises(UpstreamRejected, match="answered 404"):
        await take(adapter, replace(REQUEST, model="../../upload?x=#"))
    assert upstream.requests[0].path.startswith("/v1beta/models/")
    assert upstream.requests[0].query == "alt=sse"


async def test_long_speech_is_not_streamed(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    """Streams have been cut at a minute of sound."""
    _, audio = await take(adapter, replace(REQUEST, text=LONG))
    assert not audio.streaming
    assert upstream.requests[0].path.endswith(":generateContent")
    assert may_stream("a" * 600)
    assert not may_stream("a" * 700)
    assert may_stream("\u597d" * 170)
    assert not may_stream("\u597d" * 190)


# Sound in every shape.


@pytest.mark.parametrize(
    ("mime", "rate"),
    [
        ("audio/L16;codec=pcm;rate=24000", 24_000),
        ("audio/l16; rate=16000; channels=1", 16_000),
        ("AUDIO/L16; RATE = 22050", 22_050),
        ("audio/pcm", 24_000),
    ],
)
async def test_the_rate_of_samples(upstream: GeminiUpstream, adapter: GeminiAdapter, mime: str, rate: int) -> None:
    sound = {"inlineData": {"mimeType": mime, "data": base64.b64encode(b"\x10\x00\xf0\xff" * 50).decode()}}
    upstream.switches.parts = [sound]
    _, audio = await take(adapter, replace(REQUEST, text=LONG))
    assert (audio.format, audio.sample_rate) == (AudioFormat.PCM, rate)


async def test_parts_are_joined_and_thoughts_left_out(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    halves = [base64.b64encode(half).decode() for half in (b"\x01\x00" * 50 + b"\x02", b"\x00" + b"\x03\x00" * 50)]
    sounds = [{"inlineData": {"mimeType": "audio/L16;rate=24000", "data": half}} for half in halves]
    thought = {"thought": True, "inlineData": {"mimeType": "audio/L16", "data": "AAAA"}}
    upstream.switches.parts = [{"text": "Here:"}, thought, *sounds]
    data, _ = await take(adapter, replace(REQUEST, text=LONG))
    assert data == b"\x01\x00" * 50 + b"\x02\x00" + b"\x03\x00" * 50


async def test_an_array_in_place_of_events(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    sound = {"inlineData": {"mimeType": "audio/L16", "data": base64.b64encode(b"\x01\x00" * 50).decode()}}
    events: list[Any] = [{"candidates": [{"content": {"parts": [sound]}}]}, {"candidates": [{"finishReason": "STOP"}]}]
    upstream.switches.speech = json.dumps(events).encode()
    assert (await take(adapter))[0] == b"\x01\x00" * 50


# No sound under a success.


@pytest.mark.parametrize("text", [TEXT, LONG])
@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "OTHER", "SOMETHING_NEW"])
async def test_a_blocked_text_is_explained(
    upstream: GeminiUpstream, adapter: GeminiAdapter, text: str, reason: str
) -> None:
    upstream.switches.block = reason
    with pytest.raises(UpstreamRejected, match=rf"refused the text \({reason}\): \w"):
        await take(adapter, replace(REQUEST, text=text))
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("text", [TEXT, LONG])
@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("SAFETY", "safety filter"),
        ("RECITATION", "protected"),
        ("LANGUAGE", "language"),
        ("SPII", "personal"),
        ("PROHIBITED_CONTENT", "prohibited"),
        ("MAX_TOKENS", "too long"),
    ],
)
async def test_an_answer_that_ends_badly_is_explained(
    upstream: GeminiUpstream, adapter: GeminiAdapter, text: str, reason: str, words: str
) -> None:
    upstream.switches.finish = reason
    with pytest.raises(UpstreamRejected, match=words):
        await take(adapter, replace(REQUEST, text=text))
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("text", [TEXT, LONG])
async def test_an_unexplained_silence_is_asked_again_once(
    upstream: GeminiUpstream, adapter: GeminiAdapter, text: str
) -> None:
    upstream.switches.unexplained = 1
    data, _ = await take(adapter, replace(REQUEST, text=text))
    assert data
    upstream.switches.unexplained = 2
    with pytest.raises(UpstreamFailed, match="OTHER") as caught:
        await take(adapter, replace(REQUEST, text=text))
    assert not caught.value.permanent
    assert len(upstream.requests) == 4


async def test_words_in_place_of_sound(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    upstream.switches.parts = [{"text": "That is a good question."}]
    with pytest.raises(BadAudio, match="text in place of sound: That is a good question"):
        await take(adapter)


@pytest.mark.parametrize(
    ("reason", "words"), [("OTHER", "in the middle"), ("", "before the speech was finished"), ("SAFETY", "safety")]
)
async def test_a_stream_that_is_cut_in_the_middle(
    upstream: GeminiUpstream, adapter: GeminiAdapter, reason: str, words: str
) -> None:
    upstream.switches.cut_events, upstream.switches.last_reason = 2, reason
    received = b""
    async with adapter.speak(REQUEST) as audio:
        with pytest.raises(ProviderError, match=words):
            async for chunk in audio.chunks:
                received += chunk
    assert received
    assert spoken_samples(TEXT, 1.0).startswith(received)
    assert len(upstream.requests) == 1, "nothing is asked again once something was heard"


@pytest.mark.parametrize(
    ("body", "failure", "words"),
    [
        (b"", UpstreamFailed, "proper JSON"),
        (b"<html>Welcome</html>", UpstreamFailed, "proper JSON"),
        (b"7", UpstreamFailed, "not an answer"),
        (b"{}", UpstreamFailed, "before the speech was finished"),
        (b"[]", UpstreamFailed, "before the speech was finished"),
        (b'{"candidates":[{"finishReason":"STOP","content":null}]}', BadAudio, "without any sound"),
        (
            b'{"candidates":[{"finishReason":"STOP","content":{"parts":[{"inlineData":{"data":"%%"}}]}}]}',
            BadAudio,
            "base64",
        ),
        (
            b'{"candidates":[{"finishReason":"STOP","content":{"parts":[{"inlineData":{"data":""}}]}}]}',
            BadAudio,
            "without any sound",
        ),
        (b'{"error":{"code":503,"message":"Overloaded","status":"UNAVAILABLE"}}', UpstreamBusy, "Overloaded"),
        (b'[{"error":{"code":500,"message":"Internal"}}]', UpstreamFailed, "Internal"),
        (b'{"error":{"code":200,"message":"Odd"}}', UpstreamFailed, "Odd"),
    ],
)
@pytest.mark.parametrize("events", [True, False])
async def test_a_success_that_is_none(
    upstream: GeminiUpstream,
    adapter: GeminiAdapter,
    events: bool,
    body: bytes,
    failure: type[ProviderError],
    words: str,
) -> None:
    upstream.switches.speech = b"data: " + body + b"\r\n\r\n" if events else body
    upstream.switches.speech_type = "text/event-stream" if events else "application/json; charset=UTF-8"
    with pytest.raises(failure, match=words) as caught:
        await take(adapter)
    assert type(caught.value) is failure


# Errors.

INVALID_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}


@pytest.mark.parametrize(
    ("refusal", "failure", "words", "wait"),
    [
        (error(400, "INVALID_ARGUMENT", "Unknown name"), UpstreamRejected, "Unknown name", None),
        (error(400, "INVALID_ARGUMENT", "API key not valid.", INVALID_KEY), UpstreamUnauthorized, "not valid", None),
        (error(401, "UNAUTHENTICATED", "No"), UpstreamUnauthorized, "No", None),
        (error(403, "PERMISSION_DENIED", "Your key was leaked"), UpstreamUnauthorized, "leaked", None),
        (error(404, "NOT_FOUND", "Retired"), UpstreamRejected, "Retired", None),
        (quota_error("PerMinutePerProjectPerModel", "31s"), UpstreamBusy, "quota", 31.0),
        (quota_error("PerMinutePerProjectPerModel", "3000.5s"), UpstreamBusy, "quota", 3000.5),
        (quota_error("PerMinutePerProjectPerModel", "99999s"), UpstreamBusy, "quota", 3600.0),
        (quota_error("PerMinutePerProjectPerModel", "soon"), UpstreamBusy, "quota", None),
        (error(429, "RESOURCE_EXHAUSTED", "Slow", headers={"retry-after": "4"}), UpstreamBusy, "Slow", 4.0),
        (quota_error("PerDayPerProjectPerModel-FreeTier", "31s"), UpstreamQuotaSpent, "at midnight Pacific", None),
        (Refusal(402, body=b'{"error":{"message":"No money"}}'), UpstreamQuotaSpent, "No money", None),
        (error(500, "INTERNAL", "Oh no"), UpstreamFailed, "Oh no", None),
        (error(503, "UNAVAILABLE", "Overloaded"), UpstreamBusy, "Overloaded", None),
        (error(504, "DEADLINE_EXCEEDED", "Late"), UpstreamFailed, "Late", None),
        (Refusal(400, body=b'[{"error":{"message":"x","details":[{"reason":"API_KEY_INVALID"}]}}]'),)
        + (UpstreamUnauthorized, "x", None),
        (Refusal(502, body=b"<html><title>Bad Gateway</title>"), UpstreamFailed, "Bad Gateway", None),
    ],
)
async def test_a_refusal_is_translated(
    upstream: GeminiUpstream,
    adapter: GeminiAdapter,
    refusal: Refusal,
    failure: type[ProviderError],
    words: str,
    wait: float | None,
) -> None:
    upstream.switches.refusals = [refusal]
    with pytest.raises(failure, match=words) as caught:
        await take(adapter)
    assert type(caught.value) is failure
    assert caught.value.retry_after == wait
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("under_a_success", [True, False])
async def test_a_days_quota_that_is_spent_says_what_helps(
    upstream: GeminiUpstream, adapter: GeminiAdapter, under_a_success: bool
) -> None:
    """Its `retryDelay` would have us ask again in half a minute."""
    refusal = quota_error("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "31s")
    if under_a_success:
        upstream.switches.speech = refusal.content()
    else:
        upstream.switches.refusals = [refusal]
    with pytest.raises(UpstreamQuotaSpent) as caught:
        await take(adapter)
    assert (caught.value.status, caught.value.permanent, caught.value.retry_after) == (429, True, None)
    message = caught.value.message
    assert "gemini-3.8-flash-tts (GenerateRequestsPerDayPerProjectPerModel-FreeTier)" in message
    assert "midnight Pacific" in message and "another model" in message


@pytest.mark.parametrize("key", ["wrong-key-0123456789", "“typed by a word processor”"])
async def test_no_failure_shows_the_key(client: httpx.AsyncClient, url: str, key: str) -> None:
    adapter = make_adapter(client, url, key=key)
    with pytest.raises(SpeechError) as caught:
        await take(adapter)
    health = await adapter.health()
    failure: BaseException | None = caught.value
    assert isinstance(failure, UpstreamUnauthorized | ProviderUnavailable)
    while failure is not None:
        assert key not in f"{failure} {failure!r}"
        failure = failure.__cause__
    assert key not in f"{adapter.config!r} {health!r}"


async def test_the_key_is_in_no_address(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    await take(adapter)
    await adapter.models()
    await adapter.voices()
    assert KEY not in "".join(request.path + request.query for request in upstream.requests)


# Time.


async def test_sound_is_handed_on_as_it_comes(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    upstream.switches.gated = True
    upstream.release()
    async with adapter.speak(REQUEST) as audio:
        received = await anext(audio.chunks)
        assert received == spoken_samples(TEXT, 1.0)[: upstream.switches.piece_bytes]
        assert upstream.chunks_sent == 1
        upstream.release(1000)
        async for chunk in audio.chunks:
            received += chunk
    assert received == spoken_samples(TEXT, 1.0)


async def test_a_stalled_service_is_asked_once(upstream: GeminiUpstream, client: httpx.AsyncClient, url: str) -> None:
    upstream.switches.held = True
    with pytest.raises(UpstreamTimeout):
        await take(make_adapter(client, url, timeout=HURRIED_SECONDS))
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1)
    assert len(upstream.requests) == 1


async def test_a_stream_that_stalls_is_a_timeout(upstream: GeminiUpstream, client: httpx.AsyncClient, url: str) -> None:
    # The words are made beforehand, so that only the stall takes time.
    await take(make_adapter(client, url))
    upstream.switches.gated = True
    upstream.release()
    async with make_adapter(client, url, timeout=3 * HURRIED_SECONDS).speak(REQUEST) as audio:
        await anext(audio.chunks)
        with pytest.raises(UpstreamTimeout):
            await anext(audio.chunks)


async def test_a_stream_whose_connection_breaks(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    upstream.switches.cut_after = 2
    with pytest.raises(UpstreamUnreachable, match="broke the connection"):
        await take(adapter)


async def test_cancelling_closes_the_connection(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    upstream.switches.held = True
    call = asyncio.create_task(take(adapter))
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.current == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1 and seen.current == 0)


async def test_leaving_a_stream_closes_the_connection(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    upstream.switches.gated = True
    upstream.release()
    with pytest.raises(KeyError):
        async with adapter.speak(REQUEST) as audio:
            await anext(audio.chunks)
            raise KeyError("the reader's own failure stays what it is")
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1)
    gc.collect()


# Addresses, lists and health.


@pytest.mark.parametrize(
    "suffix",
    [
        "",
        "/",
        "/v1beta",
        "/v1beta/",
        "/v1",
        "/v1beta/openai",
        "/v1beta/openai/",
        "/v1beta/models/x:generateContent?a=b",
    ],
)
@pytest.mark.parametrize("prefix", ["", "/proxy/v12"])
async def test_every_form_of_the_base_url(
    upstream: GeminiUpstream, client: httpx.AsyncClient, url: str, prefix: str, suffix: str
) -> None:
    upstream.switches.prefix = prefix
    await take(make_adapter(client, url + prefix + suffix))
    assert upstream.requests[0].path.startswith(f"{prefix}/v1beta/models/")


async def test_the_other_version_of_the_api(upstream: GeminiUpstream, client: httpx.AsyncClient, url: str) -> None:
    await take(make_adapter(client, url, options={"api_version": "v1"}))
    assert upstream.requests[0].path.startswith("/v1/models/")


async def test_without_a_base_url_it_is_googles() -> None:
    seen: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        return httpx.Response(200, json={"models": []})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        assert (await make_adapter(client, "").health()).reason == ""
    assert str(seen[0]) == f"{DEFAULT_BASE_URL}/v1beta/models?pageSize=1"


@pytest.mark.parametrize("base_url", ["localhost:8880", "ftp://127.0.0.1", "http://[::1"])
async def test_a_base_url_that_is_none(client: httpx.AsyncClient, base_url: str) -> None:
    adapter = make_adapter(client, base_url)
    with pytest.raises(ProviderUnavailable):
        await take(adapter)
    health = await adapter.health()
    assert not health.reachable
    assert "not a valid http or https address" in health.reason


@pytest.mark.parametrize("limit", [1000, 2])
async def test_models_of_all_pages_that_speak(upstream: GeminiUpstream, adapter: GeminiAdapter, limit: int) -> None:
    upstream.switches.page_limit = limit
    assert await adapter.models() == [Model(id, id.title()) for id in TTS_MODELS]


async def test_models_whose_names_tell_nothing(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    upstream.switches.models = ("gemini-9-speech",)
    assert [model.id for model in await adapter.models()] == ["gemini-3.8-flash", "gemini-9-speech"]


async def test_voices_of_all_pages(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    upstream.switches.page_limit = 700
    upstream.switches.extra_voices = [
        {
            "id": f"voice_{number}",
            "type": "prebuilt",
            "display_name": f"Ann {number}",
            "gender": "female",
            "language_code": "en-GB",
            "description": "Calm",
        }
        for number in range(2000)
    ]
    voices = await adapter.voices()
    assert voices[:30] == list(PREBUILT_VOICES)
    assert len(voices) == 2030
    assert voices[30] == Voice("voice_0", "Ann 0", "en-GB", "female", "Calm")


async def test_voices_of_a_service_that_lists_none(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    upstream.switches.extra_voices = None
    assert await adapter.voices() == list(PREBUILT_VOICES)
    assert sorted(voice.id.lower() for voice in PREBUILT_VOICES) == sorted(VOICES)


async def test_a_list_whose_pages_repeat_ends(client: httpx.AsyncClient) -> None:
    listed = {"voices": [{"id": "voice_a"}], "next_page_token": "same"}
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=listed))) as endless:
        assert len(await make_adapter(endless, "http://speech.example").voices()) == 31


@pytest.mark.parametrize("payload", [[], "x", 7, None])
async def test_what_is_no_list(payload: object) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=json.dumps(payload)))
    async with httpx.AsyncClient(transport=transport) as client:
        adapter = make_adapter(client, "http://speech.example")
        with pytest.raises(UpstreamFailed):
            await adapter.models()
        assert (await adapter.health()).right_kind is False


async def test_a_list_that_is_refused_is_no_empty_list(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    upstream.switches.refusals = [quota_error("PerMinute", "3s"), error(400, "INVALID_ARGUMENT", "x", INVALID_KEY)]
    with pytest.raises(UpstreamBusy):
        await adapter.voices()
    with pytest.raises(UpstreamUnauthorized):
        await adapter.models()


async def test_health_of_a_service_that_is_well(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    health = await adapter.health()
    assert (health.reachable, health.reason, health.key_accepted, health.right_kind) == (True, "", True, True)
    assert upstream.spoken == []


@pytest.mark.parametrize("key", ["", "wrong-key"])
async def test_health_of_a_wrong_key(client: httpx.AsyncClient, url: str, key: str) -> None:
    health = await make_adapter(client, url, key=key).health()
    assert (health.reachable, health.key_accepted) == (True, False)
    assert health.reason.startswith("Faraway answered 40")


async def test_health_of_a_spent_day(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    upstream.switches.refusals = [quota_error("PerDayPerProject")]
    health = await adapter.health()
    assert health.reachable
    assert "midnight" in health.reason


async def test_health_of_a_web_page(upstream: GeminiUpstream, adapter: GeminiAdapter) -> None:
    upstream.switches.refusals = [Refusal(200, body=b"<!doctype html><title>Welcome</title>")]
    health = await adapter.health()
    assert (health.reachable, health.right_kind, health.key_accepted) == (True, False, None)
    assert "does not list Gemini's models" in health.reason


async def test_health_of_a_closed_port(client: httpx.AsyncClient) -> None:
    with closed_port() as port:
        health = await make_adapter(client, f"http://127.0.0.1:{port}").health()
    assert not health.reachable
    assert "nothing accepts connections" in health.reason


def test_it_is_registered_and_says_what_it_can_do() -> None:
    assert adapter_class("gemini") is GeminiAdapter
    capabilities = GeminiAdapter.capabilities
    assert capabilities.speed is None
    assert capabilities.instructions
    assert capabilities.needs_key
    assert not capabilities.needs_base_url
