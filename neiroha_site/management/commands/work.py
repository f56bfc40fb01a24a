from __future__ import annotations

import os
import socket
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from neiroha_site.management.commands.serve import port_number, refuse_bad_configuration
from neiroha_site.management.commands.worker_metrics import not_served
from neiroha_site.supervising import Supervisor
from providers.database import close_pools
from providers.metrics import SHARED
from studio import drivers

WAIT_SECONDS = 1.0


def count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 256:
        raise ArgumentTypeError(f"{text!r} is no number of processes: give a whole number from 1 to 256.")
    return int(text)


class Command(BaseCommand):
    help = "Speak takes, make exports and read texts for the servers that share NEIROHA_REDIS_URL."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--processes",
            type=count,
            default=os.cpu_count() or 2,
            help="How many speak; each speaks many takes at once. One for each processor unless given.",
        )
        parser.add_argument(
            "--no-sweeper",
            action="store_true",
            help="Without the process that queues again what dead workers left: one of all machines has to have it.",
        )
        parser.add_argument(
            "--metrics-port", type=port_number, help="Serve figures for Prometheus at this port; at none unless given."
        )
        parser.add_argument(
            "--metrics-host", default="127.0.0.1", help="Address of --metrics-port; 127.0.0.1 unless given."
        )

    def handle(
        self, *, processes: int, no_sweeper: bool, metrics_port: int | None, metrics_host: str, **options: Any
    ) -> None:
        # What a worker writes is for its own user.
        os.umask(0o077)
        try:
            if not settings.REDIS_URL:
                raise CommandError("Workers need NEIROHA_REDIS_URL: without it the server does their work itself.")
            refuse_bad_configuration()
            refuse_taken(metrics_host, metrics_port)
            self._wait_for_database()
        except CommandError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            return
        commands = {"speaker": speaker(processes)} | ({} if no_sweeper else {"sweeper": sweeper()})
        self._say(f"Working with {processes} processes.")
        with ExitStack() as stack:
            if metrics_port is not None:
                os.environ[SHARED] = stack.enter_context(TemporaryDirectory(prefix="neiroha-figures-"))
                commands["server of figures"] = metrics_server(metrics_host, metrics_port)
            Supervisor(commands, self._say).run()

    def _wait_for_database(self) -> None:
        told = ""
        while reason := unprepared():
            if reason != told:
                self._say(f"Waiting: {reason}")
                told = reason
            time.sleep(WAIT_SECONDS)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def refuse_taken(host: str, port: int | None) -> None:
    """At once, where it would only be said again and again later."""
    if port is None:
        return
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise CommandError(not_served(host, port, error)) from error


def unprepared() -> str:
    """Why nothing can be done yet; empty where it can."""
    try:
        executor = MigrationExecutor(connection)
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return f"the database does not answer ({error})."
    finally:
        close_pools()
    return "the database is not prepared; a server does it when it starts." if behind else ""


def speaker(processes: int) -> list[str]:
    return [*_celery(drivers.NAME), "--concurrency", str(processes), "--hostname", f"speak-{os.getpid()}@%h"]


def sweeper() -> list[str]:
    from neiroha_site.celery import SWEEP

    pool = ["--pool", "threads", "--concurrency", "2", "--beat"]
    return [*_celery(SWEEP), *pool, "--hostname", f"sweep-{os.getpid()}@%h"]


def metrics_server(host: str, port: int) -> list[str]:
    return [sys.executable, "-m", "django", "worker_metrics", "--host", host, "--port", str(port)]


def _celery(queue: str) -> list[str]:
    program = [sys.executable, "-m", "celery", "--app", "neiroha_site", "--quiet", "worker"]
    return [*program, "--queues", queue, "--loglevel", "WARNING", "--without-mingle", "--without-gossip"]
