"""What the adapters of Neiroha's three local backends have to keep alike. A test module subclasses `BackendContract`
and names its kind, its upstream and two requests."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import httpx
import pytest

from providers.adapters import adapter_class
from providers.adapters.neiroha_backend import NeirohaBackend
from providers.audio import probe, wav_header
from providers.errors import (
    BadAudio,
    ProviderUnavailable,
    SpeechError,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnreachable,
    VoiceNotFound,
)
from providers.http import make_client
from providers.speech import AudioFormat, ProviderConfig, Reference, SpeechAudio, SpeechRequest, TaskMode
from tests.hearing import assert_heard
from tests.upstreams.common import Refusal, spoken_samples
from tests.upstreams.neiroha_backend import BackendUpstream, speak
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import HURRIED_SECONDS, PATIENT_SECONDS, Stage, closed_port, read_request, serve, serve_raw

KEY = "sk-top-secret-0123456789"
TEXT = "The quick brown fox jumps over the lazy dog."
WORDS = "Every evening the old keeper climbed the stairs and lit the lamp."
# The same bytes need no second hearing.
heard = functools.lru_cache(maxsize=32)(assert_heard)


@functools.cache
def recording(seconds: float) -> Reference:
    """Somebody saying WORDS, as long as is wanted."""
    pcm = spoken_samples(WORDS, 1.0)
    size = int(seconds * 24_000) * 2
    pcm = (pcm * (size // len(pcm) + 1))[:size]
    return Reference(wav_header(24_000, size) + pcm)


async def take(adapter: NeirohaBackend, request: SpeechRequest) -> tuple[bytes, SpeechAudio]:
    async with adapter.speak(request) as audio:
        return b"".join([chunk async for chunk in audio.chunks]), audio


def make(kind: str, client: httpx.AsyncClient, base_url: str, **values: Any) -> Any:
    config = ProviderConfig(id=1, name="Attic", kind=kind, base_url=base_url, timeout=PATIENT_SECONDS)
    return adapter_class(kind)(replace(config, **values), client)


def has_null(value: object) -> bool:
    match value:
        case None:
            return True
        case dict():
            return any(map(has_null, value.values()))
        case list():
            return any(map(has_null, value))
        case _:
            return False


class BackendContract:
    kind: ClassVar[str]
    make_upstream: ClassVar[Callable[..., Any]]
    direct: ClassVar[SpeechRequest]
    """Speech that takes one request."""
    clone: ClassVar[SpeechRequest]
    has_keys: ClassVar[bool] = True

    @pytest.fixture
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with make_client() as made:
            yield made

    @pytest.fixture(scope="class")
    @classmethod
    def stage(cls) -> Stage:
        return Stage()

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, stage: Stage) -> Iterator[str]:
        with serve(stage) as address:
            yield address

    @pytest.fixture(autouse=True)
    def upstream(self, stage: Stage) -> Any:
        stage.app = made = type(self).make_upstream()
        return made

    @pytest.fixture
    def adapter(self, client: httpx.AsyncClient, url: str) -> Any:
        return make(self.kind, client, url)

    # Speaking.

    @pytest.mark.parametrize("native", [True, False])
    async def test_speech_is_heard_over_native_and_older_routes(
        self, upstream: BackendUpstream, adapter: NeirohaBackend, native: bool
    ) -> None:
        upstream.switches.native = native
        for request in (self.direct, self.clone):
            data, audio = await take(adapter, request)
            assert (audio.format, audio.streaming) == (AudioFormat.WAV, False)
            assert probe(data).sample_rate == upstream.sample_rate
            heard(TEXT, data)

    async def test_the_recording_is_sent_as_bytes(self, upstream: BackendUpstream, adapter: NeirohaBackend) -> None:
        await take(adapter, self.clone)
        (spoken,) = upstream.spoken
        ((_, part),) = spoken.files.items()
        assert self.clone.reference is not None
        assert (part.body, part.filename) == (self.clone.reference.audio, "reference.wav")
        assert part.content_type == "audio/wav"
        assert not [name for name in spoken.fields if "path" in name or name == "ref_audio"]

    async def test_nothing_empty_is_sent(self, upstream: BackendUpstream, adapter: NeirohaBackend) -> None:
        await take(adapter, self.direct)
        await take(adapter, self.clone)
        for spoken in upstream.spoken:
            assert not has_null(spoken.fields)
            assert "" not in spoken.fields.values()
            assert spoken.fields["response_format"] == "wav"

    async def test_its_own_headers_are_kept_but_no_path(
        self, upstream: BackendUpstream, adapter: NeirohaBackend
    ) -> None:
        upstream.switches.headers = {"set-cookie": "a=b", "x-neiroha-voice": "Zo\xeb"}
        _, audio = await take(adapter, self.direct)
        assert audio.headers["x-neiroha-backend"] == adapter.backend_id
        assert audio.headers["x-neiroha-voice"] == "Zoë"
        assert {"x-neiroha-sample-rate", "x-neiroha-inference-ms", "x-neiroha-rtf"} <= audio.headers.keys()
        assert not [name for name in audio.headers if "path" in name or "cookie" in name]

    @pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/audio/speech", "/?a=b#c"])
    async def test_a_base_url_may_be_typed_in_many_ways(
        self, client: httpx.AsyncClient, url: str, upstream: BackendUpstream, end: str
    ) -> None:
        adapter = make(self.kind, client, f" {url}{end} ")
        await take(adapter, self.direct)
        assert (await adapter.health()).reason == ""
        assert await adapter.voices()

    @pytest.mark.parametrize("base_url", ["", "localhost:9880", "ftp://127.0.0.1"])
    async def test_a_base_url_that_is_none(self, client: httpx.AsyncClient, base_url: str) -> None:
        adapter = make(self.kind, client, base_url)
        with pytest.raises(ProviderUnavailable):
            await take(adapter, self.direct)
        health = await adapter.health()
        assert not health.reachable
        assert "not a valid http or https address" in health.reason

    def test_it_is_registered_and_says_what_it_can_do(self) -> None:
        capabilities = adapter_class(self.kind).capabilities
        assert capabilities.formats == {AudioFormat.WAV}
        assert (capabilities.needs_base_url, capabilities.needs_key) == (True, False)
        assert capabilities.default_concurrency == 1
        assert {TaskMode.PRESET, TaskMode.CLONE} <= capabilities.task_modes.keys()

    # What goes wrong.

    @pytest.mark.parametrize(
        ("refusal", "error"),
        [
            (Refusal(400, "Bad", code="unsupported_format"), UpstreamRejected),
            (Refusal(401, "No", code="auth_required"), UpstreamUnauthorized),
            (Refusal(422, body=b'{"detail":[{"loc":["body","text"],"msg":"Field required"}]}'), UpstreamRejected),
            (Refusal(429, "Slow down", headers={"retry-after": "3"}), UpstreamBusy),
            (Refusal(500, "CUDA out of memory", code="inference_failed", type="server_error"), UpstreamFailed),
            (Refusal(502, body=b"<html><title>Bad gateway</title>"), UpstreamFailed),
            (Refusal(503, "Overloaded"), UpstreamBusy),
        ],
    )
    async def test_a_refusal_is_translated(
        self, upstream: BackendUpstream, adapter: NeirohaBackend, refusal: Refusal, error: type[SpeechError]
    ) -> None:
        upstream.switches.refusals = [refusal]
        with pytest.raises(error, match="^Attic answered") as caught:
            await take(adapter, self.direct)
        assert type(caught.value) is error
        assert caught.value.retry_after == (3 if refusal.headers else None)
        await take(adapter, self.direct)

    @pytest.mark.parametrize(
        "body", [b"", b'{"error":{"message":"odd"}}', b"<html>Hello</html>", wav_header(24_000, 0)]
    )
    async def test_a_success_without_sound_is_bad_audio(
        self, upstream: BackendUpstream, adapter: NeirohaBackend, body: bytes
    ) -> None:
        upstream.switches.speech = body
        with pytest.raises(BadAudio):
            await take(adapter, self.direct)

    async def test_a_body_that_is_cut_says_so(self, upstream: BackendUpstream, adapter: NeirohaBackend) -> None:
        upstream.switches.chunked, upstream.switches.cut_after = True, 2
        with pytest.raises(UpstreamUnreachable, match="broke the connection"):
            await take(adapter, self.direct)

    async def test_a_stalled_backend_is_a_timeout(
        self, upstream: BackendUpstream, client: httpx.AsyncClient, url: str
    ) -> None:
        upstream.switches.held = True
        adapter = make(self.kind, client, url, timeout=HURRIED_SECONDS)
        with pytest.raises(UpstreamTimeout):
            await take(adapter, self.direct)
        assert not (await adapter.health()).reachable
        await asyncio.to_thread(upstream.wait_for, lambda seen: seen.disconnects == 2)

    async def test_cancelling_closes_the_connection(self, upstream: BackendUpstream, adapter: NeirohaBackend) -> None:
        upstream.switches.held = True
        for request in (self.direct, self.clone):
            call = asyncio.create_task(take(adapter, request))
            await asyncio.to_thread(upstream.wait_for, lambda seen: seen.current == 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.to_thread(upstream.wait_for, lambda seen: seen.current == 0)
        assert upstream.disconnects == 2

    async def test_an_unhandled_error_fails_no_later_request(
        self, upstream: BackendUpstream, adapter: NeirohaBackend
    ) -> None:
        upstream.switches.crashes = 1
        with pytest.raises(UpstreamFailed, match="Internal Server Error"):
            await take(adapter, self.direct)
        data, _ = await take(adapter, self.direct)
        heard(TEXT, data)

    @pytest.mark.parametrize("cloning", [False, True])
    async def test_a_dead_connection_after_a_text_500_is_replaced(
        self, client: httpx.AsyncClient, cloning: bool
    ) -> None:
        request = self.clone if cloning else self.direct
        speech = speak(TEXT, "wav", 1.0, 24_000)
        bodies: list[bytes] = []

        def dying(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nOops")
            bodies.append(read_request(connection))

        def living(connection: socket.socket) -> None:
            bodies.append(read_request(connection))
            head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: %d\r\n\r\n" % len(speech)
            connection.sendall(head + speech)

        async with serve_raw(dying, living) as address:
            adapter = make(self.kind, client, address)
            with pytest.raises(UpstreamFailed, match="answered 500: Oops"):
                await take(adapter, request)
            assert (await take(adapter, request))[0] == speech
        assert bodies[0] == bodies[1] != b"", "the whole request was sent once more"

    async def test_a_closed_port_is_unreachable(self, client: httpx.AsyncClient) -> None:
        with closed_port() as port:
            adapter = make(self.kind, client, f"http://127.0.0.1:{port}")
            with pytest.raises(UpstreamUnreachable):
                await take(adapter, self.direct)
            health = await adapter.health()
        assert (health.reachable, health.right_kind) == (False, None)

    async def test_no_failure_shows_the_key(
        self, upstream: BackendUpstream, client: httpx.AsyncClient, url: str
    ) -> None:
        adapter = make(self.kind, client, url, key=KEY)
        upstream.switches.refusals = [Refusal(401, f"Bad key {KEY}"), Refusal(500, f"Authorization: Bearer {KEY}")]
        for _ in range(2):
            with pytest.raises(SpeechError) as caught:
                await take(adapter, self.direct)
            error: BaseException | None = caught.value
            while error is not None:
                assert KEY not in f"{error} {error!r}"
                error = error.__cause__

    async def test_a_recording_that_the_backend_lost_is_not_a_missing_voice(
        self, upstream: BackendUpstream, adapter: NeirohaBackend
    ) -> None:
        upstream.missing_files.add("ada")  # type: ignore[attr-defined]  # each of the three has it
        with pytest.raises(UpstreamRejected, match="can't find the recording") as caught:
            await take(adapter, SpeechRequest(TEXT, voice="ada", model="studio"))
        assert "/srv" not in caught.value.message, "a path over there is nobody's business"

    async def test_an_unknown_voice_is_not_found(self, upstream: BackendUpstream, adapter: NeirohaBackend) -> None:
        for request in (
            SpeechRequest(TEXT, voice="nobody"),
            SpeechRequest(TEXT, voice="nobody", model="studio"),
            SpeechRequest(TEXT, voice="ada", model="sea"),
            SpeechRequest(TEXT, voice="default"),
            SpeechRequest(TEXT, voice="a/b?<c>"),
        ):
            with pytest.raises(VoiceNotFound, match="^Attic has no voice"):
                await take(adapter, request)

    # Lists, health and the log.

    async def test_models_are_the_voice_sets(self, adapter: NeirohaBackend) -> None:
        assert [model.id for model in await adapter.models()] == ["sea", "studio"]

    @pytest.mark.parametrize(
        "body", [b"<html>", b"[]", b"7", b'{"data":{}}', b'{"data":[7,{"id":null},{"id":7},{"id":"a\\nb"}]}']
    )
    async def test_a_broken_list_is_no_crash(
        self, upstream: BackendUpstream, adapter: NeirohaBackend, body: bytes
    ) -> None:
        upstream.switches.refusals = [Refusal(200, body=body)]
        if body.startswith(b'{"data":['):
            assert await adapter.voices() == []
            return
        with pytest.raises(UpstreamFailed):
            await adapter.voices()

    async def test_health_of_a_backend_that_is_well(self, upstream: BackendUpstream, adapter: NeirohaBackend) -> None:
        for loaded in (True, False):
            upstream.switches.loaded = loaded
            health = await adapter.health()
            assert (health.reachable, health.reason, health.right_kind) == (True, "", True)
            assert health.model_loaded is loaded
            assert health.key_accepted is (True if self.has_keys else None)
            assert health.admin_url.startswith("http://127.0.0.1:")
        assert upstream.spoken == []

    async def test_health_proves_the_key(self, upstream: BackendUpstream, client: httpx.AsyncClient, url: str) -> None:
        if not self.has_keys:
            pytest.skip("this backend has no keys")
        upstream.switches.key = KEY
        good = await make(self.kind, client, url, key=KEY).health()
        assert (good.key_accepted, good.reason) == (True, "")
        await take(make(self.kind, client, url, key=KEY), self.direct)
        for key in ("", "sk-wrong-key"):
            health = await make(self.kind, client, url, key=key).health()
            assert (health.reachable, health.right_kind, health.key_accepted) == (True, True, False)
            assert health.reason.startswith("Attic answered 401") and "Enter the key" in health.reason
            assert not key or key not in health.reason

    async def test_an_admin_address_must_be_a_web_address(
        self, upstream: BackendUpstream, adapter: NeirohaBackend
    ) -> None:
        told: dict[str, object] = {"admin_url": "javascript:alert(1)", "model_loaded": "yes", "loaded": "yes"}
        told |= {"asr_enabled": False} if adapter.backend_id == "voxcpm" else {"backend": adapter.backend_id}
        upstream.switches.refusals = [Refusal(200, body=json.dumps(told).encode())]
        health = await adapter.health()
        assert (health.right_kind, health.admin_url, health.model_loaded) == (True, "", None)

    async def test_an_unknown_server_is_the_wrong_kind(
        self, stage: Stage, adapter: NeirohaBackend, upstream: BackendUpstream
    ) -> None:
        stage.app = OpenAIUpstream()
        health = await adapter.health()
        assert (health.reachable, health.right_kind) == (True, False)
        assert health.reason.startswith(f"another server answers at the address of Attic, not {adapter.label}.")
        for body in (b"<html>Router</html>", b"[]", b'{"status":"ok"}'):
            stage.app = upstream
            upstream.switches.refusals = [Refusal(200, body=body)]
            assert (await adapter.health()).right_kind is False

    async def test_a_backend_that_fails_is_not_the_wrong_kind(
        self, upstream: BackendUpstream, adapter: NeirohaBackend
    ) -> None:
        upstream.switches.refusals = [Refusal(500, "Oops")]
        health = await adapter.health()
        assert (health.reachable, health.right_kind) == (True, None)
        upstream.switches.refusals = [Refusal(200, body=b"{}"), Refusal(500, "Oops")]
        assert (await adapter.health()).right_kind is False

    @pytest.mark.parametrize(("asked", "given"), [(3, 3), (0, 1), (5000, 1000)])
    @pytest.mark.parametrize("native", [True, False])
    async def test_the_log_comes_newest_first(
        self, upstream: BackendUpstream, adapter: NeirohaBackend, asked: int, given: int, native: bool
    ) -> None:
        upstream.switches.native = native
        log = await adapter.logs(asked)
        assert log.splitlines() == [f"line {number}" for number in range(2000, 2000 - given, -1)]
