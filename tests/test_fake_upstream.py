"""`manage.py fake_upstream` from outside."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from neiroha_site.management.commands.fake_upstream import make_upstream, upstream_kinds
from tests.hearing import assert_heard
from tests.server_process import MANAGE, environment, manage
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import serve

ROOT = MANAGE.parent
DEBUG = {"NEIROHA_DEBUG": "true"}
SENTENCE = "The quick brown fox jumps over the lazy dog."
PARROT = """
class _Feathers: ...

class ParrotUpstream:
    async def __call__(self, scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"squawk"})
"""


class Fake:
    """A running command, and what it has said."""

    def __init__(self, data_dir: Path, command: list[str], variables: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            env=environment(data_dir, DEBUG | variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()

    @property
    def url(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", self.said)
        assert found, self.said + self.process.communicate(timeout=60)[1]
        return found[0]

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@contextmanager
def fake(data_dir: Path, *command: str, **variables: str) -> Iterator[Fake]:
    running = Fake(data_dir, [sys.executable, *command], variables)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The product's packages without the tests, as an installation has them."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for name in ("api", "banks", "providers", "studio", "neiroha_site", "templates"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def django(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(folder), "DJANGO_SETTINGS_MODULE": "neiroha_site.settings", "PYTHONSAFEPATH": "1"}


def test_it_speaks_and_ends_cleanly(tmp_path: Path) -> None:
    with fake(tmp_path, str(MANAGE), "fake_upstream", "openai") as running:
        body = {"model": "tts-1", "voice": "alloy", "input": SENTENCE, "response_format": "wav"}
        answer = httpx.post(f"{running.url}/v1/audio/speech", json=body, timeout=60, trust_env=False)
        assert_heard(SENTENCE, answer.content)
        assert running.end() == (0, "", "")
        with pytest.raises(httpx.ConnectError):
            httpx.get(running.url, timeout=60, trust_env=False)


def test_the_port_can_be_chosen_unless_it_is_taken(tmp_path: Path) -> None:
    with socket.socket() as reserved:
        # Bound, but not listening: no other program is given this port, and a server that is told to may listen on it.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        with socket.create_server(("127.0.0.1", port)):
            refused = manage(tmp_path, "fake_upstream", "openai", "--port", str(port), variables=DEBUG)
        assert refused.returncode == 1
        assert f"Port {port} on 127.0.0.1 is taken" in refused.stderr
        with fake(tmp_path, str(MANAGE), "fake_upstream", "openai", "--port", str(port)) as running:
            assert running.url.endswith(f":{port}")


def test_it_needs_debug(tmp_path: Path) -> None:
    refused = manage(tmp_path, "fake_upstream", "openai")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "set NEIROHA_DEBUG=true" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_unknown_kind_is_told_the_known_ones(tmp_path: Path) -> None:
    refused = manage(tmp_path, "fake_upstream", "common", variables=DEBUG)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert ", ".join(sorted(upstream_kinds())) in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_installation_has_no_fakes(tmp_path: Path, installed: Path) -> None:
    with fake(tmp_path, "-m", "django", "fake_upstream", "openai", **django(installed)) as running:
        out, err = running.process.communicate(timeout=60)
    assert (running.process.returncode, running.said, out) == (1, "", "")
    assert err == (
        "CommandError: Fake providers come with the source tree and its test dependencies; tests is missing here.\n"
    )


def test_a_new_kind_needs_nothing_but_its_module(tmp_path: Path, installed: Path) -> None:
    upstreams = installed / "tests" / "upstreams"
    upstreams.mkdir(parents=True)
    (upstreams / "parrot.py").write_text(PARROT)
    with fake(tmp_path, "-m", "django", "fake_upstream", "parrot", **django(installed)) as running:
        assert "fake parrot provider" in running.said
        assert httpx.get(running.url, timeout=60, trust_env=False).text == "squawk"


def test_only_whole_fakes_are_kinds() -> None:
    kinds = upstream_kinds()
    assert kinds["openai"] is OpenAIUpstream
    assert {"openai", "voxcpm", "chat_completions"} <= set(kinds)
    assert not {"common", "events", "neiroha_backend", "serving", "speech_programs"} & set(kinds)


@pytest.mark.parametrize("kind", sorted(upstream_kinds()))
def test_every_kind_answers_as_it_comes(kind: str) -> None:
    with serve(make_upstream(kind)) as url:
        assert httpx.get(f"{url}/nowhere", timeout=60, trust_env=False).status_code in (401, 404)
