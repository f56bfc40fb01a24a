"""One contract for every registered adapter, against a strict fake of what it speaks to.

A new kind of provider adds its line to `PARTS`; without it the first test fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from providers import adapters
from providers.adapters.base import Adapter
from providers.audio import wav_header
from providers.errors import (
    BadAudio,
    NothingToSay,
    SpeechError,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from providers.http import make_client
from providers.options import with_defaults
from providers.speech import AudioFormat, ProviderConfig, SpeechRequest, TaskMode
from tests.hearing import assert_heard
from tests.local_backends import recording
from tests.upstreams.azure import AzureUpstream
from tests.upstreams.chat_completions import ChatUpstream
from tests.upstreams.common import Refusal, Upstream
from tests.upstreams.cosyvoice import CosyVoiceUpstream
from tests.upstreams.gemini import GeminiUpstream
from tests.upstreams.gpt_sovits import GPTSoVITSUpstream
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import HURRIED_SECONDS, PATIENT_SECONDS, Stage, closed_port, serve
from tests.upstreams.voxcpm import VoxCPMUpstream

KEY = "sk-top-secret-0123456789abcdef"
TEXT = "The quick brown fox jumps over the lazy dog."
SPEAK = SpeechRequest(TEXT)
WORDS = "Every evening the old keeper climbed the stairs and lit the lamp."
CLONE = SpeechRequest(TEXT, TaskMode.CLONE, reference=recording(4), prompt_text=WORDS)


@dataclass(frozen=True)
class Part:
    """How one kind is tested: its fake (None: it works on this machine) and a request for each of its task modes."""

    requests: tuple[SpeechRequest, ...]
    upstream: Callable[..., Upstream] | None = None
    path: str = ""
    has_keys: bool = True
    options: tuple[tuple[str, str], ...] = ()


PARTS = {
    "azure": Part((replace(SPEAK, voice="en-US-JennyNeural", format=AudioFormat.MP3),), AzureUpstream),
    "chat_completions": Part(
        (
            replace(SPEAK, model="mimo-v2.5-tts", voice="Mia", format=AudioFormat.PCM),
            replace(CLONE, model="mimo-v2.5-tts-voiceclone", prompt_text=""),
            SpeechRequest(TEXT, TaskMode.DESIGN, instructions="An old sailor", format=AudioFormat.PCM),
        ),
        ChatUpstream,
        "/v1",
        options=(("dialect", "mimo"),),
    ),
    "cosyvoice": Part((replace(SPEAK, voice="ada", model="studio"), CLONE), CosyVoiceUpstream),
    "embedded": Part((replace(SPEAK, voice="heart"),)),
    "gemini": Part(
        (replace(SPEAK, model="gemini-3.8-flash-tts", voice="Kore", format=AudioFormat.PCM),), GeminiUpstream
    ),
    "gpt_sovits": Part(
        (replace(SPEAK, voice="ada", model="studio"), replace(CLONE, language="en-US")),
        GPTSoVITSUpstream,
        has_keys=False,
    ),
    "openai": Part((replace(SPEAK, model="tts-1", voice="alloy", format=AudioFormat.MP3),), OpenAIUpstream, "/v1"),
    "system": Part((replace(SPEAK, voice="gmw/en-US"),)),
    "voxcpm": Part(
        (replace(SPEAK, voice="ada"), CLONE, SpeechRequest(TEXT, TaskMode.DESIGN, instructions="An old sailor")),
        VoxCPMUpstream,
    ),
}
KINDS = sorted(adapters.kinds())
REMOTE = [kind for kind in KINDS if kind in PARTS and PARTS[kind].upstream]
MODES = [(kind, number) for kind, part in sorted(PARTS.items()) for number in range(len(part.requests))]


def mode_name(value: object) -> str:
    return value if isinstance(value, str) else f"mode{value}"


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="module")
def url(stage: Stage) -> Iterator[str]:
    with serve(stage) as address:
        yield address


@asynccontextmanager
async def made(kind: str, address: str = "", **values: Any) -> AsyncIterator[Adapter]:
    adapter_class = adapters.adapter_class(kind)
    options = with_defaults(adapter_class.capabilities.provider_options, dict(PARTS[kind].options))
    config = ProviderConfig(id=1, name="Attic", kind=kind, key=KEY, timeout=PATIENT_SECONDS, options=options)
    address = address and address + PARTS[kind].path
    async with make_client() as client:
        adapter = adapter_class(replace(config, base_url=address, **values), client)
        try:
            yield adapter
        finally:
            await adapter.close()


def put_on(stage: Stage, kind: str, **switches: Any) -> Any:
    upstream = PARTS[kind].upstream
    assert upstream is not None
    stage.app = app = upstream(**({"key": KEY} if PARTS[kind].has_keys else {}), **switches)
    return app


def request(kind: str, number: int = 0) -> SpeechRequest:
    declared = adapters.adapter_class(kind).capabilities.character_options
    return replace(PARTS[kind].requests[number], options=with_defaults(declared, {}))


async def take(adapter: Adapter, asked: SpeechRequest) -> tuple[bytes, AudioFormat]:
    """The answer as a file that can be heard, and the format in which it came."""
    async with adapter.speak(asked) as audio:
        data = b"".join([chunk async for chunk in audio.chunks])
    headerless = audio.format is AudioFormat.PCM
    return (wav_header(audio.sample_rate, len(data)) + data if headerless else data), audio.format


def test_every_kind_and_every_task_mode_has_its_part() -> None:
    assert sorted(PARTS) == KINDS
    for kind, part in PARTS.items():
        modes = {asked.task_mode for asked in part.requests}
        assert modes == set(adapters.adapter_class(kind).capabilities.task_modes), kind


@pytest.mark.parametrize(("kind", "number"), MODES, ids=mode_name)
async def test_each_task_mode_is_heard(kind: str, number: int, stage: Stage, url: str) -> None:
    if kind in REMOTE:
        put_on(stage, kind)
    async with made(kind, url if kind in REMOTE else "") as adapter:
        data, format = await take(adapter, request(kind, number))
        assert format in adapter.capabilities.formats
        assert_heard(TEXT, data)


@pytest.mark.parametrize("kind", KINDS)
async def test_health_and_catalogue(kind: str, stage: Stage, url: str) -> None:
    if kind in REMOTE:
        put_on(stage, kind)
    async with made(kind, url if kind in REMOTE else "") as adapter:
        health = await adapter.health()
        assert (health.reachable, health.reason) == (True, "")
        assert health.key_accepted is not False and health.right_kind is not False
        voices = await adapter.voices()
        assert len({(voice.id, voice.model) for voice in voices}) == len(voices)
        assert all(voice.id and voice.name for voice in voices)
        wanted = request(kind).voice
        assert wanted in {voice.id for voice in voices}, "what characters are offered can be spoken"
        assert all(model.id for model in await adapter.models())


ERRORS: list[tuple[int, type[SpeechError]]] = [
    (400, UpstreamRejected),
    (401, UpstreamUnauthorized),
    (429, UpstreamBusy),
    (500, UpstreamFailed),
    (503, UpstreamBusy),
]


@pytest.mark.parametrize("kind", REMOTE)
@pytest.mark.parametrize(("status", "error"), ERRORS, ids=lambda value: str(value) if isinstance(value, int) else "")
async def test_each_status_has_its_class_and_no_message_a_secret(
    kind: str, status: int, error: type[SpeechError], stage: Stage, url: str
) -> None:
    # As often as an adapter may look for another way.
    refusals = [Refusal(status, f"No, {KEY}, not with Authorization: Bearer {KEY}") for _ in range(4)]
    put_on(stage, kind, refusals=refusals)
    async with made(kind, url) as adapter:
        with pytest.raises(error) as caught:
            await take(adapter, request(kind))
        assert caught.value.permanent is (status < 429)
        shown: BaseException | None = caught.value
        while shown is not None:
            assert KEY not in f"{shown} {shown!r}"
            shown = shown.__cause__


@pytest.mark.parametrize("kind", [kind for kind in REMOTE if PARTS[kind].has_keys])
async def test_a_wrong_key_is_told_by_speech_and_health(kind: str, stage: Stage, url: str) -> None:
    put_on(stage, kind)
    async with made(kind, url, key="sk-wrong-0123456789abcdef") as adapter:
        with pytest.raises(UpstreamUnauthorized):
            await take(adapter, request(kind))
        health = await adapter.health()
        assert (health.reachable, health.key_accepted) == (True, False)
        assert "key" in health.reason and "sk-wrong" not in health.reason


@pytest.mark.parametrize("kind", REMOTE)
async def test_a_provider_that_is_gone(kind: str) -> None:
    with closed_port() as port:
        async with made(kind, f"http://127.0.0.1:{port}") as adapter:
            with pytest.raises(UpstreamUnreachable) as caught:
                await take(adapter, request(kind))
            assert not caught.value.permanent
            assert not (await adapter.health()).reachable


@pytest.mark.parametrize(("kind", "number"), [each for each in MODES if each[0] in REMOTE], ids=mode_name)
async def test_who_leaves_frees_the_provider(kind: str, number: int, stage: Stage, url: str) -> None:
    upstream = put_on(stage, kind, held=True)
    async with made(kind, url) as adapter:
        call = asyncio.create_task(take(adapter, request(kind, number)))
        await asyncio.to_thread(upstream.wait_for, lambda seen: seen.current == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.to_thread(upstream.wait_for, lambda seen: seen.current == 0 and seen.disconnects == 1)


@pytest.mark.parametrize("kind", REMOTE)
async def test_a_provider_that_says_nothing_is_a_timeout(kind: str, stage: Stage, url: str) -> None:
    put_on(stage, kind, held=True)
    async with made(kind, url, timeout=HURRIED_SECONDS) as adapter:
        with pytest.raises(UpstreamTimeout) as caught:
            await take(adapter, request(kind))
        assert not caught.value.permanent


@pytest.mark.parametrize("kind", REMOTE)
@pytest.mark.parametrize("body", [b"", b"<html><title>Sign in</title></html>", b"[]"], ids=["empty", "page", "list"])
async def test_what_is_no_speech_is_never_taken_for_it(kind: str, body: bytes, stage: Stage, url: str) -> None:
    put_on(stage, kind, refusals=[Refusal(200, body=body) for _ in range(4)])
    async with made(kind, url) as adapter:
        with pytest.raises((BadAudio, UpstreamFailed, NothingToSay)):
            await take(adapter, request(kind))
