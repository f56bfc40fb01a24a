"""/metrics and /health/live of a process that answers no requests, such as a worker."""

from __future__ import annotations

import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.db import DatabaseError, close_old_connections
from rest_framework.exceptions import APIException, NotAuthenticated

from api.authentication import key_in
from api.monitoring.permission import check_metrics_key
from api.monitoring.scrape import WORKER, Exposition, scrape
from api.state import api_state
from providers import versions

logger = logging.getLogger(__name__)

# A client that says nothing, or takes nothing, must not hold a thread for ever.
STALL_SECONDS = 10.0
_TEXT = "text/plain; charset=utf-8"


class MetricsServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("Somebody who asked for metrics left.", exc_info=True)

    def close(self) -> None:
        self.shutdown()
        self.server_close()


def start_metrics_server(port: int, host: str = "127.0.0.1") -> MetricsServer:
    """Serve this process's figures from a thread of its own, to API keys of scope metrics only. OSError where the port
    can't be had; the caller closes it."""
    server = MetricsServer((host, port), _Handler)
    threading.Thread(target=server.serve_forever, name="metrics-server", daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    timeout = STALL_SECONDS
    server_version, sys_version = "Neiroha", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removesuffix("/")
        if path == "/health/live":
            self._answer(200, Exposition(b"ok\n", _TEXT))
        elif path == "/metrics":
            self._answer(*self._metrics())
        else:
            self._answer(404, _told("There is nothing at this address."))

    def _metrics(self) -> tuple[int, Exposition]:
        try:
            key = key_in(self.headers.get("Authorization", ""), self.headers.get("X-API-Key", ""))
            if not key:
                raise NotAuthenticated("Metrics need an API key of scope metrics.")
            versions.poll()
            check_metrics_key(key, api_state.get_sync())
            return 200, scrape(WORKER, self.headers.get("Accept", ""))
        except APIException as error:
            return error.status_code, _told(str(error.detail))
        except DatabaseError:
            return 503, _told("The database can't be read at the moment.")
        finally:
            close_old_connections()

    def _answer(self, status: int, written: Exposition) -> None:
        self.send_response(status)
        self.send_header("Content-Type", written.content_type)
        self.send_header("Content-Length", str(len(written.content)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Bearer realm="Neiroha"')
        self.end_headers()
        self.wfile.write(written.content)

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not worth a line."""


def _told(text: str) -> Exposition:
    return Exposition(f"{text}\n".encode(), _TEXT)
