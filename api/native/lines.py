"""Lines of projects. Changing them takes the right to change projects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError as ModelError
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from api.native.fields import LARGEST_ID, RowId, StrictInteger
from api.native.fields import Line as LineField
from api.native.filters import IdFilter, Ordering, SearchQuery, TextFilter
from api.native.projects import visible_projects
from api.native.serializers import StrictBody
from api.native.views import Conflict, RowViewSet
from api.serializers import StrictBoolean, StrictNumber, StrictText
from banks.models import Character
from providers.speech import SPEED_MAX, SPEED_MIN
from studio import lines
from studio.freshness import refresh
from studio.lines import Draft, EditConflict
from studio.models import LONGEST_LINE, Line, LineState, Project

# In one request.
MOST_AT_ONCE = 1000
RIGHTS = {True: ("studio.view_project", "studio.change_project"), False: ("studio.change_project",)}


class NumberedLines(serializers.ListSerializer[Any]):
    """Says in which of the lines, and where in it, the first mistake is."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            detail: Any = error.detail
            rows = detail.items() if isinstance(detail, dict) else enumerate(detail)
            for number, problems in rows:
                if isinstance(number, int) and isinstance(problems, dict) and problems:
                    field, messages = next(iter(problems.items()))
                    raise serializers.ValidationError(f"Line {number + 1}, {field}: {messages[0]}") from error
            raise


class LineBody(StrictBody):
    """What of a line can be given."""

    class Meta:
        list_serializer_class = NumberedLines

    text = StrictText(max_length=LONGEST_LINE)
    speaker = LineField(required=False, allow_blank=True, max_length=100, help_text="As the script names them.")
    character = RowId(
        queryset=Character.objects.none(),
        required=False,
        allow_null=True,
        help_text="A character's id. For a new line without one the project's cast is asked for the speaker.",
    )
    instruction = LineField(required=False, allow_blank=True, max_length=2000)
    speed = StrictNumber(required=False, min_value=SPEED_MIN, max_value=SPEED_MAX)
    chapter = LineField(
        required=False, allow_blank=True, max_length=200, help_text="The title of the chapter that begins here."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["character"].queryset = Character.objects.filter(archived_at=None)  # type: ignore[attr-defined]


class ChangeBody(LineBody):
    revision = StrictInteger(
        required=False,
        min_value=0,
        max_value=2**31 - 1,
        help_text="The line's when you read it: if somebody has changed it since, this is 409 and changes nothing.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["text"].required = False


class PlaceBody(StrictBody):
    project = RowId(queryset=Project.objects.none())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if request := self.context.get("request"):
            self.fields["project"].queryset = visible_projects(request)  # type: ignore[attr-defined]

    def line(self, name: str) -> Line | None:
        """The project's line that a field names."""
        if (pk := self.validated_data.get(name)) is None:
            return None
        if found := self.validated_data["project"].lines.filter(pk=pk).first():
            return found  # type: ignore[no-any-return]  # of the project's own
        raise serializers.ValidationError({name: _("The project has no such line.")})


class AddBody(PlaceBody):
    lines = LineBody(many=True, allow_empty=False, max_length=MOST_AT_ONCE)
    after = StrictInteger(required=False, min_value=1, max_value=LARGEST_ID, help_text="The line behind which they go.")
    first = StrictBoolean(required=False, default=False, help_text="They go before all others; else to the end.")


class MoveBody(PlaceBody):
    lines = serializers.ListField(
        child=StrictInteger(min_value=1, max_value=LARGEST_ID), allow_empty=False, max_length=MOST_AT_ONCE
    )
    before = StrictInteger(
        required=False, allow_null=True, min_value=1, max_value=LARGEST_ID, help_text="A line's id; null: to the end."
    )


class LineSerializer(serializers.ModelSerializer[Line]):
    state = serializers.ChoiceField(LineState.choices, read_only=True)
    duration = serializers.FloatField(source="take.duration", allow_null=True, default=None, help_text="Seconds.")
    audio = serializers.SerializerMethodField(help_text="Its address, for those who are signed in.")
    error = serializers.SerializerMethodField(help_text="Why the latest attempt failed.")
    error_code = serializers.SerializerMethodField()

    class Meta:
        model = Line
        fields = [
            "id", "project", "position", "text", "speaker", "character", "instruction", "speed", "chapter", "revision",
            "state", "take", "duration", "audio", "error", "error_code",
        ]  # fmt: skip

    def get_audio(self, row: Line) -> str | None:
        return reverse("studio:audio", args=[row.take.pk]) if row.take and row.take.file else None

    def get_error(self, row: Line) -> str:
        return row.attempt.error if row.attempt and row.state == LineState.FAILED else ""

    def get_error_code(self, row: Line) -> str:
        return row.attempt.error_code if row.attempt and row.state == LineState.FAILED else ""


class LineQuery(SearchQuery):
    ordering = Ordering("position")
    project = IdFilter(help_text="A project's id.")
    state = serializers.ChoiceField(LineState.choices, required=False)
    speaker = TextFilter()
    character = IdFilter(help_text="A character's id.")

    searched = ("text", "speaker")


class LinesSerializer(serializers.Serializer[Any]):
    lines = LineSerializer(many=True)


class LineViewSet(RowViewSet[Line]):
    queryset = Line.objects.all()
    serializer_class = LineSerializer
    query_class = LineQuery

    def rights(self) -> tuple[str, ...]:
        return () if self.action is None else RIGHTS[self.action in self.looks]

    def get_queryset(self) -> QuerySet[Line]:
        return Line.objects.filter(project__in=visible_projects(self.request)).shown().order_by("position", "pk")

    def list(self, request: Request) -> Response:
        if project := self.asked().get("project"):
            for found in visible_projects(request).filter(pk=project).select_related("bank"):
                refresh(found)
        return super().list(request)

    @extend_schema(request=AddBody, responses={201: LinesSerializer})
    def create(self, request: Request) -> Response:
        """Insert lines, in their order: to the end, behind a line, or before all others. All of them or none."""
        body = self.checked(AddBody)
        values = body.validated_data
        drafts = [_draft(one) for one in values["lines"]]
        try:
            made = lines.add(values["project"], drafts, after=body.line("after"), first=values["first"])
        except ModelError as error:
            raise serializers.ValidationError(_told(error, "lines")) from error
        return self.told([line.pk for line in made], status=201)

    @extend_schema(request=ChangeBody, responses=LineSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        row = self.writable()
        values = dict(self.checked(ChangeBody).validated_data)
        revision = values.pop("revision", None)
        try:
            lines.edit(row, revision, **values)
        except EditConflict as error:
            raise Conflict(error.messages[0]) from error
        except ModelError as error:
            raise serializers.ValidationError(_told(error, "text")) from error
        return self.shown(row)

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a line. What is still spoken for it is cancelled; its takes stay in the archive."""
        row = self.writable()
        lines.remove(row.project, row.project.lines.filter(pk=row.pk))
        return Response(status=204)

    @extend_schema(request=MoveBody, responses={204: None})
    @action(detail=False, methods=["post"])
    def move(self, request: Request) -> Response:
        """Put lines, in the order that they have, before another, or to the end."""
        body = self.checked(MoveBody)
        values = body.validated_data
        lines.move(values["project"], values["lines"], before=body.line("before"))
        return Response(status=204)

    def checked(self, body: type[Any]) -> Any:
        read = body(data=self.request.data, context=self.get_serializer_context())
        read.is_valid(raise_exception=True)
        return read

    def told(self, pks: Sequence[int], status: int) -> Response:
        """Read anew in their order."""
        rows = self.get_queryset().filter(pk__in=pks)
        return Response({"lines": self.get_serializer(rows, many=True).data}, status=status)


def _draft(values: dict[str, Any]) -> Draft:
    character = values.get("character")
    given = {name: value for name, value in values.items() if name != "character"}
    return Draft(**given, character_id=character.pk if character else None)


def _told(error: ModelError, field: str) -> dict[str, list[str]]:
    if hasattr(error, "error_dict") and field not in error.error_dict and field != "lines":
        return {name: [str(one) for one in found] for name, found in error.message_dict.items()}
    return {field: error.messages}
