"""Server-sent events of a job: first the whole job, then each item that changes, at its end `done`."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from api.jobs.answers import told
from api.jobs.models import Job, JobStatus
from api.jobs.watching import Watcher
from providers.database import in_database

HEARTBEAT_SECONDS = 15.0
RECONNECT_MS = 3000


async def stream(job: Job, watcher: Watcher, welcome: Callable[[], Awaitable[bool]]) -> AsyncGenerator[bytes]:
    """A client that comes again begins with the job as it is then, so nothing is missed. `welcome` is asked from time
    to time whether the caller still may listen."""
    async with watcher.listening(job.pk) as listener:
        whole = await in_database(told, job)
        yield f"retry: {RECONNECT_MS}\n".encode() + _event("job", whole)
        if not JobStatus(whole["status"]).is_open:
            del whole["items"]
            yield _event("done", whole)
            return
        del whole
        while await welcome():
            await listener.wait(HEARTBEAT_SECONDS)
            items, end = listener.read(), listener.end
            for item in items:
                yield _event("item", item)
            if end is not None:
                yield _event("done", end)
                return
            if not items:
                yield b": still here\n\n"
                # What nobody told of, such as a take that somebody deleted.
                watcher.note(job.pk)


def _event(name: str, payload: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()
