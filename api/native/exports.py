"""Exports of projects."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as ModelError
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
from rest_framework.response import Response

from api.native.fields import StrictInteger
from api.native.filters import IdFilter, Ordering, PageQuery
from api.native.lines import RIGHTS, PlaceBody
from api.native.projects import visible_projects
from api.native.views import RowViewSet
from api.serializers import StrictBoolean, StrictNumber
from providers.audio import LOUDNESS, LOUDNESS_MAX, LOUDNESS_MIN
from studio.audio import answer
from studio.export_options import CHAPTER_GAP_MS, FORMATS, GAP_MAX_MS, GAP_MS, ExportOptions, Track, What, content_types
from studio.exports import ask, cancel, file_name, formats_of, require_format
from studio.files import find
from studio.models import Export, TakeState

ALL_FORMATS = sorted({str(one) for formats in FORMATS.values() for one in formats})


class ExportBody(PlaceBody):
    what = serializers.ChoiceField(What.choices)
    format = serializers.ChoiceField(ALL_FORMATS, required=False, help_text="The first of its kind's where left out.")
    gap_ms = StrictInteger(
        required=False, default=GAP_MS, min_value=0, max_value=GAP_MAX_MS, help_text="Silence between lines."
    )
    chapter_gap_ms = StrictInteger(
        required=False,
        default=CHAPTER_GAP_MS,
        min_value=0,
        max_value=GAP_MAX_MS,
        help_text="Silence before a line that begins a chapter.",
    )
    loudness = StrictNumber(
        required=False,
        default=LOUDNESS,
        allow_null=True,
        min_value=LOUDNESS_MIN,
        max_value=LOUDNESS_MAX,
        help_text="LUFS, of the whole; null leaves it as it is.",
    )
    only_done = StrictBoolean(required=False, default=False, help_text="Leave out lines whose audio is stale.")
    speaker_prefix = StrictBoolean(required=False, default=False, help_text="Subtitles say who speaks.")
    chapter_format = serializers.ChoiceField(
        FORMATS[What.AUDIO], required=False, default="mp3", help_text="Of each chapter's file."
    )
    first = StrictInteger(
        required=False, default=0, min_value=0, help_text="Id of the line at which it begins; 0 is the beginning."
    )
    last = StrictInteger(
        required=False, default=0, min_value=0, help_text="Id of the line with which it ends; 0 is the end."
    )
    track = serializers.ChoiceField(
        Track.choices, required=False, default=Track.ADD.value, help_text="How a video gets its dub."
    )
    incomplete = StrictBoolean(
        required=False, default=False, help_text="Go on where lines are left out; otherwise that is 400."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        what = What(attrs["what"])
        formats = formats_of(attrs["project"], what) or FORMATS[what]
        attrs.setdefault("format", str(formats[0]))
        try:
            require_format(attrs["project"], ExportOptions(what, attrs["format"]))
        except ModelError as error:
            raise serializers.ValidationError(error.message_dict) from error
        return attrs


class OptionsSerializer(serializers.Serializer[Any]):
    what = serializers.ChoiceField(What.choices)
    format = serializers.ChoiceField(ALL_FORMATS)
    gap_ms = serializers.IntegerField()
    chapter_gap_ms = serializers.IntegerField()
    loudness = serializers.FloatField(allow_null=True)
    only_done = serializers.BooleanField()
    speaker_prefix = serializers.BooleanField()
    chapter_format = serializers.CharField()
    first = serializers.IntegerField()
    last = serializers.IntegerField()
    track = serializers.ChoiceField(Track.choices)


class ExportSerializer(serializers.ModelSerializer[Export]):
    options = serializers.SerializerMethodField()
    progress = serializers.FloatField(help_text="From 0 to 1.")

    class Meta:
        model = Export
        fields = [
            "id", "project", "owner", "options", "state", "progress", "size", "duration", "error", "error_code",
            "created_at", "started_at", "finished_at",
        ]  # fmt: skip

    @extend_schema(responses=OptionsSerializer)
    def get_options(self, row: Export) -> dict[str, Any]:
        return ExportOptions.read(row.options_json).as_json()


class ExportQuery(PageQuery):
    ordering = Ordering("created_at")
    project = IdFilter(help_text="A project's id.")
    state = serializers.ChoiceField(TakeState.choices, required=False)


class ExportViewSet(RowViewSet[Export]):
    """Files made of projects. Making, cancelling and deleting them takes the right to change projects."""

    http_method_names = ["get", "head", "post", "delete"]
    queryset = Export.objects.all()
    serializer_class = ExportSerializer
    query_class = ExportQuery
    looks = frozenset({"list", "retrieve", "file"})

    def rights(self) -> tuple[str, ...]:
        return () if self.action is None else RIGHTS[self.action in self.looks]

    def get_queryset(self) -> QuerySet[Export]:
        return Export.objects.filter(project__in=visible_projects(self.request)).select_related("project")

    @extend_schema(request=ExportBody, responses={201: ExportSerializer})
    def create(self, request: Request) -> Response:
        """Queue an export of a project as it is when its making begins."""
        body = ExportBody(data=request.data, context=self.get_serializer_context())
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        project, incomplete = values.pop("project"), values.pop("incomplete")
        options = ExportOptions(**values | {"what": What(values["what"]), "track": Track(values["track"])})
        try:
            row = ask(project, request.user, options, incomplete=incomplete)
        except ModelError as error:
            named = hasattr(error, "error_dict")
            told = error.message_dict if named else {"non_field_errors": error.messages}
            raise serializers.ValidationError(told) from error
        return self.shown(row, status=201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete an export and its file; one that is being made is cancelled."""
        rows = Export.objects.filter(pk=self.get_object().pk)
        cancel(rows)
        rows.delete()
        return Response(status=204)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """End one that waits or is being made; one that is at its end stays as it is."""
        row = self.get_object()
        cancel(Export.objects.filter(pk=row.pk))
        return self.shown(row)

    @extend_schema(responses={(200, kind): OpenApiTypes.BINARY for kind in content_types()})
    @action(detail=True, methods=["get"])
    def file(self, request: Request, pk: str) -> HttpResponseBase:
        """The file, whole or the part that a Range header asks for."""
        row = self.get_object()
        stored = find(row.file.name) if row.state == TakeState.DONE else None
        if stored is None:
            raise NotFound(_("This export has no file: it is not done, or the file is gone."))
        http_request: HttpRequest = request._request
        response = answer(http_request, stored, file_name(row), saving=True)
        response["Content-Type"] = ExportOptions.read(row.options_json).content_type
        return response
