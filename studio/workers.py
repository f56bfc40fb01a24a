"""The runner's place in a server that speaks no takes itself, since workers do: it tells them, and hears of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from providers.database import in_database
from providers.engine import Engine
from studio import drivers, events
from studio.models import Take
from studio.stages import Stage, stages_in

logger = logging.getLogger(__name__)


class Workers:
    """Belongs to one event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._news = asyncio.Event()
        events.open_publisher()
        self._telling = asyncio.get_running_loop().create_task(self._tell())

    def wake(self) -> None:
        """There is something new to do."""
        self._news.set()

    async def stop(self, pks: Iterable[int]) -> None:
        """End these takes. Whoever speaks one of them hears of it, or reads it within a second."""
        await in_database(Take.objects.filter(pk__in=list(pks)).cancel)
        self.wake()

    async def rest(self) -> None:
        """Nothing is spoken here."""

    async def stages(self, project_id: int | None = None) -> dict[int, Stage]:
        return await stages_in(self._engine, project_id)

    async def close(self) -> None:
        self._telling.cancel()
        await asyncio.gather(self._telling, return_exceptions=True)
        await events.close_publisher()

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            # Those at work go on with it; somebody who is free begins where there is more than they can do.
            told = await asyncio.gather(events.tell_speakers(), asyncio.to_thread(drivers.call), return_exceptions=True)
            for error in told:
                if isinstance(error, Exception):
                    logger.warning("Workers could not be told; they look by themselves: %s", error)
