"""Telling those who listen to a job what changes of it. However many listen to one, the database is read once."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError

from api.jobs.answers import item_answer, job_answer
from api.jobs.models import Job, JobItem, JobStatus
from providers.database import in_database
from studio import events

logger = logging.getLogger(__name__)

# What changes within this time is read and told together.
FLUSH_SECONDS = 0.1

# By an item's index: the primary key of its take, and the take's state.
type States = dict[int, tuple[int | None, str | None]]


@dataclass(eq=False)
class Listener:
    """What one of those who listen has not read yet: of each item only the latest."""

    items: dict[int, dict[str, Any]] = field(default_factory=dict)
    end: dict[str, Any] | None = None
    """The job, once it is at its end."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, items: dict[int, dict[str, Any]], end: dict[str, Any] | None) -> None:
        self.items |= items
        self.end = end
        self._news.set()

    async def wait(self, seconds: float) -> None:
        """Return once there is something to read, or after so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def read(self) -> list[dict[str, Any]]:
        items, self.items = self.items, {}
        return [items[index] for index in sorted(items)]


@dataclass(eq=False)
class _Watch:
    states: States
    listeners: set[Listener] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Change:
    states: States
    items: dict[int, dict[str, Any]]
    end: dict[str, Any] | None


class Watcher:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._watches: dict[int, _Watch] = {}
        self._jobs: dict[int, int] = {}
        """By take: the job that is watched for it."""
        self._dirty: set[int] = set()
        self._flushing: asyncio.Task[None] | None = None
        self._stop = events.listen(self._note_takes)

    @asynccontextmanager
    async def listening(self, job: int) -> AsyncIterator[Listener]:
        """What changes after this block began is heard by its listener."""
        listener = Listener()
        if job not in self._watches:
            states = await in_database(_states, job)
            # Another may have come first meanwhile.
            if job not in self._watches:
                self._watches[job] = _Watch(states)
                self._remember(job, states)
        watch = self._watches[job]
        watch.listeners.add(listener)
        try:
            yield listener
        finally:
            watch.listeners.discard(listener)
            if not watch.listeners and self._watches.get(job) is watch:
                self._forget(job)

    def note(self, job: int) -> None:
        """Something about this job may have changed."""
        if job in self._watches:
            self._dirty.add(job)
            if self._flushing is None:
                self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def close(self) -> None:
        self._stop()
        await self.rest()

    async def rest(self) -> None:
        """End what is being read."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)

    def _note_takes(self, takes: Collection[int]) -> None:
        for take in takes:
            if (job := self._jobs.get(take)) is not None:
                self.note(job)

    async def _flush(self) -> None:
        try:
            while self._dirty:
                await asyncio.sleep(FLUSH_SECONDS)
                dirty, self._dirty = self._dirty, set()
                known = {job: self._watches[job].states for job in dirty if job in self._watches}
                for job, change in (await in_database(_changes, known)).items():
                    self._tell(job, change)
        except DatabaseError:
            # Whoever listens looks again by itself.
            logger.exception("What changed of jobs could not be read.")
        finally:
            self._flushing = None

    def _tell(self, job: int, change: _Change) -> None:
        watch = self._watches.get(job)
        if watch is None:
            return
        self._remember(job, change.states)
        watch.states = change.states
        if change.items or change.end:
            for listener in watch.listeners:
                listener.hear(change.items, change.end)

    def _remember(self, job: int, states: States) -> None:
        self._jobs |= {take: job for take, _state in states.values() if take is not None}

    def _forget(self, job: int) -> None:
        del self._watches[job]
        self._jobs = {take: other for take, other in self._jobs.items() if other != job}


def _states(job: int) -> States:
    return _all_states([job]).get(job, {})


def _all_states(jobs: Collection[int]) -> dict[int, States]:
    found: dict[int, States] = defaultdict(dict)
    rows = JobItem.objects.filter(job__in=jobs).order_by().values_list("job", "index", "take", "take__state")
    for job, index, take, state in rows:
        found[job][index] = (take, state)
    return found


def _changes(known: dict[int, States]) -> dict[int, _Change]:
    now = _all_states(known)
    jobs = Job.objects.defer("webhook_secret").in_bulk(list(known))
    tallies = JobItem.objects.tallies(list(jobs))
    changes = {}
    for pk, job in jobs.items():
        changed = [index for index, state in now[pk].items() if known[pk].get(index) != state]
        items = JobItem.objects.filter(job=pk, index__in=changed).with_takes() if changed else ()
        ended = not JobStatus.of(tallies[pk].counts).is_open
        end = job_answer(job, tallies[pk]) if ended else None
        changes[pk] = _Change(now[pk], {item.index: item_answer(job.public_id, item) for item in items}, end)
    return changes
