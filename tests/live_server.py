"""The ASGI application on a real port, in a thread of the test process, so that tests configure it by the ORM."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


class InFlight:
    """An application, and how many requests and sockets it is still at work on: the end of an answer is not the end of
    its work."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._count = 0
        self._changed = threading.Condition()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        self._add(1)
        try:
            await self._app(scope, receive, send)
        finally:
            self._add(-1)

    def _add(self, number: int) -> None:
        with self._changed:
            self._count += number
            self._changed.notify_all()

    def wait_until_idle(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: not self._count, 60), "a request of this test never ended"


class ThreadedServer(uvicorn.Server):
    """uvicorn on a loop of its own thread; signals stay the test's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.running = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.running.set()


@contextmanager
def serve(app: object) -> Iterator[str]:
    """The base URL of `app`, served until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # any ASGI application
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",
        # No test may meet the moment at which an idle connection is closed.
        timeout_keep_alive=3600,
        timeout_graceful_shutdown=5,
    )
    server = ThreadedServer(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="live-server")
    thread.start()
    try:
        assert server.running.wait(60), "the server did not start"
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
    assert not thread.is_alive(), "the server did not stop"
