"""What holds for every registered adapter, whoever writes the next one."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from providers import adapters
from providers.adapters.base import Adapter, BackendLogs, ModelControl, VoiceRegistry
from providers.errors import ProviderError, SpeechError, VoiceNotFound
from providers.http import make_client
from providers.options import clean_options, with_defaults
from providers.speech import AudioFormat, OptionType, ProviderConfig, Reference, SpeechRequest, TaskMode
from tests.upstreams.serving import HURRIED_SECONDS, PATIENT_SECONDS, read_request, serve_raw

SECRET = "sk-very-secret-key-0123456789"
FIELDS = {"model", "voice", "reference", "prompt_text", "prompt_language", "language", "instruction"}
KINDS = sorted(adapters.kinds())
REMOTE = [kind for kind in KINDS if adapters.adapter_class(kind).capabilities.needs_base_url]


def config(kind: str, base_url: str = "http://127.0.0.1:9") -> ProviderConfig:
    declared = adapters.adapter_class(kind).capabilities.provider_options
    return ProviderConfig(
        id=1,
        name="The provider",
        kind=kind,
        base_url=base_url,
        key=SECRET,
        timeout=PATIENT_SECONDS,
        options=with_defaults(declared, {}),
    )


def request(kind: str, mode: TaskMode) -> SpeechRequest:
    """A request with all that the mode needs."""
    capabilities = adapters.adapter_class(kind).capabilities
    known = capabilities.task_modes[mode].required
    options = with_defaults(capabilities.character_options, {})
    format = AudioFormat.WAV if AudioFormat.WAV in capabilities.formats else min(capabilities.formats)
    return SpeechRequest(
        text="Hello there.",
        task_mode=mode,
        voice="alloy" if "voice" in known else "",
        model="a-model",
        instructions="Calm." if "instruction" in known else "",
        prompt_text="Hello." if "prompt_text" in known else "",
        prompt_language="en" if "prompt_language" in known else "",
        language="en-US" if "language" in known else "",
        reference=Reference(b"") if "reference" in known else None,
        format=format,
        options=options,
    )


async def attempt(adapter: Adapter, asked: SpeechRequest) -> bytes:
    async with adapter.speak(asked) as audio:
        return b"".join([chunk async for chunk in audio.chunks])


@pytest.mark.parametrize("kind", KINDS)
def test_declarations_make_sense(kind: str) -> None:
    adapter = adapters.adapter_class(kind)
    capabilities = adapter.capabilities
    assert adapter.label and isinstance(adapter.unavailable(), str)
    assert capabilities.task_modes and capabilities.formats
    for fields in capabilities.task_modes.values():
        assert fields.required | fields.optional <= FIELDS
        assert not fields.required & fields.optional
    if capabilities.speed:
        low, high = capabilities.speed
        assert 0 < low <= 1 <= high
    assert capabilities.piece_characters >= 100
    assert 1 <= capabilities.default_concurrency <= 64
    takes_instructions = any(
        "instruction" in mode.required | mode.optional for mode in capabilities.task_modes.values()
    )
    assert takes_instructions or not capabilities.instructions


@pytest.mark.parametrize("kind", KINDS)
def test_options_have_labels_and_valid_defaults(kind: str) -> None:
    capabilities = adapters.adapter_class(kind).capabilities
    for declared in (capabilities.provider_options, capabilities.character_options):
        assert len({option.name for option in declared}) == len(declared)
        clean_options(declared, with_defaults(declared, {}))
        for option in declared:
            assert option.label
            assert (option.type is OptionType.CHOICE) == bool(option.choices)


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_made_of_plain_values_and_closes(kind: str) -> None:
    async def make_and_close() -> None:
        async with make_client() as client:
            adapter = adapters.adapter_class(kind)(config(kind), client)
            assert SECRET not in repr(adapter.config)
            await adapter.close()

    asyncio.run(make_and_close())


@pytest.mark.parametrize("kind", KINDS)
def test_further_abilities_are_whole(kind: str) -> None:
    adapter = adapters.adapter_class(kind)
    for ability in (BackendLogs, ModelControl, VoiceRegistry):
        if issubclass(adapter, ability):
            assert not inspect.isabstract(adapter)
    if issubclass(adapter, ModelControl):
        assert adapter.actions and set(adapter.actions) <= {"load", "unload", "reload"}


@pytest.mark.parametrize("kind", REMOTE)
async def test_a_provider_that_is_not_there(kind: str) -> None:
    async with make_client() as client:
        adapter = adapters.adapter_class(kind)(config(kind), client)
        health = await adapter.health()
        assert not health.reachable and health.reason and SECRET not in health.reason
        for mode in adapter.capabilities.task_modes:
            with pytest.raises(SpeechError) as caught:
                await attempt(adapter, request(kind, mode))
            assert SECRET not in str(caught.value) and caught.value.message


def echo_refusal(status: str) -> Callable[[socket.socket], None]:
    """A server that repeats the request, key and all, in its refusal, and closes."""

    def answer(connection: socket.socket) -> None:
        received = read_request(connection)
        body = b'{"error": {"message": "Refused: ' + SECRET.encode() + b'"}}'
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)
        assert received

    return answer


@pytest.mark.parametrize("kind", REMOTE)
@pytest.mark.parametrize("status", ["401 Unauthorized", "400 Bad Request", "500 Internal Server Error"])
async def test_refusals_are_of_the_family_and_keep_the_key_to_themselves(kind: str, status: str) -> None:
    async with serve_raw(*[echo_refusal(status)] * 12) as url, make_client() as client:
        adapter = adapters.adapter_class(kind)(replace(config(kind), base_url=url), client)
        mode = next(iter(adapter.capabilities.task_modes))
        with pytest.raises((ProviderError, VoiceNotFound)) as caught:
            await attempt(adapter, request(kind, mode))
        assert SECRET not in str(caught.value)
        if status.startswith("401"):
            assert caught.value.permanent


@pytest.mark.parametrize("kind", REMOTE)
async def test_a_silent_provider_times_out(kind: str) -> None:
    def hold(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    async with serve_raw(*[hold] * 12) as url, make_client() as client:
        adapter = adapters.adapter_class(kind)(replace(config(kind), base_url=url, timeout=HURRIED_SECONDS), client)
        mode = next(iter(adapter.capabilities.task_modes))
        with pytest.raises(ProviderError) as caught:
            await attempt(adapter, request(kind, mode))
        assert not caught.value.permanent


async def test_an_unknown_kind_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        adapters.adapter_class("unheard of")
