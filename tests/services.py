"""Real servers for tests that need them, each with a folder and a port of its own, ended with the test run."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import psycopg
import redis

from deploy.ports import free_port

START_SECONDS = 120


class RedisServer:
    """A redis-server in memory alone: what it held is gone when it is killed."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "redis-server is missing; `make test` installs it"
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"]
        self._process = subprocess.Popen([program, "--port", str(self.port), *options], stdout=subprocess.DEVNULL)
        _until(self._answers, (redis.ConnectionError,), self._process)

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client:
            return bool(client.ping())

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT lets it go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class PostgresServer:
    """A PostgreSQL cluster in a folder of its own, with a database “neiroha” open to all of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"postgresql://neiroha@127.0.0.1:{self.port}/neiroha"
        self._process: subprocess.Popen[bytes] | None = None
        # The server refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            entry = pwd.getpwnam(self._user)
            folder.chmod(0o755)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self._run("initdb", "-D", str(folder / "data"), "-U", "neiroha", "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"]
        options += ["-c", "fsync=off", "-c", "max_connections=200", "-p", str(self.port)]
        command = [_postgres("postgres"), "-D", str(self.folder / "data"), *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, user=self._user, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=log
            )
        _until(self._make_database, (psycopg.OperationalError,), self._process)

    def stop(self) -> None:
        """As at a restart: open connections are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None

    def _make_database(self) -> bool:
        with psycopg.connect(self.url.removesuffix("neiroha") + "postgres", autocommit=True) as connection:
            there = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'neiroha'").fetchone()
            if not there:
                connection.execute("CREATE DATABASE neiroha")
        return True

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [_postgres(program), *arguments], user=self._user, cwd=self.folder, check=True, stdout=subprocess.DEVNULL
        )


def _postgres(program: str) -> str:
    """The newest version's: Debian keeps the server's programs off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[4]))
    path = str(found[-1]) if found else shutil.which(program)
    assert path, f"PostgreSQL's {program} is missing; `make test` installs it"
    return path


def _until(ready: Callable[[], bool], errors: tuple[type[Exception], ...], process: subprocess.Popen[bytes]) -> None:
    end = monotonic() + START_SECONDS
    while True:
        try:
            if ready():
                return
        except errors:
            pass
        assert process.poll() is None, "the server ended at once"
        assert monotonic() < end, "the server did not start"
        sleep(0.05)


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    with TemporaryDirectory(prefix="neiroha-postgres-") as folder:
        server = PostgresServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
