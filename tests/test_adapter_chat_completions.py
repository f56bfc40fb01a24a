"""Speech through chat completions, against strict servers in both dialects, and those against OpenAI's own client."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import openai
import pytest

from providers.adapters import adapter_class
from providers.adapters.chat_completions import ChatCompletionsAdapter
from providers.adapters.chat_dialects import KNOWN_VOICES, Dialect, dialect_of, says_the_same, without_directions
from providers.audio import sniff, wav_header
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
from providers.speech import AudioFormat, ProviderConfig, Reference, SpeechAudio, SpeechRequest, TaskMode, Voice
from tests.hearing import assert_heard
from tests.sounds import muxed
from tests.upstreams.chat_completions import (
    MIMO_MODELS,
    MIMO_PRESETS,
    OPENAI_MODELS,
    OPENAI_VOICES,
    ChatUpstream,
    mimo_refusal,
    reference_mp3,
    reference_wav,
)
from tests.upstreams.common import Refusal, speak, spoken_samples
from tests.upstreams.serving import HURRIED_SECONDS, PATIENT_SECONDS, Stage, closed_port, serve

KEY = "sk-top-secret-0123456789"
TEXT = "The quick brown fox jumps over the lazy dog."
MIMO = SpeechRequest(TEXT, model="mimo-v2.5-tts", voice="Mia", format=AudioFormat.PCM)
GPT = SpeechRequest(TEXT, model="gpt-audio", voice="alloy", format=AudioFormat.PCM)
REQUESTS = {"mimo": MIMO, "openai": GPT}


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
def upstream(stage: Stage) -> ChatUpstream:
    stage.app = made = ChatUpstream()
    return made


@pytest.fixture
def adapter(client: httpx.AsyncClient, url: str) -> ChatCompletionsAdapter:
    return make_adapter(client, f"{url}/v1")


def make_adapter(client: httpx.AsyncClient, base_url: str, **values: Any) -> ChatCompletionsAdapter:
    config = ProviderConfig(id=1, name="Faraway", kind="chat_completions", base_url=base_url, timeout=PATIENT_SECONDS)
    return ChatCompletionsAdapter(replace(config, **values), client)


async def take(adapter: ChatCompletionsAdapter, request: SpeechRequest = MIMO) -> tuple[bytes, SpeechAudio]:
    async with adapter.speak(request) as audio:
        return b"".join([chunk async for chunk in audio.chunks]), audio


# The server must be right before anything that it proves is.


async def test_openais_own_client_hears_gpt_audio(upstream: ChatUpstream, url: str) -> None:
    upstream.switches.dialect = "openai"
    body: Any = {
        "model": "gpt-audio",
        "modalities": ["text", "audio"],
        "messages": [
            {"role": "developer", "content": "Read the user's text aloud word for word."},
            {"role": "user", "content": TEXT},
        ],
    }
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as sdk:
        whole = await sdk.chat.completions.create(**body, audio={"voice": "alloy", "format": "wav"})
        sound = whole.choices[0].message.audio
        assert sound is not None
        assert sound.transcript == TEXT
        assert base64.b64decode(sound.data) == speak(TEXT, "wav", 1.0)
        pieces = await sdk.chat.completions.create(**body, audio={"voice": "alloy", "format": "pcm16"}, stream=True)
        data, finished = b"", ""
        async for chunk in pieces:
            for choice in chunk.choices:
                data += base64.b64decode((choice.delta.audio and choice.delta.audio.data) or "")
                finished = getattr(choice, "finish_reason", None) or finished
    assert finished == "stop"
    assert data == spoken_samples(TEXT, 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modalities": ["text"]}, "modality contain audio"),
        ({"audio": {"format": "wav"}}, "audio.voice"),
        ({"audio": {"voice": "alloy"}}, "audio.format"),
        ({"audio": {"voice": "nobody", "format": "wav"}}, "nobody"),
        ({"audio": {"voice": "alloy", "format": "wav"}, "stream": True}, "not supported"),
        ({"speed": 2}, "speed"),
    ],
)
async def test_openais_own_client_understands_the_servers_refusals(
    upstream: ChatUpstream, url: str, change: dict[str, Any], words: str
) -> None:
    upstream.switches.dialect = "openai"
    body: Any = {"model": "gpt-audio", "modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    body |= {"messages": [{"role": "user", "content": TEXT}], **change}
    extra = {name: body.pop(name) for name in ["speed"] if name in body}
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as sdk:
        with pytest.raises(openai.BadRequestError, match=words):
            await sdk.chat.completions.create(**body, extra_body=extra)


async def test_openais_own_client_speaks_with_mimo(url: str) -> None:
    """Xiaomi's documents say to use it."""
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as sdk:
        messages: Any = [{"role": "assistant", "content": f"(温柔) {TEXT}"}]
        sound: Any = {"voice": "Mia", "format": "mp3"}
        whole = await sdk.chat.completions.create(model="mimo-v2.5-tts", messages=messages, audio=sound)
        assert whole.choices[0].message.audio is not None
        assert_heard(TEXT, base64.b64decode(whole.choices[0].message.audio.data))


# Speaking.


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", ["mimo", "openai"])
async def test_speech_is_heard(
    upstream: ChatUpstream, client: httpx.AsyncClient, url: str, dialect: str, stream: bool
) -> None:
    upstream.switches.dialect = dialect
    data, audio = await take(make_adapter(client, f"{url}/v1", options={"stream": stream}), REQUESTS[dialect])
    assert audio.streaming is stream
    assert (audio.format, audio.sample_rate) == ((AudioFormat.PCM, 24_000) if stream else (AudioFormat.WAV, 0))
    assert data == (spoken_samples(TEXT, 1.0) if stream else speak(TEXT, "wav", 1.0))
    assert_heard(TEXT, data)


@pytest.mark.parametrize("model", MIMO_PRESETS)
async def test_pieces_of_odd_length_make_one_whole(
    upstream: ChatUpstream, adapter: ChatCompletionsAdapter, model: str
) -> None:
    assert upstream.switches.piece_bytes % 2
    data, _ = await take(adapter, replace(MIMO, model=model, voice="mimo_default"))
    assert data == spoken_samples(TEXT, 1.0)


async def test_what_mimo_is_sent(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    await take(adapter)
    assert upstream.spoken == [
        {
            "model": "mimo-v2.5-tts",
            "messages": [{"role": "assistant", "content": TEXT}],
            "audio": {"voice": "Mia", "format": "pcm16"},
            "stream": True,
        }
    ]
    await take(adapter, replace(MIMO, instructions="Whisper", options={"temperature": 0.9}))
    assert upstream.spoken[1]["messages"][0] == {"role": "user", "content": "Whisper"}
    assert upstream.spoken[1]["temperature"] == 0.9


async def test_what_gpt_audio_is_sent(upstream: ChatUpstream, client: httpx.AsyncClient, url: str) -> None:
    upstream.switches.dialect = "openai"
    options: dict[str, Any] = {"model": "gpt-audio-mini", "stream": False}
    adapter = make_adapter(client, f"{url}/v1", options=options)
    await take(adapter, replace(GPT, model="", instructions="Whisper"))
    (body,) = upstream.spoken
    (order, text) = body.pop("messages")
    assert body == {
        "model": "gpt-audio-mini",
        "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"},
    }
    assert text == {"role": "user", "content": TEXT}
    assert order["role"] == "system"
    assert order["content"].endswith("How to speak: Whisper")


async def test_a_voice_is_designed(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    request = SpeechRequest(TEXT, TaskMode.DESIGN, instructions="An old sailor", format=AudioFormat.PCM)
    options = {"dialect": "mimo"}
    data, _ = await take(make_adapter(adapter.client, adapter.config.base_url, options=options), request)
    assert_heard(TEXT, data)
    assert upstream.spoken[0]["model"] == "mimo-v2.5-tts-voicedesign"
    assert upstream.spoken[0]["audio"] == {"format": "pcm16"}
    assert upstream.spoken[0]["messages"][0] == {"role": "user", "content": "An old sailor"}


@pytest.mark.parametrize(("make", "type"), [(reference_wav, "audio/wav"), (reference_mp3, "audio/mpeg")])
async def test_a_voice_is_cloned(upstream: ChatUpstream, adapter: ChatCompletionsAdapter, make: Any, type: str) -> None:
    reference = Reference(make(TEXT))
    request = SpeechRequest(TEXT, TaskMode.CLONE, "mimo-v2.5-tts-voiceclone", reference=reference, prompt_text="never")
    data, _ = await take(adapter, request)
    assert data == spoken_samples(TEXT, 1.0)
    (body,) = upstream.spoken
    head, _, sent = body["audio"]["voice"].partition(";base64,")
    assert head == f"data:{type}"
    assert base64.b64decode(sent) == reference.audio
    assert body["messages"] == [{"role": "user", "content": ""}, {"role": "assistant", "content": TEXT}]
    assert "never" not in json.dumps(body), "MiMo takes no transcript"


async def test_a_reference_over_the_limit_is_sent_smaller(
    upstream: ChatUpstream, adapter: ChatCompletionsAdapter
) -> None:
    """The limit is on base64: a file of 8 MB is over it although it is under 10 MB."""
    pcm = (spoken_samples(TEXT, 1.0) * 100)[:8_000_000]
    reference = Reference(wav_header(24_000, len(pcm)) + pcm)
    await take(adapter, SpeechRequest(TEXT, TaskMode.CLONE, "mimo-v2.5-tts-voiceclone", reference=reference))
    sent = upstream.spoken[0]["audio"]["voice"].removeprefix("data:audio/mpeg;base64,")
    assert sniff(base64.b64decode(sent)) is AudioFormat.MP3
    assert len(sent) < 10_000_000


async def test_a_refusal_does_not_show_the_reference(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    voice = f"voice must be smaller: data:audio/wav;base64,{base64.b64encode(reference_wav(TEXT)).decode()}"
    for refusal in (mimo_refusal(400, "Param Incorrect", voice), Refusal(400, voice)):
        upstream.switches.refusals = [refusal]
        with pytest.raises(UpstreamRejected) as caught:
            await take(adapter)
        assert "UklGR" not in caught.value.message
        assert "smaller: [data]" in caught.value.message


async def test_a_voice_of_the_accounts_own_is_an_object_at_openai() -> None:
    bodies: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(500)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        for host in ("api.openai.com", "speech.example"):
            with pytest.raises(UpstreamFailed):
                await take(make_adapter(client, f"https://{host}/v1"), replace(GPT, voice="voice_1234"))
    assert [body["audio"]["voice"] for body in bodies] == [{"id": "voice_1234"}, "voice_1234"]


@pytest.mark.parametrize("options", [{}, {"model": "mimo-v2.5-tts-voicedesign"}])
async def test_the_model_follows_from_the_task_mode(
    upstream: ChatUpstream, client: httpx.AsyncClient, url: str, options: dict[str, str]
) -> None:
    adapter = make_adapter(client, f"{url}/v1", options={"dialect": "mimo", **options})
    await take(adapter, replace(MIMO, model=""))
    clone = SpeechRequest(TEXT, TaskMode.CLONE, reference=Reference(reference_wav(TEXT)))
    await take(adapter, clone)
    assert [body["model"] for body in upstream.spoken] == ["mimo-v2.5-tts", "mimo-v2.5-tts-voiceclone"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (replace(MIMO, model="mimo-v2.5-tts-voiceclone"), "can't do preset"),
        (replace(MIMO, model="mimo-v2.5-tts-voiceclone", task_mode=TaskMode.DESIGN), "can't do design"),
        (replace(GPT, task_mode=TaskMode.CLONE), "clone and design are MiMo's"),
        (replace(GPT, model=""), "needs a model"),
    ],
)
async def test_what_can_not_be_sent(
    upstream: ChatUpstream, adapter: ChatCompletionsAdapter, request_: SpeechRequest, words: str
) -> None:
    with pytest.raises(ProviderUnavailable, match=words):
        await take(adapter, request_)
    assert upstream.requests == []


# Directions: MiMo acts on brackets in the place of saying what they hold.


async def test_brackets_in_the_text_are_spoken(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    text = "(Seven small rabbits) crossed the garden [before the sunrise] yesterday."
    data, _ = await take(adapter, replace(MIMO, text=text))
    assert_heard("Seven small rabbits crossed the garden before the sunrise yesterday.", data)
    data, _ = await take(adapter, replace(MIMO, text=text, options={"directions": True}))
    assert_heard("Crossed the garden yesterday.", data)
    assert upstream.spoken[1]["messages"][0]["content"] == text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("No brackets, no change.", "No brackets, no change."),
        ("(Softly) hello.", "Softly, hello."),
        ("  [sad] Hello", "sad, Hello"),
        ("（唱歌）你好", "唱歌,你好"),
        ("【旁白】你好", "旁白,你好"),
        ("He left (at last).", "He left, at last."),
        ("See (the [old] map) here", "See, the, old, map, here"),
        ("<style>happy tense</style>Hello", "happy tense Hello"),
        ("< STYLE >a</ Style>b", "a b"),
        ("a < b and c > d", "a < b and c > d"),
        ("Smile :) and (", "Smile :) and ("),
        ("f(x)", "f, x"),
        ("(" * 2000, "(" * 2000),
        ("(" * 1000 + "a" + ")" * 1000, "a"),
    ],
)
def test_brackets_become_commas(text: str, sent: str) -> None:
    assert without_directions(text).replace(", " * 2, ", ").strip(" ,") == sent


# The two dialects.


@pytest.mark.parametrize(
    ("base_url", "model", "options", "dialect", "header"),
    [
        ("https://api.xiaomimimo.com/v1", "", {}, Dialect.MIMO, "api-key"),
        ("https://token-plan-sgp.XiaomiMiMo.com/v1", "gpt-audio", {}, Dialect.MIMO, "api-key"),
        ("https://notxiaomimimo.com/v1", "", {}, Dialect.OPENAI, "authorization"),
        ("https://api.openai.com/v1", "mimo-v2-tts", {}, Dialect.OPENAI, "authorization"),
        ("http://127.0.0.1:1/v1", "mimo-v2-tts", {}, Dialect.MIMO, "authorization"),
        ("http://127.0.0.1:1/v1", "", {"model": "xiaomi/MiMo-v2-tts"}, Dialect.MIMO, "api-key"),
        ("http://127.0.0.1:1/v1", "other", {"dialect": "mimo"}, Dialect.MIMO, "api-key"),
        ("http://127.0.0.1:1/v1", "other", {"auth_header": "api-key"}, Dialect.OPENAI, "api-key"),
        ("https://api.xiaomimimo.com/v1", "", {"auth_header": "authorization"}, Dialect.MIMO, "authorization"),
        ("https://api.xiaomimimo.com/v1", "", {"dialect": "openai"}, Dialect.OPENAI, "authorization"),
        ("not a url", "", {}, Dialect.OPENAI, "authorization"),
        ("http://[::1", "", {}, Dialect.OPENAI, "authorization"),
    ],
)
def test_the_dialect_and_the_header_are_guessed(
    base_url: str, model: str, options: dict[str, str], dialect: Dialect, header: str
) -> None:
    config = ProviderConfig(1, "Faraway", "chat_completions", base_url, KEY, options=options)
    assert dialect_of(config, model) is dialect
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(404)))
    headers = ChatCompletionsAdapter(config, client)._authorization()
    assert headers == {header: KEY if header == "api-key" else f"Bearer {KEY}"}


@pytest.mark.parametrize("header", ["api-key", "authorization"])
async def test_the_key_is_sent_in_the_chosen_header(
    upstream: ChatUpstream, client: httpx.AsyncClient, url: str, header: str
) -> None:
    upstream.switches.key, upstream.switches.auth = KEY, (header,)
    adapter = make_adapter(client, f"{url}/v1", key=KEY, options={"dialect": "mimo", "auth_header": header})
    await take(adapter)
    other = {"api-key", "authorization"} - {header}
    assert not other & set(upstream.requests[0].headers)


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/v1/chat/completions", "/chat/completions/"])
async def test_every_form_of_the_base_url(
    upstream: ChatUpstream, client: httpx.AsyncClient, url: str, suffix: str
) -> None:
    adapter = make_adapter(client, url + suffix)
    await take(adapter)
    await take(adapter)
    assert len(upstream.requests) == (2 if "v1" in suffix else 3)
    assert upstream.requests[-1].path == "/v1/chat/completions"


# What goes wrong.


@pytest.mark.parametrize(
    ("refusal", "error", "words"),
    [
        (mimo_refusal(400, "Param Incorrect", "Not supported model x"), UpstreamRejected, "Not supported model x"),
        (mimo_refusal(400, "Param Incorrect", "voice y not found", stream=True), UpstreamRejected, "voice y not found"),
        (mimo_refusal(401, "Invalid API Key", "Please provide valid API Key"), UpstreamUnauthorized, "provide valid"),
        (mimo_refusal(402, "Insufficient balance"), UpstreamQuotaSpent, "Insufficient balance"),
        (mimo_refusal(403, "Region"), UpstreamUnauthorized, "Region"),
        (
            mimo_refusal(421, "Content filter", "The text was refused", stream=True),
            UpstreamRejected,
            "text was refused",
        ),
        (mimo_refusal(429, "Too many requests", stream=True), UpstreamBusy, "Too many"),
        (mimo_refusal(500, "Internal"), UpstreamFailed, "Internal"),
        (mimo_refusal(503, "Busy"), UpstreamBusy, "Busy"),
        (Refusal(429, "Pay", code="insufficient_quota"), UpstreamQuotaSpent, "Pay"),
        (Refusal(404, "The model does not exist", code="model_not_found"), UpstreamRejected, "does not exist"),
    ],
)
async def test_a_refusal_is_translated(
    upstream: ChatUpstream,
    adapter: ChatCompletionsAdapter,
    refusal: Refusal,
    error: type[ProviderError],
    words: str,
) -> None:
    upstream.switches.refusals = [refusal, refusal] if refusal.status == 404 else [refusal]
    with pytest.raises(error, match=words) as caught:
        await take(adapter)
    assert type(caught.value) is error
    upstream.switches.refusals = []
    await take(adapter)


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (b"", UpstreamFailed, "proper JSON"),
        (b"<html>Welcome</html>", UpstreamFailed, "proper JSON"),
        (b"[]", UpstreamFailed, "not a chat completion"),
        (b"{}", UpstreamFailed, "ended its answer"),
        (b'{"choices":[]}', UpstreamFailed, "ended its answer"),
        (b'{"choices":[{"finish_reason":"stop","message":{"content":""}}]}', BadAudio, "without any sound"),
        (b'{"choices":[{"message":{"audio":{"id":"a","data":""}}}]}', BadAudio, "without any sound"),
        (b'{"choices":[{"message":{"audio":{"id":"a","data":"U%%%"}}}]}', BadAudio, "base64"),
        (b'{"choices":[{"message":{"audio":{"id":"a","data":7}}}]}', BadAudio, "base64"),
        (b'{"choices":[{"message":{"content":"Hello there!"}}]}', UpstreamRejected, "with words, .*Hello there!"),
        (b'{"error":{"code":"429","message":"Slow","param":"down a bit"}}', UpstreamBusy, "Slow: down a bit"),
        (b'{"error":{"code":"rate_limit_exceeded","message":"Slow"}}', UpstreamBusy, "Slow"),
        (b'{"error":{"code":null,"type":"invalid_request_error","message":"No"}}', UpstreamRejected, "No"),
        (b'{"error":"It broke"}', UpstreamFailed, "It broke"),
    ],
)
@pytest.mark.parametrize("events", [True, False])
async def test_a_success_that_is_none(
    upstream: ChatUpstream,
    adapter: ChatCompletionsAdapter,
    events: bool,
    body: bytes,
    error: type[ProviderError],
    words: str,
) -> None:
    upstream.switches.speech, upstream.switches.speech_type = body, "application/json"
    if events:
        upstream.switches.speech, upstream.switches.speech_type = b"data:" + body, "text/event-stream"
    with pytest.raises(error, match=words) as caught:
        await take(adapter)
    assert type(caught.value) is error


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("reason", "error", "words"),
    [
        ("content_filter", UpstreamRejected, "content filter"),
        ("length", UpstreamRejected, "too long"),
        ("repetition_truncation", UpstreamFailed, "Trying again"),
    ],
)
async def test_an_end_that_is_no_good_end(
    upstream: ChatUpstream,
    client: httpx.AsyncClient,
    url: str,
    stream: bool,
    reason: str,
    error: type[ProviderError],
    words: str,
) -> None:
    upstream.switches.finish = reason
    with pytest.raises(error, match=words):
        await take(make_adapter(client, f"{url}/v1", options={"stream": stream}))


@pytest.mark.parametrize(("dialect", "missing"), [("mimo", 3), ("openai", 2)])
async def test_a_stream_without_its_end_is_a_failure(
    upstream: ChatUpstream, adapter: ChatCompletionsAdapter, dialect: str, missing: int
) -> None:
    upstream.switches.dialect, upstream.switches.drop_events = dialect, missing
    with pytest.raises(UpstreamFailed, match="before the speech was finished"):
        await take(adapter, REQUESTS[dialect])


async def test_a_stream_may_end_without_saying_done(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    upstream.switches.drop_events = 1
    assert (await take(adapter))[0] == spoken_samples(TEXT, 1.0)


async def test_a_server_that_does_not_stream_is_heard(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    wav = base64.b64encode(reference_wav(TEXT)).decode()
    answer = {"choices": [{"message": {"audio": {"data": wav}}}]}
    upstream.switches.speech, upstream.switches.speech_type = json.dumps(answer).encode(), "application/json"
    data, audio = await take(adapter)
    assert (audio.format, audio.streaming) == (AudioFormat.WAV, False)
    assert data == reference_wav(TEXT)


async def test_a_format_that_nobody_asked_for_is_decoded(
    upstream: ChatUpstream, adapter: ChatCompletionsAdapter
) -> None:
    """Its bytes are neither samples nor, although in Ogg, Opus."""
    vorbis = base64.b64encode(muxed("ogg", "vorbis", spoken_samples(TEXT, 1.0), 24_000)).decode()
    answer = {"choices": [{"message": {"audio": {"data": vorbis}}}]}
    upstream.switches.speech = json.dumps(answer).encode()
    data, audio = await take(adapter)
    assert (audio.format, audio.streaming) == (AudioFormat.WAV, False)
    assert_heard(TEXT, data)


async def test_a_wav_without_a_sample_is_bad_audio(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    empty = base64.b64encode(wav_header(24_000, 0)).decode()
    answer = {"choices": [{"message": {"audio": {"data": empty}}}]}
    upstream.switches.speech = json.dumps(answer).encode()
    with pytest.raises(BadAudio, match="without any sound"):
        await take(adapter)


# A chat model may answer in the place of reading.


@pytest.mark.parametrize("stream", [True, False])
async def test_a_chat_model_that_refuses(
    upstream: ChatUpstream, client: httpx.AsyncClient, url: str, stream: bool
) -> None:
    upstream.switches.dialect, upstream.switches.refusing = "openai", "I'm sorry, I can't say that."
    with pytest.raises(UpstreamRejected, match="I can't say that"):
        await take(make_adapter(client, f"{url}/v1", options={"stream": stream}), GPT)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_chat_model_that_says_something_else(
    upstream: ChatUpstream, client: httpx.AsyncClient, url: str, stream: bool
) -> None:
    upstream.switches.dialect, upstream.switches.saying = "openai", "Sure, here is what I think about foxes and dogs."
    with pytest.raises(BadAudio, match="said something else than the text: “Sure, here"):
        await take(make_adapter(client, f"{url}/v1", options={"stream": stream}), GPT)


@pytest.mark.parametrize(
    ("text", "transcript", "same"),
    [
        (TEXT, TEXT, True),
        (TEXT, "the quick brown fox jumps, over the lazy dog", True),
        (TEXT, "Sure! I can help you with reading that out.", False),
        (TEXT, TEXT + " By the way, did you know that this sentence holds every letter of the alphabet?", False),
        ("Hello.", "Hi.", True),
        ("Hello.", "I'm sorry, but I can't help with that request as it is against our rules.", False),
        ("1, 2, 3, 4, 5", "one two three four five", True),
        ("22.11.2026", "twenty-second of November two thousand twenty-six", True),
        ("今天天气很好", "今天天气很好。", True),
        ("今天天气很好", "对不起，我不能说这个", False),
        ("Grüße aus Köln am Rhein", "grüße aus köln am rhein", True),
    ],
)
def test_whether_it_says_the_same(text: str, transcript: str, same: bool) -> None:
    assert says_the_same(text, transcript) is same


# A key that worked before is tried again.


async def test_mimo_refusing_a_good_key_is_asked_again(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    await take(adapter)
    upstream.switches.refusals = [mimo_refusal(401, "Invalid API Key")] * 2
    await take(adapter)
    assert len(upstream.requests) == 4


@pytest.mark.parametrize(("worked", "calls"), [(True, 4), (False, 1)])
async def test_a_key_that_stays_refused(
    upstream: ChatUpstream, adapter: ChatCompletionsAdapter, worked: bool, calls: int
) -> None:
    if worked:
        await take(adapter)
    upstream.switches.refusals = [mimo_refusal(401, "Invalid API Key")] * 3
    with pytest.raises(UpstreamUnauthorized):
        await take(adapter)
    assert len(upstream.requests) == calls


@pytest.mark.parametrize("dialect", ["mimo", "openai"])
@pytest.mark.parametrize("key", [KEY, "“typed by a word processor”"])
async def test_no_failure_shows_the_key(
    upstream: ChatUpstream, client: httpx.AsyncClient, url: str, key: str, dialect: str
) -> None:
    upstream.switches.key, upstream.switches.dialect = "another", dialect
    adapter = make_adapter(client, f"{url}/v1", key=key, options={"dialect": dialect})
    with pytest.raises(SpeechError) as caught:
        await take(adapter, REQUESTS[dialect])
    health = await adapter.health()
    error: BaseException | None = caught.value
    assert isinstance(error, UpstreamUnauthorized | ProviderUnavailable)
    while error is not None:
        assert key not in f"{error} {error!r}"
        error = error.__cause__
    assert key not in f"{adapter.config!r} {health!r}"


# Time.


async def test_sound_is_handed_on_as_it_comes(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    upstream.switches.gated = True
    upstream.release(2)
    async with adapter.speak(replace(MIMO, model="mimo-v2-tts", voice="mimo_default")) as audio:
        assert audio.streaming
        received = await anext(audio.chunks)
        assert received == spoken_samples(TEXT, 1.0)[: upstream.switches.piece_bytes]
        assert upstream.chunks_sent == 2
        upstream.release(1000)
        async for chunk in audio.chunks:
            received += chunk
    assert received == spoken_samples(TEXT, 1.0)


async def test_a_stalled_server_is_asked_once(upstream: ChatUpstream, client: httpx.AsyncClient, url: str) -> None:
    upstream.switches.held = True
    with pytest.raises(UpstreamTimeout):
        await take(make_adapter(client, url, timeout=HURRIED_SECONDS))
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1)
    assert len(upstream.requests) == 1


async def test_a_stream_that_stalls_is_a_timeout(upstream: ChatUpstream, client: httpx.AsyncClient, url: str) -> None:
    # The words are made beforehand, so that only the stall takes time.
    await take(make_adapter(client, url), replace(MIMO, model="mimo-v2-tts", voice="mimo_default"))
    upstream.switches.gated = True
    upstream.release(2)
    adapter = make_adapter(client, f"{url}/v1", timeout=3 * HURRIED_SECONDS)
    async with adapter.speak(replace(MIMO, model="mimo-v2-tts", voice="mimo_default")) as audio:
        await anext(audio.chunks)
        with pytest.raises(UpstreamTimeout):
            await anext(audio.chunks)


async def test_a_stream_that_is_cut_says_so(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    upstream.switches.cut_after = 3
    with pytest.raises(UpstreamUnreachable, match="broke the connection"):
        await take(adapter, replace(MIMO, model="mimo-v2-tts", voice="mimo_default"))


async def test_cancelling_closes_the_connection(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    upstream.switches.gated = True
    upstream.release(1)
    call = asyncio.create_task(take(adapter))
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.chunks_sent == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1 and seen.current == 0)


async def test_leaving_a_stream_closes_the_connection(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    upstream.switches.gated = True
    upstream.release(2)
    with pytest.raises(KeyError):
        async with adapter.speak(replace(MIMO, model="mimo-v2-tts", voice="mimo_default")) as audio:
            await anext(audio.chunks)
            raise KeyError("the reader's own failure stays what it is")
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1)
    gc.collect()


# Lists and health.


async def test_voices_of_a_server_that_lists_them(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    upstream.switches.speakers = [{"name": "Ann", "voice_id": "ann"}]
    assert await adapter.voices() == [Voice("ann", "Ann")]


@pytest.mark.parametrize(
    ("base_url", "options", "voices"),
    [
        ("", {}, []),
        ("", {"dialect": "mimo"}, list(KNOWN_VOICES[Dialect.MIMO])),
        ("https://api.xiaomimimo.com/v1", {}, list(KNOWN_VOICES[Dialect.MIMO])),
        ("https://api.openai.com/v1", {}, list(KNOWN_VOICES[Dialect.OPENAI])),
    ],
)
async def test_voices_that_nothing_lists(
    client: httpx.AsyncClient, url: str, base_url: str, options: dict[str, str], voices: list[Voice]
) -> None:
    assert await make_adapter(client, base_url or f"{url}/v1", options=options).voices() == voices


def test_the_built_in_voices() -> None:
    mimo = KNOWN_VOICES[Dialect.MIMO]
    for model, names in MIMO_PRESETS.items():
        assert {voice.id for voice in mimo if voice.model in ("", model)} == set(names)
    assert tuple(voice.id for voice in KNOWN_VOICES[Dialect.OPENAI]) == OPENAI_VOICES


async def test_models(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    assert [model.id for model in await adapter.models()] == [*MIMO_MODELS, "other"]
    upstream.switches.models = False
    assert await adapter.models() == []


async def test_only_models_that_speak_are_taken_from_the_makers() -> None:
    listed = {"data": [{"id": id} for id in (*OPENAI_MODELS, "gpt-5")]}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=listed))
    async with httpx.AsyncClient(transport=transport) as client:
        adapter = make_adapter(client, "https://api.openai.com/v1")
        assert [model.id for model in await adapter.models()] == list(OPENAI_MODELS)


async def test_health_of_a_server_that_is_well(upstream: ChatUpstream, adapter: ChatCompletionsAdapter) -> None:
    health = await adapter.health()
    assert (health.reachable, health.reason) == (True, "")
    assert health.key_accepted is None, "this server may list its models to anybody"
    upstream.switches.models = False
    assert (await adapter.health()).right_kind is True
    assert upstream.spoken == []


async def test_health_of_a_wrong_key(upstream: ChatUpstream, client: httpx.AsyncClient, url: str) -> None:
    upstream.switches.key = KEY
    health = await make_adapter(client, f"{url}/v1", key="sk-wrong-key").health()
    assert (health.reachable, health.key_accepted) == (True, False)
    assert health.reason.startswith("Faraway answered 401")


async def test_health_proves_the_key_by_its_absence(
    upstream: ChatUpstream, client: httpx.AsyncClient, url: str
) -> None:
    for key, proved in ((KEY, True), ("", None)):
        upstream.switches.key = key
        upstream.requests.clear()
        assert (await make_adapter(client, url, key=KEY).health()).key_accepted is proved
        assert not {"authorization", "api-key"} & upstream.requests[-1].headers.keys()
        assert upstream.requests[-1].path == "/v1/models"


async def test_health_of_a_web_page() -> None:
    page = httpx.Response(200, html="<!doctype html><title>Welcome</title>")
    for base_url in ("http://speech.example", "http://speech.example/v1"):
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: page)) as client:
            health = await make_adapter(client, base_url, key=KEY).health()
        assert (health.reachable, health.right_kind, health.key_accepted) == (True, False, None)
        assert "web page" in health.reason


async def test_health_of_a_web_page_in_place_of_completions() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        listed = request.url.path.endswith("/models")
        return httpx.Response(404) if listed else httpx.Response(200, html="<html>Welcome</html>")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        health = await make_adapter(client, "http://speech.example/v1").health()
    assert (health.reachable, health.right_kind) == (True, False)


@pytest.mark.parametrize(
    ("base_url", "key", "hint"),
    [
        ("https://api.xiaomimimo.com/v1", "tp-abcdefgh", True),
        ("https://token-plan-cn.xiaomimimo.com/v1", "sk-abcdefgh", True),
        ("https://token-plan-cn.xiaomimimo.com/v1", "tp-abcdefgh", False),
        ("https://api.openai.com/v1", "tp-abcdefgh", False),
    ],
)
async def test_health_tells_the_plans_of_mimo_apart(base_url: str, key: str, hint: bool) -> None:
    refused = mimo_refusal(401, "Invalid API Key").content()
    transport = httpx.MockTransport(lambda request: httpx.Response(401, content=refused))
    async with httpx.AsyncClient(transport=transport) as client:
        health = await make_adapter(client, base_url, key=key).health()
    assert ("begin with tp-" in health.reason) is hint


async def test_health_of_the_makers_proves_the_key() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"data": []}))
    async with httpx.AsyncClient(transport=transport) as client:
        assert (await make_adapter(client, "https://api.xiaomimimo.com/v1", key=KEY).health()).key_accepted is True


async def test_health_of_something_else(upstream: ChatUpstream, client: httpx.AsyncClient, url: str) -> None:
    health = await make_adapter(client, f"{url}/nowhere/v1").health()
    assert (health.reachable, health.right_kind) == (True, False)
    assert "check the base URL" in health.reason


async def test_health_of_a_closed_port(client: httpx.AsyncClient) -> None:
    with closed_port() as port:
        health = await make_adapter(client, f"http://127.0.0.1:{port}/v1").health()
    assert not health.reachable
    assert "nothing accepts connections" in health.reason


def test_it_is_registered_and_says_what_it_can_do() -> None:
    assert adapter_class("chat_completions") is ChatCompletionsAdapter
    capabilities = ChatCompletionsAdapter.capabilities
    assert set(capabilities.task_modes) == set(TaskMode)
    assert capabilities.speed is None
