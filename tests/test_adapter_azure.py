"""The Azure adapter against a strict service that parses its markup."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from providers.adapters import adapter_class
from providers.adapters.azure import AzureAdapter
from providers.adapters.azure_endpoints import endpoints
from providers.adapters.azure_voices import parse_azure_voices
from providers.adapters.ssml import build_ssml
from providers.audio import encode
from providers.errors import (
    BadAudio,
    NothingToSay,
    ProviderError,
    ProviderUnavailable,
    SpeechError,
    UnsupportedOption,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from providers.http import make_client
from providers.speech import AudioFormat, ProviderConfig, SpeechAudio, SpeechRequest, Voice
from tests.hearing import assert_heard
from tests.upstreams.azure import OUTPUT_FORMATS, VOICES, AzureUpstream, Said, listed, nothing, parse
from tests.upstreams.common import Refusal, spoken_samples
from tests.upstreams.serving import HURRIED_SECONDS, PATIENT_SECONDS, Stage, closed_port, read_request, serve, serve_raw

KEY = "0123456789abcdef0123456789abcdef"
TEXT = "The quick brown fox jumps over the lazy dog."
REQUEST = SpeechRequest(TEXT, voice="en-US-JennyNeural", format=AudioFormat.MP3)
FORMATS = [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.WAV, AudioFormat.PCM]


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
def upstream(stage: Stage) -> AzureUpstream:
    stage.app = made = AzureUpstream(key=KEY)
    return made


@pytest.fixture
def adapter(client: httpx.AsyncClient, url: str) -> AzureAdapter:
    return make_adapter(client, url)


def make_adapter(client: httpx.AsyncClient, base_url: str, **values: Any) -> AzureAdapter:
    config = ProviderConfig(id=1, name="Faraway", kind="azure", base_url=base_url, key=KEY, timeout=PATIENT_SECONDS)
    return AzureAdapter(replace(config, **values), client)


async def take(adapter: AzureAdapter, request: SpeechRequest = REQUEST) -> tuple[bytes, SpeechAudio]:
    async with adapter.speak(request) as audio:
        return b"".join([chunk async for chunk in audio.chunks]), audio


# The server must be right before anything that it proves is. Its own kind's client is the documented request.

SPEAK = (
    '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" xmlns:mstts="https://www.w3.org/2001/mstts"'
    ' xml:lang="en-US">%s</speak>'
)
VOICE = '<voice name="en-US-JennyNeural">%s</voice>'


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        (VOICE % "Hi &amp; ho", Said("Hi & ho", "en-US-JennyNeural")),
        (
            VOICE % '<mstts:express-as style="sad" styledegree="2"><prosody rate="1.5">Hi</prosody></mstts:express-as>',
            Said("Hi", "en-US-JennyNeural", style="sad", degree="2", rate="1.5"),
        ),
    ],
)
def test_the_server_understands_the_documented_markup(inner: str, said: Said) -> None:
    assert parse((SPEAK % inner).encode()) == said


@pytest.mark.parametrize(
    "markup",
    [
        "plain text",
        SPEAK % "text outside of a voice",
        SPEAK % (VOICE % "Hi" + "text"),
        SPEAK % "",
        SPEAK % (VOICE % "a < b"),
        SPEAK % (VOICE % "a & b"),
        SPEAK % (VOICE % "\x0b"),
        SPEAK % (VOICE % '<prosody rate="1"><lang xml:lang="de-DE">Hallo</lang></prosody>'),
        SPEAK % (VOICE % '<prosody rate="1"><mstts:express-as style="sad">Hi</mstts:express-as></prosody>'),
        SPEAK % '<voice name="nobody">Hi</voice>',
        '<speak version="1.0" xml:lang="en-US"><voice name="en-US-JennyNeural">Hi</voice></speak>',
        (SPEAK % (VOICE % "Hi")).replace("xmlns:mstts", "xmlns:other").replace("Hi", "<mstts:express-as>Hi"),
    ],
)
def test_the_server_refuses_other_markup(markup: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(markup.encode())
    assert (caught.value.status, caught.value.content()) == (400, b"")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"content-type": "application/ssml+xml; charset=utf-8"}, 200),
        ({"content-type": "text/xml"}, 415),
        ({"x-microsoft-outputformat": "flac"}, 400),
        ({"ocp-apim-subscription-key": "wrong"}, 401),
        ({"user-agent": "x" * 255}, 400),
    ],
)
async def test_the_server_refuses_other_headers(url: str, headers: dict[str, str], status: int) -> None:
    good = {
        "content-type": "application/ssml+xml",
        "x-microsoft-outputformat": "riff-24khz-16bit-mono-pcm",
        "ocp-apim-subscription-key": KEY,
    }
    async with httpx.AsyncClient(timeout=60, trust_env=False) as plain:
        content = (SPEAK % (VOICE % "Hi")).encode()
        answer = await plain.post(f"{url}/cognitiveservices/v1", content=content, headers=good | headers)
    assert answer.status_code == status


# Speaking.


@pytest.mark.parametrize("format", FORMATS)
async def test_speech_is_heard_in_every_format(
    upstream: AzureUpstream, adapter: AzureAdapter, format: AudioFormat
) -> None:
    data, audio = await take(adapter, replace(REQUEST, format=format))
    assert (audio.format, audio.streaming) == (format, True)
    assert audio.sample_rate == (24_000 if format is AudioFormat.PCM else 0)
    assert len(data) == len(encode(spoken_samples(TEXT, 1.0), 24_000, format))
    assert_heard(TEXT, data)
    (request,) = upstream.requests
    assert request.headers["content-type"] == "application/ssml+xml"
    assert OUTPUT_FORMATS[request.headers["x-microsoft-outputformat"]][0] is format
    assert request.headers["ocp-apim-subscription-key"] == KEY
    assert "authorization" not in request.headers


def test_what_the_service_can_not_encode_is_not_offered() -> None:
    assert AzureAdapter.capabilities.formats == frozenset(FORMATS)


async def test_chunks_are_handed_on_as_they_come(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    upstream.switches.gated = True
    upstream.release()
    async with adapter.speak(REQUEST) as audio:
        received = await anext(audio.chunks)
        assert len(received) == upstream.switches.chunk_bytes
        assert upstream.chunks_sent == 1
        upstream.release(1000)
        async for chunk in audio.chunks:
            received += chunk
    assert received == encode(spoken_samples(TEXT, 1.0), 24_000, AudioFormat.MP3)


async def test_all_that_is_set_is_said(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    options: dict[str, str | float] = {"style": "cheerful", "styledegree": 1.5, "role": "Girl"}
    data, _ = await take(adapter, replace(REQUEST, speed=1.5, options=options))
    assert upstream.said == [
        Said(TEXT, "en-US-JennyNeural", style="cheerful", degree="1.5", role="Girl", rate="1.5"),
    ]
    assert_heard(TEXT, data)


async def test_a_multilingual_voice_is_told_the_language(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    data, _ = await take(adapter, replace(REQUEST, voice="en-US-AvaMultilingualNeural", language="en-GB", speed=0.75))
    await take(adapter, replace(REQUEST, language="de-DE"))
    assert [said.language for said in upstream.said] == ["en-GB", ""], "other voices answer the element with silence"
    assert_heard(TEXT, data)


@pytest.mark.parametrize(
    ("speed", "rate"),
    [(1.0, ""), (1.25, "1.25"), (0.5, "0.5"), (0.25, "0.5"), (2.0, "2"), (4.0, "2"), (1 / 3 + 1, "1.333")],
)
def test_the_rate_is_a_multiplier_within_what_the_service_does(speed: float, rate: str) -> None:
    assert parse(build_ssml(replace(REQUEST, speed=speed))).rate == rate
    assert AzureAdapter.capabilities.speed == (0.5, 2.0)


NASTY = (
    "</voice><audio src='file:///etc/passwd'/>&amp; &lt; <![CDATA[x]]> \"quotes\" 'too' \u4f60\u597d \U0001f600 --> ]]>"
)


def test_no_text_becomes_markup() -> None:
    options: dict[str, str | float] = {"style": NASTY, "role": NASTY, "styledegree": 1}
    request = replace(REQUEST, text=NASTY, language=NASTY, voice="en-US-JennyNeural", options=options)
    said = parse(build_ssml(request))
    assert (said.text, said.style, said.role) == (NASTY, NASTY, NASTY)
    root = ElementTree.fromstring(build_ssml(replace(request, voice=f'x"multilingual{NASTY}')))
    assert root[0].get("name") == f'x"multilingual{NASTY}'
    assert [len(element) for element in root.iter()] == [1, 1, 1, 0]


@pytest.mark.parametrize("forbidden", ["\x00", "\x08", "\x0b", "\x0c", "\x0e", "\x1f", "\ufffe", "\uffff", "\ud800"])
def test_characters_that_xml_forbids_are_dropped(forbidden: str) -> None:
    request = replace(REQUEST, text=f"a{forbidden}b\t\n", options={"role": f"Boy{forbidden}"})
    said = parse(build_ssml(request))
    assert (said.text, said.role) == ("ab\t\n", "Boy")
    with pytest.raises(NothingToSay):
        build_ssml(replace(request, text=forbidden * 3))


@pytest.mark.parametrize(
    ("voice", "language", "locale"),
    [
        ("de-DE-KatjaNeural", "", "de-DE"),
        ("zh-CN-liaoning-XiaobeiNeural", "", "zh-CN"),
        ("fil-PH-BlessicaNeural", "en-US", "fil-PH"),
        ("My custom voice", "fr-FR", "fr-FR"),
        ("My custom voice", "", "en-US"),
    ],
)
def test_the_locale_is_the_voices_own(voice: str, language: str, locale: str) -> None:
    root = ElementTree.fromstring(build_ssml(replace(REQUEST, voice=voice, language=language)))
    assert root.get("{http://www.w3.org/XML/1998/namespace}lang") == locale


def test_the_strength_of_no_style_is_not_sent() -> None:
    assert b"express-as" not in build_ssml(replace(REQUEST, options={"styledegree": 2.0}))


@pytest.mark.parametrize(
    ("voice", "options", "words"),
    [
        ("en-US-JennyNeural", {"style": "angry"}, "no style “angry”. It has: cheerful, whispering"),
        ("en-US-GuyNeural", {"style": "cheerful"}, "It has: none"),
        ("en-US-JennyNeural", {"role": "SeniorMale"}, "no role “SeniorMale”. It has: Boy, Girl"),
    ],
)
async def test_what_the_service_would_ignore_is_refused(
    upstream: AzureUpstream, adapter: AzureAdapter, voice: str, options: dict[str, str], words: str
) -> None:
    for _ in range(2):
        with pytest.raises(UnsupportedOption, match=words):
            await take(adapter, replace(REQUEST, voice=voice, options=options))
    assert len(upstream.requests) == 1, "the list is asked for once"


async def test_a_style_is_sent_where_nothing_lists_the_voice(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    upstream.switches.voices = []
    await take(adapter, replace(REQUEST, options={"style": "angry"}))
    upstream.switches.voices = {"not": "a list"}
    await take(adapter, replace(REQUEST, options={"style": "angry"}))
    assert [said.style for said in upstream.said] == ["angry", "angry"]


def test_no_piece_lasts_ten_minutes() -> None:
    """A digit takes a third of a second; the service cuts without an error."""
    slowest_seconds = 0.35 / 0.5
    assert AzureAdapter.capabilities.piece_characters * slowest_seconds < 600


# Addresses.

TTS = "https://eastus.tts.speech.microsoft.com"


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("eastus", TTS),
        (" East US ", TTS),
        (TTS, TTS),
        (f"{TTS}/cognitiveservices/v1", TTS),
        ("eastus.tts.speech.microsoft.com", TTS),
        ("https://eastus.api.cognitive.microsoft.com/sts/v1.0/issueToken", TTS),
        ("https://EASTUS.api.cognitive.microsoft.com/", TTS),
        ("https://eastus.stt.speech.microsoft.com/speech", TTS),
        ("wss://eastus.s2s.speech.microsoft.com", TTS),
        ("usgovarizona", "https://usgovarizona.tts.speech.azure.us"),
        ("USGov Virginia", "https://usgovvirginia.tts.speech.azure.us"),
        ("https://usgovvirginia.api.cognitive.microsoft.us/", "https://usgovvirginia.tts.speech.azure.us"),
        ("chinaeast2", "https://chinaeast2.tts.speech.azure.cn"),
        ("China North 3", "https://chinanorth3.tts.speech.azure.cn"),
        ("https://chinanorth2.api.cognitive.azure.cn/sts/v1.0/issuetoken", "https://chinanorth2.tts.speech.azure.cn"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://127.0.0.1:5000/cognitiveservices/v1/", "http://127.0.0.1:5000"),
        ("http://127.0.0.1:5000/cognitiveservices/voices/list", "http://127.0.0.1:5000"),
        ("https://Proxy.Example:8443/Speech", "https://Proxy.Example:8443/Speech"),
        ("https://tts.speech.microsoft.com.evil.example", "https://tts.speech.microsoft.com.evil.example"),
    ],
)
def test_every_form_of_the_base_url(given: str, base: str) -> None:
    found = endpoints(given)
    assert found.speak == f"{base}/cognitiveservices/v1"
    assert found.voices == f"{base}/cognitiveservices/voices/list"
    assert found.fallback is None


def test_the_query_of_an_unknown_address_is_kept() -> None:
    found = endpoints("https://proxy.example/a?x=1&y=2")
    assert found.speak == "https://proxy.example/a/cognitiveservices/v1?x=1&y=2"


def through(upstream: AzureUpstream) -> httpx.AsyncClient:
    """A client for which every host is this server."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(upstream))


@pytest.mark.parametrize("prefix", ["/tts", ""])
async def test_a_custom_domain_is_found_with_and_without_tts(upstream: AzureUpstream, prefix: str) -> None:
    upstream.switches.prefix = prefix
    async with through(upstream) as client:
        adapter = make_adapter(client, "https://my-speech.cognitiveservices.azure.com/")
        await take(adapter)
        await take(adapter)
        assert len(await adapter.voices()) == len(VOICES)
    assert upstream.requests[0].path == "/tts/cognitiveservices/v1"
    assert len(upstream.requests) == (3 if prefix else 4)
    assert {request.headers["host"] for request in upstream.requests} == {"my-speech.cognitiveservices.azure.com"}


async def test_a_custom_domain_with_neither(upstream: AzureUpstream) -> None:
    upstream.switches.prefix = "/elsewhere"
    async with through(upstream) as client:
        with pytest.raises(UpstreamRejected, match="answered 404"):
            await take(make_adapter(client, "https://my-speech.cognitiveservices.azure.com/"))


async def test_a_custom_voice_keeps_its_query(upstream: AzureUpstream) -> None:
    upstream.switches.deployment = "0b7f"
    async with through(upstream) as client:
        address = "https://eastus.voice.speech.microsoft.com/cognitiveservices/v1?deploymentId=0b7f"
        adapter = make_adapter(client, address)
        data, _ = await take(adapter)
        assert data
        assert await adapter.voices()
    assert [request.headers["host"].split(".")[1] for request in upstream.requests] == ["voice", "tts"]


@pytest.mark.parametrize("base_url", ["", "127.0.0.1:5000:1", "ftp://127.0.0.1", "http://[::1"])
async def test_a_base_url_that_is_none(client: httpx.AsyncClient, base_url: str) -> None:
    adapter = make_adapter(client, base_url)
    with pytest.raises(ProviderUnavailable):
        await take(adapter)
    health = await adapter.health()
    assert not health.reachable
    assert "not a valid http or https address" in health.reason


async def test_a_token_of_entra_is_a_bearer(upstream: AzureUpstream, client: httpx.AsyncClient, url: str) -> None:
    token = "aad#/subscriptions/1/resourceGroups/2#eyJ0eXAi"
    upstream.switches.key = token
    await take(make_adapter(client, url, key=token))
    assert "ocp-apim-subscription-key" not in upstream.requests[0].headers


# What goes wrong.


@pytest.mark.parametrize(
    ("refusal", "error", "words"),
    [
        (nothing(400), UpstreamRejected, "sent were the voice “en-US-JennyNeural” and the format audio-24khz-96k"),
        (nothing(401), UpstreamUnauthorized, "another region"),
        (
            Refusal(401, body=b'{"statusCode":401,"message":"Access denied"}'),
            UpstreamUnauthorized,
            "Access denied; the",
        ),
        (
            Refusal(403, body=b'{"error":{"code":"403","message":"Firewall"}}'),
            UpstreamUnauthorized,
            "Firewall; the res",
        ),
        (nothing(415), UpstreamRejected, "answered 415"),
        (nothing(429), UpstreamBusy, "quota"),
        (nothing(429, **{"retry-after": "7"}), UpstreamBusy, "quota"),
        (Refusal(502, body=b"<html><title>Bad Gateway</title></html>"), UpstreamFailed, "Bad Gateway"),
        (nothing(503), UpstreamBusy, "answered 503"),
        (nothing(499), UpstreamRejected, "answered 499"),
    ],
)
async def test_a_refusal_is_translated(
    upstream: AzureUpstream, adapter: AzureAdapter, refusal: Refusal, error: type[ProviderError], words: str
) -> None:
    upstream.switches.refusals = [refusal]
    with pytest.raises(error, match=words) as caught:
        await take(adapter)
    assert type(caught.value) is error
    assert caught.value.retry_after == (7 if "retry-after" in refusal.headers else None)
    await take(adapter)


async def test_the_reason_beside_the_status_is_shown(client: httpx.AsyncClient) -> None:
    def refuse(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 400 Data at the root level is invalid.\r\nContent-Length: 0\r\n\r\n")

    async with serve_raw(refuse) as address:
        with pytest.raises(UpstreamRejected, match="answered 400: Data at the root level is invalid.; sent were"):
            await take(make_adapter(client, address))


async def test_an_unknown_voice_is_named(adapter: AzureAdapter) -> None:
    with pytest.raises(UpstreamRejected, match="sent were the voice “en-US-NobodyNeural”"):
        await take(adapter, replace(REQUEST, voice="en-US-NobodyNeural"))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("chunked", [True, False])
async def test_a_success_without_a_byte_is_bad_audio(
    upstream: AzureUpstream, adapter: AzureAdapter, format: AudioFormat, chunked: bool
) -> None:
    upstream.switches.chunked = chunked
    with pytest.raises(BadAudio, match="may not speak the language"):
        await take(adapter, replace(REQUEST, text="...", format=format))


async def test_a_page_in_place_of_sound_is_bad_audio(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    upstream.switches.speech, upstream.switches.speech_type = b"<html><title>Sign in</title>", "text/html"
    with pytest.raises(BadAudio, match="Sign in"):
        await take(adapter)


@pytest.mark.parametrize("gateway", [True, False])
@pytest.mark.parametrize("key", ["wrong-key-0123456789", "“typed by a word processor”"])
async def test_no_failure_shows_the_key(
    upstream: AzureUpstream, client: httpx.AsyncClient, url: str, key: str, gateway: bool
) -> None:
    upstream.switches.gateway_errors = gateway
    adapter = make_adapter(client, url, key=key)
    with pytest.raises(SpeechError) as caught:
        await take(adapter)
    health = await adapter.health()
    error: BaseException | None = caught.value
    assert isinstance(error, UpstreamUnauthorized | ProviderUnavailable)
    while error is not None:
        assert key not in f"{error} {error!r}"
        error = error.__cause__
    assert key not in f"{adapter.config!r} {health!r}"


async def test_a_stalled_service_is_asked_once(upstream: AzureUpstream, client: httpx.AsyncClient, url: str) -> None:
    upstream.switches.held = True
    with pytest.raises(UpstreamTimeout):
        await take(make_adapter(client, url, timeout=HURRIED_SECONDS))
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1)
    assert len(upstream.requests) == 1


async def test_a_stream_that_stalls_is_a_timeout(upstream: AzureUpstream, client: httpx.AsyncClient, url: str) -> None:
    # The words are made beforehand, so that only the stall takes time.
    await take(make_adapter(client, url))
    upstream.switches.gated = True
    upstream.release()
    async with make_adapter(client, url, timeout=3 * HURRIED_SECONDS).speak(REQUEST) as audio:
        await anext(audio.chunks)
        with pytest.raises(UpstreamTimeout):
            await anext(audio.chunks)


async def test_a_stream_that_is_cut_says_so(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    upstream.switches.cut_after = 2
    with pytest.raises(UpstreamUnreachable, match="broke the connection"):
        await take(adapter)


async def test_cancelling_closes_the_connection(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    upstream.switches.held = True
    call = asyncio.create_task(take(adapter))
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.current == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1 and seen.current == 0)


async def test_leaving_a_stream_closes_the_connection(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    upstream.switches.gated = True
    upstream.release()
    with pytest.raises(KeyError):
        async with adapter.speak(REQUEST) as audio:
            await anext(audio.chunks)
            raise KeyError("the reader's own failure stays what it is")
    await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 1)
    gc.collect()


# The list and health.


async def test_voices_with_all_that_is_known_of_them(adapter: AzureAdapter) -> None:
    jenny, guy, ava, *_ = await adapter.voices()
    assert jenny == Voice(
        "en-US-JennyNeural",
        "Jenny",
        "en-US",
        "female",
        "English (United States), Neural, roles: Boy, Girl",
        ("cheerful", "whispering"),
    )
    assert (guy.gender, guy.styles, ava.name) == ("male", (), "AvaMultilingual")


async def test_ids_are_taken_byte_for_byte(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    ids = [voice.id for voice in await adapter.voices()]
    assert ids == [entry["ShortName"] for entry in VOICES]
    lookalike = ids[-1]
    assert lookalike != "en-US-JennyNeural"
    await take(adapter, replace(REQUEST, voice=lookalike))
    assert upstream.said[0].voice == lookalike


async def test_thousands_of_voices(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    upstream.switches.voices = [listed(f"en-US-Voice{number}Neural") for number in range(3000)]
    assert len(await adapter.voices()) == 3000


def test_entries_that_are_none_are_passed_over() -> None:
    payload = [{}, 7, {"ShortName": 7}, {"ShortName": "a", "StyleList": None, "RolePlayList": "x"}]
    assert [entry.voice for entry in parse_azure_voices(payload)] == [Voice("a", "a")]
    with pytest.raises(UpstreamFailed):
        list(parse_azure_voices({"error": "x"}))


@pytest.mark.parametrize(("status", "error"), [(401, UpstreamUnauthorized), (429, UpstreamBusy), (500, UpstreamFailed)])
async def test_a_list_that_is_refused_is_no_empty_list(
    upstream: AzureUpstream, adapter: AzureAdapter, status: int, error: type[ProviderError]
) -> None:
    upstream.switches.refusals = [nothing(status)]
    with pytest.raises(error):
        await adapter.voices()


async def test_health_of_a_service_that_is_well(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    health = await adapter.health()
    assert (health.reachable, health.reason, health.key_accepted, health.right_kind) == (True, "", True, True)
    assert upstream.said == []


async def test_health_of_a_wrong_key(client: httpx.AsyncClient, url: str) -> None:
    health = await make_adapter(client, url, key="wrong-key").health()
    assert (health.reachable, health.key_accepted) == (True, False)
    assert "another region" in health.reason


async def test_health_of_a_container_proves_no_key(
    upstream: AzureUpstream, client: httpx.AsyncClient, url: str
) -> None:
    upstream.switches.key = ""
    health = await make_adapter(client, url, key="anything").health()
    assert (health.reachable, health.reason, health.key_accepted, health.right_kind) == (True, "", None, True)


async def test_health_of_a_closed_network_says_nothing_of_the_key(
    upstream: AzureUpstream, adapter: AzureAdapter
) -> None:
    upstream.switches.refusals = [Refusal(403, body=b'{"error":{"code":"403","message":"Public access is off."}}')]
    health = await adapter.health()
    assert (health.reachable, health.key_accepted) == (True, None)
    assert "takes no calls from this network" in health.reason


async def test_health_of_something_else(upstream: AzureUpstream, adapter: AzureAdapter) -> None:
    upstream.switches.voices = {"voices": []}
    health = await adapter.health()
    assert (health.reachable, health.right_kind) == (True, False)
    upstream.switches.refusals = [nothing(503)]
    assert (await adapter.health()).reachable


async def test_health_of_a_closed_port(client: httpx.AsyncClient) -> None:
    with closed_port() as port:
        health = await make_adapter(client, f"http://127.0.0.1:{port}").health()
    assert not health.reachable
    assert "nothing accepts connections" in health.reason


def test_it_is_registered_and_says_what_it_can_do() -> None:
    assert adapter_class("azure") is AzureAdapter
    capabilities = AzureAdapter.capabilities
    assert capabilities.needs_base_url
    assert capabilities.needs_key
    assert not capabilities.instructions
