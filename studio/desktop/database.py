"""Reading an SQLite file that may be damaged or hostile: never written to, nothing in it is run, and all is bounded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.utils.translation import gettext as _

from providers.errors import InvalidRequest
from studio.desktop.schema import SIGNS

MAGIC = b"SQLite format 3\0"
MOST_BYTES = 512 * 1024 * 1024
# Of one table, of one cell, and of all that is read, in which pages that are named twice count twice.
MOST_ROWS, MOST_CELL, MOST_READ = 400_000, 16 * 1024 * 1024, 256 * 1024 * 1024
# Steps of SQLite's machine; a table of the most rows takes a twentieth.
_STEPS, _STEPS_A_CALL = 200_000_000, 1_000_000
_MOST_TABLES = 1000
# Controls, which would also drive a terminal; line ends and tabs stay.
_NO_TEXT = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {0x09, 0x0A, 0x0D})
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
# The newest date that is believed, and how many digits of a number are.
_NEWEST = 4_102_444_800
_MOST_NUMBER = 2**31 - 1


class DesktopUnreadable(InvalidRequest):
    """Not a database of the desktop application, or not one that can be read."""


class Row:
    """One row, by column. What is missing, or of another type than is asked for, is as empty."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, column: str, longest: int | None = None) -> str:
        """Without what no text holds, nor white space at its ends."""
        value = self._values.get(column)
        if isinstance(value, int | float):
            value = str(value)
        return value.translate(_NO_TEXT).strip()[:longest].strip() if isinstance(value, str) else ""

    def number(self, column: str) -> int | None:
        """One that a column of ours holds, and not a negative one."""
        value = self._values.get(column)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return value if isinstance(value, int) and 0 <= value <= _MOST_NUMBER else None

    def real(self, column: str) -> float | None:
        value = self._values.get(column)
        # SQLite stores no NaN, but does store what is infinite.
        return float(value) if isinstance(value, int | float) and abs(value) < _MOST_NUMBER else None

    def flag(self, column: str, default: bool) -> bool:
        value = self._values.get(column)
        return bool(value) if isinstance(value, int) else default

    def moment(self, column: str) -> datetime | None:
        """Seconds since 1970, or ISO 8601."""
        value = self._values.get(column)
        if isinstance(value, int | float) and 0 <= value <= _NEWEST:
            return datetime.fromtimestamp(value, UTC)
        try:
            found = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            return None
        return found.replace(tzinfo=found.tzinfo or UTC) if found else None


class Database:
    """An opened file. `version` is the application's own count of its tables' versions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._read = 0
        self.version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        # Views have no root page, nor have tables that a program computes.
        listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0")
        names = [name for (name,) in listed.fetchmany(_MOST_TABLES) if isinstance(name, str)]
        self._columns = {name: self._columns_of(name) for name in names}
        connection.set_authorizer(_allow)

    def _columns_of(self, table: str) -> frozenset[str]:
        """Those that are stored; what is computed is not named."""
        described = self._connection.execute(f"PRAGMA table_info({_quoted(table)})")
        return frozenset(name for _id, name, *_rest in described if isinstance(name, str))

    def has(self, table: str, column: str) -> bool:
        return column in self._columns.get(table, ())

    def rows(self, table: str, *columns: str) -> Iterator[Row]:
        """As they lie; nothing where there is no such table. DesktopUnreadable."""
        known = [column for column in columns if self.has(table, column)]
        if "id" not in known:
            return
        asked = ", ".join(map(_quoted, known))
        with _translated():
            for number, values in enumerate(self._connection.execute(f"SELECT {asked} FROM {_quoted(table)}")):
                if number == MOST_ROWS:
                    raise DesktopUnreadable(_("The table %s has more rows than are taken.") % table)
                self._count(values)
                yield Row(dict(zip(known, values, strict=True)))

    def _count(self, values: tuple[Any, ...]) -> None:
        self._read += sum(len(value) for value in values if isinstance(value, str | bytes))
        if self._read > MOST_READ:
            raise DesktopUnreadable(_("The database holds more text than is taken."))


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    """DesktopUnreadable, with what to do about it."""
    _check_file(path)
    with _translated():
        # Immutable: no lock, no journal, and none that lies beside it is played back.
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True, timeout=0)
    with closing(connection):
        with _translated():
            _restrict(connection)
            database = Database(connection)
        for table, columns in SIGNS.items():
            if not all(database.has(table, column) for column in columns):
                raise DesktopUnreadable(_("This is not a database of the Neiroha desktop application."))
        yield database


def _check_file(path: Path) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise DesktopUnreadable(_("The file can't be read: %s.") % error.strerror) from error
    if magic != MAGIC:
        raise DesktopUnreadable(_("This is not an SQLite database. The desktop application's is called neiroha.db."))
    if size > MOST_BYTES:
        raise DesktopUnreadable(_("The database is larger than %d MB.") % (MOST_BYTES // 1024**2))
    for ending in ("-wal", "-journal"):
        beside = path.with_name(path.name + ending)
        if beside.exists() and beside.stat().st_size:
            text = _("Beside it lies %s, with changes that it lacks: close the desktop application, then try again.")
            raise DesktopUnreadable(text % beside.name)


def _restrict(connection: sqlite3.Connection) -> None:
    connection.text_factory = _decoded
    for switch, on in (
        (sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True),
        (sqlite3.SQLITE_DBCONFIG_TRUSTED_SCHEMA, False),
        (sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False),
        (sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW, False),
    ):
        connection.setconfig(switch, on)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_CELL)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.set_progress_handler(_Steps(), _STEPS_A_CALL)


class _Steps:
    """Stops SQLite once it has worked for so long."""

    def __init__(self) -> None:
        self._left = _STEPS // _STEPS_A_CALL

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


def _allow(action: int, *_what: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # The latter comes of what SQLite would say, with names out of the file.
        raise DesktopUnreadable(_("The database is damaged, or no copy of a whole file: copy it again.")) from error
