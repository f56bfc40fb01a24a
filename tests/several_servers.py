"""One installation that several real servers share: PostgreSQL, Redis and a data folder."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx
import psycopg
from websockets.sync.client import ClientConnection, connect

from tests.server_process import MANAGE, ServerProcess, environment, manage
from tests.upstreams.serving import WAIT_SECONDS
from tests.workers import Worker

_redis_databases = count(1)


def new_database(postgres_url: str) -> str:
    """The address of an empty database on this server."""
    name = f"several_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return postgres_url.rpartition("/")[0] + f"/{name}"


@dataclass
class Installation:
    folder: Path
    variables: dict[str, str]
    servers: list[ServerProcess]

    def shell(self, script: str) -> list[str]:
        """What a script prints that runs in a process of its own: its lines."""
        ended = manage(self.folder, "shell", "--no-imports", "-c", script, variables=self.variables)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines()

    @contextmanager
    def worker(self) -> Iterator[None]:
        """One that speaks what the servers queue."""
        worker = Worker(self.folder, self.folder / "work.log", self.variables, "--processes", "1")
        try:
            yield
        finally:
            worker.kill()

    @contextmanager
    def prepared(self, script: str) -> Iterator[Callable[[], None]]:
        """A process that is ready to run a script; what is yielded has it run, to its end."""
        command = [sys.executable, str(MANAGE), "shell", "--no-imports", "-c", f"print('ready')\ninput()\n{script}"]
        process = subprocess.Popen(
            command,
            env=environment(self.folder, self.variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

        def run() -> None:
            said, _ = process.communicate("\n", timeout=WAIT_SECONDS)
            assert process.returncode == 0, said

        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            try:
                yield run
            finally:
                process.kill()


def variables(postgres_url: str, redis_url: str) -> dict[str, str]:
    return {
        "NEIROHA_DATABASE_URL": new_database(postgres_url),
        "NEIROHA_REDIS_URL": redis_url.rpartition("/")[0] + f"/{next(_redis_databases)}",
    }


@contextmanager
def several_servers(folder: Path, shared: dict[str, str], number: int = 2) -> Iterator[Installation]:
    """Servers that start together, on an empty database."""
    with ExitStack() as ending:
        servers = []
        for _ in range(number):
            servers.append(ServerProcess(folder, variables=shared))
            ending.callback(servers[-1].kill)
        for server in servers:
            server.wait_until_ready()
        yield Installation(folder, shared, servers)


def http(server: ServerProcess, secret: str = "") -> httpx.Client:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    return httpx.Client(base_url=server.url, trust_env=False, timeout=WAIT_SECONDS, headers=headers)


def live_page(server: ServerProcess, path: str, session: str) -> ClientConnection:
    address = server.url.replace("http://", "ws://") + path
    headers = {"Cookie": f"sessionid={session}"}
    return connect(
        address,
        origin=server.url,  # type: ignore[arg-type]  # a plain string will do
        additional_headers=headers,
        open_timeout=WAIT_SECONDS,
        proxy=None,
    )
