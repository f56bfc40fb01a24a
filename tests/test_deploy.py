"""What is in deploy/ fits what is in the code: every file, variable, command and limit that it names is there."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from cryptography.fernet import Fernet
from django.core.management import get_commands

from deploy.make_secrets import make
from neiroha_site import asgi, serving
from neiroha_site.addresses import postgresql, redis
from tests.server_process import environment, running_server
from tests.test_docs import CONFIGURATION, LAYERS, ROOT
from tests.upstreams.serving import closed_port

DEPLOY = ROOT / "deploy"
DOCUMENTED = set(re.findall(r"\bNEIROHA_\w+", CONFIGURATION.read_text()))
# Of the compose file itself, for whoever calls it.
OF_COMPOSE = {"NEIROHA_PUBLISH"}
UNITS = sorted(DEPLOY.glob("systemd/*.service"))


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


class TestDockerfile:
    TEXT = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    STEPS = [line for line in TEXT.splitlines() if line and not line.startswith("#")]

    def sources(self) -> list[str]:
        """What is copied from the checkout."""
        copies = [step.split()[1:] for step in self.STEPS if step.startswith("COPY") and "--from" not in step]
        return [source for *sources, _target in copies for source in sources]

    def test_what_it_copies_is_there_and_sent_to_the_builder(self) -> None:
        assert self.sources() == ["requirements/scale.txt", "."]
        first, *others = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] != "#"]
        assert first == "*", "nothing is sent but what is named: no data, no secrets"
        sent = {line[1:] for line in others if line.startswith("!")}
        assert [name for name in sent if not (ROOT / name).exists()] == []
        assert {"manage.py", "locale", "templates", "requirements/scale.txt", "LICENSE", "NOTICE"} <= sent
        assert not sent & {"data", ".git", ".venv", "deploy", "tests"}

    def test_every_layer_is_sent(self) -> None:
        assert {f"!{layer}" for layer in LAYERS} <= set((ROOT / ".dockerignore").read_text().splitlines())

    def test_packages_are_hashed_and_none_is_compiled(self) -> None:
        (install,) = [step for step in self.STEPS if step.startswith("RUN") and "--requirement" in step]
        assert "--require-hashes" in install and "--only-binary :all:" in install
        assert "apt-get" not in self.TEXT and "gcc" not in self.TEXT

    def test_the_last_stage_is_small_and_not_root(self) -> None:
        last = self.STEPS[[n for n, step in enumerate(self.STEPS) if step.startswith("FROM")][-1] :]
        assert last[0] == "FROM python:3.13-slim"
        (user,) = [step.split()[1] for step in last if step.startswith("USER")]
        assert user.split(":")[0].isdigit() and int(user.split(":")[0]) > 1000
        assert any(step.startswith("VOLUME /data") for step in last)
        copied = [step for step in last if step.startswith("COPY")]
        assert copied and all(step.startswith("COPY --from=build") for step in copied)
        assert last.index(f"USER {user}") > max(last.index(step) for step in copied), "it may change nothing of its own"

    def test_it_starts_what_there_is(self) -> None:
        words = [step.split(maxsplit=1) for step in self.STEPS]
        starts = {word: json.loads(rest) for word, rest in words if word in ("ENTRYPOINT", "CMD")}
        assert starts["ENTRYPOINT"] == ["python", "manage.py"]
        assert starts["CMD"][0] in get_commands()

    def test_its_variables(self) -> None:
        assert set(re.findall(r"NEIROHA_\w+", self.TEXT)) <= DOCUMENTED


class TestHealthcheck:
    def check(self, port: int) -> subprocess.CompletedProcess[str]:
        """As the image does it: a proxy for the providers is nothing to it."""
        script = re.search(r'HEALTHCHECK.*CMD \["python", "([^"]+)"\]', TestDockerfile.TEXT)
        assert script
        variables = {"NEIROHA_PORT": str(port), "http_proxy": "http://127.0.0.1:1"}
        command = [sys.executable, str(ROOT / script[1])]
        given = environment(ROOT, variables)
        return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=60)

    def test_a_server_that_answers(self, tmp_path: Path) -> None:
        with running_server(tmp_path) as server:
            finished = self.check(server.port)
        assert (finished.returncode, finished.stderr) == (0, "")

    def test_a_server_that_does_not(self) -> None:
        with closed_port() as port:
            finished = self.check(port)
        assert finished.returncode == 1
        assert len(finished.stdout.splitlines()) == 1 and finished.stderr == ""


class TestCompose:
    TEXT = (DEPLOY / "compose.yaml").read_text()
    FILE: dict[str, Any] = yaml.safe_load(TEXT)
    SERVICES: dict[str, dict[str, Any]] = FILE["services"]
    OURS = ("web-1", "web-2", "worker")

    def test_the_topology(self) -> None:
        assert set(self.SERVICES) == {"proxy", *self.OURS, "postgres", "redis"}
        assert self.SERVICES["worker"]["deploy"] == {"replicas": 2}
        version = re.fullmatch(r"postgres:(\d+)-alpine", self.SERVICES["postgres"]["image"])
        assert version and int(version[1]) >= 15

    @pytest.mark.parametrize("name", SERVICES)
    def test_each_is_locked_up(self, name: str) -> None:
        service = self.SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "unless-stopped"
        assert not service.get("privileged") and service.get("network_mode") is None
        # The image's own users are root, except for ours.
        assert name in self.OURS or service["user"] not in ("root", "0")

    @pytest.mark.parametrize("name", SERVICES)
    def test_each_is_watched(self, name: str) -> None:
        """By itself, or by the image; a worker answers nobody."""
        health = self.SERVICES[name].get("healthcheck", {})
        assert (health == {"disable": True}) == (name == "worker")
        assert name in self.OURS or health["test"][0] in ("CMD", "CMD-SHELL")

    def test_what_it_names_is_defined(self) -> None:
        for service in self.SERVICES.values():
            assert set(service.get("secrets", [])) <= set(self.FILE["secrets"])
            assert set(service["networks"]) <= set(self.FILE["networks"])
            assert set(service.get("depends_on", {})) <= set(self.SERVICES)
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                assert source in self.FILE["volumes"] or (DEPLOY / source).is_file(), source

    def test_its_variables(self) -> None:
        assert set(re.findall(r"NEIROHA_\w+", self.TEXT)) <= DOCUMENTED | OF_COMPOSE

    def test_its_secrets_come_by_files_that_are_made(self, tmp_path: Path) -> None:
        made = set(make(tmp_path / "secrets"))
        assert made == {Path(secret["file"]).name for secret in self.FILE["secrets"].values()}
        for name in self.OURS:
            given = self.SERVICES[name]["environment"]
            files = {variable: path for variable, path in given.items() if variable.endswith("_FILE")}
            assert {Path(path).name for path in files.values()} == set(self.SERVICES[name]["secrets"])
            assert not [value for variable, value in given.items() if "PASSWORD" in variable and variable not in files]

    @pytest.mark.parametrize("name", OURS)
    def test_its_commands_are_there(self, name: str) -> None:
        assert self.SERVICES[name]["command"][0] in get_commands()

    def test_only_the_proxy_is_reached_from_outside(self) -> None:
        assert [name for name, service in self.SERVICES.items() if "ports" in service] == ["proxy"]
        assert self.FILE["networks"]["back"] == {"internal": True}
        for name in ("postgres", "redis"):
            assert self.SERVICES[name]["networks"] == ["back"]

    def test_the_proxy_that_is_believed_is_the_one_in_front(self) -> None:
        in_front = {name: service for name, service in self.SERVICES.items() if "front" in service["networks"]}
        front = {name: service["networks"]["front"]["ipv4_address"] for name, service in in_front.items()}
        network = ip_network(self.FILE["networks"]["front"]["ipam"]["config"][0]["subnet"])
        assert all(ip_address(address) in network for address in front.values())
        assert len(set(front.values())) == 3
        assert self.SERVICES["web-1"]["environment"]["NEIROHA_TRUSTED_PROXIES"] == front["proxy"]
        servers = re.findall(r"server ([\d.]+):8976", (DEPLOY / "nginx" / "compose.conf").read_text())
        assert servers == [front["web-1"], front["web-2"]]

    def test_running_answers_may_end(self) -> None:
        for name in ("web-1", "web-2"):
            grace = seconds(self.SERVICES[name]["stop_grace_period"])
            assert grace > serving.GRACE_SECONDS + serving.CLEANUP_SECONDS


class TestSecrets:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        make(tmp_path / "secrets")
        return tmp_path / "secrets"

    def test_they_are_what_neiroha_takes(self, folder: Path) -> None:
        given = {path.name: path.read_text().strip() for path in folder.iterdir()}
        database = postgresql(given["database_url"])
        assert (database["HOST"], database["PASSWORD"]) == ("postgres", given["postgres_password"])
        assert redis(given["redis_url"]) == given["redis_url"]
        assert given["redis_conf"] == f"requirepass {urlsplit(given['redis_url']).password}"
        assert len(given["secret_key"]) >= 50
        keys = Fernet(given["field_keys"])
        assert keys.decrypt(keys.encrypt(b"readable")) == b"readable"

    def test_the_folder_is_closed_and_its_files_are_readable_in_containers(self, folder: Path) -> None:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}

    def test_none_is_ever_replaced(self, folder: Path) -> None:
        before = {path.name: path.read_text() for path in folder.iterdir()}
        (folder / "secret_key").unlink()
        assert make(folder) == ["secret_key"]
        after = {path.name: path.read_text() for path in folder.iterdir()}
        assert after.pop("secret_key") != before.pop("secret_key")
        assert after == before

    def test_git_never_takes_them(self) -> None:
        assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


class TestUnits:
    @pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
    def test_its_command_and_variables(self, unit: Path) -> None:
        text = unit.read_text()
        command = re.search(r"^ExecStart=/opt/neiroha/\.venv/bin/python manage\.py (\w+)", text, re.MULTILINE)
        assert command and command[1] in get_commands()
        assert set(re.findall(r"NEIROHA_\w+", text)) <= DOCUMENTED
        stop = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
        assert stop and int(stop[1]) > serving.GRACE_SECONDS + serving.CLEANUP_SECONDS

    def test_the_target_wants_what_there_is(self) -> None:
        wanted = re.findall(r"(neiroha-\w+@)\d+\.service", (DEPLOY / "systemd" / "neiroha.target").read_text())
        assert {f"{name}.service" for name in wanted} <= {unit.name for unit in UNITS}
        assert len(wanted) == 4

    @pytest.fixture
    def installed(self, tmp_path: Path) -> list[Path]:
        """The units as they are, but with a Python that this machine has; templates as an instance."""
        for unit in [*UNITS, DEPLOY / "systemd" / "neiroha.target"]:
            text = unit.read_text().replace("/opt/neiroha/.venv/bin/python", sys.executable)
            (tmp_path / unit.name).write_text(text)
        instances = {"neiroha-web@.service": ("8976", "8977"), "neiroha-worker@.service": ("1", "2")}
        for name, chosen in instances.items():
            for each in chosen:
                shutil.copy(tmp_path / name, tmp_path / name.replace("@", f"@{each}"))
        return [path for path in tmp_path.iterdir() if "@." not in path.name]

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
    def test_systemd_finds_nothing_wrong(self, installed: list[Path]) -> None:
        verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *map(str, installed)]
        finished = subprocess.run(verify, capture_output=True, text=True, check=False, timeout=120)
        ours = [line for line in finished.stderr.splitlines() if "neiroha" in line]
        assert (finished.returncode, ours) == (0, [])

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
    def test_there_is_little_that_they_may_do(self, installed: list[Path]) -> None:
        services = [str(path) for path in installed if path.suffix == ".service"]
        judge = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", *services]
        finished = subprocess.run(judge, capture_output=True, text=True, check=False, timeout=120)
        assert finished.returncode == 0, finished.stdout[-300:]


def nginx_blocks(text: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r"^location (?:= )?(\S+) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)


class TestProxies:
    NGINX = (DEPLOY / "nginx" / "neiroha-proxy.conf").read_text()
    CADDY = (DEPLOY / "caddy" / "Caddyfile").read_text()

    def test_uploads_are_as_large_as_neiroha_takes_them(self) -> None:
        limits = {
            path: int(found[1]) * 1024**2
            for path, text in nginx_blocks(self.NGINX)
            if (found := re.search(r"client_max_body_size (\d+)m;", text))
        }
        general = re.search(r"^client_max_body_size (\d+)m;", self.NGINX, re.MULTILINE)
        assert general and 0 <= int(general[1]) * 1024**2 - asgi.MAX_PAGE_BODY <= 2 * 1024**2
        assert limits.keys() == asgi.MAX_IMPORT_BODIES.keys()
        for path, size in limits.items():
            assert 0 <= size - asgi.MAX_IMPORT_BODIES[path] <= 2 * 1024**2

    def test_caddy_takes_as_much(self) -> None:
        def sizes(text: str) -> list[int]:
            return sorted(int(size) for size in re.findall(r"(?:max_size|client_max_body_size) (\d+)(?:MB|m)\b", text))

        assert sizes(self.CADDY) == sizes(self.NGINX)
        for path in asgi.MAX_IMPORT_BODIES:
            assert path.rstrip("/") in self.CADDY

    def test_speech_is_not_held_back(self) -> None:
        (api,) = [text for path, text in nginx_blocks(self.NGINX) if path == "/v1/"]
        assert "proxy_buffering off;" in api
        assert "flush_interval -1" in self.CADDY

    def test_connections_that_wait_are_closed_by_the_proxy(self) -> None:
        keepalive = re.search(r"keepalive (\d+)s", self.CADDY)
        assert keepalive and int(keepalive[1]) < serving.KEEP_ALIVE_SECONDS

    def test_the_caddyfile_opens_and_closes_its_blocks(self) -> None:
        depth = 0
        for line in self.CADDY.splitlines():
            code = line.split("#")[0].rstrip()
            depth += code.endswith("{") - (code.strip() == "}")
            assert depth >= 0
            assert len(line) - len(line.lstrip("\t")) == depth - code.endswith("{") or not code
        assert depth == 0
