"""The CosyVoice3 adapter against a strict backend."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from banks.models import Bank
from providers.adapters.cosyvoice import CosyVoiceAdapter
from providers.audio import probe
from providers.errors import InvalidRequest, UnsupportedOption, UpstreamFailed, UpstreamRejected, VoiceNotFound
from providers.models import Provider
from providers.speech import OptionValue, SpeechRequest, TaskMode
from tests.conftest import add_character
from tests.local_backends import KEY, TEXT, WORDS, BackendContract, heard, make, recording, take
from tests.test_api_errors import say
from tests.upstreams.common import Refusal
from tests.upstreams.cosyvoice import CosyVoiceUpstream
from tests.upstreams.serving import HURRIED_SECONDS, serve

ADA = SpeechRequest(TEXT, voice="ada", model="studio")
CLONE = SpeechRequest(TEXT, task_mode=TaskMode.CLONE, reference=recording(4), prompt_text=WORDS)


class TestCosyVoice(BackendContract):
    kind = "cosyvoice"
    make_upstream = CosyVoiceUpstream
    direct = ADA
    clone = CLONE

    # Registered voices.

    async def test_the_mode_is_left_out_so_that_every_kind_of_voice_works(
        self, upstream: CosyVoiceUpstream, adapter: CosyVoiceAdapter
    ) -> None:
        modes = []
        for voice in ("ada", "crier", "herald", "radio"):
            data, audio = await take(adapter, replace(ADA, voice=voice))
            heard(TEXT, data)
            modes.append(audio.headers["x-neiroha-cosyvoice-mode"])
        assert modes == ["zero_shot", "cross_lingual", "instruct", "sft"]
        assert upstream.spoken[0].fields == {"text": TEXT, "voice": "ada", "model": "studio", "response_format": "wav"}
        assert not [spoken for spoken in upstream.spoken if "mode" in spoken.fields]

    async def test_a_mode_that_somebody_chose_is_sent(
        self, upstream: CosyVoiceUpstream, adapter: CosyVoiceAdapter
    ) -> None:
        options: dict[str, OptionValue] = {"mode": "cross_lingual", "seed": 7, "text_frontend": "off"}
        _, audio = await take(adapter, replace(ADA, options=options))
        assert audio.headers["x-neiroha-cosyvoice-mode"] == "cross_lingual"
        sent = upstream.spoken[-1].fields
        assert (sent["mode"], sent["seed"], sent["text_frontend"]) == ("cross_lingual", 7, False)
        with pytest.raises(UpstreamRejected, match="zero_shot needs more text"):
            await take(adapter, replace(ADA, voice="crier", options={"mode": "zero_shot"}))

    @pytest.mark.parametrize(
        ("voice", "sent"),
        [("Ada Lovelace", "ada"), ("ADA", "ada"), ("小雅", "小雅"), ("sailor", "sailor"), ("Twin", "twin")],
    )
    async def test_a_voice_is_found_in_whichever_set_it_is(
        self, upstream: CosyVoiceUpstream, adapter: CosyVoiceAdapter, voice: str, sent: str
    ) -> None:
        data, audio = await take(adapter, SpeechRequest(TEXT, voice=voice))
        heard(TEXT, data)
        assert upstream.spoken[-1].fields["voice"] == sent
        assert upstream.spoken[-1].fields["model"] == ("sea" if sent == "sailor" else "studio")
        assert audio.headers["x-neiroha-voice"].isascii()

    @pytest.mark.parametrize("voice", ["Ada Lovelace", "ADA", "小雅"])
    async def test_names_are_taken_as_the_backend_takes_them(
        self, upstream: CosyVoiceUpstream, adapter: CosyVoiceAdapter, voice: str
    ) -> None:
        data, _ = await take(adapter, replace(ADA, voice=voice))
        heard(TEXT, data)
        assert len(upstream.requests) == 1

    async def test_the_code_of_an_unknown_voice_may_mean_something_else(
        self, upstream: CosyVoiceUpstream, adapter: CosyVoiceAdapter
    ) -> None:
        upstream.switches.refusals = [upstream.error(400, "voice_not_found", "No mode can be told")]
        with pytest.raises(UpstreamRejected, match="No mode can be told"):
            await take(adapter, ADA)
        with pytest.raises(VoiceNotFound, match="in its voice set “attic”. It is in “studio”."):
            await take(adapter, replace(ADA, model="attic"))

    async def test_a_missing_ffmpeg_is_not_a_missing_voice(
        self, upstream: CosyVoiceUpstream, adapter: CosyVoiceAdapter, url: str
    ) -> None:
        upstream.switches.ffmpeg = False
        async with httpx.AsyncClient(timeout=60, trust_env=False) as plain:
            answer = await plain.post(f"{url}/v1/audio/speech", json={"input": TEXT, "voice": "ada"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "invalid_reference_audio")
        data, _ = await take(adapter, ADA)
        heard(TEXT, data)
        upstream.switches.refusals = [upstream.no_ffmpeg()]
        with pytest.raises(UpstreamRejected):
            await take(adapter, ADA)

    async def test_an_instruction_is_followed_or_refused(
        self, upstream: CosyVoiceUpstream, adapter: CosyVoiceAdapter
    ) -> None:
        _, audio = await take(adapter, replace(ADA, instructions="Whisper."))
        assert audio.headers["x-neiroha-cosyvoice-mode"] == "instruct"
        assert upstream.spoken[-1].fields["instruct_text"] == "Whisper."
        with pytest.raises(UnsupportedOption, match="spoke it as sft") as caught:
            await take(adapter, replace(ADA, voice="radio", instructions="Whisper."))
        assert caught.value.param == "instructions"
        count = len(upstream.spoken)
        with pytest.raises(UnsupportedOption, match="Mode zero_shot"):
            await take(adapter, replace(ADA, instructions="Whisper.", options={"mode": "zero_shot"}))
        assert len(upstream.spoken) == count

    @pytest.mark.parametrize("request_", [ADA, CLONE])
    async def test_the_speed_is_the_backends_own(
        self, upstream: CosyVoiceUpstream, adapter: CosyVoiceAdapter, request_: SpeechRequest
    ) -> None:
        slow, _ = await take(adapter, request_)
        fast, _ = await take(adapter, replace(request_, speed=1.5))
        assert probe(fast).duration < 0.85 * probe(slow).duration
        assert ["speed" in spoken.fields for spoken in upstream.spoken] == [False, True]
        for speed in (0.25, 4.0):
            await take(adapter, replace(request_, speed=speed))

    # Clones.

    @pytest.mark.parametrize(
        ("changes", "mode"),
        [
            ({}, "zero_shot"),
            ({"prompt_text": ""}, "cross_lingual"),
            ({"instructions": "Whisper."}, "instruct"),
            ({"prompt_text": "", "instructions": "Whisper."}, "instruct"),
            ({"options": {"mode": "cross_lingual", "seed": 3, "text_frontend": "on"}}, "cross_lingual"),
            ({"instructions": "Whisper.", "options": {"mode": "instruct"}}, "instruct"),
        ],
    )
    async def test_the_way_of_cloning(
        self, upstream: CosyVoiceUpstream, adapter: CosyVoiceAdapter, changes: dict[str, Any], mode: str
    ) -> None:
        request = replace(CLONE, **changes)
        data, audio = await take(adapter, request)
        heard(TEXT, data)
        assert audio.headers["x-neiroha-cosyvoice-mode"] == mode
        (spoken,) = upstream.spoken
        assert (spoken.fields["mode"], list(spoken.files)) == (mode, ["prompt_audio"])
        assert ("prompt_text" in spoken.fields) is (mode == "zero_shot")
        assert ("instruct_text" in spoken.fields) is (mode == "instruct")
        if "seed" in request.options:
            assert (spoken.fields["seed"], spoken.fields["text_frontend"]) == (3, True)
        assert not {"voice", "model"} & spoken.fields.keys()

    @pytest.mark.parametrize(
        ("changes", "error", "param"),
        [
            ({"reference": None}, InvalidRequest, "reference"),
            ({"prompt_text": "", "options": {"mode": "zero_shot"}}, InvalidRequest, "prompt_text"),
            ({"options": {"mode": "instruct"}}, InvalidRequest, "instructions"),
            ({"instructions": "Whisper.", "options": {"mode": "zero_shot"}}, UnsupportedOption, "instructions"),
        ],
    )
    async def test_a_clone_that_can_not_be_is_refused_before_it_is_sent(
        self,
        upstream: CosyVoiceUpstream,
        adapter: CosyVoiceAdapter,
        changes: dict[str, Any],
        error: type[InvalidRequest],
        param: str,
    ) -> None:
        with pytest.raises(error) as caught:
            await take(adapter, replace(CLONE, **changes))
        assert (type(caught.value), caught.value.param) == (error, param)
        assert upstream.requests == []

    # Lists, health and the log.

    async def test_voices(self, upstream: CosyVoiceUpstream, adapter: CosyVoiceAdapter) -> None:
        upstream.missing_files.add("crier")
        voices = await adapter.voices()
        sets = {voice.id: voice.model for voice in voices}
        assert len(sets) == len(voices)
        assert (sets["ada"], sets["sailor"], sets["twin"]) == ("studio", "sea", ""), "“twin” is in both"
        described = {voice.id: voice.description for voice in voices}
        assert described["ada"] == "Warm · zero_shot"
        assert described["crier"] == "cross_lingual · its recording is missing on the backend"
        assert described["radio"] == "sft"
        assert {voice.task_mode for voice in voices} == {TaskMode.PRESET}

    async def test_a_backend_that_clones_is_not_ill(
        self, upstream: CosyVoiceUpstream, client: httpx.AsyncClient, url: str
    ) -> None:
        busy = make(self.kind, client, url)
        # Its health waits no longer than this, while its speech waits as long as it takes.
        busy_health = make(self.kind, client, url, timeout=HURRIED_SECONDS)
        upstream.switches.chunked = upstream.switches.gated = True
        call = asyncio.create_task(take(busy, CLONE))
        await asyncio.to_thread(upstream.wait_for, lambda seen: bool(seen.spoken))
        assert not (await busy_health.health()).reachable, "nobody knows there why it is silent"
        busy.config = busy_health.config
        health = await busy.health()
        assert (health.reachable, health.reason) == (True, "")
        upstream.release(10_000)
        heard(TEXT, (await call)[0])
        assert (await make(self.kind, client, url).health()).reachable

    @pytest.mark.parametrize(("body", "log"), [(b"[]", ""), (b'{"content":"a"}', "a"), (b"<html>", None)])
    async def test_an_odd_log(
        self, upstream: CosyVoiceUpstream, adapter: CosyVoiceAdapter, body: bytes, log: str | None
    ) -> None:
        upstream.switches.refusals = [Refusal(200, body=body)]
        if log is not None:
            assert await adapter.logs(5) == log
            return
        with pytest.raises(UpstreamFailed, match="its log"):
            await adapter.logs(5)

    async def test_the_key_is_taken_in_both_headers(self, upstream: CosyVoiceUpstream, url: str) -> None:
        upstream.switches.key = KEY
        async with httpx.AsyncClient(timeout=60, trust_env=False) as plain:
            for headers, status in (
                ({"authorization": f"Bearer {KEY}"}, 200),
                ({"authorization": f"bearer {KEY}"}, 401),
                ({"x-api-key": KEY}, 200),
                ({"x-api-key": KEY, "authorization": "Bearer wrong"}, 401),
                ({}, 401),
            ):
                answer = await plain.get(f"{url}/v1/models", headers=headers)
                assert answer.status_code == status
            assert (await plain.get(f"{url}/health")).status_code == 200, "which is why it proves no key"

    async def test_a_key_reaches_every_route(
        self, upstream: CosyVoiceUpstream, client: httpx.AsyncClient, url: str
    ) -> None:
        upstream.switches.key = KEY
        adapter = make(self.kind, client, url, key=KEY)
        await take(adapter, CLONE)
        await take(adapter, SpeechRequest(TEXT, voice="ada"))
        assert await adapter.models() and await adapter.logs(1)


# Through the API.


@pytest.fixture
def backend(bank: Bank) -> Iterator[CosyVoiceUpstream]:
    app = CosyVoiceUpstream(key=KEY, ffmpeg=False)
    with serve(app) as url:
        provider = Provider.objects.create(name="Attic", kind="cosyvoice", base_url=url, api_key=KEY, max_concurrency=1)
        add_character(bank, provider, "Ada", voice="ada")
        yield app


def test_a_format_that_the_backend_can_not_make_is_made_here(
    client_http: httpx.Client, backend: CosyVoiceUpstream
) -> None:
    response = say(client_http, voice="Ada", input=TEXT, response_format="mp3", speed=1.25, instructions="Whisper.")
    assert response.status_code == 200, response.text
    heard(TEXT, response.content)
    sent = backend.spoken[-1].fields
    assert (sent["response_format"], sent["speed"], sent["instruct_text"]) == ("wav", 1.25, "Whisper.")
