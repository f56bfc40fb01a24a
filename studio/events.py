"""What changes in projects, told to the pages that have them open, through the channel layer; and which takes of no
project changed their state, told to whoever listens on the servers' loops.

A batch changes many lines in a moment: what comes within FLUSH_SECONDS is one message for each project. Where several
processes share the work, takes too are told of through the channel layer, to the loops of all servers.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import batched
from typing import Any, TypedDict
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.conf import settings

from providers.broadcast import send, send_from_thread

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.02
# A message with more is one for all lines.
MOST_LINES = 500
# Groups of the channel layer: the loops of servers, which hear of takes, and those that speak.
TAKES, SPEAKERS = "takes", "speakers"
# Before another try to listen where the channel layer does not answer.
RETRY_SECONDS = 1.0
# For telling the last of it at the end, while Redis is away.
CLOSE_SECONDS = 2.0
# Of this process: what it told comes back to it, too.
_ORIGIN = secrets.token_hex(8)


class ProjectChanged(TypedDict):
    """`lines` None stands for all of them; `structure`: lines came, went or moved."""

    type: str
    lines: list[int] | None
    structure: bool


class TakesChanged(TypedDict):
    """They began or ended."""

    type: str
    takes: list[int]
    origin: str


def group(project_id: int) -> str:
    return f"project-{project_id}"


class Publisher:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._lines: dict[int, set[int]] = {}
        self._structure: set[int] = set()
        self._takes: set[int] = set()
        self._flushing: asyncio.Task[None] | None = None

    def note(self, project_id: int, lines: Iterable[int] = (), *, structure: bool = False) -> None:
        self._lines.setdefault(project_id, set()).update(lines)
        if structure:
            self._structure.add(project_id)
        self._begin()

    def note_takes(self, takes: Iterable[int]) -> None:
        """Of no project, for other processes."""
        self._takes.update(takes)
        self._begin()

    async def close(self) -> None:
        """Once what was noted is told, where that is soon."""
        if self._flushing is not None:
            await asyncio.wait([self._flushing], timeout=CLOSE_SECONDS)
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)

    def _begin(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        while self._lines or self._takes:
            await asyncio.sleep(FLUSH_SECONDS)
            lines, structure, takes = self._lines, self._structure, self._takes
            self._lines, self._structure, self._takes = {}, set(), set()
            for project_id, changed in lines.items():
                await send(group(project_id), _project_changed(changed, structure=project_id in structure))
            for some in batched(sorted(takes), MOST_LINES):
                await send(TAKES, _takes_changed(some))


def _project_changed(lines: Collection[int], *, structure: bool) -> ProjectChanged:
    told = sorted(lines) if len(lines) <= MOST_LINES else None
    return ProjectChanged(type="project.changed", lines=told, structure=structure)


def _takes_changed(takes: Iterable[int]) -> TakesChanged:
    return TakesChanged(type="takes.changed", takes=sorted(takes), origin=_ORIGIN)


_publishers: WeakKeyDictionary[asyncio.AbstractEventLoop, Publisher] = WeakKeyDictionary()


def open_publisher() -> Publisher:
    opened = _publishers[asyncio.get_running_loop()] = Publisher()
    return opened


async def close_publisher() -> None:
    if known := _publishers.pop(asyncio.get_running_loop(), None):
        await known.close()


def announce(project_id: int, lines: Collection[int] = (), *, structure: bool = False) -> None:
    """From a thread."""
    running = [(loop, publisher) for loop, publisher in list(_publishers.items()) if loop.is_running()]
    for loop, publisher in running:
        loop.call_soon_threadsafe(partial(publisher.note, project_id, lines, structure=structure))
    if not running:
        send_from_thread(group(project_id), _project_changed(lines, structure=structure))


async def hear(name: str, told: Callable[[Any], None], ready: Callable[[], None] | None = None) -> None:
    """Have `told` called with each message to a group of the channel layer, until cancelled; `ready` is called once it
    hears."""
    layer: Any = get_channel_layer()
    deaf = False
    while True:
        try:
            channel = await layer.new_channel()
            await layer.group_add(name, channel)
            deaf = False
            if ready:
                ready()
            try:
                while True:
                    told(await layer.receive(channel))
            finally:
                await _leave(layer, name, channel)
        except Exception as error:
            if not deaf:
                logger.warning("Other processes can't be heard; it is tried again: %s", error)
            deaf = True
            await asyncio.sleep(RETRY_SECONDS)


async def _leave(layer: Any, name: str, channel: str) -> None:
    try:
        async with asyncio.timeout(RETRY_SECONDS):
            await layer.group_discard(name, channel)
    except Exception as error:
        # Where there is no Redis nobody is listed as one who hears.
        logger.warning("The group “%s” could not be left: %s", name, error)


async def tell_speakers() -> None:
    """That there is something new to speak, or something that is not wanted any more."""
    layer: Any = get_channel_layer()
    await layer.group_send(SPEAKERS, {"type": "work.changed"})


# Takes of no project.

_listeners: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Callable[[Collection[int]], None]]] = WeakKeyDictionary()


def listen(told: Callable[[Collection[int]], None]) -> Callable[[], None]:
    """Have `told` called on the running loop with the takes that begin or end; what is returned ends it."""
    known = _listeners.setdefault(asyncio.get_running_loop(), [])
    known.append(told)
    return lambda: known.remove(told)


def tell(takes: Collection[int]) -> None:
    """On the loop."""
    _tell_here(takes)
    publisher = _publishers.get(asyncio.get_running_loop())
    if settings.REDIS_URL and publisher is not None:
        publisher.note_takes(takes)


def announce_takes(takes: Collection[int]) -> None:
    """From a thread."""
    for loop in list(_listeners):
        if loop.is_running():
            loop.call_soon_threadsafe(_tell_here, takes)
    if settings.REDIS_URL and takes:
        send_from_thread(TAKES, _takes_changed(takes))


async def hear_others() -> None:
    """Tell on this loop what other processes told of takes, until cancelled. Nobody is there without Redis."""

    def told(message: TakesChanged) -> None:
        if message["origin"] != _ORIGIN:
            _tell_here(message["takes"])

    if settings.REDIS_URL:
        await hear(TAKES, told)


def _tell_here(takes: Collection[int]) -> None:
    for told in list(_listeners.get(asyncio.get_running_loop(), ())):
        told(takes)
