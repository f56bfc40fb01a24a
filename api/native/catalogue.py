"""The catalogue: what providers list, and what was entered by hand. Its rights are those of providers."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from rest_framework import serializers

from api.native.fields import NamesField, RowId
from api.native.filters import FlagFilter, IdFilter, Ordering, SearchQuery, TextFilter
from api.native.serializers import RowSerializer
from api.native.views import Conflict, RowViewSet
from providers.models import CatalogueEntry, CatalogueModel, CatalogueVoice, Provider
from providers.speech import TaskMode

MODES = [mode.value for mode in TaskMode]
COMMON = ["id", "provider", "external_id", "name", "by_hand", "vanished_at"]


class EntrySerializer[E: CatalogueEntry](RowSerializer[E]):
    provider = RowId(queryset=Provider.objects.present().defer("api_key"))

    fixed = ("provider",)
    duplicate_field = "external_id"

    def fill(self, row: Any, attrs: dict[str, Any]) -> None:
        super().fill(row, attrs)
        row.by_hand = True


class VoiceSerializer(EntrySerializer[CatalogueVoice]):
    styles = NamesField(required=False, max_length=100)
    task_mode = serializers.ChoiceField(
        MODES, required=False, allow_blank=True, help_text="Empty: any of the provider's."
    )

    class Meta:
        model = CatalogueVoice
        fields = [*COMMON, "language", "gender", "description", "styles", "model", "task_mode"]
        read_only_fields = ["by_hand", "vanished_at"]
        validators: ClassVar[list[Any]] = []


class ModelSerializer(EntrySerializer[CatalogueModel]):
    class Meta:
        model = CatalogueModel
        fields = COMMON
        read_only_fields = ["by_hand", "vanished_at"]
        validators: ClassVar[list[Any]] = []


class EntryQuery(SearchQuery):
    provider = IdFilter(help_text="A provider's id.")
    by_hand = FlagFilter(help_text="Entered by hand, or listed.")
    vanished = FlagFilter(help_text="Listed once, and no more.")

    lookups = {"vanished": "vanished_at__isnull"}

    def validate_vanished(self, value: bool) -> bool:
        return not value  # vanished: there is a date


class VoiceQuery(EntryQuery):
    ordering = Ordering("external_id", "name", "language", "provider")
    language = TextFilter(help_text="The start of the language, such as en or en-US.")
    gender = TextFilter()
    model = TextFilter()
    task_mode = serializers.ChoiceField(MODES, required=False)

    lookups = {**EntryQuery.lookups, "language": "language__istartswith", "gender": "gender__iexact"}
    searched = ("external_id", "name", "language", "description", "model")


class ModelQuery(EntryQuery):
    ordering = Ordering("external_id", "name", "provider")

    searched = ("external_id", "name")


class EntryViewSet[E: CatalogueEntry](RowViewSet[E]):
    def rights(self) -> tuple[str, ...]:
        if self.action is None:
            return ()
        looking = ("providers.view_provider",) if self.action in self.looks else ()
        return (*looking, "providers.change_provider")

    def changeable(self) -> E:
        entry = super().changeable()
        if not entry.by_hand:
            raise Conflict(_("The provider lists this, so it can't be changed here: fetch all to bring it up to date."))
        return entry

    def removed(self, row: E) -> None:
        if not row.by_hand and row.vanished_at is None:
            raise Conflict(_("The provider lists this: only what vanished, or was entered by hand, can go."))
        super().removed(row)


class VoiceViewSet(EntryViewSet[CatalogueVoice]):
    queryset = CatalogueVoice.objects.all()
    serializer_class = VoiceSerializer
    query_class = VoiceQuery


class ModelViewSet(EntryViewSet[CatalogueModel]):
    queryset = CatalogueModel.objects.all()
    serializer_class = ModelSerializer
    query_class = ModelQuery
