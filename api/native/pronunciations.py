"""The pronunciation dictionary: rules for everybody, and those of single banks."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework import serializers

from api.native.banks import visible_banks
from api.native.fields import RowId
from api.native.filters import FlagFilter, IdFilter, Ordering, SearchQuery, TextFilter
from api.native.permissions import allowed_banks
from api.native.serializers import RowSerializer
from api.native.views import RowViewSet
from banks.models import Bank, Pronunciation


class PronunciationSerializer(RowSerializer[Pronunciation]):
    bank = RowId(
        queryset=Bank.objects.none(),
        required=False,
        allow_null=True,
        help_text="Only for this bank's characters; null: for everybody.",
    )

    fixed = ("bank",)
    duplicate_field = "written"

    class Meta:
        model = Pronunciation
        fields = ["id", "written", "spoken", "is_pattern", "match_case", "language", "bank", "enabled"]
        validators: ClassVar[list[Any]] = []

    def get_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().get_fields()
        if self.asked:
            fields["bank"].queryset = visible_banks(self.request).filter(archived_at=None)
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """What holds for everybody is beyond a key that is limited to banks."""
        if self.instance is None and attrs.get("bank") is None and allowed_banks(self.request) is not None:
            text = _("This API key is limited to some banks: name one of them.")
            raise serializers.ValidationError({"bank": text})
        return super().validate(attrs)


class PronunciationQuery(SearchQuery):
    ordering = Ordering("id", "written", "language")
    bank = IdFilter(help_text="A bank's id: its own rules.")
    everybody = FlagFilter(help_text="Those that hold for every bank; otherwise those of single banks.")
    language = TextFilter(help_text="The start of the language, such as en or en-US.")
    is_pattern = FlagFilter()
    enabled = FlagFilter()

    lookups = {"everybody": "bank__isnull", "language": "language__istartswith"}
    searched = ("written", "spoken")


class PronunciationViewSet(RowViewSet[Pronunciation]):
    """How words are spoken. A key that is limited to banks sees and changes their own rules only."""

    queryset = Pronunciation.objects.all()
    serializer_class = PronunciationSerializer
    query_class = PronunciationQuery
    serves_limited_keys = True

    def get_queryset(self) -> QuerySet[Pronunciation]:
        ids = allowed_banks(self.request)
        return Pronunciation.objects.all() if ids is None else Pronunciation.objects.filter(bank__in=ids)

    def check_may_add(self) -> None:
        """A limited key adds to its banks: the serializer offers it no others."""
