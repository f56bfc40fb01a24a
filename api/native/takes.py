"""Takes: everybody's own; all of them for superusers."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from api.native.filters import FlagFilter, IdFilter, Ordering, SearchQuery
from api.native.views import RowViewSet
from providers.speech import AudioFormat
from studio.audio import answer
from studio.cards import file_name
from studio.files import find
from studio.models import Take, TakeState


class TakeSerializer(serializers.ModelSerializer[Take]):
    class Meta:
        model = Take
        fields = [
            "id", "owner", "text", "spoken", "character", "project", "line", "format", "state", "kept", "size",
            "duration", "sample_rate", "spoken_by", "error", "error_code", "retry_helps", "queue_ms", "inference_ms",
            "created_at", "started_at", "finished_at",
        ]  # fmt: skip


class TakeQuery(SearchQuery):
    ordering = Ordering("created_at", "duration", "size")
    state = serializers.ChoiceField(TakeState.choices, required=False)
    kept = FlagFilter()
    character = IdFilter(help_text="A character's id.")
    project = IdFilter(help_text="A project's id.")
    line = IdFilter(help_text="A line's id.")

    searched = ("text",)


class TakeViewSet(RowViewSet[Take]):
    http_method_names = ["get", "head"]
    queryset = Take.objects.all()
    serializer_class = TakeSerializer
    query_class = TakeQuery
    looks = frozenset({"list", "retrieve", "audio"})

    def get_queryset(self) -> QuerySet[Take]:
        user: Any = self.request.user
        return Take.objects.visible_to(user).defer("waveform")

    def rights(self) -> tuple[str, ...]:
        return () if self.action is None else ("studio.view_take",)

    @extend_schema(responses={(200, each.content_type): OpenApiTypes.BINARY for each in AudioFormat})
    @action(detail=True, methods=["get"])
    def audio(self, request: Request, pk: str) -> HttpResponseBase:
        """The sound, whole or the part that a Range header asks for."""
        row = self.get_object()
        stored = find(row.file.name)
        if stored is None:
            raise NotFound(_("This take has no sound: it is not done, or the file is gone."))
        http_request: HttpRequest = request._request
        response = answer(http_request, stored, file_name(row), saving=True)
        response["Content-Type"] = AudioFormat(row.format).content_type
        return response
