"""The routes of WebSockets, and the queue's page as a live one."""

from __future__ import annotations

import asyncio
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.template.loader import render_to_string
from django.urls import path

from neiroha_site.pages import queue_context
from providers.engine import current_engine
from studio.consumers import ProjectLive
from studio.live import FORBIDDEN, LivePage, SameOrigin

LOOK_SECONDS = 0.25
# What runs and waits shows how long.
TICK_SECONDS = 1.0


class QueueLive(LivePage):
    permissions = ("providers.view_provider", "providers.change_provider")

    async def connect(self) -> None:
        self._seen = -1
        self._engine = current_engine()
        self._snapshot = await self._engine.queue.snapshot()
        await super().connect()

    async def changed(self) -> None:
        loop = asyncio.get_running_loop()
        since = loop.time()
        while True:
            queue = self._engine.queue
            if queue.changes != self._seen or (queue.busy and loop.time() - since >= TICK_SECONDS):
                self._seen = queue.changes
                self._snapshot = await queue.snapshot()
                return
            await asyncio.sleep(LOOK_SECONDS)

    def render(self) -> str:
        now = self._engine.queue.clock.monotonic()
        return render_to_string("admin/queue_live.html", queue_context(self.scope["user"], self._snapshot, now))


async def _nowhere(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close", "code": FORBIDDEN})


def routes() -> Any:
    sockets: list[Any] = [
        path("admin/queue/live/", QueueLive.as_asgi()),
        path("studio/projects/<int:pk>/live/", ProjectLive.as_asgi()),
        path("<path:rest>", _nowhere),  # type: ignore[arg-type]
    ]
    return SameOrigin(AuthMiddlewareStack(URLRouter(sockets)))
