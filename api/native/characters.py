"""Characters."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from api.native.fields import NamesField, OptionsField, RowId
from api.native.filters import ArchivableQuery, FlagFilter, IdFilter, Ordering, TextFilter
from api.native.permissions import allowed_banks
from api.native.serializers import RowSerializer
from api.native.views import ArchivableViewSet
from banks.forms import selectable_providers
from banks.models import Character, ReferenceAudio, unread_fields
from providers import adapters
from providers.models import Provider
from providers.speech import TaskMode


def visible_characters(request: Request) -> QuerySet[Character]:
    """All, or those in the banks that the caller's key is limited to."""
    ids = allowed_banks(request)
    found = Character.objects.all()
    return found if ids is None else found.filter(pk__in=Character.objects.filter(memberships__bank__in=ids))


def visible_references(request: Request) -> QuerySet[ReferenceAudio]:
    """All, or those that the visible characters speak like."""
    if allowed_banks(request) is None:
        return ReferenceAudio.objects.all()
    return ReferenceAudio.objects.filter(pk__in=visible_characters(request).values("reference"))


class CharacterSerializer(RowSerializer[Character]):
    aliases = NamesField(required=False, max_length=50, help_text="Other names that clients may send.")
    provider = RowId(queryset=Provider.objects.none())
    reference = RowId(queryset=ReferenceAudio.objects.none(), required=False, allow_null=True)
    fallback = RowId(queryset=Character.objects.none(), required=False, allow_null=True)
    options = OptionsField(required=False, help_text="As the provider's kind declares them.")
    avatar = serializers.SerializerMethodField(help_text="The picture's address, for those who are signed in.")
    banks = serializers.SerializerMethodField(help_text="The banks that it is in.")

    class Meta:
        model = Character
        fields = [
            "id", "name", "description", "enabled", "aliases", "avatar", "provider", "task_mode", "model", "voice",
            "reference", "prompt_text", "prompt_language", "language", "instruction", "speed", "fallback", "options",
            "banks", "archived_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = ["archived_at", "created_at", "updated_at"]

    def get_fields(self) -> dict[str, Any]:
        """What can be chosen: what is there and enabled, what the caller's key may see, and what it has already."""
        fields: dict[str, Any] = super().get_fields()
        if not self.asked:
            return fields
        row = self.instance if isinstance(self.instance, Character) else Character()
        fields["provider"].queryset = selectable_providers(row.provider_id)
        fields["reference"].queryset = visible_references(self.request)
        usable = Q(archived_at=None, enabled=True) | Q(pk=row.fallback_id)
        fields["fallback"].queryset = visible_characters(self.request).filter(usable)
        return fields

    def get_avatar(self, row: Character) -> str | None:
        return reverse("avatar", args=[row.pk]) if row.avatar else None

    def get_banks(self, row: Character) -> list[int]:
        ids = allowed_banks(self.request)
        return [place.bank_id for place in row.memberships.all() if ids is None or place.bank_id in ids]

    def fill(self, row: Any, attrs: dict[str, Any]) -> None:
        """What the task mode does not read is refused where it was sent, and emptied where it was left from before."""
        super().fill(row, attrs)
        if row.provider.kind not in adapters.kinds():
            return  # the model says so
        for name in sorted(unread_fields(row.provider, row.task_mode)):
            if attrs.get(name):
                raise serializers.ValidationError({name: _("The provider does not read this in this task mode.")})
        options = row.options
        row.forget_what_is_not_read()
        if "options" in attrs:
            row.options = options


class CharacterQuery(ArchivableQuery):
    ordering = Ordering("name", "created_at", "updated_at", "provider")
    enabled = FlagFilter()
    provider = IdFilter(help_text="A provider's id.")
    bank = IdFilter(help_text="A bank's id.")
    reference = IdFilter(help_text="A recording's id.")
    language = TextFilter(help_text="The start of the text language, such as en or en-US.")
    task_mode = serializers.ChoiceField([mode.value for mode in TaskMode], required=False)

    lookups = {"bank": "memberships__bank", "language": "language__istartswith"}
    searched = ("name", "description", "voice")


class CharacterViewSet(ArchivableViewSet[Character]):
    queryset = Character.objects.all()
    serializer_class = CharacterSerializer
    query_class = CharacterQuery
    serves_limited_keys = True

    def get_queryset(self) -> QuerySet[Character]:
        rows = visible_characters(self.request).select_related("provider", "reference")
        return rows.defer("provider__api_key").prefetch_related("memberships")

    def check_may_touch(self, row: Character) -> None:
        ids = allowed_banks(self.request)
        if ids is not None and row.memberships.exclude(bank__in=ids).exists():
            raise PermissionDenied(_("This character is in banks too that this API key is not for."))
