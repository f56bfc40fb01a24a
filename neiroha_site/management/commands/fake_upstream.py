from __future__ import annotations

import inspect
import pkgutil
import socket
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from neiroha_site.listening import bind, close, local_url
from neiroha_site.management.commands.serve import port_number

PACKAGE = "tests.upstreams"
LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 1


class Command(BaseCommand):
    help = "Run a fake provider on loopback, to try things by hand. For development: needs NEIROHA_DEBUG=true."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", help="The kind of provider: a module of tests/upstreams.")
        parser.add_argument("--port", type=port_number, default=0, help="Port to listen on. 0, the default: any free.")

    def handle(self, *, kind: str, port: int, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("A fake provider is for development only: set NEIROHA_DEBUG=true to start one.")
        upstream = make_upstream(kind)
        sockets = bind(LOOPBACK, port)
        url = local_url(LOOPBACK, sockets[0].getsockname()[1])
        self.stdout.write(f"A fake {kind} provider is ready; its base URL is {url} (Ctrl-C ends it)")
        self.stdout.flush()
        # uvicorn has ended everything by the time that it raises the signal again.
        with suppress(KeyboardInterrupt):
            serve(upstream, sockets)


def serve(upstream: Any, sockets: list[socket.socket]) -> None:
    config = uvicorn.Config(
        upstream,
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    try:
        uvicorn.Server(config).run(sockets=sockets)
    finally:
        close(sockets)


def make_upstream(kind: str) -> Any:
    """The ASGI application that plays a provider of this kind, behaving well."""
    kinds = upstream_kinds()
    if kind not in kinds:
        raise CommandError(f"There is no fake of {kind!r}; there are: {', '.join(sorted(kinds))}.")
    return kinds[kind]()


def upstream_kinds() -> dict[str, Callable[[], Any]]:
    """Kind -> the class of its fake: every module of the package with a whole class named ...Upstream is a kind."""
    try:
        package = import_module(PACKAGE)
        names = [found.name for found in pkgutil.iter_modules(package.__path__)]
        modules = {name: import_module(f"{PACKAGE}.{name}") for name in names}
    except ModuleNotFoundError as error:
        message = f"Fake providers come with the source tree and its test dependencies; {error.name} is missing here."
        raise CommandError(message) from error
    return {name: made for name, module in modules.items() for made in _upstreams(module)}


def _upstreams(module: ModuleType) -> list[type[Any]]:
    """Those defined here; what they share is abstract."""
    return [
        member
        for name, member in inspect.getmembers(module, inspect.isclass)
        if name.endswith("Upstream") and member.__module__ == module.__name__ and not inspect.isabstract(member)
    ]
