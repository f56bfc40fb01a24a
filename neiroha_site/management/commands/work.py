from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from neiroha_site.management.commands.serve import refuse_bad_configuration
from neiroha_site.supervising import Supervisor
from providers.database import close_pools
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

    def handle(self, *, processes: int, no_sweeper: bool, **options: Any) -> None:
        # What a worker writes is for its own user.
        os.umask(0o077)
        try:
            if not settings.REDIS_URL:
                raise CommandError("Workers need NEIROHA_REDIS_URL: without it the server does their work itself.")
            refuse_bad_configuration()
            self._wait_for_database()
        except CommandError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            return
        commands = {"speaker": speaker(processes)} | ({} if no_sweeper else {"sweeper": sweeper()})
        self._say(f"Working with {processes} processes.")
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


def _celery(queue: str) -> list[str]:
    program = [sys.executable, "-m", "celery", "--app", "neiroha_site", "--quiet", "worker"]
    return [*program, "--queues", queue, "--loglevel", "WARNING", "--without-mingle", "--without-gossip"]
