"""Documented or red: what is in the code is in the documentation, and what the documentation shows works."""

from __future__ import annotations

import ast
import base64
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import unquote
from zipfile import ZipFile

import httpx
import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.db import models
from rest_framework import exceptions as drf

from api.middleware import EXPOSED_HEADERS
from api.models import ApiKey, ServerSettings
from api.serializers import SpeechSerializer
from api.urls import urlpatterns
from banks.roster import OPENAI_VOICES
from neiroha_site.first_run import make_default_bank
from providers import adapters
from providers.adapters.base import Adapter
from providers.errors import SpeechError, UpstreamFailed, UpstreamUnauthorized
from providers.http import make_client
from providers.speech import AudioFormat, Capabilities, ProviderConfig, SpeechRequest, TaskModeFields
from tests.hearing import assert_heard
from tests.native_api import make_user
from tests.sounds import tone, wav_file
from tests.upstreams.serving import serving

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
API, CONFIGURATION = ROOT / "docs" / "api.md", ROOT / "docs" / "configuration.md"
LAYERS = ("providers", "banks", "studio", "api", "neiroha_site")
ADDRESS = "http://127.0.0.1:8976"
JOBS = f"{ADDRESS}/v1/jobs"
# What DRF raises for us, under its own codes.
DRF_ERRORS = (drf.ParseError, drf.NotAuthenticated, drf.MethodNotAllowed, drf.UnsupportedMediaType)


class Block(NamedTuple):
    """A fenced block; `section` is the heading that it stands under."""

    language: str
    text: str
    section: str


def blocks(page: Path, language: str = "") -> list[Block]:
    found, section, fence, lines = [], "", "", list[str]()
    for line in page.read_text().splitlines():
        stripped = line.strip()
        if fence and stripped == "```":
            found.append(Block(fence[3:], textwrap.dedent("\n".join(lines)), section))
            fence = ""
        elif fence:
            lines.append(line)
        elif stripped.startswith("```"):
            fence, lines = stripped, []
        elif line.startswith("#"):
            section = line.lstrip("# ")
    assert not fence, f"{page.name} has a block that does not end"
    return [block for block in found if not language or block.language == language]


def rows(page: Path, section: str) -> list[list[str]]:
    """The cells of the tables under a heading, without the tables' own headings."""
    text = page.read_text().split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("|")]
    rulers = [number for number, line in enumerate(lines) if set(line) <= set("|-")]
    dropped = {*rulers, *(number - 1 for number in rulers)}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for number, line in enumerate(lines)
        if number not in dropped
    ]


def ticked(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def sources(*layers: str) -> Iterator[Path]:
    for layer in layers:
        yield from (path for path in (ROOT / layer).rglob("*.py") if "migrations" not in path.parts)


class TestEnvironment:
    @staticmethod
    def variables() -> set[str]:
        found = set()
        for path in [ROOT / "manage.py", *sources(*LAYERS)]:
            for reader, name in re.findall(r'\benv_(\w+)\(\s*"(NEIROHA_\w+)"', path.read_text()):
                found |= {name, f"{name}_FILE"} if reader == "secret" else {name}
        return found

    def test_what_is_read_is_documented_and_nothing_else_is(self) -> None:
        assert len(self.variables()) >= 10
        assert set(re.findall(r"\bNEIROHA_\w+", CONFIGURATION.read_text())) == self.variables()

    def test_each_has_its_row(self) -> None:
        named = [ticked(row[0])[0] for row in rows(CONFIGURATION, "Environment variables")]
        assert sorted(named) == sorted(name for name in self.variables() if not name.endswith("_FILE"))

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_no_page_names_another(self, page: Path) -> None:
        # With a dollar, it is a variable of the reader's shell; those with TEST are read by tests alone.
        assert set(re.findall(r"(?<!\$)\bNEIROHA_(?!TEST_)\w+", page.read_text())) <= self.variables()

    def test_they_are_read_in_one_place(self) -> None:
        reading = re.compile(r"environ(?:\.get\(|\[)\"NEIROHA_|\bgetenv\(")
        assert [path for path in sources(*LAYERS) if reading.search(path.read_text())] == []


class TestServerSettings:
    @staticmethod
    def written(value: Any) -> str:
        """A default as the table writes it."""
        if value is True or value is False:
            return "`on`" if value else "`off`"
        return "empty" if value == "" else f"`{value}`"

    def test_every_field_with_its_label_and_default(self) -> None:
        documented = [row[:3] for row in rows(CONFIGURATION, "Server settings")]
        edited = [
            field
            for field in ServerSettings._meta.concrete_fields
            if field.editable and not isinstance(field, models.AutoField)
        ]
        default = {field.name: field.get_default() for field in edited}
        expected = [[str(field.verbose_name), f"`{field.name}`", self.written(default[field.name])] for field in edited]
        assert documented == expected

    def test_the_variables_table_names_the_same_defaults(self) -> None:
        cells = {ticked(row[0])[0]: row[1] for row in rows(CONFIGURATION, "Environment variables")}
        new = ServerSettings()
        assert f"`{new.host}`" in cells["NEIROHA_HOST"]
        assert f"`{new.port}`" in cells["NEIROHA_PORT"]

    def test_the_limits_of_the_api_page(self) -> None:
        limits = {row[0]: row[1].replace(",", "") for row in rows(API, "Limits")}
        new = ServerSettings()
        assert limits["Requests per minute, for each address or key"] == str(new.rate_limit_per_minute)
        assert limits["Body"].startswith(f"{new.max_body_bytes} bytes")
        assert limits["`input`"] == f"{new.max_input_characters} characters"
        waiting = f"{new.queue_deadline_seconds} seconds {new.queue_limit} requests"
        assert limits["Waiting in a provider's queue"] == waiting


class TestApi:
    def test_every_route_and_method(self) -> None:
        served = set()
        for pattern in urlpatterns:
            path = re.sub(r"\(\?P<[^)]*\)", "{id}", str(pattern.pattern)).replace("/?", "").strip("^$")
            methods = set(pattern.callback.view_class.http_method_names)
            served |= {(method.upper(), f"`/{path}`") for method in methods & {"get", "post", "delete"} if pattern.name}
        introduction = API.read_text().split("\n## ", 1)[0]
        documented = re.findall(r"^\| (\w+) \| \[(`[^`]+`)\]", introduction, re.MULTILINE)
        assert set(documented) == served
        assert len(documented) == len(served)

    def test_every_field_of_a_speech_request(self) -> None:
        named = [ticked(row[0])[0] for row in rows(API, "POST /v1/audio/speech")]
        fields_, formats = named[: len(SpeechSerializer().fields)], named[len(SpeechSerializer().fields) :]
        assert sorted(fields_) == sorted(SpeechSerializer().fields)
        assert formats == list(AudioFormat)

    def test_every_format_with_its_type(self) -> None:
        text = API.read_text()
        for audio_format in AudioFormat:
            assert f"| `{audio_format}` | `{audio_format.content_type}` |" in text

    def test_every_voice_name_of_openai(self) -> None:
        sentence = re.search(r"OpenAI's names \(([^)]*)\)", API.read_text())
        assert sentence and set(ticked(sentence[1])) == OPENAI_VOICES

    def test_every_header(self) -> None:
        documented = {ticked(row[0])[0].lower() for row in rows(API, "Headers of an answer")}
        sent = {name.strip() for name in EXPOSED_HEADERS.split(",")}
        assert documented == {name for name in sent if name.startswith("x-neiroha-")}


class TestErrors:
    @staticmethod
    def documented() -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for status, code, _when in rows(API, "Errors"):
            found.setdefault(ticked(code)[0], set()).add(int(status))
        return found

    @staticmethod
    def family() -> set[type[SpeechError]]:
        for kind in adapters.kinds():
            adapters.adapter_class(kind)
        found, pending = set[type[SpeechError]](), [SpeechError]
        while pending:
            member = pending.pop()
            if member.__module__.partition(".")[0] in LAYERS:
                found.add(member)
                pending += member.__subclasses__()
        return found

    def test_every_code_of_the_family_with_its_status(self) -> None:
        documented = self.documented()
        assert {(error.code, error.status) for error in self.family()} <= {
            (code, status) for code, statuses in documented.items() for status in statuses
        }

    def test_every_code_that_the_api_sends_and_no_other(self) -> None:
        written = set()
        for path in sources("api"):
            # A serializer's codes are translated before they are sent.
            if path.name not in ("serializers.py", "models.py"):
                written |= set(re.findall(r'\b(?:default_)?code ?= ?"(\w+)"', path.read_text()))
        raised = written | {error.default_code for error in DRF_ERRORS} | {error.code for error in self.family()}
        assert set(self.documented()) == raised


class TestProviderKinds:
    def test_every_kind_with_its_label(self) -> None:
        documented = {ticked(row[0])[0]: row[1] for row in rows(README, "Add voices of your own")}
        assert set(documented) == set(adapters.kinds())
        for kind, text in documented.items():
            assert text.startswith(adapters.adapter_class(kind).label)

    def test_everything_that_a_kind_declares(self) -> None:
        named = {name for row in rows(CONTRIBUTING, "Add a provider kind") for name in ticked(row[0])}
        assert named == {field.name for field in fields(Capabilities)}

    def test_every_field_that_a_task_mode_may_read(self) -> None:
        documented = next(row[1] for row in rows(CONTRIBUTING, "Add a provider kind") if "`task_modes`" in row[0])
        assert TaskModeFields.__doc__
        assert set(ticked(TaskModeFields.__doc__)) <= set(ticked(documented))


class TestCommands:
    @staticmethod
    def lines() -> list[str]:
        return [line for page in PAGES for block in blocks(page, "bash") for line in block.text.splitlines()]

    def test_every_command_of_ours_has_its_row(self) -> None:
        ours = {name for name, app in get_commands().items() if app == "neiroha_site"}
        documented = {ticked(row[0])[0].split()[0] for row in rows(CONFIGURATION, "Commands") if row[0].startswith("`")}
        assert ours <= documented
        assert {name for name in documented if not name.startswith("neiroha.")} <= set(get_commands())

    def test_the_documented_calls_are_understood(self) -> None:
        calls = [shlex.split(line.partition("manage.py ")[2]) for line in self.lines() if "manage.py" in line]
        calls += [
            ["serve", *shlex.split(options)]
            for line in self.lines()
            for options in re.findall('make run ARGS="(.*)"', line)
        ]
        assert {call[0] for call in calls} >= {"serve", "create_key", "rotate_keys"}
        for name, *arguments in calls:
            app = get_commands()[name]
            assert isinstance(app, str)
            load_command_class(app, name).create_parser("manage.py", name).parse_args(arguments)

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_every_make_target_exists(self, page: Path) -> None:
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert set(re.findall(r"(?:^|[`&=] ?)make ([\w-]+)", page.read_text(), re.MULTILINE)) <= targets

    def test_every_system_check(self) -> None:
        raised = set(re.findall(r'id="(neiroha\.\w+)"', (ROOT / "neiroha_site" / "checks.py").read_text()))
        assert set(re.findall(r"neiroha\.[EWI]\d{3}", CONFIGURATION.read_text())) == raised != set()


class TestPages:
    @staticmethod
    def anchors(page: Path) -> set[str]:
        """The fragments of a page's headings, as forges make them."""
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_every_link_leads_somewhere(self, page: Path) -> None:
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"[a-z]+:", link):
                assert link.startswith("https://"), link
                continue
            name, _, fragment = unquote(link).partition("#")
            target = (page.parent / name).resolve() if name else page
            assert target.is_relative_to(ROOT) and target.exists(), link
            assert not fragment or fragment in self.anchors(target), link

    @pytest.mark.parametrize("page", [*PAGES, ROOT / "NOTICE"], ids=lambda page: page.name)
    def test_no_page_names_a_machine_or_a_package_index(self, page: Path) -> None:
        text = page.read_text()
        assert re.findall(r"(?:/(?:home|root|Users|work|tmp)\b|[A-Z]:\\)[/\\\w]*", text) == []
        assert re.findall(r"index-url|pypi\.|pythonhosted|registry\.|--trusted-host", text) == []

    def test_the_changelog_knows_the_version(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        changelog = (ROOT / "CHANGELOG.md").read_text()
        assert project["version"] == settings.VERSION
        assert settings.VERSION in changelog and "\n## [Unreleased]\n" in changelog
        assert set(project["license-files"]) <= {path.name for path in ROOT.iterdir()}


@pytest.fixture
def fresh(server: str) -> str:
    """The address of a server as its first run leaves it."""
    assert make_default_bank()
    return server


def run(command: list[str], folder: Path, **variables: str) -> str:
    """What it prints; it has to succeed."""
    environment = {**os.environ, "no_proxy": "127.0.0.1", **variables}
    finished = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
    )
    assert finished.returncode == 0, finished.stderr.decode()
    return finished.stdout.decode()


def curl_commands(page: Path) -> list[tuple[str, str]]:
    """(section, command) of every curl command that calls a server as `make run` starts it."""
    commands = []
    for block in blocks(page, "bash"):
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.startswith("curl "):
                assert ADDRESS in line, line
                commands.append((block.section, line))
    return commands


def answers() -> list[tuple[str, Any]]:
    """(command, answer) of every curl command in the API's page that the answer stands below."""
    found, listed = [], blocks(API)
    for asked, answered in zip(listed, listed[1:], strict=False):
        if answered.language == "json" and JOBS not in asked.text:
            assert asked.language == "bash" and asked.section == answered.section
            found.append((asked.text, json.loads(answered.text)))
    return found


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    return [shape(member) for member in value] if isinstance(value, list) else type(value)


def sent_input(command: str) -> str:
    words = shlex.split(command)
    return str(json.loads(words[words.index("-d") + 1])["input"])


def sound_of_events(text: str) -> bytes:
    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line]
    assert events[-1]["type"] == "speech.audio.done"
    return b"".join(base64.b64decode(event["audio"]) for event in events[:-1])


COMMANDS = [command for page in (README, API) for _section, command in curl_commands(page) if JOBS not in command]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
class TestCurl:
    @pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
    def test_it_does_what_it_is_there_for(self, fresh: str, tmp_path: Path, command: str) -> None:
        said = run(["bash", "-c", command.replace(ADDRESS, fresh)], tmp_path)
        files = list(tmp_path.iterdir())
        if files:
            assert_heard(sent_input(command), files[0].read_bytes())
        elif "sse" in command:
            assert_heard(sent_input(command), sound_of_events(said))
        else:
            assert ("error" in json.loads(said)) == ("Hart" in command)

    @pytest.mark.parametrize(("command", "answer"), answers(), ids=range(len(answers())))
    def test_the_shown_answer_has_the_true_shape(self, fresh: str, tmp_path: Path, command: str, answer: Any) -> None:
        said = json.loads(run(["bash", "-c", command.replace(ADDRESS, fresh)], tmp_path))
        assert shape(said) == shape(answer)
        if "error" in answer:
            assert said == answer

    def test_the_one_with_a_key(self, fresh: str, tmp_path: Path) -> None:
        command = next(command for section, command in curl_commands(API) if section == "Keys")
        _, secret = ApiKey.objects.issue(name="documentation")
        said = run(["bash", "-c", command.replace(ADDRESS, fresh)], tmp_path, NEIROHA_KEY=secret)
        assert [bank["id"] for bank in json.loads(said)["data"]] == ["Neiroha"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_commands_of_jobs_in_their_order(fresh: str, tmp_path: Path) -> None:
    (make, one, several, retry, cancel, listen, file, archive) = (
        command for _section, command in curl_commands(API) if JOBS in command
    )
    _, secret = ApiKey.objects.issue(name="documentation", owner_id=make_user().pk)
    known = {"NEIROHA_KEY": secret}

    def curl(command: str) -> str:
        return run(["bash", "-c", command.replace(ADDRESS, fresh)], tmp_path, **known)

    job = json.loads(curl(make))
    known["JOB"] = job["id"]
    shown = next(json.loads(block.text) for block in blocks(API, "json") if block.section == "Making a job")
    assert shape(job) == shape(shown) and job["counts"] == shown["counts"]
    assert curl(listen).split("event: ")[-1].startswith("done")
    assert json.loads(curl(one))["status"] == "completed"
    assert [listed["id"] for listed in json.loads(curl(several))["data"]] == [job["id"]]
    assert json.loads(curl(retry))["error"]["code"] == "nothing_to_retry"
    assert json.loads(curl(cancel)) == json.loads(curl(one))
    curl(file)
    curl(archive)
    texts = [text["input"] for text in json.loads(shlex.split(make)[shlex.split(make).index("-d") + 1])["inputs"]]
    assert_heard(texts[0], (tmp_path / "line-1.wav").read_bytes())
    with ZipFile(tmp_path / "all.zip") as opened:
        assert opened.namelist() == ["0000-line-1.wav", "0001.wav", "manifest.json"]
        assert_heard(texts[1], opened.read("0001.wav"))


class TestSdks:
    def test_python(self, fresh: str, tmp_path: Path) -> None:
        (example,) = blocks(README, "python")
        script = tmp_path / "speak.py"
        script.write_text(example.text.replace(ADDRESS, fresh))
        run([sys.executable, "-W", "error", str(script)], tmp_path)
        inputs = re.findall(r'input="([^"]+)"', example.text)
        assert_heard(inputs[0], (tmp_path / "hello.mp3").read_bytes())
        assert_heard(inputs[1], (tmp_path / "story.wav").read_bytes())

    @pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
    def test_node(self, tmp_path: Path) -> None:
        (example,) = blocks(README, "javascript")
        assert f'baseURL: "{ADDRESS}/v1"' in example.text
        script = tmp_path / "speak.mjs"
        script.write_text(example.text)
        run(["node", "--check", str(script)], tmp_path)


class PlainUpstream:
    """The server that the adapter in CONTRIBUTING.md is for; it takes nothing that it does not know."""

    key, broken = "secret", False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = (await receive())["body"]
        status, content_type, answer = self._answer(scope, body)
        headers = [(b"content-type", content_type), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, scope: Any, body: bytes) -> tuple[int, bytes, bytes]:
        if dict(scope["headers"]).get(b"authorization") != f"Bearer {self.key}".encode():
            return 401, b"application/json", b'{"error": {"message": "who are you?"}}'
        if self.broken:
            return 500, b"text/plain", b"out of memory"
        if (scope["method"], scope["path"]) == ("GET", "/voices"):
            return 200, b"application/json", b'[{"id": "ann", "name": "Ann"}]'
        assert (scope["method"], scope["path"]) == ("POST", "/speak")
        assert json.loads(body) == {"text": "Hello.", "voice": "ann", "pitch": 2.0}
        return 200, b"audio/wav", wav_file(tone(24_000, 0.5), 24_000)


class TestAdapterInContributing:
    """The skeleton is an adapter like any other: loaded as a module, and spoken with."""

    @pytest.fixture
    def skeleton(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        example = next(block for block in blocks(CONTRIBUTING, "python") if "class PlainAdapter" in block.text)
        (tmp_path / "plain_from_contributing.py").write_text(example.text)
        monkeypatch.syspath_prepend(tmp_path)
        return importlib.import_module("plain_from_contributing")

    @pytest.fixture
    def upstream(self) -> PlainUpstream:
        return PlainUpstream()

    @pytest.fixture
    async def adapter(self, skeleton: ModuleType, upstream: PlainUpstream) -> AsyncIterator[Adapter]:
        async with serving(upstream) as url, make_client() as client:
            config = ProviderConfig(id=1, name="Plain one", kind="plain", base_url=f"{url}/", key="secret", timeout=60)
            yield skeleton.PlainAdapter(config, client)

    async def test_it_speaks(self, adapter: Adapter) -> None:
        request = SpeechRequest("Hello.", voice="ann", format=AudioFormat.WAV, options={"pitch": 2.0})
        async with adapter.speak(request) as audio:
            assert audio.format is AudioFormat.WAV
            assert b"".join([chunk async for chunk in audio.chunks]) == wav_file(tone(24_000, 0.5), 24_000)

    async def test_it_lists_its_voices(self, adapter: Adapter) -> None:
        assert [(voice.id, voice.name) for voice in await adapter.voices()] == [("ann", "Ann")]
        assert (await adapter.health()).reachable

    async def test_its_errors_are_of_the_family(self, adapter: Adapter, upstream: PlainUpstream) -> None:
        upstream.broken = True
        with pytest.raises(UpstreamFailed, match="out of memory"):
            async with adapter.speak(SpeechRequest("Hello.", voice="ann")):
                pass
        upstream.key = "another"
        with pytest.raises(UpstreamUnauthorized, match="who are you"):
            await adapter.voices()
        health = await adapter.health()
        assert not health.reachable and "who are you" in health.reason

    def test_its_registry_line_is_one(self) -> None:
        line = blocks(CONTRIBUTING, "python")[-1].text
        assert ast.literal_eval(f"{{{line}}}") == {"plain": "providers.adapters.plain.PlainAdapter"}


def test_the_pictures_are_pictures() -> None:
    for page in PAGES:
        for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


async def test_health_tells_what_the_page_about_silence_says(server: str) -> None:
    async with httpx.AsyncClient(base_url=server, timeout=60, trust_env=False) as client:
        refused = await client.get("/health", headers={"host": "192.168.1.20:8976"})
        assert refused.json()["error"]["code"] == "host_not_allowed"
        assert (await client.get("/health")).json() == {"status": "ok", "api": "on"}
