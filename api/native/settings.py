"""The server's settings: one row, checked as on its page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.models import ServerSettings
from api.native.fields import Line
from api.native.serializers import RowSerializer
from api.native.views import NativeView
from providers.audit import Change, changed


def from_environment() -> dict[str, tuple[str, Any]]:
    """The fields that the environment decides: its variable's name, and the value."""
    found = {"host": ("NEIROHA_HOST", settings.BIND_HOST), "port": ("NEIROHA_PORT", settings.BIND_PORT)}
    return {field: source for field, source in found.items() if source[1] is not None}


class SettingsSerializer(RowSerializer[ServerSettings]):
    cors_origins = serializers.ListField(
        child=Line(max_length=300), required=False, max_length=200, help_text="Such as https://chat.example.com, or *."
    )
    environment = serializers.SerializerMethodField(
        help_text="The fields that the environment decides, with the variable that does; they can't be changed here."
    )

    class Meta:
        model = ServerSettings
        exclude = ["id", "seeded_at"]

    def get_environment(self, row: ServerSettings) -> dict[str, str]:
        return {field: variable for field, (variable, _value) in from_environment().items()}

    def to_representation(self, instance: ServerSettings) -> dict[str, Any]:
        instance.cors_origins = instance.cors_origins.split()  # type: ignore[assignment]  # as the answer has it
        return super().to_representation(instance) | {name: value for name, (_, value) in from_environment().items()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for field, (variable, _value) in from_environment().items():
            if field in attrs:
                text = _("The environment decides this (%s), so it can't be changed here.") % variable
                raise serializers.ValidationError({field: text})
        if "cors_origins" in attrs:
            attrs["cors_origins"] = "\n".join(attrs["cors_origins"])
        return super().validate(attrs)


class SettingsView(NativeView):
    http_method_names = ["get", "head", "patch"]

    def rights(self) -> tuple[str, ...]:
        words = ("change",) if self.request.method == "PATCH" else ("view", "change")
        return tuple(f"api.{word}_serversettings" for word in words)

    @extend_schema(responses=SettingsSerializer)
    def get(self, request: Request) -> Response:
        return Response(SettingsSerializer(ServerSettings.load(), context={"request": request}).data)

    @extend_schema(request=SettingsSerializer, responses=SettingsSerializer)
    def patch(self, request: Request) -> Response:
        """In force at once, host and port after a restart."""
        with transaction.atomic():
            row = ServerSettings.load()
            context = {"request": request}
            serializer = SettingsSerializer(row, data=request.data, partial=True, context=context)
            serializer.is_valid(raise_exception=True)
            serializer.save()
            self.note(row, Change.CHANGED, changed(*request.data))
        return Response(SettingsSerializer(ServerSettings.load(), context=context).data)
