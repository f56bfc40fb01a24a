"""Running the application on sockets that are bound already: uvicorn by default, daphne on request."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.lifespan.on import LifespanOn

from api.monitoring.readiness import readiness
from neiroha_site.listening import BACKLOG, close
from neiroha_site.memory import keep_what_a_start_made

if TYPE_CHECKING:
    from uvicorn.config import HTTPProtocolType

type Application = Callable[..., Any]
type Say = Callable[[str], None]

GRACE_SECONDS = 10
CLEANUP_SECONDS = 5
MAX_HEAD_BYTES = 64 * 1024
# Silent connections cost a file each.
HEAD_SECONDS = 20
# Longer than clients keep an idle connection, so that it is never the server who closes one that is about to be used.
KEEP_ALIVE_SECONDS = 75
INTERRUPTED = 130


def run_uvicorn(application: Application, sockets: list[socket.socket], announcement: str, say: Say) -> int:
    """Serve until SIGINT or SIGTERM; the exit code.

    Running answers have GRACE_SECONDS to finish; another SIGINT ends them at once.
    """
    server = _Server(_configuration(application), announcement, say)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(server.serve(sockets))
    return INTERRUPTED if server.interrupted else 0


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _configuration(application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=_http_protocol(),
        ws="websockets-sansio",
        ws_max_size=1024 * 1024,
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        # The application decides whom it believes about addresses and schemes.
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        # Cancelling what even then does not end is the last resort.
        timeout_graceful_shutdown=GRACE_SECONDS + CLEANUP_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


def _http_protocol() -> type[asyncio.Protocol] | HTTPProtocolType:
    try:
        from neiroha_site.http_protocol import BoundedHttpProtocol
    except ImportError:  # no httptools on this system
        return "h11"
    return BoundedHttpProtocol


class _Server(uvicorn.Server):
    """uvicorn's server that announces itself once it answers, and ends without raising its signals again."""

    def __init__(self, config: uvicorn.Config, announcement: str, say: Say) -> None:
        super().__init__(config)
        self._announcement = announcement
        self._say = say
        self.interrupted = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        keep_what_a_start_made()
        if not self.should_exit:
            self._say(self._announcement)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.server_state.tasks:
            self._say(f"Stopping; running answers have {GRACE_SECONDS} seconds. Ctrl-C ends them at once.")
        ending = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._end_answers)
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            self.interrupted = True
            self._loop.call_soon_threadsafe(self._end_answers)
        self.should_exit = True
        readiness.stop()

    def _end_answers(self) -> None:
        """The application sees its clients leave, and cleans up as it does then."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def run_daphne(application: Application, sockets: list[socket.socket], announcement: str, say: Say) -> int:
    """Serve with daphne, the server that `runserver` uses while developing.

    Its limits, which the default server doesn't have: it takes a request's whole body in before the application sees
    a byte, leaves the client waiting when a stream fails, holds a slow reader's whole answer in memory, cuts running
    answers when it ends, and takes the root path from a client's Daphne-Root-Path header.
    """
    from daphne.endpoints import build_endpoint_description_strings
    from daphne.server import Server, twisted_loop

    # Twisted binds for itself, and can't adopt a socket of every family.
    addresses = [one.getsockname()[:2] for one in sockets]
    close(sockets)
    endpoints = [line for host, port in addresses for line in build_endpoint_description_strings(host=host, port=port)]
    lifespan = LifespanOn(uvicorn.Config(application, lifespan="on", log_config=None))
    twisted_loop.run_until_complete(lifespan.startup())
    if lifespan.should_exit:
        return 1
    Server(application, endpoints=endpoints, verbosity=0, ready_callable=lambda: say(announcement)).run()
    twisted_loop.run_until_complete(lifespan.shutdown())
    return 0


SERVERS: dict[str, Callable[[Application, list[socket.socket], str, Say], int]] = {
    "uvicorn": run_uvicorn,
    "daphne": run_daphne,
}
