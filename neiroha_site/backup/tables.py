"""The rows of all tables, in a form that no database has for its own.

Tables are taken as the applied migrations made them, not as this version's models are: so a backup of an older version
is loaded into its own tables, and brought up to date by the migrations that came after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.core.management.color import no_style
from django.db import DatabaseError, connection, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from neiroha_site.backup.archive import ArchiveUnreadable, parsed
from providers.fields import EncryptedTextField

type Model = type[models.Model]
type Node = tuple[str, str]

PART_BYTES = 1 << 20
_AT_ONCE = 500


class Tables:
    """As they are once just these migrations are applied. CommandError for one that is unknown here."""

    def __init__(self, applied: Iterable[Node]) -> None:
        self.applied = set(applied)
        # Without a database: what is applied there is not the question.
        loader = MigrationLoader(None)
        if unknown := sorted(self.applied - set(loader.graph.nodes)):
            raise CommandError(
                f"This was made by a newer version of Neiroha: {settings.VERSION} does not know {'.'.join(unknown[0])}."
            )
        nodes = loader.graph.node_map
        self.leaves = [
            (node.key[0], node.key[1])
            for node in nodes.values()
            if node.key in self.applied
            and not any(child.key[0] == node.key[0] and child.key in self.applied for child in node.children)
        ]
        state = loader.project_state(self.leaves)
        for model in state.models.values():
            model.fields = {name: _plain(field) for name, field in model.fields.items()}
        known: list[Model] = state.apps.get_models(include_auto_created=True)
        self.models = {
            model._meta.label: model
            for model in sorted(known, key=lambda model: model._meta.label)
            if model._meta.managed and not model._meta.proxy
        }

    def columns(self) -> dict[str, list[str]]:
        return {label: [field.attname for field in _fields(model)] for label, model in self.models.items()}

    def dump(self, label: str) -> Iterator[list[bytes]]:
        """Rows as lines, so many at a time as make about PART_BYTES."""
        names = [field.attname for field in _fields(self.models[label])]
        rows, size = list[bytes](), 0
        for values in self.models[label]._base_manager.order_by("pk").values_list(*names).iterator(chunk_size=_AT_ONCE):
            rows.append(_line(dict(zip(names, values, strict=True))))
            size += len(rows[-1])
            if size >= PART_BYTES:
                yield rows
                rows, size = [], 0
        if rows:
            yield rows

    def empty(self) -> None:
        if connection.vendor == "postgresql":
            # Rows refer to others that come later, and migrations in the same transaction have them looked at at once.
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for model in self.models.values():
            model._base_manager.all()._raw_delete(connection.alias)  # with no cascade

    def load(self, label: str, content: bytes) -> int:
        """Insert the rows of one part; how many they are. ArchiveUnreadable."""
        model, count = self.models[label], 0
        fields = {field.attname: field for field in _fields(model)}
        # Not more is a line's end here: JSON writes all others in its own way.
        lines = content.removesuffix(b"\n").split(b"\n")
        for start in range(0, len(lines), _AT_ONCE):
            rows = [model(**_values(fields, line)) for line in lines[start : start + _AT_ONCE]]
            try:
                model._base_manager.bulk_create(rows)
            except (DatabaseError, TypeError, ValueError, ValidationError, OverflowError) as error:
                raise ArchiveUnreadable(f"Rows of {label} can't be stored: {_in_one_line(error)}") from error
            count += len(rows)
        return count

    def settle(self) -> None:
        """Once all is loaded: whatever refers to a row finds it, and what comes next gets keys of its own."""
        try:
            connection.check_constraints()
        except DatabaseError as error:
            raise ArchiveUnreadable(f"The backup's rows don't fit together: {_in_one_line(error)}") from error
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), list(self.models.values())):
                cursor.execute(statement)


def applied_migrations() -> list[Node]:
    return sorted(MigrationRecorder(connection).applied_migrations())


def node(name: str) -> Node:
    app, _, migration = name.partition(".")
    return app, migration


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _fields(model: Model) -> Sequence[Any]:
    return model._meta.local_concrete_fields


def _plain(field: Any) -> Any:
    """The same column without a mind of its own: secrets stay as they are stored, times as they were."""
    if isinstance(field, EncryptedTextField):
        return models.TextField(blank=True, default="", null=field.null)
    if isinstance(field, models.FileField):
        return models.CharField(max_length=field.max_length, blank=True, null=field.null)
    if isinstance(field, models.DateTimeField):
        return models.DateTimeField(null=field.null, primary_key=field.primary_key)
    return field


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=_written).encode() + b"\n"


def _written(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"A backup can't hold a value of the type {type(value).__name__}.")


def _values(fields: dict[str, Any], line: bytes) -> dict[str, Any]:
    row = parsed(line)
    if not isinstance(row, dict) or row.keys() != fields.keys():
        raise ArchiveUnreadable("A row of the backup does not have the columns of its table.")
    return {name: _read(fields[name], value) for name, value in row.items()}


def _read(field: Any, value: Any) -> Any:
    if not isinstance(field, models.DateTimeField) or value is None:
        return value
    try:
        return datetime.fromisoformat(cast("str", value))
    except (TypeError, ValueError) as error:
        raise ArchiveUnreadable(f"In the backup, {value!r} should be a time.") from error
