"""`manage.py serve` from outside: what it says, what it refuses, how it ends."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.server_process import MANAGE, ServerProcess, environment, manage, running_server

NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
PASSWORD = "correct horse battery"


def one_line(finished: subprocess.CompletedProcess[str]) -> str:
    """The only line of a start that failed."""
    assert finished.returncode not in (0, None), finished.stdout
    assert finished.stdout == ""
    assert len(finished.stderr.splitlines()) == 1, finished.stderr
    return finished.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A fresh installation, started for the first time."""
    with running_server(tmp_path_factory.mktemp("fresh")) as running:
        running.wait_for_line("/setup")
        yield running


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        yield client


def curl_line(server: ServerProcess) -> str:
    return next(line.strip() for line in server.lines if line.startswith("  curl"))


@NEEDS_CURL
def test_the_printed_curl_line_speaks(server: ServerProcess, tmp_path: Path) -> None:
    subprocess.run(["bash", "-c", curl_line(server)], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    audio = (tmp_path / "hello.mp3").read_bytes()
    assert audio[:3] == b"ID3" or audio[0] == 0xFF
    assert len(audio) > 5000


def test_it_says_nothing_but_what_is_useful(server: ServerProcess) -> None:
    assert server.lines[0] == f"Neiroha is ready at {server.url}"
    assert [line for line in server.lines if "Warning" in line or "Traceback" in line] == []


def test_a_fresh_installation_has_one_bank_with_one_voice(http: httpx.Client) -> None:
    assert [model["id"] for model in http.get("/v1/models").json()["data"]] == ["Neiroha"]
    voices = http.get("/v1/audio/voices").json()["data"]
    assert [(voice["name"], voice["aliases"]) for voice in voices] == [("Heart", [])]


def test_the_data_folder_is_for_its_owner(server: ServerProcess) -> None:
    kept = {}
    for path in server.data_dir.rglob("*"):
        # SQLite's files beside the database come and go.
        with contextlib.suppress(FileNotFoundError):
            kept[path.name] = path.stat().st_mode
    assert {"server.lock", "setup_token", "secret_key", "field_keys", "neiroha.sqlite3"} <= kept.keys()
    modes = {name: oct(mode & 0o077) for name, mode in kept.items() if stat.S_ISREG(mode)}
    assert modes == dict.fromkeys(modes, "0o0")


def test_no_server_header(http: httpx.Client) -> None:
    assert "server" not in http.get("/health").headers


@pytest.mark.parametrize("name", ["Daphne-Root-Path", "X-Script-Name", "Script-Name", "SCRIPT_NAME", "Root-Path"])
def test_a_clients_root_path_moves_nothing(http: httpx.Client, name: str) -> None:
    header = {name: "/elsewhere"}
    for path in ("/v1/models", "/health"):
        assert http.get(path, headers=header).status_code == 200
        assert http.get("/elsewhere" + path, headers=header).status_code == 404
    to_admin = http.get("/", headers=header)
    assert to_admin.headers["location"] == "/admin/"
    login = http.get("/admin/login/", headers=header)
    assert login.status_code == 200
    assert "elsewhere" not in login.text


def test_a_second_server_on_the_same_data_folder(server: ServerProcess) -> None:
    said = one_line(manage(server.data_dir, "serve", "--port", "0"))
    assert f"Another Neiroha server (process {server.process.pid})" in said
    assert str(server.data_dir) in said


def test_a_taken_port(server: ServerProcess, tmp_path: Path) -> None:
    said = one_line(manage(tmp_path, "serve", "--port", str(server.port)))
    assert said.startswith(f"Port {server.port} on 127.0.0.1 is taken")


@pytest.mark.parametrize("place", ["file", "below a file", "system"])
def test_a_data_folder_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    occupied = tmp_path / "occupied"
    occupied.touch()
    folder = {"file": occupied, "below a file": occupied / "data", "system": Path("/proc/neiroha")}[place]
    said = one_line(manage(folder, "serve", "--port", "0"))
    assert str(folder) in said


def test_a_database_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "neiroha.sqlite3").write_text("This is a shopping list. " * 100)
    said = one_line(manage(tmp_path, "serve", "--port", "0"))
    assert f"The database {tmp_path / 'neiroha.sqlite3'} can't be used" in said


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"NEIROHA_PORT": "many"}, "NEIROHA_PORT must be a whole number from 1 to 65535, not 'many'."),
        ({"NEIROHA_DEBUG": "perhaps"}, "NEIROHA_DEBUG must be true or false, not 'perhaps'."),
        ({"NEIROHA_TRUSTED_PROXIES": "proxy"}, "'proxy', which is no address and no network."),
    ],
)
def test_a_bad_environment(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    said = one_line(manage(tmp_path, "serve", "--port", "0", variables=variables))
    assert said.startswith("Configuration: ")
    assert message in said


def old_python() -> str | None:
    """A Python below 3.12, which many systems have."""
    for name in ("/usr/bin/python3", "python3.11", "python3.10", "python3.9"):
        found = shutil.which(name)
        if found is None:
            continue
        version = [found, "-c", "import sys; sys.exit(sys.version_info >= (3, 12))"]
        if subprocess.run(version, check=False, capture_output=True).returncode == 0:
            return found
    return None


@pytest.mark.skipif(old_python() is None, reason="needs a Python below 3.12")
def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    python = old_python()
    assert python is not None
    finished = subprocess.run(
        [python, str(MANAGE), "serve"], env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert one_line(finished).startswith("Neiroha needs Python 3.12 or newer; this is 3.")
    assert list(tmp_path.iterdir()) == []


def test_command_line_wins_over_environment(tmp_path: Path, server: ServerProcess) -> None:
    taken = {"NEIROHA_PORT": str(server.port), "NEIROHA_HOST": "203.0.113.1"}
    with running_server(tmp_path, "--host", "127.0.0.1", variables=taken) as other:
        assert other.port != server.port
        assert httpx.get(other.url + "/health", timeout=60, trust_env=False).status_code == 200


def test_killed_it_starts_again_and_keeps_what_was_deleted_deleted(tmp_path: Path) -> None:
    with running_server(tmp_path) as first:
        link = first.wait_for_line(r"(/setup\?token=\S+)")[1]
        first.send(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    with contextlib.closing(sqlite3.connect(tmp_path / "neiroha.sqlite3")) as database:
        database.executescript("DELETE FROM banks_membership; DELETE FROM banks_bank; DELETE FROM banks_character;")
    with running_server(tmp_path) as second:
        second.wait_for_line(re.escape(link))
        assert "No active bank has a voice yet" in second.output
        with httpx.Client(base_url=second.url, timeout=60, trust_env=False) as client:
            assert client.get("/v1/models").json()["data"] == []
            assert client.get(link).status_code == 200
            form = {"username": "ada", "password1": PASSWORD, "password2": PASSWORD}
            assert client.post(link, data=form).headers["location"] == "/admin/"
            assert client.get("/admin/").status_code == 200
            assert client.get(link).status_code == 404
        assert second.end() == 0


def test_an_administrator_from_the_environment(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    data = tmp_path / "data"
    with running_server(data, variables={"NEIROHA_ADMIN_PASSWORD_FILE": str(secret)}) as server:
        server.wait_for_line(rf"Admin pages: {server.url}/admin/")
        assert "/setup" not in server.output
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            client.get("/admin/login/")
            form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
            assert client.post("/admin/login/?next=/admin/", data=form).headers["location"] == "/admin/"
            assert client.get("/admin/").status_code == 200
        assert server.end() == 0


def test_ipv6(tmp_path: Path) -> None:
    with running_server(tmp_path, "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(server.url + "/admin/login/", timeout=60, trust_env=False).status_code == 200
        assert psutil.Process(server.process.pid).net_connections()[0].laddr.ip == "::1"


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        server.send(signal.SIGINT)
        assert server.wait() == 0
        assert "Traceback" not in server.output
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))


def test_daphne_serves_the_same_application(tmp_path: Path) -> None:
    with running_server(tmp_path, "--server", "daphne") as server:
        server.wait_for_line("/setup")
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            assert client.get("/health").json()["status"] == "ok"
            asked = {"model": "Neiroha", "voice": "Heart", "input": "Hello."}
            assert len(client.post("/v1/audio/speech", json=asked).content) > 3000
            assert client.get("/admin/login/").status_code == 200
        assert server.end() == 0
