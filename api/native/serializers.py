"""Rows as JSON: shapes are checked here, rules by the models themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as ModelError
from django.db import models
from django.utils.translation import gettext as _
from rest_framework import serializers

from api.native.fields import Line, RowId, StrictInteger
from api.serializers import StrictBoolean, StrictNumber, StrictText
from providers.archive import Archivable
from providers.forms import refuse_taken_name

if TYPE_CHECKING:
    from rest_framework.request import Request


class StrictBody(serializers.Serializer[Any]):
    """A JSON object with known fields only."""

    def to_internal_value(self, data: Any) -> Any:
        refuse_unknown(data, self.fields)
        return super().to_internal_value(data)


def refuse_unknown(data: Any, fields: Mapping[str, serializers.Field[Any, Any, Any, Any]]) -> None:
    if not isinstance(data, Mapping):
        raise serializers.ValidationError({"non_field_errors": [_("The body must be a JSON object.")]})
    for name in data:
        if name not in fields:
            raise serializers.ValidationError({str(name)[:100]: _("There is no such field.")})
        if fields[name].read_only:
            raise serializers.ValidationError({name: _("This field can't be set: leave it out.")})


class RowSerializer[M: models.Model](serializers.ModelSerializer[M]):
    """Validates through the model: what `full_clean` refuses is refused here, at the same field."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: Line,
        models.TextField: StrictText,
        models.BooleanField: StrictBoolean,
        models.FloatField: StrictNumber,
        models.PositiveIntegerField: StrictInteger,
        models.PositiveSmallIntegerField: StrictInteger,
    }
    serializer_related_field = RowId

    fixed: ClassVar[tuple[str, ...]] = ()
    """Given when the row is made, and never changed."""
    unchecked: ClassVar[tuple[str, ...]] = ()
    """Fields of the model that `full_clean` must not touch."""
    duplicate_field: ClassVar[str] = "name"
    """Where to say that there is such a row already."""

    @property
    def request(self) -> Request:
        request: Request = self.context["request"]
        return request

    @property
    def asked(self) -> bool:
        """False while the schema is made: then nobody asks."""
        return "request" in self.context and not getattr(self.context.get("view"), "swagger_fake_view", False)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        refuse_unknown(data, self.fields)
        if self.instance is not None:
            for name in self.fixed:
                if name in data:
                    text = _("This is given when the row is made, and can't be changed: leave it out.")
                    raise serializers.ValidationError({name: text})
        return super().run_validation(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        row = self.row = self.instance if isinstance(self.instance, models.Model) else self.Meta.model()  # type: ignore[misc]  # a class of ours, not of a variable
        self.fill(row, attrs)
        if isinstance(row, Archivable) and "name" in attrs:
            self._refuse_taken(row, attrs["name"])
        try:
            row.full_clean(exclude=self.unchecked)
        except ModelError as error:
            raise serializers.ValidationError(self._told(error)) from error
        return attrs

    def fill(self, row: Any, attrs: dict[str, Any]) -> None:
        """Set the row's values; many-to-many ones wait for `save`."""
        for name, value in attrs.items():
            if not row._meta.get_field(name).many_to_many:
                setattr(row, name, value)

    def save(self, **kwargs: Any) -> Any:
        self.row.save()
        for name, value in self.validated_data.items():
            if self.row._meta.get_field(name).many_to_many:
                getattr(self.row, name).set(value)
        return self.row

    def _refuse_taken(self, row: Archivable, name: str) -> None:
        try:
            refuse_taken_name(type(row), name, row.pk)
        except ModelError as error:
            raise serializers.ValidationError({"name": error.messages}) from error

    def _told(self, error: ModelError) -> dict[str, list[str]]:
        """The model's errors under the names of our fields; those of an option under options.NAME."""
        found: dict[str, list[str]] = {}
        for name, problems in error.error_dict.items():
            if name == NON_FIELD_ERRORS:
                name = self.duplicate_field
            elif name not in self.fields:
                name = f"options.{name}"
            found.setdefault(name, []).extend(message for problem in problems for message in problem.messages)
        return found
