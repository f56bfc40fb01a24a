"""Making a backup, while the server runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePath

from django.conf import settings
from django.core.files.storage import Storage
from django.core.management.base import CommandError
from django.db import connection, transaction

from banks.storage import private_storage
from neiroha_site.backup.archive import DATABASE, FILES, FORMAT, MANIFEST, SECRETS, Amount, Contents, Writer
from neiroha_site.backup.tables import Tables, applied_migrations
from providers.whole_files import PART, whole_file


def make_backup(path: Path) -> Amount:
    """Write it to a new file, whole or not at all, for its owner only. CommandError."""
    if path.exists():
        raise CommandError(f"There is a file {path} already: name another.")
    tables = Tables(applied_migrations())
    if not tables.applied:
        raise CommandError("The database is empty: there is nothing to keep.")
    try:
        with whole_file(path) as file, closing(Writer(file)) as archive:
            return _written(archive, tables)
    except OSError as error:
        raise CommandError(f"The backup can't be written: {error.strerror or error}.") from error


def _written(archive: Writer, tables: Tables) -> Amount:
    archive.add(MANIFEST, _contents(tables).as_json())
    archive.add(f"{SECRETS}/field_keys", "\n".join(settings.FIELD_KEYS).encode())
    archive.add(f"{SECRETS}/secret_key", settings.SECRET_KEY.encode())
    with snapshot():
        for label in tables.models:
            for number, rows in enumerate(tables.dump(label), start=1):
                archive.add_rows(f"{DATABASE}/{label}/{number:06}.jsonl", rows)
    # After the rows, so that what they name is there; what came since is named by none, and is cleared away later.
    storage = private_storage()
    for name in sorted(stored_files(storage)):
        # Somebody may have deleted it by now.
        with suppress(FileNotFoundError), storage.open(name) as stored:
            archive.add_file(f"{FILES}/{name}", stored.size, stored)
    archive.end()
    return archive.amount


def _contents(tables: Tables) -> Contents:
    applied = [".".join(node) for node in sorted(tables.applied)]
    return Contents(FORMAT, settings.VERSION, datetime.now(UTC).isoformat(), applied, tables.columns())


@contextmanager
def snapshot() -> Iterator[None]:
    """All that is read in this block is as it was at one moment, and nobody who writes waits for it."""
    if connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
        return
    with connection.cursor() as cursor:
        # Django's own transactions would keep writers out.
        cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def stored_files(storage: Storage, folder: str = "") -> Iterator[str]:
    """The names of all that is stored, but for what is just being written."""
    try:
        folders, names = storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        if not name.startswith(".") and not name.endswith(PART):
            yield str(PurePath(folder, name))
    for name in folders:
        yield from stored_files(storage, str(PurePath(folder, name)))
