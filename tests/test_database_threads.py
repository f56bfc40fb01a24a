"""Threads that work with the database keep their connection to it."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection, transaction

from providers import database
from providers.database import DatabaseThreads, in_database
from providers.models import Provider

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="connections to PostgreSQL go back to their pool"),
]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Those of this test alone."""
    made = DatabaseThreads("test", 4)
    monkeypatch.setattr(database, "_threads", made)
    yield made
    made.close()


def opened() -> tuple[int, Any]:
    """The thread's connection, once it is open."""
    Provider.objects.exists()
    return threading.get_ident(), connection.connection


def in_thread(work: Any) -> Any:
    return asyncio.run(in_database(work))


def test_a_connection_is_opened_once_for_each_thread(threads: DatabaseThreads) -> None:
    async def many() -> list[tuple[int, Any]]:
        return await asyncio.gather(*(in_database(opened) for _ in range(40)))

    seen = [*asyncio.run(many()), *asyncio.run(many())]
    assert len({thread for thread, _ in seen}) == len({id(one) for _, one in seen}) <= 4
    assert threading.get_ident() not in {thread for thread, _ in seen}


def test_all_are_closed_at_the_end(threads: DatabaseThreads) -> None:
    _, kept = in_thread(opened)
    threads.close()
    with pytest.raises(Exception, match="closed"):
        kept.execute("SELECT 1")


def test_one_that_is_left_in_a_transaction_is_not_kept(threads: DatabaseThreads) -> None:
    def forget() -> Any:
        transaction.set_autocommit(False)
        Group.objects.create(name="Half")
        return connection.connection

    forgotten = in_thread(forget)
    assert in_thread(opened)[1] is not forgotten
    assert not Group.objects.filter(name="Half").exists()


def test_an_error_reaches_who_asked_and_the_next_one_works(threads: DatabaseThreads) -> None:
    def wrong() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM nowhere")

    with pytest.raises(OperationalError, match="nowhere"):
        in_thread(wrong)
    in_thread(lambda: Provider.objects.create(name="Whole", kind="embedded"))
    assert Provider.objects.filter(name="Whole").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_has_threads_of_its_own(threads: DatabaseThreads) -> None:
    in_thread(opened)
    child = os.fork()
    if not child:
        # Those of its parent are not there: it would wait for them in vain.
        os._exit(0 if in_thread(lambda: 7) == 7 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
