from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from neiroha_site.backup.making import make_backup


class Command(BaseCommand):
    help = "Keep everything in one file: the database, the files and the keys. The server may run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="A new file, such as neiroha.tar.gz.")

    def handle(self, *, file: Path, **options: Any) -> None:
        try:
            amount = make_backup(file)
        except DatabaseError as error:
            raise CommandError(f"The database can't be read: {error}.") from error
        self.stdout.write(
            f"{file} holds {amount.rows} rows and {amount.files} files. It holds the keys, too: keep it where nobody"
            " else can read it."
        )
