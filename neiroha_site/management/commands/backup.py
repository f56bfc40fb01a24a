from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from neiroha_site.backup.making import make_backup


class Command(BaseCommand):
    help = "Keep everything in one file: the database, the files and the keys. The server may run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="A new file, such as neiroha.tar.gz.")

    def handle(self, *, file: Path, **options: Any) -> None:
        amount = make_backup(file)
        self.stdout.write(
            f"{file} holds {amount.rows} rows and {amount.files} files. It holds the keys, too: keep it where nobody"
            " else can read it."
        )
