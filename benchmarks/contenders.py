"""Servers that pass speech on, each in front of the same upstream: Neiroha on three of them, and what else there is."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.configure import CONCURRENCY
from benchmarks.foreign import GRANIAN, LITELLM, installed
from benchmarks.load import Plan
from benchmarks.processes import ROOT, BenchmarkError, Server, python, server
from benchmarks.stage import SENTENCE, Stage, speech
from deploy.ports import free_port
from deploy.programs import ScaleError, program

MODES = ("instant", "slow", "held")
NGINX = """
daemon off;
worker_processes 1;
pid "{folder}/nginx.pid";
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path "{folder}/body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    upstream speech {{ server {upstream}; keepalive 256; }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        keepalive_requests 1000000;
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 600s;
            proxy_pass http://speech;
        }}
    }}
}}
"""


class Contender(ABC):
    """One way to pass speech on. BenchmarkError from `serve` when it can't be had on this machine."""

    name: str

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @abstractmethod
    def serve(self) -> Iterator[Server]:
        """The running server, as a generator of one."""

    def plan(self, server: Server, mode: str, requests: int, concurrency: int, **fields: Any) -> Plan:
        bodies = self.bodies(mode, fields)
        return Plan(self.address(server, mode), self.key, bodies, requests, concurrency, numbered=True)

    @property
    def key(self) -> str:
        return self.stage.key

    def address(self, server: Server, mode: str) -> str:
        return f"{server.url}/{mode}/v1/audio/speech"

    def bodies(self, mode: str, fields: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"model": mode, "voice": "alloy", "input": SENTENCE, "response_format": "mp3", **fields},
        ]

    @contextmanager
    def running(self) -> Iterator[Server]:
        yield from self.serve()


class Direct(Contender):
    """The upstream itself, with nothing between: what the others add to."""

    name = "nothing between"

    def serve(self) -> Iterator[Server]:
        yield self.stage.upstream


class Bare(Contender):
    name = "bare pass-through"

    def serve(self) -> Iterator[Server]:
        command = python("-m", "benchmarks.run_server", "bare", self.stage.upstream.url)
        with server(command, self.stage.log()) as started:
            yield started


class Nginx(Contender):
    name = "nginx proxy_pass"

    def serve(self) -> Iterator[Server]:
        folder, port = _fresh(self.stage.folder / "nginx"), free_port()
        try:
            nginx = program("nginx", "nginx-light", "/usr/sbin", "/usr/local/sbin")
        except ScaleError as error:
            raise BenchmarkError(str(error)) from error
        upstream = self.stage.upstream.url.removeprefix("http://")
        kept = folder / "nginx.conf"
        # As root, its workers would be somebody who may not enter this folder.
        user = "user root;" if folder.owner() == "root" else ""
        kept.write_text(user + NGINX.format(folder=folder, port=port, upstream=upstream))
        command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(kept)]
        with server(command, self.stage.log(), url=f"http://127.0.0.1:{port}") as started:
            yield started


class Neiroha(Contender):
    """Each on a copy of the configured data folder, since one server holds it."""

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage)
        self.name = f"Neiroha on {name}"
        self._server = name

    def serve(self) -> Iterator[Server]:
        data = self.stage.folder / f"data-{self._server}"
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(self.stage.data_dir, data)
        variables = {"NEIROHA_DATA_DIR": str(data)}
        if self._server == "granian":
            port = free_port()
            command, url = self._granian(port), f"http://127.0.0.1:{port}"
        else:
            command = python(str(ROOT / "manage.py"), "serve", "--port", "0", "--server", self._server)
            url = ""
        with server(command, self.stage.log(), variables, url=url) as started:
            yield started

    def _granian(self, port: int) -> list[str]:
        granian = installed("granian", GRANIAN, beside_ours=True) / "granian"
        options = ["--interface", "asgi", "--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop"]
        options += ["--no-access-log", "--log-level", "error", "--backlog", "2048", "--backpressure", "2048"]
        return [str(granian), *options, "neiroha_site.asgi:application"]

    def address(self, server: Server, mode: str) -> str:
        return f"{server.url}/v1/audio/speech"

    def bodies(self, mode: str, fields: dict[str, Any]) -> list[dict[str, Any]]:
        held = [f"held-{number}" for number in range(self.stage.settings.providers)]
        return [speech(voice, **fields) for voice in (held if mode == "held" else [mode])]


class LiteLlm(Contender):
    """LiteLLM's proxy, with a model for each way the upstream answers; one key, no database, no log of its own."""

    name = "LiteLLM"

    @property
    def key(self) -> str:
        # As it wants them.
        return f"sk-{self.stage.key}"

    def serve(self) -> Iterator[Server]:
        programs, port = installed("litellm", LITELLM), free_port()
        folder = _fresh(self.stage.folder / "litellm")
        kept = folder / "config.yaml"
        kept.write_text(json.dumps({"model_list": [self._model(mode) for mode in MODES]}))
        command = [str(programs / "litellm"), "--config", str(kept), "--host", "127.0.0.1", "--port", str(port)]
        # It would ask the internet for prices.
        variables = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": self.key}
        with server(
            [*command, "--telemetry", "False"], self.stage.log(), variables, url=f"http://127.0.0.1:{port}"
        ) as started:
            yield started

    def _model(self, mode: str) -> dict[str, Any]:
        address = f"{self.stage.upstream.url}/{mode}/v1"
        return {"model_name": mode, "litellm_params": {"model": "openai/tts-1", "api_base": address, "api_key": "none"}}

    def address(self, server: Server, mode: str) -> str:
        return f"{server.url}/v1/audio/speech"


def contenders(stage: Stage) -> list[Contender]:
    ours = [Neiroha(stage, name) for name in ("uvicorn", "daphne", "granian")]
    return [Direct(stage), Nginx(stage), Bare(stage), *ours, LiteLlm(stage)]


def held_at_once(stage: Stage, requests: int) -> int:
    """How many of so many held requests come to the upstream."""
    return min(requests, stage.settings.providers * CONCURRENCY)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
