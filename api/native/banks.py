"""Banks, and the places of characters in them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from api.native.characters import visible_characters
from api.native.fields import RowId
from api.native.filters import ArchivableQuery, FlagFilter, IdFilter, Ordering, PageQuery
from api.native.permissions import allowed_banks
from api.native.serializers import RowSerializer
from api.native.views import ArchivableViewSet, RowViewSet
from banks.models import Bank, Character, Membership


class BankSerializer(RowSerializer[Bank]):
    default_character = RowId(
        queryset=Character.objects.present(), required=False, allow_null=True, help_text="One of the bank's characters."
    )
    character_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Bank
        fields = [
            "id", "name", "description", "active", "public", "cache_speech", "position", "default_character",
            "character_count",            "archived_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = ["archived_at", "created_at", "updated_at"]

    def validate_default_character(self, character: Character | None) -> Character | None:
        """Whoever may not change the members may not choose among them either."""
        if not self.request.user.has_perm("banks.change_membership"):
            raise PermissionDenied(_("You lack the right to choose a bank's default character."))
        members = self.instance.memberships.all() if self.instance else Membership.objects.none()
        if character is not None and not members.filter(character=character).exists():
            raise serializers.ValidationError(_("The default character must be one of the bank's characters."))
        return character


class BankQuery(ArchivableQuery):
    ordering = Ordering("position", "name", "created_at", "updated_at")
    active = FlagFilter()
    public = FlagFilter(help_text="Listed publicly.")
    character = IdFilter(help_text="A character's id: the banks that it is in.")

    lookups = {"character": "memberships__character"}
    searched = ("name", "description")


def visible_banks(request: Request) -> QuerySet[Bank]:
    ids = allowed_banks(request)
    return Bank.objects.all() if ids is None else Bank.objects.filter(pk__in=ids)


class BankViewSet(ArchivableViewSet[Bank]):
    queryset = Bank.objects.all()
    serializer_class = BankSerializer
    query_class = BankQuery
    serves_limited_keys = True

    def get_queryset(self) -> QuerySet[Bank]:
        members = Count("characters", filter=Q(characters__archived_at=None), distinct=True)
        return visible_banks(self.request).annotate(character_count=members)


class MembershipSerializer(RowSerializer[Membership]):
    bank = RowId(queryset=Bank.objects.none())
    character = RowId(queryset=Character.objects.none())

    fixed = ("bank", "character")
    duplicate_field = "character"

    class Meta:
        model = Membership
        fields = ["id", "bank", "character", "position", "public_id", "created_at"]
        read_only_fields = ["public_id", "created_at"]
        validators: ClassVar[list[Any]] = []

    def get_fields(self) -> dict[str, Any]:
        """A new place is for what is not archived, and for what the caller's key may see."""
        fields: dict[str, Any] = super().get_fields()
        if self.asked:
            fields["bank"].queryset = visible_banks(self.request).filter(archived_at=None)
            seen = visible_characters(self.request).filter(archived_at=None, enabled=True)
            fields["character"].queryset = seen
        return fields


class MembershipQuery(PageQuery):
    ordering = Ordering("position", "created_at")
    bank = IdFilter(help_text="A bank's id.")
    character = IdFilter(help_text="A character's id.")


class MembershipViewSet(RowViewSet[Membership]):
    """Characters' places in banks. Changing them takes the right to change banks or characters too, as on pages."""

    queryset = Membership.objects.all()
    serializer_class = MembershipSerializer
    query_class = MembershipQuery
    serves_limited_keys = True

    def get_queryset(self) -> QuerySet[Membership]:
        ids = allowed_banks(self.request)
        return Membership.objects.all() if ids is None else Membership.objects.filter(bank__in=ids)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        owners = ("banks.change_bank", "banks.change_character")
        if self.action not in (None, *self.looks) and not any(request.user.has_perm(right) for right in owners):
            raise PermissionDenied(_("You lack the right to change banks or characters."))

    def check_may_add(self) -> None:
        """A limited key adds to its banks: the serializer offers it no others."""
