"""Characters."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as ModelError
from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from api.native.fields import NamesField, OptionsField, RowId
from api.native.filters import ArchivableQuery, FlagFilter, IdFilter, Ordering, TextFilter
from api.native.permissions import allowed_banks
from api.native.serializers import RowSerializer, StrictBody
from api.native.views import ArchivableViewSet
from banks.forms import selectable_providers
from banks.models import Character, ReferenceAudio, unread_fields
from banks.uploads import AvatarField
from providers import adapters
from providers.audit import Change, changed
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


class AvatarFileField(serializers.FileField):
    """A picture, let in by the same door as on the character's page."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return AvatarField().clean(super().to_internal_value(data))
        except ModelError as error:
            raise serializers.ValidationError(error.messages) from error


class AvatarSerializer(StrictBody):
    file = AvatarFileField(help_text="PNG, JPEG, WebP or GIF, at most 5 MB. It is kept as WebP of at most 512 pixels.")


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
    looks = frozenset({"list", "retrieve", "avatar"})

    def get_queryset(self) -> QuerySet[Character]:
        rows = visible_characters(self.request).select_related("provider", "reference")
        return rows.defer("provider__api_key").prefetch_related("memberships")

    def check_may_touch(self, row: Character) -> None:
        ids = allowed_banks(self.request)
        if ids is not None and row.memberships.exclude(bank__in=ids).exists():
            raise PermissionDenied(_("This character is in banks too that this API key is not for."))

    @extend_schema(responses={(200, "image/webp"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], parser_classes=[MultiPartParser])
    def avatar(self, request: Request, pk: str) -> HttpResponse:
        """The picture itself."""
        picture = self.get_object().avatar
        if not picture:
            raise NotFound(_("This character has no avatar."))
        try:
            with picture.open("rb") as stored:
                return HttpResponse(stored.read(), content_type="image/webp")
        except FileNotFoundError as error:
            raise NotFound(_("The file of this avatar is gone: upload it again.")) from error

    @extend_schema(request=AvatarSerializer, responses=CharacterSerializer)
    @avatar.mapping.post
    def upload_avatar(self, request: Request, pk: str) -> Response:
        """Take a picture, in place of the one that may be there."""
        sent = AvatarSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        return self.shown(self.with_avatar(sent.validated_data["file"]))

    @extend_schema(request=None, responses={204: None})
    @avatar.mapping.delete
    def remove_avatar(self, request: Request, pk: str) -> Response:
        """Take the picture away, if there is one."""
        self.with_avatar(None)
        return Response(status=204)

    def with_avatar(self, picture: ContentFile[bytes] | None) -> Character:
        with transaction.atomic():
            row = self.changeable()
            row.show(picture)
            row.save()
            self.note(row, Change.CHANGED, changed("avatar"))
        return row
