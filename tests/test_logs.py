"""Lines of the log, as text and as JSON: whole, with the request and the take that they are about, without secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from providers import context
from providers.logs import JsonFormatter, TextFormatter, said_as_json
from providers.redaction import without_secrets
from tests.server_process import ServerProcess, manage
from tests.sounds import tone, wav_file
from tests.test_api_streams import eventually
from tests.test_tracing import CONFIGURE, SPEECH
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import serve

WORDS = "Words that nobody may read in a log."
# Put together here, so that no scanner takes them for real ones.
KEY = "nei-" + "Zm9vYmFyMDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3A"


def record(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    told = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("studio.runner", logging.WARNING, __file__, 7, message, args, told)


def in_json(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(made)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def raised(message: str) -> Exception:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


class TestALine:
    def test_as_json(self) -> None:
        line = in_json(record("Take %d failed: %s", 12, "“quoted”\nand more"))
        assert list(line) == ["time", "level", "logger", "process", "message"]
        assert line["time"].endswith("Z") and "T" in line["time"]
        assert (line["level"], line["logger"]) == ("WARNING", "studio.runner")
        assert line["message"] == "Take 12 failed: “quoted”\nand more"

    def test_as_text(self) -> None:
        assert TextFormatter().format(record("Take %d failed.", 12)).endswith(" WARNING studio.runner: Take 12 failed.")

    async def test_it_names_what_the_task_works_on(self) -> None:
        async def work() -> tuple[str, dict[str, Any]]:
            context.work_on("req_1", 12)
            return TextFormatter().format(record("Done.")), await asyncio.to_thread(in_json, record("Done."))

        text, line = await asyncio.create_task(work())
        assert text.endswith("Done. [req_1, take 12]")
        assert (line["request_id"], line["take"]) == ("req_1", 12)
        assert "request_id" not in in_json(record("Done.")), "another task's is none of ours"

    async def test_each_request_has_an_id_of_its_own(self) -> None:
        async def request() -> tuple[str, str]:
            return context.begin_request(), context.request_id()

        found = [await asyncio.create_task(request()) for _ in range(2)]
        assert all(made == read for made, read in found)
        assert found[0] != found[1]

    def test_an_exception_stands_in_the_same_line(self) -> None:
        line = in_json(record("It failed.", error=raised("no good")))
        assert line["message"] == "It failed."
        assert line["exception"].startswith("Traceback") and line["exception"].endswith("ValueError: no good")
        assert "tests/test_logs.py" in line["exception"], "places on our own disk are what a traceback is for"
        text = TextFormatter().format(record("It failed.", error=raised("no good")))
        assert "Traceback" in text and text.endswith("ValueError: no good")

    @pytest.mark.parametrize(
        "secret",
        [
            f"Authorization: Bearer {KEY}",
            f"key {KEY} was refused",
            "redis://:hunter2hunter2@redis:6379/0",
            "postgresql://neiroha:hunter2hunter2@db/neiroha is away",
            "https://x.example/?api_key=hunter2hunter2",
            "data:audio/wav;base64,aHVudGVyMmh1bnRlcjI=",
        ],
    )
    def test_secrets_are_hidden_wherever_they_stand(self, secret: str) -> None:
        made = [record("%s", secret), record("It failed.", error=raised(secret))]
        lines = [formatter.format(each) for formatter in (JsonFormatter(), TextFormatter()) for each in made]
        for line in lines:
            assert not any(part in line for part in (KEY[8:], "hunter2", "aHVudGVy")), line
            assert "[key]" in line or "[data]" in line

    def test_ids_and_words_stay(self) -> None:
        text = "req_0a1b2c3d4e5f6a7b8c9d0e1f http://127.0.0.1:8976/v1/audio/speech job_0a1b2c3d4e5f6a7b8c9d0e1f"
        assert without_secrets(text) == text

    def test_what_the_server_says_at_its_start(self) -> None:
        line = json.loads(said_as_json("Ready at x\n  /setup?token=abc"))
        assert (line["level"], line["logger"], line["message"]) == ("INFO", "serve", "Ready at x\n  /setup?token=abc")

    def test_letters_that_are_none(self) -> None:
        assert in_json(record("Bad name %r: %s", "\udc80", "\udc80"))["message"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[OpenAIUpstream, str]]:
    app = OpenAIUpstream(speech=wav_file(tone(24_000, 0.5), 24_000), speech_type="audio/wav")
    with serve(app) as url:
        yield app, url


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, upstream: tuple[OpenAIUpstream, str]
) -> Iterator[tuple[ServerProcess, str]]:
    """A server that logs JSON, and a key."""
    folder = tmp_path_factory.mktemp("logged")
    made = manage(folder, "shell", "--no-imports", "-c", CONFIGURE.format(told=upstream[1], untold=upstream[1]))
    variables = {"NEIROHA_LOG_FORMAT": "json", "no_proxy": "127.0.0.1"}
    server = ServerProcess(folder, variables=variables)
    try:
        server.url = server.wait_for_line(r"ready at (http://[\d.:]+)")[1]
        yield server, made.stdout.split()[-1]
    finally:
        server.kill()


@pytest.fixture
def caller(running: tuple[ServerProcess, str]) -> Iterator[httpx.Client]:
    server, secret = running
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=server.url, timeout=120, trust_env=False, headers=headers) as client:
        yield client


def lines(server: ServerProcess) -> list[dict[str, Any]]:
    """All that it said so far; a line that is no JSON fails the test."""
    return [json.loads(line) for line in list(server.lines)]


def line_with(server: ServerProcess, words: str, request_id: str) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        return [line for line in lines(server) if words in line["message"] and line.get("request_id") == request_id]

    eventually(lambda: bool(found()))
    return found()[0]


class TestARunningServer:
    def test_a_broken_answer_is_told_with_the_id_that_its_caller_has(
        self, running: tuple[ServerProcess, str], caller: httpx.Client, upstream: tuple[OpenAIUpstream, str]
    ) -> None:
        upstream[0].switches.cut_after = 2
        body = {"input": WORDS, "voice": "Told", "response_format": "wav", "stream": True}
        with caller.stream("POST", SPEECH, json=body) as response, pytest.raises(httpx.RemoteProtocolError):
            response.read()
        upstream[0].switches.cut_after = None
        line = line_with(running[0], "Speech broke off", response.headers["x-request-id"])
        assert line["level"] == "WARNING" and line["logger"] == "api.handler"

    def test_a_take_names_itself_and_the_request_that_queued_it(
        self, running: tuple[ServerProcess, str], caller: httpx.Client, upstream: tuple[OpenAIUpstream, str]
    ) -> None:
        upstream[0].switches.refusals = [Refusal(400, f"Never: {WORDS}")]
        made = caller.post("/v1/jobs", json={"input": WORDS, "voice": "Told", "response_format": "wav"})
        assert made.status_code == 201, made.text
        line = line_with(running[0], "failed: upstream_rejected", made.headers["x-request-id"])
        assert line["logger"] == "studio.runner" and line["take"] > 0
        assert line["message"] == f"Take {line['take']} failed: upstream_rejected"

    def test_the_servers_own_lines_have_the_same_shape(self, running: tuple[ServerProcess, str]) -> None:
        server, _ = running
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(b"this is no HTTP\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")
        eventually(lambda: any(line["logger"] == "uvicorn.error" for line in lines(server)))

    def test_no_text_and_no_key_is_in_any_line(
        self, running: tuple[ServerProcess, str], caller: httpx.Client, upstream: tuple[OpenAIUpstream, str]
    ) -> None:
        server, secret = running
        answer = caller.post(SPEECH, json={"input": WORDS, "voice": "Told", "response_format": "mp3"})
        assert answer.status_code == 200
        caller.post(SPEECH, json={"input": WORDS, "voice": WORDS})
        caller.get(f"/v1/models?key={secret}")
        assert lines(server)
        assert WORDS not in server.output and "nobody may read" not in server.output
        assert secret not in server.output


def test_an_unknown_format_stops_the_start(tmp_path: Path) -> None:
    found = manage(tmp_path, "check", variables={"NEIROHA_LOG_FORMAT": "xml"})
    assert found.returncode != 0
    assert found.stderr.strip() == "Configuration: NEIROHA_LOG_FORMAT must be text or json, not 'xml'."
