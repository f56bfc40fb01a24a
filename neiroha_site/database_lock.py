"""What keeps servers on one PostgreSQL from each other, on however many machines they are: its advisory locks."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections

from neiroha_site.data_folder import one_at_a_time

if TYPE_CHECKING:
    import psycopg

logger = logging.getLogger(__name__)

# Numbers of our own among the locks of the database.
FAMILY, SERVING, STARTING = 0x4E65, 1, 2
# How soon a connection is noticed that broke, and with which the lock went.
WATCH_SECONDS = 5.0


class DatabaseLock:
    """Held from entering to leaving; the database gives it back when the process dies.

    Any number hold it `shared`, or one alone. CommandError when the database can't be reached, or while others hold it
    in a way that this one can't be beside. A connection that breaks is made anew; where somebody else took the lock
    meanwhile, this process ends itself.
    """

    def __init__(self, *, shared: bool) -> None:
        self.shared = shared
        self._connection: psycopg.Connection[Any] | None = None
        self._leaving = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="database-lock")

    def __enter__(self) -> Self:
        if not self._take():
            name = connections["default"].settings_dict["NAME"]
            raise CommandError(
                f"Another Neiroha server uses the database {name}. Stop it, or let both share their work through"
                " NEIROHA_REDIS_URL."
            )
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._watcher.join()
        self._let_go()

    def _take(self) -> bool:
        """CommandError where the database can't be reached."""
        self._connection = _connected()
        lock = "pg_try_advisory_lock_shared" if self.shared else "pg_try_advisory_lock"
        row = self._connection.execute(f"SELECT {lock}({FAMILY}, {SERVING})").fetchone()
        taken = bool(row and row[0])
        if not taken:
            self._let_go()
        return taken

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _watch(self) -> None:
        while not self._leaving.wait(WATCH_SECONDS):
            if self._holds():
                continue
            try:
                taken = self._take()
            except CommandError:
                # What needs the database says so itself; this looks again.
                continue
            if not taken:
                logger.critical("Another Neiroha server has taken the database while it was away: this one ends.")
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _holds(self) -> bool:
        import psycopg

        if self._connection is None:
            return False
        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            self._let_go()
            return False
        return True


def serving_lock() -> AbstractContextManager[object]:
    return DatabaseLock(shared=bool(settings.REDIS_URL)) if _is_postgresql() else nullcontext()


def alone() -> AbstractContextManager[object]:
    """No server runs on the database meanwhile. CommandError where one does."""
    return DatabaseLock(shared=False) if _is_postgresql() else nullcontext()


@contextmanager
def alone_at_start() -> Iterator[None]:
    """Servers that start together bring the database up to date one after the other."""
    if not _is_postgresql():
        with one_at_a_time(settings.DATA_DIR):
            yield
        return
    connection = _connected()
    try:
        connection.execute(f"SELECT pg_advisory_lock({FAMILY}, {STARTING})")
        yield
    finally:
        connection.close()


def _is_postgresql() -> bool:
    return connections["default"].vendor == "postgresql"


def _connected() -> psycopg.Connection[Any]:
    """One of its own, beside the pool, which would try for long and not say why. CommandError."""
    import psycopg

    known: Any = connections["default"]
    try:
        return psycopg.connect(**known.get_connection_params(), autocommit=True)
    except psycopg.Error as error:
        raise CommandError(f"The database {known.settings_dict['NAME']} can't be used: {error}") from error
