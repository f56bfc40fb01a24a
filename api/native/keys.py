"""API keys: everybody's own; all of them for superusers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from api.models import ApiKey, KeyState, Scope
from api.native.fields import RowId, RowIds
from api.native.filters import FlagFilter, Ordering, SearchQuery
from api.native.permissions import key_of
from api.native.serializers import RowSerializer
from api.native.views import RowViewSet
from banks.models import Bank
from providers.audit import Change


class KeySerializer(RowSerializer[ApiKey]):
    owner = RowId(
        queryset=get_user_model()._default_manager.none(),
        required=False,
        allow_null=True,
        help_text="A user's id: your own, unless you are a superuser.",
    )
    banks = RowIds(required=False, help_text="The banks that it may use; empty: all.")
    state = serializers.ChoiceField(KeyState.choices, read_only=True)

    # What an instance holds itself; the digest is drawn when it is made.
    unchecked = ("digest", "hint")

    class Meta:
        model = ApiKey
        fields = [
            "id", "name", "hint", "owner", "scope", "banks", "rate_limit_per_minute", "expires_at", "state",
            "revoked_at", "last_used_at", "created_at",
        ]  # fmt: skip
        read_only_fields = ["hint", "revoked_at", "last_used_at", "created_at"]

    def get_fields(self) -> dict[str, Any]:
        """Users that are active and banks that are present, and what the key has already."""
        fields: dict[str, Any] = super().get_fields()
        if not self.asked:
            return fields
        row = self.instance if isinstance(self.instance, ApiKey) else None
        kept = [row.owner.pk] if row and row.owner else []
        users = get_user_model()._default_manager.filter(Q(is_active=True) | Q(pk__in=kept))
        user: Any = self.request.user
        fields["owner"].queryset = users if user.is_superuser else users.filter(pk=user.pk)
        chosen = row.banks.values("pk") if row else []
        fields["banks"].queryset = Bank.objects.filter(Q(archived_at=None) | Q(pk__in=chosen))
        return fields

    def validate_owner(self, owner: Any) -> Any:
        if owner is None and not self.request.user.is_superuser:
            raise serializers.ValidationError(_("Your keys belong to you: leave it out."))
        return owner

    def validate_rate_limit_per_minute(self, limit: int | None) -> int | None:
        """It would take the place of the limit that holds for everybody."""
        if not self.request.user.is_superuser:
            raise serializers.ValidationError(_("Only administrators set a key's limit: leave it out."))
        return limit

    def validate_expires_at(self, moment: datetime | None) -> datetime | None:
        kept = self.instance.expires_at if self.instance else None
        if moment is not None and moment != kept and moment <= timezone.now():
            raise serializers.ValidationError(_("This is in the past. To end a key at once, revoke it."))
        return moment

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if self.instance is None:
            attrs.setdefault("owner", self.request.user)
        self._check_not_beyond_own_end(attrs)
        return super().validate(attrs)

    def _check_not_beyond_own_end(self, attrs: dict[str, Any]) -> None:
        """A key that ends makes none that outlives it."""
        key = key_of(self.request)
        if key is None or key.expires_at is None or (self.instance is not None and "expires_at" not in attrs):
            return
        if (moment := attrs.get("expires_at")) is None or moment > key.expires_at:
            text = _("The key that you use ends at %s: this one has to end by then too.")
            raise serializers.ValidationError({"expires_at": text % key.expires_at.isoformat()})


class NewKeySerializer(KeySerializer):
    """The one answer that has the secret."""

    secret = serializers.CharField(read_only=True, help_text="The key itself: nothing can show it again.")

    class Meta(KeySerializer.Meta):
        fields = [*KeySerializer.Meta.fields, "secret"]

    def fill(self, row: Any, attrs: dict[str, Any]) -> None:
        super().fill(row, attrs)
        row.draw_secret()


class KeyQuery(SearchQuery):
    ordering = Ordering("name", "created_at", "expires_at", "last_used_at")
    scope = serializers.ChoiceField(Scope.choices, required=False)
    revoked = FlagFilter()

    lookups = {"revoked": "revoked_at__isnull"}
    searched = ("name", "hint")

    def validate_revoked(self, value: bool) -> bool:
        return not value  # revoked: there is a date


class KeyViewSet(RowViewSet[ApiKey]):
    """API keys. Making the first one closes the open API for everybody without a key."""

    queryset = ApiKey.objects.all()
    serializer_class = KeySerializer
    query_class = KeyQuery

    def get_queryset(self) -> QuerySet[ApiKey]:
        rows = ApiKey.objects.select_related("owner").prefetch_related("banks")
        user = self.request.user
        return rows if user.is_superuser else rows.filter(owner_id=user.pk)

    @extend_schema(request=KeySerializer, responses={201: NewKeySerializer})
    def create(self, request: Request) -> Response:
        """Make a key. Only this answer has its secret."""
        with transaction.atomic():
            serializer = NewKeySerializer(data=request.data, context=self.get_serializer_context())
            row = self.written(serializer, Change.ADDED)
        return Response(NewKeySerializer(row, context=self.get_serializer_context()).data, status=201)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """End a key for good."""
        with transaction.atomic():
            row = self.get_object()
            if row.revoked_at is None:
                row.revoke()
                self.note(row, Change.CHANGED, gettext_noop("Revoked."))
        return self.shown(row)
