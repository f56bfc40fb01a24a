"""`make scale`: webs behind nginx, workers, PostgreSQL and Redis as plain processes on free ports, until Ctrl-C.

What dies is started again, as systemd or Docker would. Everything is kept in a temporary folder, which goes with it,
unless --folder names one.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import sleep

from deploy.backing import Nginx, Postgres, Redis
from deploy.ports import free_port
from deploy.programs import ROOT, Program, ScaleError, folder_for

WATCH_SECONDS = 0.5
INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
READY = re.compile(r"Neiroha is ready at (http://\S+).*\n((?:.*\n)*?.*(?:/setup\?token=\S+|Admin pages: \S+))")


class Topology:
    """All processes, started from the ground up and ended from the top down."""

    def __init__(self, folder: Path, *, webs: int, workers: int, port: int) -> None:
        self._folder, self._logs = folder, folder_for(folder / "logs", None)
        # Each other user finds the folder that is theirs, and sees no other.
        folder.chmod(0o711)
        self.postgres = Postgres(folder / "postgres", free_port(), self._log("postgres"))
        self.redis = Redis(folder / "redis", free_port(), self._log("redis"))
        ports = [free_port() for _ in range(webs)]
        self.nginx = Nginx(folder / "nginx", port or free_port(), ports, self._log("nginx"))
        self.webs = [self._web(number, each) for number, each in enumerate(ports, 1)]
        self.workers = [self._worker(number) for number in range(1, workers + 1)]
        self._ground = [self.postgres.program, self.redis.program]
        self._top = [*self.webs, *self.workers, self.nginx.program]

    @property
    def programs(self) -> list[Program]:
        return [*self._ground, *self._top]

    @property
    def url(self) -> str:
        return self.nginx.url

    @property
    def variables(self) -> dict[str, str]:
        """What every process of Neiroha's gets, commands on the same installation included."""
        return {
            "NEIROHA_DATA_DIR": str(self._folder / "data"),
            "NEIROHA_DATABASE_URL": self.postgres.url,
            "NEIROHA_REDIS_URL": self.redis.url,
            "NEIROHA_PUBLIC_URL": self.url,
            "NEIROHA_TRUSTED_PROXIES": "127.0.0.1",
            # nginx, too, is reached from this machine only.
            "NEIROHA_ALLOW_OPEN_API": "true",
        }

    def start(self) -> None:
        self.start_ground()
        self.start_rest()

    def start_ground(self) -> None:
        """The database and Redis, for what has to be done before anything else runs."""
        _start(self._ground)

    def start_rest(self) -> None:
        # A web brings the database up to date; workers and nginx need that.
        _start(self.webs)
        _start([*self.workers, self.nginx.program])

    def watch(self) -> None:
        """Start again what dies; only an exception ends it."""
        while True:
            for each in self.programs:
                if each.revive():
                    print(f"{each.name} had ended: started again as process {each.pid}.", flush=True)
            sleep(WATCH_SECONDS)

    def end(self) -> None:
        for together in (self._top, self._ground):
            for each in together:
                each.ask_to_end()
            for each in together:
                each.end()

    def kill(self) -> None:
        for each in self.programs:
            each.end(0)

    def announcement(self) -> str:
        found = READY.search(self.webs[0].log.read_text())
        assert found is not None
        said = found[2].replace(found[1], self.url)
        running = "\n".join(f"  {each.name:<12} process {each.pid}" for each in self.programs)
        kept = f"Their output is in {self._logs}; one that dies is started again."
        return f"Neiroha is ready at {self.url}\n{said}\n\n{running}\n{kept}\n\nCtrl-C ends all of it."

    def _web(self, number: int, port: int) -> Program:
        log = self._log(f"web-{number}")
        command = _manage("serve", "--host", "127.0.0.1", "--port", str(port))
        return Program(f"web {number}", command, log, lambda: bool(READY.search(_text(log))), self.variables)

    def _worker(self, number: int) -> Program:
        return Program(f"worker {number}", _manage("work"), self._log(f"worker-{number}"), lambda: True, self.variables)

    def _log(self, name: str) -> Path:
        log = self._logs / f"{name}.log"
        log.unlink(missing_ok=True)
        return log


@contextmanager
def ended(topology: Topology) -> Iterator[Topology]:
    """Whatever has been started of it is ended when the block is left."""
    try:
        yield topology
    except BaseException:
        _end(topology)
        raise
    _end(topology)


def _start(together: Sequence[Program]) -> None:
    for each in together:
        each.start()
    for each in together:
        each.wait_until_ready()


def _end(topology: Topology) -> None:
    try:
        topology.end()
    except KeyboardInterrupt:
        topology.kill()
        raise


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


@contextmanager
def _kept_in(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="neiroha-scale-") as name:
            yield Path(name)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.scale", description=__doc__)
    parser.add_argument("--webs", type=int, default=2, choices=range(1, 17), metavar="N", help="2 unless told.")
    parser.add_argument("--workers", type=int, default=2, choices=range(17), metavar="N", help="2 unless told.")
    parser.add_argument("--port", type=int, default=0, help="Where nginx listens; a free port unless told.")
    parser.add_argument("--folder", type=Path, help="Keep everything here, for the next time.")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    for each in SIGNALS:
        signal.signal(each, _interrupt)
    try:
        with _kept_in(options.folder) as folder:
            made = Topology(folder, webs=options.webs, workers=options.workers, port=options.port)
            with ended(made) as topology:
                topology.start()
                print(topology.announcement(), flush=True)
                topology.watch()
    except ScaleError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
