"""The GPT-SoVITS adapter against a strict backend, and port 9880 answered by its sibling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from banks.models import Bank
from providers.adapters.gpt_sovits import GPTSoVITSAdapter
from providers.audio import probe
from providers.errors import InvalidRequest, UnsupportedOption, UpstreamFailed, UpstreamRejected
from providers.models import Provider
from providers.speech import OptionValue, Reference, SpeechRequest, TaskMode, Voice
from tests.conftest import add_character
from tests.local_backends import KEY, TEXT, WORDS, BackendContract, heard, make, recording, take
from tests.test_api_errors import say
from tests.upstreams.cosyvoice import CosyVoiceUpstream
from tests.upstreams.gpt_sovits import GPTSoVITSUpstream
from tests.upstreams.serving import Stage, serve
from tests.upstreams.voxcpm import VoxCPMUpstream

ADA = SpeechRequest(TEXT, voice="ada", model="studio")
CLONE = SpeechRequest(TEXT, task_mode=TaskMode.CLONE, reference=recording(4), prompt_text=WORDS, language="en-US")
UPSTREAMS: dict[str, Callable[[], Any]] = {
    "cosyvoice": CosyVoiceUpstream,
    "gpt_sovits": GPTSoVITSUpstream,
    "voxcpm": VoxCPMUpstream,
}
LABELS = {"cosyvoice": "CosyVoice3", "gpt_sovits": "GPT-SoVITS", "voxcpm": "VoxCPM2"}
VERSION_1 = ("auto", "en", "zh", "ja", "all_zh", "all_ja")


class TestGPTSoVITS(BackendContract):
    kind = "gpt_sovits"
    make_upstream = GPTSoVITSUpstream
    direct = ADA
    clone = CLONE
    has_keys = False

    # Registered voices.

    async def test_only_what_is_set_is_sent(self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter) -> None:
        await take(adapter, ADA)
        assert upstream.spoken[-1].fields == {
            "input": TEXT,
            "voice": "ada",
            "model": "studio",
            "response_format": "wav",
        }
        options: dict[str, OptionValue] = {"top_k": 5, "temperature": 0.7, "text_split_method": "cut0", "seed": -1}
        await take(adapter, replace(ADA, options=options, language="en-GB", prompt_language="zh_CN"))
        sent = upstream.spoken[-1].fields
        assert {name: sent[name] for name in options} == options
        assert (sent["text_lang"], sent["prompt_lang"]) == ("en", "zh")

    @pytest.mark.parametrize(("voice", "sent"), [("Ada Lovelace", "ada"), ("Sailor", "sailor"), ("zoë", "zoë")])
    async def test_a_voice_is_found_in_whichever_set_it_is(
        self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter, voice: str, sent: str
    ) -> None:
        data, audio = await take(adapter, SpeechRequest(TEXT, voice=voice))
        heard(TEXT, data)
        fields = upstream.spoken[-1].fields
        assert (fields["voice"], fields["model"]) == (sent, "sea" if sent == "sailor" else "studio")
        assert audio.headers["x-neiroha-voice"] == sent

    @pytest.mark.parametrize("model", ["", "studio"])
    async def test_a_voice_id_that_breaks_the_answer_is_refused_before_it_is_sent(
        self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter, model: str, url: str
    ) -> None:
        async with httpx.AsyncClient(timeout=60, trust_env=False) as plain:
            answer = await plain.post(f"{url}/v1/audio/speech", json={"input": TEXT, "voice": "小雅"})
        assert answer.status_code == 400, "the backend's own trap"
        upstream.spoken.clear()
        with pytest.raises(UnsupportedOption, match="Latin letters") as caught:
            await take(adapter, SpeechRequest(TEXT, voice="小雅", model=model))
        assert caught.value.param == "voice"
        assert upstream.spoken == []

    async def test_a_missing_ffmpeg_is_not_a_missing_voice(
        self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter, url: str
    ) -> None:
        upstream.switches.ffmpeg = False
        async with httpx.AsyncClient(timeout=60, trust_env=False) as plain:
            answer = await plain.post(f"{url}/v1/audio/speech", json={"input": TEXT, "voice": "ada"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "invalid_request")
        data, _ = await take(adapter, ADA)
        heard(TEXT, data)
        for request in (ADA, CLONE):
            upstream.switches.refusals = [upstream.no_ffmpeg()]
            with pytest.raises(UpstreamRejected, match="ffmpeg"):
                await take(adapter, request)

    @pytest.mark.parametrize("loaded", [True, False])
    @pytest.mark.parametrize("request_", [ADA, CLONE])
    async def test_a_failing_engine_is_not_a_bad_request(
        self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter, request_: SpeechRequest, loaded: bool
    ) -> None:
        upstream.switches.out_of_memory, upstream.switches.loaded = True, loaded
        with pytest.raises(UpstreamFailed, match="CUDA out of memory") as caught:
            await take(adapter, request_)
        assert not caught.value.permanent

    async def test_a_language_that_this_model_lacks_is_refused(
        self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter
    ) -> None:
        upstream.switches.languages = VERSION_1
        for request in (ADA, CLONE):
            with pytest.raises(UnsupportedOption, match="has no ko.") as caught:
                await take(adapter, replace(request, language="ko"))
            assert caught.value.param == "language"

    @pytest.mark.parametrize(
        ("language", "sent"),
        [("zh-CN", "zh"), ("ZH-tw", "zh"), ("zh-HK", "yue"), ("yue", "yue"), ("cmn-Hans", "zh"), ("en", "en")]
        + [("ja-JP", "ja"), ("ko", "ko"), ("all_ja", "all_ja"), ("auto", "auto"), ("", "auto")],
    )
    async def test_languages_by_the_backends_names(
        self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter, language: str, sent: str
    ) -> None:
        await take(adapter, replace(CLONE, language=language, prompt_language=language))
        fields = upstream.spoken[-1].fields
        assert (fields["text_lang"], fields["prompt_lang"]) == (sent, sent)
        await take(adapter, replace(CLONE, language=language, options={"text_lang": "all_zh", "prompt_lang": "ko"}))
        fields = upstream.spoken[-1].fields
        assert (fields["text_lang"], fields["prompt_lang"]) == ("all_zh", "ko")

    async def test_a_language_that_no_model_has(self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter) -> None:
        for language in ("de", "fr-CA", "english"):
            with pytest.raises(UnsupportedOption, match=f"does not speak “{language}”"):
                await take(adapter, replace(ADA, language=language))
        assert upstream.requests == []

    @pytest.mark.parametrize("request_", [ADA, CLONE])
    async def test_the_speed_is_the_backends_own(
        self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter, request_: SpeechRequest
    ) -> None:
        slow, _ = await take(adapter, request_)
        fast, _ = await take(adapter, replace(request_, speed=1.5))
        assert probe(fast).duration < 0.85 * probe(slow).duration
        assert ["speed" in spoken.fields for spoken in upstream.spoken] == [False, True]

    # Clones.

    async def test_a_clone_names_an_ascii_speaker_and_no_voice(
        self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter
    ) -> None:
        await take(adapter, replace(CLONE, voice="小雅", model="studio"))
        (spoken,) = upstream.spoken
        assert spoken.fields == {
            "text": TEXT,
            "prompt_text": WORDS,
            "text_lang": "en",
            "prompt_lang": "auto",
            "speaker": "neiroha",
            "response_format": "wav",
        }
        assert list(spoken.files) == ["ref_audio"]

    async def test_weights_of_the_provider_reach_clones_and_loading(
        self, upstream: GPTSoVITSUpstream, client: httpx.AsyncClient, url: str
    ) -> None:
        weights: dict[str, OptionValue] = {"gpt_weights_path": "w/a.ckpt", "sovits_weights_path": "w/b.pth"}
        adapter = make(self.kind, client, url, options=weights)
        await take(adapter, CLONE)
        assert weights.items() <= upstream.spoken[-1].fields.items()
        await adapter.act("load")
        assert upstream.loads == [weights]
        with pytest.raises(UpstreamRejected, match="weights do not exist"):
            await take(make(self.kind, client, url, options={"gpt_weights_path": "missing.ckpt"}), CLONE)

    @pytest.mark.parametrize("seconds", [3.0, 10.0])
    async def test_the_shortest_and_the_longest_recording(
        self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter, seconds: float
    ) -> None:
        data, _ = await take(adapter, replace(CLONE, reference=recording(seconds)))
        heard(TEXT, data)

    @pytest.mark.parametrize(
        ("changes", "error", "param"),
        [
            ({"reference": None}, InvalidRequest, "reference"),
            ({"reference": Reference(b"RIFF nonsense")}, InvalidRequest, "reference"),
            ({"prompt_text": " "}, InvalidRequest, "prompt_text"),
            ({"reference": recording(2.9)}, UnsupportedOption, "reference"),
            ({"reference": recording(10.1)}, UnsupportedOption, "reference"),
            ({"options": {"top_k": 5, "seed": 1}}, UnsupportedOption, None),
            ({"language": "de"}, UnsupportedOption, "language"),
        ],
    )
    async def test_a_clone_that_can_not_be_is_refused_before_it_is_sent(
        self,
        upstream: GPTSoVITSUpstream,
        adapter: GPTSoVITSAdapter,
        changes: dict[str, Any],
        error: type[InvalidRequest],
        param: str | None,
    ) -> None:
        with pytest.raises(error) as caught:
            await take(adapter, replace(CLONE, **changes))
        assert (type(caught.value), caught.value.param) == (error, param)
        if "options" in changes:
            assert "seed, top_k" in caught.value.message
        assert upstream.requests == []

    async def test_a_recording_of_the_wrong_length_is_told_its_length(self, adapter: GPTSoVITSAdapter) -> None:
        with pytest.raises(UnsupportedOption, match="from 3 to 10 seconds of reference audio; this one has 12.5"):
            await take(adapter, replace(CLONE, reference=recording(12.5)))

    # Lists, health and the model.

    async def test_voices(self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter) -> None:
        upstream.missing_files.add("sailor")
        voices = {voice.id: voice for voice in await adapter.voices()}
        assert voices["ada"] == Voice(
            "ada", "Ada Lovelace", "en", "", "Warm", model="studio", task_mode=TaskMode.PRESET
        )
        assert "can't be used" in voices["小雅"].description
        assert voices["zoë"].description == ""
        assert (voices["sailor"].model, voices["sailor"].description) == (
            "sea",
            "its recording is missing on the backend",
        )

    async def test_one_broken_voice_breaks_the_lists_and_not_the_others_speech(
        self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter
    ) -> None:
        upstream.switches.broken_voice = True
        health = await adapter.health()
        assert (health.reachable, health.right_kind) == (True, True)
        assert "model preset that does not exist" in health.reason
        with pytest.raises(UpstreamFailed):
            await adapter.voices()
        data, _ = await take(adapter, ADA)
        heard(TEXT, data)

    async def test_a_key_is_neither_proved_nor_refused(
        self, upstream: GPTSoVITSUpstream, client: httpx.AsyncClient, url: str
    ) -> None:
        health = await make(self.kind, client, url, key=KEY).health()
        assert (health.key_accepted, health.reason) == (None, "")

    @pytest.mark.parametrize("native", [True, False])
    async def test_the_model_is_loaded_and_unloaded(
        self, upstream: GPTSoVITSUpstream, adapter: GPTSoVITSAdapter, native: bool
    ) -> None:
        upstream.switches.native = native
        for action, loaded in (("unload", False), ("load", True), ("reload", True)):
            await adapter.act(action)
            assert (await adapter.health()).model_loaded is loaded
        assert upstream.loads == [{}, {}]
        for action in ("exit", "restart", "set_refer_audio"):
            with pytest.raises(InvalidRequest):
                await adapter.act(action)

    # Who answers there.

    @pytest.mark.parametrize("kind", UPSTREAMS)
    @pytest.mark.parametrize("found", UPSTREAMS)
    async def test_a_sibling_at_the_address_is_named(
        self, stage: Stage, client: httpx.AsyncClient, url: str, kind: str, found: str
    ) -> None:
        stage.app = UPSTREAMS[found]()
        adapter = make(kind, client, url)
        health = await adapter.health()
        assert health.right_kind is (kind == found)
        if kind == found:
            return
        said = f"{LABELS[found]} answers at the address of Attic, not {LABELS[kind]}."
        assert health.reason.startswith(said)
        assert ("Both use port 9880" in health.reason) is ("voxcpm" not in (kind, found))
        calls = [
            adapter.voices(),
            adapter.logs(5),
            take(adapter, CLONE),
            take(adapter, ADA),
            take(adapter, replace(ADA, voice="nobody")),
            take(adapter, replace(ADA, model="attic")),
            take(adapter, replace(ADA, model="")),
        ]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, UpstreamRejected), outcome
            assert outcome.message.startswith(said)


# Through the API.


@pytest.fixture
def backend(bank: Bank) -> Iterator[GPTSoVITSUpstream]:
    app = GPTSoVITSUpstream(ffmpeg=False)
    with serve(app) as url:
        provider = Provider.objects.create(name="Attic", kind="gpt_sovits", base_url=url, max_concurrency=1)
        add_character(bank, provider, "Sailor", voice="sailor", model="sea")
        yield app


def test_a_speed_beyond_the_backends_own_is_stretched_here(
    client_http: httpx.Client, backend: GPTSoVITSUpstream
) -> None:
    response = say(client_http, voice="Sailor", input=TEXT, response_format="mp3", speed=0.5)
    assert response.status_code == 200, response.text
    heard(TEXT, response.content)
    assert backend.spoken[-1].fields["speed"] == 0.6
    plain = say(client_http, voice="Sailor", input=TEXT, response_format="mp3")
    assert probe(response.content).duration > 1.6 * probe(plain.content).duration
