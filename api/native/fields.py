"""Field types of the native API: a value of another type is refused, never converted."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import StrictText

# What the database's own numbers end at.
LARGEST_ID = 2**63 - 1


class Line(StrictText):
    """One line of text, without the space around it."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data).strip()
        if not value and not self.allow_blank:
            self.fail("blank")
        return value


class StrictInteger(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class RowId(serializers.PrimaryKeyRelatedField[Any]):
    """Another row, by its number."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("incorrect_type", data_type=type(data).__name__)
        if not 0 < data <= LARGEST_ID:
            self.fail("does_not_exist", pk_value=data)
        return super().to_internal_value(data)


class RowIds(serializers.ListField):
    """Other rows, by their numbers; one query for all."""

    child = StrictInteger(min_value=1, max_value=LARGEST_ID)
    queryset: QuerySet[Any]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=1000, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        numbers = set(super().to_internal_value(data))
        found = list(self.queryset.filter(pk__in=numbers))
        if unknown := numbers - {row.pk for row in found}:
            raise serializers.ValidationError(_("There is nothing to choose under this number: %d.") % min(unknown))
        return found

    def to_representation(self, data: Any) -> list[int]:
        return [row.pk for row in data.all()]


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}], "nullable": True})
class OptionValueField(serializers.Field[Any, Any, Any, Any]):
    default_error_messages = {"invalid": "An option is text, a number, or true or false."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, (str, int, float)):
            self.fail("invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class OptionsField(serializers.DictField):
    """An adapter's options by name; what is null or missing follows the declared default."""

    child = OptionValueField(allow_null=True)


class NamesField(serializers.ListField):
    child = Line(max_length=100)
