"""What changes in projects, told to the pages that have them open, through the channel layer; and which takes of no
project changed their state, told to whoever listens on the server's loop.

A batch changes many lines in a moment: what comes within FLUSH_SECONDS is one message for each project.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, TypedDict
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

FLUSH_SECONDS = 0.05
# A message with more is one for all lines.
MOST_LINES = 500


class ProjectChanged(TypedDict):
    """`lines` None stands for all of them; `structure`: lines came, went or moved."""

    type: str
    lines: list[int] | None
    structure: bool


def group(project_id: int) -> str:
    return f"project-{project_id}"


class Publisher:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._lines: dict[int, set[int]] = {}
        self._structure: set[int] = set()
        self._flushing: asyncio.Task[None] | None = None

    def note(self, project_id: int, lines: Iterable[int] = (), *, structure: bool = False) -> None:
        self._lines.setdefault(project_id, set()).update(lines)
        if structure:
            self._structure.add(project_id)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def close(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)

    async def _flush(self) -> None:
        layer: Any = get_channel_layer()
        while self._lines:
            await asyncio.sleep(FLUSH_SECONDS)
            lines, structure = self._lines, self._structure
            self._lines, self._structure = {}, set()
            for project_id, changed in lines.items():
                told = sorted(changed) if len(changed) <= MOST_LINES else None
                message = ProjectChanged(type="project.changed", lines=told, structure=project_id in structure)
                await layer.group_send(group(project_id), message)
        self._flushing = None


_publishers: WeakKeyDictionary[asyncio.AbstractEventLoop, Publisher] = WeakKeyDictionary()


def open_publisher() -> Publisher:
    opened = _publishers[asyncio.get_running_loop()] = Publisher()
    return opened


async def close_publisher() -> None:
    if known := _publishers.pop(asyncio.get_running_loop(), None):
        await known.close()


def announce(project_id: int, lines: Collection[int] = (), *, structure: bool = False) -> None:
    """From a thread. Where no server runs nobody listens."""
    for loop, publisher in list(_publishers.items()):
        if loop.is_running():
            loop.call_soon_threadsafe(partial(publisher.note, project_id, lines, structure=structure))


# Takes of no project.

_listeners: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Callable[[Collection[int]], None]]] = WeakKeyDictionary()


def listen(told: Callable[[Collection[int]], None]) -> Callable[[], None]:
    """Have `told` called on the running loop with the takes that begin or end; what is returned ends it."""
    known = _listeners.setdefault(asyncio.get_running_loop(), [])
    known.append(told)
    return lambda: known.remove(told)


def tell(takes: Collection[int]) -> None:
    """On the loop."""
    for told in list(_listeners.get(asyncio.get_running_loop(), ())):
        told(takes)


def announce_takes(takes: Collection[int]) -> None:
    """From a thread. Where no server runs nobody listens."""
    for loop in list(_listeners):
        if loop.is_running():
            loop.call_soon_threadsafe(tell, takes)
