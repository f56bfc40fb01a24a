"""Rows in every table there is, with values of every kind that its columns take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction

from neiroha_site.backup.tables import Tables, applied_migrations
from providers import fields

EACH = 3
SECRET = "sk-кlucz-%d"
# What a fresh database has rows in already.
_MADE = {"contenttypes.ContentType", "auth.Permission", "auth.Group", "auth.Group_permissions"}
_TEXTS = ("“Ünïcode”, 语音 🎙", "two\r\nlines\tand a \\ backslash", 'it\'s 100 % "quoted" \u2028 <b>&amp;</b>')
_TIMES = (
    datetime(2026, 2, 28, 23, 59, 59, 999_999, UTC),
    datetime(1999, 12, 31, 12, 0, 0, 1, UTC),
    datetime(2100, 1, 1, tzinfo=UTC),
)
_JSON: tuple[Any, ...] = ({"a": [1, 2.5, None, True], "ключ": "值"}, {}, {"deep": {"deeper": ["\\", '"', "\n"]}})


def fill() -> None:
    """Each table of the database gets EACH rows, whose keys leave room between them."""
    tables = Tables(applied_migrations())
    ContentType.objects.clear_cache()
    with transaction.atomic():
        for label, model in tables.models.items():
            if label not in _MADE:
                model._base_manager.all().delete()
                model._base_manager.bulk_create([_row(model, number) for number in range(EACH)])
        tables.settle()


def _row(model: type[models.Model], number: int) -> models.Model:
    values = {field.attname: _value(model, field, number) for field in model._meta.local_concrete_fields}
    if model._meta.label == "studio.Line":
        values |= {"start_ms": None, "end_ms": None} if number == 1 else {"start_ms": number, "end_ms": 2**31 - 1}
    return model(**values)


def key(model: type[models.Model], number: int) -> Any:
    """The primary key of a row."""
    field = model._meta.pk
    assert field is not None
    if field.remote_field:
        return key(field.remote_field.model, number)
    if model._meta.label in _MADE:
        return number % 2 + 1
    if isinstance(field, models.CharField):
        return f"{number}{'0123456789abcdef' * 4}"[: min(field.max_length or 32, 32)]
    return 1 + 10 * number


def _value(model: type[models.Model], field: Any, number: int) -> Any:
    if field.primary_key:
        return key(model, number)
    if field.remote_field:
        return None if field.null and number == 2 else key(field.remote_field.model, number)
    if field.null and number == 1:
        return None
    return _plain(model, field, number)


def _plain(model: type[models.Model], field: Any, number: int) -> Any:
    if field.choices:
        return list(dict(field.flatchoices))[number % len(field.flatchoices)]
    original = _original(model, field.name)
    match field:
        case models.BooleanField():
            return number != 1
        case models.JSONField():
            return _JSON[number]
        case models.DateTimeField():
            return _TIMES[number] + timedelta(seconds=field.creation_counter % 7)
        case models.FloatField():
            return (0.1, -0.0, 1e-300)[number]
        case models.BigIntegerField() | models.PositiveBigIntegerField():
            return (0, 2**53 + 1, 2**63 - 1)[number]
        case models.PositiveSmallIntegerField() | models.SmallIntegerField():
            return (0, 1, 32767)[number]
        case models.IntegerField():
            return (0, 1, 2**31 - 1)[number]
        case _ if isinstance(original, fields.EncryptedTextField):
            return fields.encrypt(SECRET % number)
        case models.CharField():
            return f"{number} {_TEXTS[number]}"[: field.max_length] if (field.max_length or 0) > 20 else str(number)
        case models.TextField():
            return f"{number} {_TEXTS[number]}" if number != 1 or not field.blank else ""
    raise AssertionError(f"{field} has a kind that rows can't be made of yet")


def _original(model: type[models.Model], name: str) -> Any:
    """The column as this version's model has it."""
    from django.apps import apps

    return apps.get_model(model._meta.label)._meta.get_field(name)


def raw_rows() -> dict[str, list[tuple[Any, ...]]]:
    """As the database itself has them."""
    found = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names()):
            if table not in ("django_migrations", "sqlite_sequence"):
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY 1")
                found[table] = cursor.fetchall()
    return found
