"""What may stand behind the question mark of a list. Anything else there is refused."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from rest_framework import serializers

from api.native.fields import LARGEST_ID
from api.native.pagination import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET


class IdFilter(serializers.IntegerField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, min_value=1, max_value=LARGEST_ID, **kwargs)


class FlagFilter(serializers.ChoiceField):
    """`true` or `false`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__([("true", "true"), ("false", "false")], required=False, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        return bool(super().to_internal_value(data) == "true")


class TextFilter(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=200, **kwargs)


class Ordering(serializers.ChoiceField):
    """One of these fields; with a minus, from the end."""

    def __init__(self, *names: str) -> None:
        choices = [order for name in names for order in (name, f"-{name}")]
        super().__init__(choices, required=False, help_text="With a minus: the other way round.")


class Query(serializers.Serializer[Any]):
    """The query of an address. Each filter is looked up under its own name, unless `lookups` has another."""

    lookups: ClassVar[Mapping[str, str]] = {}
    searched: ClassVar[tuple[str, ...]] = ()

    def to_internal_value(self, data: Any) -> Any:
        for name in data:
            if name not in self.fields:
                text = _("There is no such parameter. There are: %s.") % ", ".join(self.fields)
                raise serializers.ValidationError({name: text})
        return super().to_internal_value(data)

    def apply(self, rows: QuerySet[Any], asked: Mapping[str, Any]) -> QuerySet[Any]:
        for name, value in asked.items():
            match name:
                case "limit" | "offset":
                    pass
                case "search":
                    found = [Q(**{f"{field}__icontains": value}) for field in self.searched]
                    rows = rows.filter(reduce(or_, found))
                case "ordering":
                    rows = rows.order_by(value, "pk")
                case "archived":
                    rows = rows.filter(archived_at__isnull=not value)
                case _:
                    rows = rows.filter(**{self.lookups.get(name, name): value})
        return rows


class PageQuery(Query):
    limit = serializers.IntegerField(
        required=False, default=DEFAULT_LIMIT, min_value=1, max_value=MAX_LIMIT, help_text="Rows a page."
    )
    offset = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=MAX_OFFSET, help_text="Rows to leave out first."
    )


class SearchQuery(PageQuery):
    search = TextFilter(help_text="A part of the name or of another text, capitals or not.")


class ArchivableQuery(SearchQuery):
    archived = FlagFilter(default=False, help_text="Only what is archived; otherwise only what is not.")
