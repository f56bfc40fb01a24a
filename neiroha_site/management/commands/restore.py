from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from neiroha_site.backup import restoring
from neiroha_site.data_folder import DataFolderLock
from neiroha_site.database_lock import alone


class Command(BaseCommand):
    help = "Put everything back as a backup has it, into an empty installation. No server may run."
    # The database may be empty, or that of another version.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="What `backup` made.")
        parser.add_argument("--replace", action="store_true", help="Also where there is something already: it is lost.")

    def handle(self, *, file: Path, replace: bool, **options: Any) -> None:
        # What is restored is for this user only.
        os.umask(0o077)
        try:
            contents, amount = restoring.check(file)
            with DataFolderLock(settings.DATA_DIR), alone():
                if not replace and not restoring.is_empty():
                    raise CommandError(
                        "This installation is in use: restore into an empty one, or lose what it holds with --replace."
                    )
                restoring.restore(file, contents, amount, self.stdout.write)
        except OSError as error:
            raise CommandError(f"{file} can't be restored: {error.strerror or error}.") from error
        self.stdout.write(
            f"{amount.rows} rows and {amount.files} files are back, as Neiroha {contents.version} had them at"
            f" {contents.made_at[:19].replace('T', ' ')} UTC."
        )
