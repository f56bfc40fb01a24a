"""Real servers on loopback: any ASGI application, and a TCP server for answers that no framework would send.

`serve` is for synchronous tests; the others leave the test's event loop running while their server ends.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from tests.live_server import serve

__all__ = [
    "Exchange",
    "HURRIED_SECONDS",
    "PATIENT_SECONDS",
    "Stage",
    "WAIT_SECONDS",
    "closed_port",
    "read_request",
    "reset",
    "serve",
    "serve_raw",
    "serving",
]

WAIT_SECONDS = 60
# Time limits of providers: one that nothing here may reach, and one that a test waits out.
PATIENT_SECONDS = 60.0
HURRIED_SECONDS = 1.0

Exchange = Callable[[socket.socket], None]


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections, and that nobody else is given meanwhile."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


class Stage:
    """An application that can be exchanged while it is served, since starting a server for each test takes long."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self.app(scope, receive, send)


@asynccontextmanager
async def serving(app: object) -> AsyncIterator[str]:
    """The base URL of `app`, served until the block ends."""
    server = serve(app)
    url = await asyncio.to_thread(server.__enter__)
    try:
        yield url
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


@asynccontextmanager
async def serve_raw(*connections: Exchange) -> AsyncIterator[str]:
    """The base URL of a server that plays one script for each connection, in order, then closes that connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()
    thread = threading.Thread(target=_play, args=(listener, connections, closing), name="raw-server")
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        closing.set()
        # Wakes the thread, should it still wait for a connection.
        socket.create_connection(listener.getsockname()).close()
        await asyncio.to_thread(thread.join, WAIT_SECONDS)
        listener.close()
    assert not thread.is_alive(), "the raw server did not stop"


def _play(listener: socket.socket, connections: tuple[Exchange, ...], closing: threading.Event) -> None:
    for script in connections:
        connection, _ = listener.accept()
        if closing.is_set():
            connection.close()
            return
        with connection:
            connection.settimeout(WAIT_SECONDS)
            script(connection)
    closing.wait(WAIT_SECONDS)


def read_request(connection: socket.socket) -> bytes:
    """One whole request with a Content-Length body; empty when the client closes first."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0]) - len(body) if lengths else 0
    while missing > 0:
        body += (chunk := connection.recv(65536))
        missing -= len(chunk)
    return head + b"\r\n\r\n" + body


def reset(connection: socket.socket) -> None:
    """Close with RST in place of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
