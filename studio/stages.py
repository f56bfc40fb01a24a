"""Where running takes are in the queue, whichever process speaks them."""

from __future__ import annotations

from dataclasses import dataclass

from providers.engine import Engine
from providers.queue import Reason
from studio.tickets import project_of, take_of


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a running take is. `seconds`: until it may expect its place in the queue, or since it has it."""

    waiting: bool
    seconds: float
    provider: str = ""
    reason: Reason = Reason.PLACE
    """What it waits for."""


async def stages_in(engine: Engine, project_id: int | None = None) -> dict[int, Stage]:
    """By the take's primary key, of all or of a project's. What has no place in the queue, and waits for none, is not
    among them."""
    found, now = dict[int, Stage](), engine.queue.clock.monotonic()
    snapshot = await engine.queue.snapshot()
    for waiting in snapshot.waiting:
        if pk := _asked(waiting.ticket.made_for, project_id):
            found[pk] = Stage(True, waiting.expected, waiting.ticket.provider.name, waiting.reason)
    for ticket in snapshot.running:
        if pk := _asked(ticket.made_for, project_id):
            found[pk] = Stage(False, now - (ticket.started_at or now), ticket.provider.name)
    return found


def _asked(made_for: str, project_id: int | None) -> int:
    """The take, where it is one of those that are asked about."""
    return take_of(made_for) if project_id in (None, project_of(made_for)) else 0
