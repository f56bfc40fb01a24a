"""Traces of a real server, exported to a real collector; and that nothing of them is there while they are off."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.core.exceptions import ImproperlyConfigured
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from neiroha_site.environment import wants_tracing
from providers import tracing
from tests.collector import Collector, attributes
from tests.server_process import MANAGE, ServerProcess, environment, manage, running_server
from tests.sounds import tone, wav_file
from tests.suggestions import SECRET
from tests.upstreams.chat_model import ChatModelUpstream
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import closed_port, serve

SPEECH = "/v1/audio/speech"
REQUEST = f"POST {SPEECH}"
PARTS = (REQUEST, "wait in queue", "upstream", "transcode")
WORDS = "Words that nobody may read in a trace."
CONFIGURE = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from api.models import ApiKey, ServerSettings
from banks.models import Bank, Character, Membership
from providers.models import Provider
bank = Bank.objects.create(name="Tests")
for name, url in (("Told", "{told}"), ("Untold", "{untold}")):
    provider = Provider.objects.create(name=name, kind="openai", base_url=url + "/v1", max_concurrency=2)
    character = Character.objects.create(name=name, provider=provider, voice="alloy", model="tts-1")
    Membership.objects.create(bank=bank, character=character)
user = User.objects.create_superuser("admin")
print(ApiKey.objects.issue(name="robot", owner_id=user.pk)[1])
"""


ASK = """
from django.contrib.auth.models import User
from providers.models import ChatModel
from studio.export_options import ExportOptions, What
from studio.exports import ask
from banks.models import Character
from studio.models import Project, Scope
from studio.suggestions import start
from tests.projects import voiced
from tests.suggestions import set_up
ada = User.objects.get()
set_up("{url}/v1", api_key="{key}")
project = Project.objects.create(name="Story", kind="novel", owner=ada)
voiced(project, ada, Character.objects.get(name="Told"), "“Come in,” said Anna.")
start(project, ada, scope=Scope.UNNAMED, narrator="Narrator", sent_to=ChatModel.load().destination)
ask(project, ada, ExportOptions(What.SUBTITLES, "srt"), incomplete=True)
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[OpenAIUpstream, str]]:
    app = OpenAIUpstream(speech=wav_file(tone(24_000, 0.2), 24_000), speech_type="audio/wav")
    with serve(app) as url:
        yield app, url


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[Collector, str]]:
    app = Collector()
    with serve(app) as url:
        yield app, url


class House:
    """A server, with a provider at 127.0.0.1 that is told of traces and the same one at localhost that is not."""

    def __init__(
        self, folder: Path, server: ServerProcess, secret: str, upstream: OpenAIUpstream, collector: Collector
    ) -> None:
        self.folder, self.server, self.upstream, self.collector = folder, server, upstream, collector
        headers = {"Authorization": f"Bearer {secret}"}
        self.http = httpx.Client(base_url=server.url, timeout=120, trust_env=False, headers=headers)

    def say(self, voice: str, trace_id: str, flags: str = "01") -> httpx.Response:
        headers = {"traceparent": f"00-{trace_id}-{'b7' * 8}-{flags}"}
        return self.http.post(SPEECH, json={"input": WORDS, "voice": voice, "response_format": "mp3"}, headers=headers)


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: tuple[OpenAIUpstream, str],
    collector: tuple[Collector, str],
) -> Iterator[House]:
    folder, url = tmp_path_factory.mktemp("traced"), upstream[1]
    untold = url.replace("127.0.0.1", "localhost")
    made = manage(folder, "shell", "--no-imports", "-c", CONFIGURE.format(told=url, untold=untold))
    assert made.returncode == 0, made.stderr
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector[1],
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "NEIROHA_OTEL_PROPAGATE_TO": "127.0.0.1",
        "no_proxy": "127.0.0.1,localhost",
    }
    with running_server(folder, variables=variables) as server:
        house = House(folder, server, made.stdout.split()[-1], upstream[0], collector[0])
        with house.http:
            yield house


@pytest.fixture
def trace_id() -> str:
    return secrets.token_hex(16)


def test_a_request_is_one_trace_with_its_parts(house: House, trace_id: str) -> None:
    answer = house.say("Told", trace_id)
    assert answer.status_code == 200, answer.text
    spans = house.collector.trace(trace_id, *PARTS)
    root = spans[REQUEST]
    assert root.parent_span_id.hex() == "b7" * 8
    assert {spans[name].parent_span_id for name in PARTS[1:]} == {root.span_id}
    assert (root.kind, spans["upstream"].kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano > 0 for span in spans.values())
    assert spans["wait in queue"].end_time_unix_nano <= spans["upstream"].start_time_unix_nano


def test_what_spans_say(house: House, trace_id: str) -> None:
    answer = house.say("Told", trace_id)
    spans = house.collector.trace(trace_id, *PARTS)
    assert attributes(spans[REQUEST]) == {
        "http.request.method": "POST",
        "http.route": SPEECH,
        "http.response.status_code": 200,
        "neiroha.request_id": answer.headers["x-request-id"],
    }
    expected = {"neiroha.provider": "Told", "provider.kind": "openai", "neiroha.characters": len(WORDS)}
    assert attributes(spans["upstream"]) == expected
    assert attributes(spans["wait in queue"]) == {"neiroha.provider": "Told", "neiroha.priority": "interactive"}
    assert attributes(spans["transcode"])["neiroha.to"] == "mp3"
    (resource, *_) = house.collector.resources
    assert (resource["service.name"], resource["neiroha.process"]) == ("neiroha", "web")


def test_only_a_provider_that_may_know_is_told(house: House, trace_id: str) -> None:
    assert house.say("Told", trace_id).status_code == 200
    told = house.upstream.requests[-1].headers["traceparent"]
    calling = house.collector.trace(trace_id, "upstream")["upstream"]
    assert told == f"00-{trace_id}-{calling.span_id.hex()}-01"
    assert house.say("Untold", trace_id).status_code == 200
    assert "traceparent" not in house.upstream.requests[-1].headers


def test_a_caller_may_leave_its_trace_unrecorded(house: House, trace_id: str) -> None:
    assert house.say("Told", trace_id, flags="00").status_code == 200
    other = secrets.token_hex(16)
    assert house.say("Told", other).status_code == 200
    house.collector.trace(other, *PARTS)
    assert trace_id not in {span.trace_id.hex() for span in house.collector.spans}


def test_nonsense_in_the_header_begins_a_trace_of_its_own(house: House) -> None:
    headers = [(b"traceparent", b"00-zz-\xff-01"), (b"tracestate", b"=" * 5000)]
    body = {"input": WORDS, "voice": "Untold", "response_format": "wav"}
    answer = house.http.post(SPEECH, json=body, headers=headers)
    assert answer.status_code == 200
    request_id = answer.headers["x-request-id"]
    spans = house.collector.wait_for(
        lambda spans: any(attributes(span).get("neiroha.request_id") == request_id for span in spans)
    )
    (root,) = (span for span in spans if attributes(span).get("neiroha.request_id") == request_id)
    assert root.parent_span_id == b""


def test_a_failure_is_named_and_not_quoted(house: House, trace_id: str) -> None:
    house.upstream.switches.refusals = [Refusal(400, f"I will not say: {WORDS}")]
    assert house.say("Told", trace_id).status_code >= 400
    spans = house.collector.trace(trace_id, REQUEST, "upstream")
    failed = spans["upstream"]
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert attributes(failed)["error.type"] == "upstream_rejected"
    assert not failed.events


def test_a_take_is_a_trace_that_names_who_asked(house: House) -> None:
    made = house.http.post("/v1/jobs", json={"input": WORDS, "voice": "Told", "response_format": "wav"})
    assert made.status_code == 201, made.text
    spans = house.collector.wait_for(lambda spans: any(span.name == "take" for span in spans))
    (take,) = (span for span in spans if span.name == "take")
    assert attributes(take)["neiroha.request_id"] == made.headers["x-request-id"]
    assert attributes(take)["neiroha.take"] > 0
    parts = house.collector.trace(take.trace_id.hex(), "take", "upstream", "wait in queue")
    assert attributes(parts["wait in queue"])["neiroha.priority"] == "batch"
    assert parts["upstream"].parent_span_id == take.span_id


def test_an_export_and_a_reading_by_the_chat_model_are_traces(house: House) -> None:
    with serve(ChatModelUpstream(key=SECRET)) as url:
        made = manage(house.folder, "shell", "--no-imports", "-c", ASK.format(url=url, key=SECRET))
        assert made.returncode == 0, made.stderr
        names = {"export", "suggest speakers"}
        spans = house.collector.wait_for(lambda spans: names <= {span.name for span in spans})
    export, reading = (next(span for span in spans if span.name == name) for name in sorted(names))
    assert attributes(export)["neiroha.export"] > 0
    parts = house.collector.trace(reading.trace_id.hex(), "suggest speakers", "upstream")
    assert parts["upstream"].parent_span_id == reading.span_id
    assert attributes(parts["upstream"])["neiroha.provider"] == "The chat model"


def test_probes_and_texts_are_in_no_trace(house: House, trace_id: str) -> None:
    house.http.get("/health/ready")
    house.http.get("/health")
    assert house.say("Told", trace_id).status_code == 200
    house.collector.trace(trace_id, *PARTS)
    assert not [span.name for span in house.collector.spans if "health" in span.name]
    assert b"nobody may read" not in house.collector.raw
    assert b"nei-" not in house.collector.raw


def test_the_end_of_the_server_loses_no_span(
    upstream: tuple[OpenAIUpstream, str], tmp_path: Path, trace_id: str
) -> None:
    """With a collector's delay that outlasts the server."""
    collector = Collector()
    made = manage(tmp_path, "shell", "--no-imports", "-c", CONFIGURE.format(told=upstream[1], untold=upstream[1]))
    with serve(collector) as url:
        variables = {"NEIROHA_OTEL": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": url, "no_proxy": "127.0.0.1"}
        variables |= {"OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_SERVICE_NAME": "voices"}
        with running_server(tmp_path, variables=variables) as server:
            house = House(tmp_path, server, made.stdout.split()[-1], upstream[0], collector)
            with house.http:
                assert house.say("Told", trace_id).status_code == 200
            assert "traceparent" not in upstream[0].requests[-1].headers, "nobody is told by default"
            assert server.end() == 0
    assert {span.name for span in collector.spans} >= set(PARTS)
    assert collector.resources[0]["service.name"] == "voices"


def test_a_collector_that_is_away_disturbs_nobody(upstream: tuple[OpenAIUpstream, str], tmp_path: Path) -> None:
    made = manage(tmp_path, "shell", "--no-imports", "-c", CONFIGURE.format(told=upstream[1], untold=upstream[1]))
    with closed_port() as port:
        address = f"http://127.0.0.1:{port}"
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "100", "no_proxy": "127.0.0.1"}
        with running_server(tmp_path, variables=variables) as server:
            house = House(tmp_path, server, made.stdout.split()[-1], upstream[0], Collector())
            with house.http:
                for _ in range(5):
                    assert house.say("Told", secrets.token_hex(16)).status_code == 200
            assert server.end() == 0
    assert "Traceback" not in server.output


OFF = """
import sys, asyncio
import neiroha_site.asgi
from neiroha_site.tracing import start_tracing
start_tracing("web")
print([name for name in sys.modules if name.startswith(("opentelemetry", "google.protobuf"))])
"""


@pytest.mark.parametrize("variables", [{}, {"NEIROHA_OTEL": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}])
def test_nothing_of_it_is_there_while_it_is_off(tmp_path: Path, variables: dict[str, str]) -> None:
    found = subprocess.run(
        [sys.executable, "-c", OFF],
        cwd=MANAGE.parent,
        env=environment(tmp_path, variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert found.stdout.strip() == "[]"


def test_off_a_span_is_nothing() -> None:
    assert not tracing.is_on()
    spans = {tracing.span("a", provider="b"), tracing.upstream_span(), tracing.work_span("c", {"traceparent": "d"})}
    assert spans == {tracing.NO_SPAN}
    headers: dict[str, str] = {}
    tracing.propagate("127.0.0.1", headers)
    assert headers == {}


class TestWhetherItIsOn:
    def test_as_the_environment_says(self) -> None:
        assert wants_tracing("true")
        assert wants_tracing("auto", "", "http://collector:4318/v1/traces")
        assert not wants_tracing("auto", "", "")
        assert not wants_tracing("false", "http://collector:4318")

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)  # as if it were not installed
        monkeypatch.delitem(sys.modules, "opentelemetry.sdk.trace", raising=False)
        assert not wants_tracing("auto", "http://collector:4318"), "others' variables must not stop a start"
        with pytest.raises(ImproperlyConfigured, match=r"extra \[telemetry\]"):
            wants_tracing("true")
