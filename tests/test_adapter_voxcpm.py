"""The VoxCPM2 adapter against a strict backend: what that one swallows in silence must not stay silent here."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import av
import httpx
import pytest

from banks.models import Bank
from providers.adapters.voxcpm import VoxCPMAdapter
from providers.errors import InvalidRequest, UnsupportedOption, UpstreamRejected, VoiceNotFound
from providers.models import Provider
from providers.speech import OptionValue, SpeechRequest, TaskMode, Voice
from tests.conftest import add_character
from tests.hearing import assert_heard
from tests.local_backends import KEY, TEXT, WORDS, BackendContract, heard, recording, take
from tests.test_api_errors import refusal, say
from tests.upstreams.common import Refusal
from tests.upstreams.serving import Stage, serve
from tests.upstreams.voxcpm import VoxCPMUpstream

DESIGN = SpeechRequest(TEXT, task_mode=TaskMode.DESIGN, instructions="An old sailor")
CLONE = SpeechRequest(TEXT, task_mode=TaskMode.CLONE, reference=recording(4), prompt_text=WORDS)
ADA = SpeechRequest(TEXT, voice="ada")


def seconds(data: bytes) -> float:
    with av.open(io.BytesIO(data), "r") as container:
        return sum((frame.samples / frame.sample_rate for frame in container.decode(audio=0)), 0.0)


class TestVoxCPM(BackendContract):
    kind = "voxcpm"
    make_upstream = VoxCPMUpstream
    direct = DESIGN
    clone = CLONE

    # Registered voices.

    @pytest.mark.parametrize("native", [True, False])
    async def test_a_registered_voice_is_heard(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter, native: bool
    ) -> None:
        upstream.switches.native = native
        data, _ = await take(adapter, ADA)
        heard(TEXT, data)
        assert upstream.spoken[-1].fields == {"text": TEXT, "voice_id": "ada", "response_format": "wav"}

    async def test_the_mode_is_left_out_so_that_every_kind_of_voice_works(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter
    ) -> None:
        for voice in ("ada", "bard", "captain"):
            await take(adapter, replace(ADA, voice=voice))
        assert not [spoken for spoken in upstream.spoken if "mode" in spoken.fields]

    async def test_an_unknown_voice_never_gets_another_ones_speech(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter, url: str
    ) -> None:
        async with httpx.AsyncClient(timeout=60, trust_env=False) as plain:
            answer = await plain.post(f"{url}/api/voxcpm/tts", json={"text": TEXT, "voice_id": "nobody"})
        assert (answer.status_code, answer.headers["x-neiroha-voice"]) == (200, "nobody"), "the backend's own trap"
        upstream.spoken.clear()
        for voice in ("nobody", "Ada", "ADA", "ada ", "default"):
            with pytest.raises(VoiceNotFound):
                await take(adapter, replace(ADA, voice=voice))
        assert upstream.spoken == []

    async def test_a_voice_that_is_deleted_meanwhile_is_not_found(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter
    ) -> None:
        await take(adapter, ADA)
        del upstream.voices["ada"]
        with pytest.raises(VoiceNotFound):
            await take(adapter, ADA)

    @pytest.mark.parametrize(
        ("voice", "sent"), [("Ada Lovelace", "ada"), ("小雅", "小雅"), ("captain", "captain"), ("who? me/you", "odd")]
    )
    async def test_names_with_spaces_and_letters_of_all_scripts(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter, voice: str, sent: str
    ) -> None:
        upstream.voices["odd"] = upstream.voices["ada"] | {"id": "odd", "display_name": "who? me/you"}
        data, _ = await take(adapter, replace(ADA, voice=voice))
        heard(TEXT, data)
        assert upstream.spoken[-1].fields["voice_id"] == sent

    async def test_a_voice_set_is_sent_in_its_exact_case_or_refused(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter
    ) -> None:
        await take(adapter, replace(ADA, model="studio"))
        assert upstream.spoken[-1].fields["model"] == "studio"
        for model in ("Studio", "voxcpm2", "sea"):
            with pytest.raises(VoiceNotFound, match=f"in its voice set “{model}”. It is in “studio”."):
                await take(adapter, replace(ADA, model=model))
        assert len(upstream.spoken) == 1

    async def test_an_instruction_reaches_a_voice_that_can_follow(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter
    ) -> None:
        await take(adapter, replace(ADA, instructions="Whisper."))
        assert upstream.spoken[-1].fields["instruction"] == "Whisper."
        with pytest.raises(UnsupportedOption, match="can't follow instructions") as caught:
            await take(adapter, replace(ADA, voice="bard", instructions="Whisper."))
        assert caught.value.param == "instructions"
        assert len(upstream.spoken) == 1

    async def test_settings_that_are_not_set_stay_the_voices_own(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter
    ) -> None:
        options: dict[str, OptionValue] = {
            "cfg_value": 3.5,
            "inference_timesteps": 20,
            "normalize": "on",
            "denoise": "off",
        }
        await take(adapter, replace(ADA, options=options))
        sent = upstream.spoken[-1].fields
        assert {name: sent[name] for name in options} == {
            "cfg_value": 3.5,
            "inference_timesteps": 20,
            "normalize": True,
            "denoise": False,
        }
        assert all(option.default in (None, False) for option in adapter.capabilities.character_options)

    # Clones and designs.

    async def test_design_sends_the_instruction_alone(self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter) -> None:
        await take(adapter, replace(DESIGN, options={"cfg_value": 2.5}))
        assert upstream.spoken[-1].fields == {
            "text": TEXT,
            "mode": "design",
            "instruction": "An old sailor",
            "cfg_value": 2.5,
            "response_format": "wav",
        }

    @pytest.mark.parametrize(
        ("changes", "mode", "part"),
        [
            ({}, "ultimate_clone", "prompt_audio"),
            ({"prompt_text": ""}, "clone", "reference_audio"),
            ({"instructions": "Whisper."}, "clone", "reference_audio"),
            ({"options": {"clone_mode": "clone"}}, "clone", "reference_audio"),
            ({"options": {"clone_mode": "ultimate_clone"}}, "ultimate_clone", "prompt_audio"),
            ({"prompt_text": "", "options": {"auto_asr": True}}, "ultimate_clone", "prompt_audio"),
            ({"options": {"auto_asr": True, "denoise": "on", "cfg_value": 1.5}}, "ultimate_clone", "prompt_audio"),
        ],
    )
    async def test_the_way_of_cloning(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter, changes: dict[str, Any], mode: str, part: str
    ) -> None:
        upstream.switches.asr = True
        request = replace(CLONE, **changes)
        data, _ = await take(adapter, request)
        heard(TEXT, data)
        (spoken,) = upstream.spoken
        assert (spoken.fields["mode"], list(spoken.files)) == (mode, [part])
        words = request.prompt_text if mode == "ultimate_clone" else ""
        assert spoken.fields.get("prompt_text", "") == words
        assert spoken.fields.get("auto_asr", False) is (mode == "ultimate_clone" and not words)
        assert spoken.fields.get("denoise", False) is ("denoise" in request.options)

    @pytest.mark.parametrize(
        ("changes", "error", "param"),
        [
            ({"reference": None}, InvalidRequest, "reference"),
            ({"prompt_text": "", "options": {"clone_mode": "ultimate_clone"}}, InvalidRequest, "prompt_text"),
            ({"prompt_text": "", "options": {"auto_asr": True}}, UnsupportedOption, "prompt_text"),
            (
                {"instructions": "Whisper.", "options": {"clone_mode": "ultimate_clone"}},
                UnsupportedOption,
                "instructions",
            ),
        ],
    )
    async def test_a_clone_that_can_not_be_is_refused_before_it_is_sent(
        self,
        upstream: VoxCPMUpstream,
        adapter: VoxCPMAdapter,
        changes: dict[str, Any],
        error: type[InvalidRequest],
        param: str,
    ) -> None:
        with pytest.raises(error) as caught:
            await take(adapter, replace(CLONE, **changes))
        assert (type(caught.value), caught.value.param) == (error, param)
        assert upstream.spoken == []

    async def test_a_large_recording_arrives_whole(self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter) -> None:
        reference = recording(60)
        assert len(reference.audio) > 2_000_000
        await take(adapter, replace(CLONE, reference=reference))
        assert upstream.spoken[-1].files["prompt_audio"].body == reference.audio

    # Lists, the model and the registry.

    async def test_voices(self, adapter: VoxCPMAdapter) -> None:
        voices = await adapter.voices()
        assert voices[0] == Voice("ada", "Ada Lovelace", "en", "", "Warm", model="studio", task_mode=TaskMode.PRESET)
        assert [(voice.id, voice.model) for voice in voices[1:]] == [
            ("bard", "studio"),
            ("captain", "sea"),
            ("小雅", "studio"),
        ]

    async def test_a_backend_without_voices_lists_none(self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter) -> None:
        upstream.voices.clear()
        assert await adapter.voices() == []
        upstream.voices["default"] = {"id": "default", "display_name": "default", "model": "studio"}
        assert await adapter.voices() == []
        assert [voice["id"] for voice in await adapter.registered_voices()] == ["default"]

    @pytest.mark.parametrize("native", [True, False])
    async def test_the_model_is_loaded_and_unloaded(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter, native: bool
    ) -> None:
        upstream.switches.native = native
        for action, loaded in (("unload", False), ("load", True), ("reload", True)):
            await adapter.act(action)
            assert (await adapter.health()).model_loaded is loaded
        with pytest.raises(InvalidRequest):
            await adapter.act("exit")

    @pytest.mark.parametrize("native", [True, False])
    async def test_voices_are_created_read_changed_and_deleted(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter, native: bool
    ) -> None:
        upstream.switches.native = native
        profile: dict[str, object] = {"mode": "design", "instruction": "A pirate", "name": "Pira Té", "language": None}
        await adapter.register_voice("pirate", profile)
        assert (await adapter.registered_voice("pirate"))["instruction"] == "A pirate"
        data, _ = await take(adapter, replace(ADA, voice="Pira Té"))
        heard(TEXT, data)
        await adapter.register_voice("pirate", {"instruction": "A quiet pirate"})
        changed = await adapter.registered_voice("pirate")
        assert (changed["instruction"], changed["display_name"]) == ("A quiet pirate", "Pira Té")
        for voice_id in ("pirate", "小雅"):
            await adapter.delete_voice(voice_id)
            with pytest.raises(VoiceNotFound):
                await adapter.registered_voice(voice_id)
            with pytest.raises(VoiceNotFound):
                await adapter.delete_voice(voice_id)
        assert not [request for request in upstream.requests if request.method == "POST" and b"null" in request.body]

    @pytest.mark.parametrize("voice_id", ["", "a b", "a/b", "..", "a?b", "a\nb", "default", "<a>"])
    async def test_what_can_not_be_an_id(self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter, voice_id: str) -> None:
        with pytest.raises(InvalidRequest):
            await adapter.register_voice(voice_id, {})
        with pytest.raises(VoiceNotFound):
            await adapter.registered_voice(voice_id)
        with pytest.raises(VoiceNotFound):
            await adapter.delete_voice(voice_id)
        assert {request.path for request in upstream.requests} == {"/api/voxcpm/voices"}

    @pytest.mark.parametrize(
        "field", ["audio_path", "reference_audio", "prompt_audio", "engine_options", "model_preset"]
    )
    async def test_no_path_is_registered(self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter, field: str) -> None:
        with pytest.raises(UnsupportedOption, match=field):
            await adapter.register_voice("thief", {"name": "Thief", field: "file:///etc/passwd"})
        assert upstream.requests == []

    async def test_a_voice_that_goes_while_it_is_deleted(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter
    ) -> None:
        listed = Refusal(200, body=b'{"data":[{"id":"gone"}]}')
        upstream.switches.refusals = [listed]
        with pytest.raises(VoiceNotFound, match="any more"):
            await adapter.delete_voice("gone")

    # Who answers there.

    async def test_a_server_without_the_routes_is_named(
        self, stage: Stage, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter
    ) -> None:
        stage.app = _Bare(upstream)
        for call in (take(adapter, DESIGN), adapter.voices(), adapter.act("load"), adapter.logs(5)):
            with pytest.raises(UpstreamRejected, match="Attic"):
                await call

    async def test_capabilities_of_another_server_do_not_prove_the_key(
        self, upstream: VoxCPMUpstream, adapter: VoxCPMAdapter
    ) -> None:
        health = b'{"asr_enabled":false,"model_loaded":true}'
        upstream.switches.refusals = [Refusal(200, body=health), Refusal(200, body=b'{"object":"else"}')]
        told = await adapter.health()
        assert (told.key_accepted, told.reachable) == (None, True)
        assert "not VoxCPM2" in told.reason

    async def test_the_key_is_taken_in_both_headers(self, upstream: VoxCPMUpstream, url: str) -> None:
        upstream.switches.key = KEY
        async with httpx.AsyncClient(timeout=60, trust_env=False) as plain:
            for headers, status in (
                ({"authorization": f"bearer {KEY}"}, 200),
                ({"x-api-key": KEY}, 200),
                ({"x-api-key": KEY, "authorization": "Bearer wrong"}, 401),
                ({}, 401),
            ):
                answer = await plain.get(f"{url}/api/voxcpm/capabilities", headers=headers)
                assert answer.status_code == status
            assert (await plain.get(f"{url}/health")).status_code == 200, "which is why it proves no key"


class _Bare:
    """A VoxCPM2 of which nothing but its health is left."""

    def __init__(self, upstream: VoxCPMUpstream) -> None:
        self._upstream = upstream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/health":
            scope = {**scope, "path": "/nowhere"}
        await self._upstream(scope, receive, send)


# Through the API.


@pytest.fixture
def backend(bank: Bank) -> Iterator[VoxCPMUpstream]:
    app = VoxCPMUpstream(key=KEY)
    with serve(app) as url:
        provider = Provider.objects.create(name="Attic", kind="voxcpm", base_url=url, api_key=KEY, max_concurrency=1)
        add_character(bank, provider, "Ada", voice="ada")
        add_character(bank, provider, "Nobody", voice="nobody")
        add_character(bank, provider, "Sailor", task_mode="design", instruction="An old sailor")
        yield app


def test_a_speed_that_the_backend_ignores_is_done_here(client_http: httpx.Client, backend: VoxCPMUpstream) -> None:
    slow, fast = (
        say(client_http, voice="Ada", input=TEXT, response_format="wav", speed=speed).content for speed in (1.0, 1.6)
    )
    assert seconds(fast) == pytest.approx(seconds(slow) / 1.6, rel=0.1)
    assert_heard(TEXT, fast)
    assert not [spoken for spoken in backend.spoken if "speed" in spoken.fields]


@pytest.mark.parametrize("audio_format", ["mp3", "opus"])
def test_a_format_that_the_backend_refuses_is_made_here(
    client_http: httpx.Client, backend: VoxCPMUpstream, audio_format: str
) -> None:
    response = say(client_http, voice="Sailor", input=TEXT, response_format=audio_format)
    assert response.status_code == 200, response.text
    assert_heard(TEXT, response.content)
    assert backend.spoken[-1].fields["instruction"] == "An old sailor"


def test_an_unknown_voice_is_a_404_of_ours(client_http: httpx.Client, backend: VoxCPMUpstream) -> None:
    error = refusal(say(client_http, voice="Nobody", input=TEXT), 404)
    assert error["code"] == "voice_not_found"
    assert "Attic has no voice “nobody”" in error["message"]
    assert backend.spoken == []
