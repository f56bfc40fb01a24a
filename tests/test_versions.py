from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from itertools import count

import pytest
from django.db import connection, transaction

from api.models import ApiKey
from banks.models import Bank
from providers import versions
from providers.models import ConfigurationVersion, Provider
from providers.versions import Snapshot


def undisturbed[T](work: Callable[[], T]) -> T:
    """What `work` comes to while no server of this process notices a changed database, which raises the version."""
    while True:
        before = versions.current_version()
        outcome = work()
        if versions.current_version() == before:
            return outcome


@pytest.mark.django_db(transaction=True)
def test_a_committed_change_raises_the_version_and_a_rolled_back_one_does_not() -> None:
    """What is to be done at the commit is looked at: other threads of this process raise the version, too."""
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Bank.objects.create(name="Never")
        raise ZeroDivisionError
    assert not connection.run_on_commit
    before = versions.current_version()
    with transaction.atomic():
        Bank.objects.create(name="Stories")
        assert [hook[1] for hook in connection.run_on_commit] == [versions._raise_local], "only with the commit"
    assert versions.current_version() > before


@pytest.mark.django_db(transaction=True)
def test_deletions_and_many_to_many_changes_count() -> None:
    bank = Bank.objects.create(name="Stories")
    key, _ = ApiKey.objects.issue(name="chat")
    before = versions.current_version()
    key.banks.add(bank)
    added = versions.current_version()
    key.banks.clear()
    cleared = versions.current_version()
    bank.delete()
    assert before < added < cleared < versions.current_version()


@pytest.mark.django_db(transaction=True)
def test_polling_notices_another_process() -> None:
    versions.poll()
    before = versions.current_version()
    ConfigurationVersion.objects.update_or_create(pk=1, defaults={"number": 4711})
    versions.poll()
    assert versions.current_version() > before


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_loads_once_for_each_version() -> None:

    def load_twice() -> tuple[Snapshot[int], list[int]]:
        loads = count(1)
        made = Snapshot(lambda: next(loads))
        return made, [made.get_sync(), made.get_sync()]

    snapshot, loaded = undisturbed(load_twice)
    assert loaded == [1, 1]
    Provider.objects.create(name="Embedded", kind="embedded")
    assert snapshot.cached() is None
    assert snapshot.get_sync() == 2


def test_a_change_during_loading_makes_the_value_stale() -> None:
    def load() -> int:
        versions._raise_local()
        return 1

    snapshot = Snapshot(load)
    assert snapshot.get_sync() == 1
    assert snapshot.cached() is None


def test_many_waiters_share_one_load_in_one_thread() -> None:
    async def share() -> tuple[list[str], int, int]:
        loads: list[int] = []
        started = threading.Event()

        def load() -> str:
            loads.append(1)
            started.wait(60)
            return "value"

        snapshot = Snapshot(load)
        before = threading.active_count()
        waiters = [asyncio.create_task(snapshot.get()) for _ in range(5)]
        while not loads:
            await asyncio.sleep(0)
        threads = threading.active_count() - before
        # Whoever leaves takes nothing from the others.
        waiters.pop(0).cancel()
        started.set()
        return await asyncio.gather(*waiters), len(loads), threads

    assert undisturbed(lambda: asyncio.run(share())) == (["value"] * 4, 1, 1)
