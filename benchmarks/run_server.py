"""`python -m benchmarks.run_server upstream` or `… bare UPSTREAM_URL`: serves it under uvicorn on a free port."""

from __future__ import annotations

import logging
import socket
import sys
from typing import Any

import uvicorn

from benchmarks.passthrough import PassThrough
from benchmarks.speech_server import SpeechServer

BACKLOG = 2048
# A kept connection that is closed in the moment it is used would be an error of who uses it.
KEEP_ALIVE_SECONDS = 3600
GRACE_SECONDS = 1


def application(name: str, *arguments: str) -> Any:
    return {"upstream": SpeechServer, "bare": PassThrough}[name](*arguments)


def main(arguments: list[str]) -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    config = uvicorn.Config(
        application(*arguments),
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    # A listening socket answers from here on: who connects early waits in its backlog.
    print(f"ready at http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main(sys.argv[1:])
