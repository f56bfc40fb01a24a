"""PostgreSQL, Redis and nginx as plain processes: what an installation of several processes stands on."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Sequence
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import psycopg
import redis

from deploy.programs import ROOT, Program, ScaleError, folder_for, other_user, program, run

OLDEST_POSTGRESQL = 15
CONNECTIONS = 200
NGINX = """
daemon off;
worker_processes 2;
pid "{folder}/nginx.pid";
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path "{folder}/client_body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        "" "";
    }}
    upstream neiroha {{
        zone neiroha 64k;
        least_conn;
{servers}
        keepalive 64;
    }}
    server {{
        listen 127.0.0.1:{port};
        include "{included}";
    }}
}}
"""


class Postgres:
    """A cluster in a folder of its own, with one database “neiroha”, reached by a password only."""

    def __init__(self, folder: Path, port: int, log: Path) -> None:
        user = other_user("postgres")
        self._folder = folder_for(folder, user)
        self.url = f"postgresql://neiroha:{self._make(user)}@127.0.0.1:{port}/neiroha"
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
        options += ["-c", f"max_connections={CONNECTIONS}", "-p", str(port)]
        command = [_postgresql("postgres"), "-D", str(folder / "data"), *options]
        # SIGINT: it ends at once, and cleanly, though connections are open.
        self.program = Program("PostgreSQL", command, log, self._make_database, user=user, end_signal=signal.SIGINT)

    def _make(self, user: str | None) -> str:
        """The cluster, unless there is one; its password."""
        kept = self._folder / "password"
        if not (self._folder / "data").exists():
            with open(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(24))
            _give(kept, self._folder)
            options = ["-U", "neiroha", "-A", "scram-sha-256", "-E", "UTF8", "--pwfile", str(kept)]
            run([_postgresql("initdb"), "-D", str(self._folder / "data"), *options], user)
        return kept.read_text()

    def _make_database(self) -> bool:
        try:
            with psycopg.connect(self.url.removesuffix("neiroha") + "postgres", autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'neiroha'").fetchone():
                    connection.execute("CREATE DATABASE neiroha")
        except psycopg.OperationalError:
            return False
        return True


class Redis:
    """It keeps what it holds in a file, as one in earnest does, and asks for a password."""

    def __init__(self, folder: Path, port: int, log: Path) -> None:
        user = other_user("nobody")
        folder_for(folder, user)
        password = secrets.token_urlsafe(24)
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        kept = folder / "redis.conf"
        lines = ["bind 127.0.0.1", f"port {port}", f'dir "{folder}"', "appendonly yes", "maxmemory-policy noeviction"]
        kept.write_text("\n".join([*lines, f"requirepass {password}", "loglevel warning"]) + "\n")
        kept.chmod(0o600)
        _give(kept, folder)
        command = [program("redis-server", "redis-server"), str(kept)]
        self.program = Program("Redis", command, log, self._answers, user=user)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:  # also while it loads
            return False


class Nginx:
    """In front of servers at these ports, with the locations of deploy/nginx."""

    def __init__(self, folder: Path, port: int, servers: Sequence[int], log: Path) -> None:
        user = other_user("nobody")
        folder_for(folder, user)
        self.url = f"http://127.0.0.1:{port}"
        kept = folder / "nginx.conf"
        # Where nobody but the checkout's owner may read it, a copy beside the rest can be.
        included = folder / "neiroha-proxy.conf"
        included.write_bytes((ROOT / "deploy" / "nginx" / "neiroha-proxy.conf").read_bytes())
        lines = "\n".join(f"        server 127.0.0.1:{each} max_fails=1 fail_timeout=2s;" for each in servers)
        kept.write_text(NGINX.format(folder=folder, port=port, servers=lines, included=included))
        command = [program("nginx", "nginx-light", "/usr/sbin", "/usr/local/sbin"), "-e", "stderr"]
        command += ["-p", str(folder), "-c", str(kept)]
        self.program = Program("nginx", command, log, self._answers, user=user)

    def _answers(self) -> bool:
        try:
            with build_opener(ProxyHandler({})).open(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _give(path: Path, folder: Path) -> None:
    """To whom the folder belongs."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _postgresql(name: str) -> str:
    """The newest version's program."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[4]), reverse=True)
    if folders and int(folders[0].parts[4]) < OLDEST_POSTGRESQL:
        raise ScaleError(f"Neiroha needs PostgreSQL {OLDEST_POSTGRESQL} or newer.")
    return program(name, "postgresql", *map(str, folders))
