from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections
from django.utils.module_loading import import_string

from api.exposure import open_api_refusal
from api.models import ServerSettings
from neiroha_site.announcement import announcement
from neiroha_site.checks import TAG, check_file_storage
from neiroha_site.data_folder import DataFolderLock
from neiroha_site.database_lock import alone_at_start, serving_lock
from neiroha_site.first_run import make_admin, make_default_bank
from neiroha_site.listening import bind, close, is_wildcard, local_url
from neiroha_site.memory import share_heaps
from neiroha_site.serving import INTERRUPTED, SERVERS
from providers.logs import said_as_json


def port_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ArgumentTypeError(f"{text!r} is not a port: give a whole number from 0 (any free one) to 65535.")
    return int(text)


class Command(BaseCommand):
    help = "Run the server: the API and the pages. The first run makes a bank with the embedded voice."
    # Those that concern a start are run, and told in one line each, below.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="", help="Address to listen on; wins over NEIROHA_HOST and the settings.")
        parser.add_argument("--port", type=port_number, help="Port to listen on; wins likewise. 0: any free one.")
        parser.add_argument(
            "--server",
            choices=SERVERS,
            default="uvicorn",
            help="daphne is for comparison: it holds whole bodies in memory and cuts running answers when it ends.",
        )

    def handle(self, *, host: str, port: int | None, server: str, **options: Any) -> None:
        # What the server writes is for its own user: keys, recordings, the database.
        os.umask(0o077)
        share_heaps()
        try:
            refuse_bad_configuration()
            with DataFolderLock(settings.DATA_DIR, shared=bool(settings.REDIS_URL)), serving_lock():
                code = self._serve(host, port, server)
        except CommandError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        if code:
            sys.exit(code)

    def _serve(self, host: str, port: int | None, server: str) -> int:
        with alone_at_start():
            current = prepare_database()
        host = host or settings.BIND_HOST or current.host
        port = (settings.BIND_PORT or current.port) if port is None else port
        if refusal := open_api_refusal(host, current.access):
            raise CommandError(refusal)
        settings.LISTENING_HOST = host
        for problem in check_file_storage(None):
            # It may come back by itself, and everything else works meanwhile.
            self._say(f"Files: {problem.msg} {problem.hint} ({problem.id})")
        sockets = bind(host, port)
        try:
            with alone_at_start():
                make_default_bank()
                if settings.ADMIN_PASSWORD:
                    make_admin(settings.ADMIN_PASSWORD)
            allow_host(host)
            text = announcement(host, sockets[0].getsockname()[1], current)
            connections.close_all()
            return SERVERS[server](import_string(settings.ASGI_APPLICATION), sockets, text, self._say)
        finally:
            close(sockets)

    def _say(self, text: str) -> None:
        self.stdout.write(said_as_json(text) if settings.LOG_FORMAT == "json" else text)
        self.stdout.flush()


def refuse_bad_configuration() -> None:
    found = [message for message in checks.run_checks(tags=[TAG]) if message.is_serious()]
    if found:
        raise CommandError("\n".join(f"Configuration: {one.msg} {one.hint or ''} ({one.id})" for one in found))


def prepare_database() -> ServerSettings:
    try:
        call_command("migrate", verbosity=0, interactive=False)
        return ServerSettings.load()
    except DatabaseError as error:
        name = connections["default"].settings_dict["NAME"]
        raise CommandError(f"The database {name} can't be used: {error}.") from error


def allow_host(host: str) -> None:
    """The pages answer under the address that the server was told to listen on."""
    if not is_wildcard(host):
        settings.ALLOWED_HOSTS.append(urlsplit(local_url(host, 0)).netloc.removesuffix(":0"))
