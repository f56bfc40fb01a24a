from __future__ import annotations

import os
import signal
import sys
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from api.monitoring.server import start_metrics_server
from neiroha_site.management.commands.serve import port_number
from providers.metrics import SHARED


class Command(BaseCommand):
    help = "Serve the figures of a machine's workers to Prometheus; `work --metrics-port` starts it, too."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="Address to listen on; 127.0.0.1 unless given.")
        parser.add_argument("--port", type=port_number, default=9101, help="Port to listen on; 9101 unless given.")

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        try:
            if not os.path.isdir(os.environ.get(SHARED, "")):
                raise CommandError(f"Set {SHARED} to the folder in which the workers count: theirs is set to it, too.")
            serve_until_asked_to_end(host, port)
        except CommandError as error:
            sys.exit(str(error))


def not_served(host: str, port: int, error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return f"Figures can't be served at {host}, port {port}: {reason}."


def serve_until_asked_to_end(host: str, port: int) -> None:
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: ending.set())
    try:
        server = start_metrics_server(port, host)
    except OSError as error:
        raise CommandError(not_served(host, port, error)) from error
    ending.wait()
    server.close()
