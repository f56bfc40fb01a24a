"""Configuration that is read on every request is held in memory and loaded anew when it changed.

Each committed change of a tracked model raises a number, in memory (in force at once in this process) and in the
database (other processes see it when they `poll`). A `Snapshot` reloads when the number differs from its own.
Changes made with QuerySet.update() send no signal: call `bump()` after them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.db import close_old_connections, models, transaction
from django.db.models import F
from django.db.models.signals import m2m_changed, post_delete, post_save

_lock = threading.Lock()
_local_version = 1
_seen_in_database = 0


def current_version() -> int:
    return _local_version


def _raise_local() -> None:
    global _local_version
    with _lock:
        _local_version += 1


def bump() -> None:
    """Record a change; in force once the surrounding transaction commits."""
    from providers.models import ConfigurationVersion

    if not ConfigurationVersion.objects.filter(pk=1).update(number=F("number") + 1):
        ConfigurationVersion.objects.get_or_create(pk=1)
    transaction.on_commit(_raise_local)


def poll() -> None:
    """Notice what other processes changed. One query."""
    from providers.models import ConfigurationVersion

    global _seen_in_database
    number = ConfigurationVersion.objects.filter(pk=1).values_list("number", flat=True).first() or 0
    if number != _seen_in_database:
        _seen_in_database = number
        _raise_local()


def _changed(sender: object, **kwargs: Any) -> None:
    if kwargs.get("raw"):
        return
    if kwargs.get("action", "post_").startswith("post_"):
        bump()


def track(model: type[models.Model]) -> None:
    """Let every saved or deleted row of `model`, and every change of its many-to-many fields, raise the version."""
    name = f"neiroha-version-{model._meta.label}"
    post_save.connect(_changed, sender=model, dispatch_uid=name)
    post_delete.connect(_changed, sender=model, dispatch_uid=name)
    for field in model._meta.many_to_many:
        m2m_changed.connect(_changed, sender=field.remote_field.through, dispatch_uid=f"{name}-{field.name}")


class Snapshot[T]:
    """The last loaded value of `load`, which reads the database and returns something immutable."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._loaded: tuple[int, T] | None = None
        self._loading = threading.Lock()
        self._asked: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[T]] = WeakKeyDictionary()

    def cached(self) -> T | None:
        """The value if it is current; memory only."""
        loaded = self._loaded
        return loaded[1] if loaded is not None and loaded[0] == _local_version else None

    def get_sync(self) -> T:
        with self._loading:
            value = self.cached()
            if value is None:
                version = _local_version  # taken before reading: a change meanwhile makes this stale, never lost
                value = self._load()
                self._loaded = (version, value)
            return value

    async def get(self) -> T:
        while (value := self.cached()) is None:
            await asyncio.shield(self._in_one_thread())
        return value

    def _in_one_thread(self) -> asyncio.Task[T]:
        """For all of this loop who wait for it, whoever of them leaves."""
        loop = asyncio.get_running_loop()
        task = self._asked.get(loop)
        if task is None or task.done():
            load = sync_to_async(self._get_in_thread, thread_sensitive=False)
            task = self._asked[loop] = loop.create_task(load())
        return task

    def _get_in_thread(self) -> T:
        try:
            return self.get_sync()
        finally:
            close_old_connections()
