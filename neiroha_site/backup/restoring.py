"""Putting an installation back as a backup has it: all of its database, its files and its keys, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from banks.storage import private_storage
from neiroha_site.backup.archive import (
    DATABASE,
    FILES,
    FORMAT,
    MANIFEST,
    SECRETS,
    Amount,
    ArchiveUnreadable,
    Contents,
    Part,
    parsed,
    parts,
)
from neiroha_site.backup.making import stored_files
from neiroha_site.backup.tables import Tables, applied_migrations, node
from neiroha_site.environment import env_secret
from providers.whole_files import whole_file

# What an installation has before anybody used it.
_MADE_BY_ITSELF = {
    "contenttypes.ContentType",
    "auth.Permission",
    "auth.Group",
    "auth.Group_permissions",
    "api.ServerSettings",
    "providers.ConfigurationVersion",
    "studio.StudioSettings",
}
_VARIABLES = {"secret_key": "NEIROHA_SECRET_KEY", "field_keys": "NEIROHA_FIELD_KEYS"}

# Where files wait whose names others have; the backup of no version has such a folder.
_ASIDE = "restored"

type Say = Callable[[str], None]


def check(path: Path) -> tuple[Contents, Amount]:
    """Read all of it and change nothing. ArchiveUnreadable; CommandError for what this version can't restore."""
    contents, found = None, Amount()
    with path.open("rb") as file:
        for part in parts(file):
            if part.name == MANIFEST:
                contents = Contents.read(part.content())
                _require_known(contents)
            elif part.kind == DATABASE:
                found.rows += _count(part, contents)
                found.size += part.size
            elif part.kind == FILES:
                found.files += 1
                found.size += part.size
            elif part.kind != SECRETS and parsed(part.content()) != {
                "rows": found.rows,
                "files": found.files,
                "size": found.size,
            }:
                raise ArchiveUnreadable("The backup holds less, or more, than it says.")
    assert contents is not None, "the first of its parts"
    return contents, found


def is_empty() -> bool:
    """Whether nobody has used this installation yet."""
    if any(True for _ in stored_files(private_storage())):
        return False
    try:
        if not applied_migrations():
            return True
        models = [model for model in apps.get_models(include_auto_created=True) if not model._meta.proxy]
        return not any(model._base_manager.exists() for model in models if model._meta.label not in _MADE_BY_ITSELF)
    except DatabaseError:
        # The tables of another version, or what is no database: somebody has had something here.
        return False


def restore(path: Path, contents: Contents, amount: Amount, say: Say) -> None:
    """In place of whatever is there. No server may run. CommandError."""
    storage, tables = private_storage(), Tables(node(name) for name in contents.migrations)
    _require_space(storage, amount)
    files, secrets = _Files(storage), dict[str, bytes]()
    with files.undone_on_failure(), _new_database(tables), path.open("rb") as file:
        for part in parts(file):
            if part.kind == SECRETS:
                secrets[part.name.partition("/")[2]] = part.content()
            elif part.kind == DATABASE:
                tables.load(_label(part), part.content())
            elif part.kind == FILES:
                files.store(part)
        tables.settle()
    ContentType.objects.clear_cache()
    for name, content in sorted(secrets.items()):
        _keep_secret(name, content.decode("ascii", "replace").strip(), say)
    files.settle()
    call_command("migrate", verbosity=0, interactive=False)


def _require_known(contents: Contents) -> None:
    if contents.format > FORMAT:
        raise CommandError(
            f"The backup was made by Neiroha {contents.version}, and this is {settings.VERSION}: take the newer one."
        )
    tables = Tables(node(name) for name in contents.migrations)
    if tables.columns() != contents.tables:
        raise ArchiveUnreadable("The backup's tables are not those of the version that it names.")


def _count(part: Part, contents: Contents | None) -> int:
    if contents is None or _label(part) not in contents.tables:
        raise ArchiveUnreadable(f"The backup holds {part.name}, and no such table.")
    return part.content().count(b"\n")


def _label(part: Part) -> str:
    return part.name.split("/")[1]


def _require_space(storage: Storage, amount: Amount) -> None:
    if not isinstance(storage, FileSystemStorage):
        return
    free = shutil.disk_usage(settings.DATA_DIR).free
    if amount.size > free:
        raise CommandError(f"The backup needs {amount.size >> 20} MB, and the disk has {free >> 20} MB.")


@contextmanager
def _new_database(tables: Tables) -> Iterator[None]:
    """Empty tables of that version, in place of all that was there once the block ends well."""
    with _new_file() if connection.vendor == "sqlite" else transaction.atomic():
        if set(applied_migrations()) != tables.applied:
            _drop_all()
            MigrationExecutor(connection).migrate(tables.leaves)
        # Each on its own, as what follows refers to rows that come later.
        with transaction.atomic():
            tables.empty()
            yield


@contextmanager
def _new_file() -> Iterator[None]:
    """A database beside the one that is there, which it replaces."""
    name = Path(connection.settings_dict["NAME"])
    new = name.with_name(name.name + ".restored")
    _remove(new)
    connection.close()
    connection.settings_dict["NAME"] = new
    try:
        yield
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        # The old one's, which is closed: whatever they hold is in it.
        _remove(name, "-wal", "-shm")
        new.replace(name)
    finally:
        connection.close()
        _remove(new)
        connection.settings_dict["NAME"] = name


def _remove(database: Path, *endings: str) -> None:
    for ending in endings or ("", "-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)


def _drop_all() -> None:
    """Our tables; what else lies in the database is somebody else's."""
    there = set(connection.introspection.table_names())
    ours = {model._meta.db_table for model in Tables(applied_migrations()).models.values()}
    with connection.cursor() as cursor:
        for table in sorted((ours | {MigrationRecorder.Migration._meta.db_table}) & there):
            cursor.execute(f"DROP TABLE {connection.ops.quote_name(table)} CASCADE")


class _Files:
    """The storage's files, which only take the place of others of their names once the database is restored."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._before = set(stored_files(storage))
        self._places: dict[str, str] = {}
        """Of each file of the backup: under which name it lies meanwhile."""

    def store(self, part: Part) -> None:
        name = part.name.removeprefix(f"{FILES}/")
        place = self._places[name] = f"{_ASIDE}/{name}" if name in self._before else name
        with suppress(FileNotFoundError):
            # Of a restoration that was cut off.
            self._storage.delete(place)
        self._save(place, File(cast("IO[Any]", part), place))

    @contextmanager
    def undone_on_failure(self) -> Iterator[None]:
        with ExitStack() as undo:
            undo.callback(self._undo)
            yield
            undo.pop_all()

    def _undo(self) -> None:
        for place in self._places.values():
            self._storage.delete(place)

    def settle(self) -> None:
        waiting = {name: place for name, place in self._places.items() if place != name}
        for name, place in waiting.items():
            self._storage.delete(name)
            with self._storage.open(place) as file:
                self._save(name, file)
            self._storage.delete(place)
        for name in self._before - self._places.keys() - set(waiting.values()):
            self._storage.delete(name)

    def _save(self, name: str, file: File) -> None:  # type: ignore[type-arg]  # generic in its stubs only
        try:
            if self._storage.save(name, file) != name:
                raise CommandError(f"The file {name} could not be put in its place.")
        except OSError as error:
            raise CommandError(f"The file {name} can't be written: {error.strerror or error}.") from error


def _keep_secret(name: str, secret: str, say: Say) -> None:
    path, variable = settings.DATA_DIR / SECRETS / name, _VARIABLES[name]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(secret.replace(",", "\n").encode() + b"\n")
    given = {key.strip() for key in env_secret(variable).split(",")} - {""}
    if given and not set(secret.split()) <= given:
        say(f"{variable} is set to something else than the backup has, which lies in {path}: put that into it.")
