"""Projects of the studio: a person's own and those that are shared with them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from api.native.fields import LARGEST_ID, RowId, RowIds, StrictInteger
from api.native.filters import IdFilter, Ordering, SearchQuery
from api.native.imports import ImportBody, ImportedSerializer, imported
from api.native.queue import CancelledSerializer
from api.native.serializers import RowSerializer, StrictBody
from api.native.views import RowViewSet
from banks.models import Bank
from studio.freshness import refresh
from studio.generate import Outcome, Want, cancel, generate
from studio.kinds import kinds
from studio.models import MOST_LINES, LineQuerySet, LineState, Project
from studio.projects import Progress, duplicate, people, progress_of, remove, share

User = get_user_model()
_OWN = ("name", "bank", "language", "format", "reuse")


def visible_projects(request: Request) -> QuerySet[Project]:
    return Project.objects.visible_to(request.user).filter(kind__in=kinds())


class ProgressSerializer(serializers.Serializer[Any]):
    done = serializers.IntegerField(help_text="Lines whose audio is current.")
    total = serializers.IntegerField()


class ProjectSerializer(RowSerializer[Project]):
    kind = serializers.ChoiceField([(name, name) for name in kinds()])
    bank = RowId(queryset=Bank.objects.none(), required=False, allow_null=True)
    owner = RowId(
        queryset=User._default_manager.none(),
        required=False,
        help_text="A user's id; at first your own. Whoever owned it stays a member.",
    )
    members = RowIds(required=False, help_text="Users' ids: who else sees the project, and works on it with the right.")
    progress = serializers.SerializerMethodField()

    fixed = ("kind",)

    class Meta:
        model = Project
        fields = [
            "id", "name", "kind", "owner", "members", "bank", "language", "format", "reuse", "progress", "created_at",
            "changed_at",
        ]  # fmt: skip
        read_only_fields = ["created_at", "changed_at"]

    def get_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().get_fields()
        if self.asked:
            row = self.instance if isinstance(self.instance, Project) else Project()
            fields["bank"].queryset = Bank.objects.filter(Q(archived_at=None) | Q(pk=row.bank_id))
            known = Q(pk__in=people().values("pk")) | Q(pk=row.owner_id)
            fields["owner"].queryset = fields["members"].queryset = User._default_manager.filter(known)
        return fields

    @extend_schema(responses=ProgressSerializer)
    def get_progress(self, row: Project) -> dict[str, int]:
        known = self.context.get("progress")
        found = (progress_of([row]) if known is None else known).get(row.pk, Progress())
        return {"done": found.done, "total": found.total}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        named = [name for name in ("owner", "members") if name in attrs]
        if self.instance is None:
            if "owner" in attrs:
                raise serializers.ValidationError({"owner": _("A new project is your own: leave it out.")})
            attrs["owner"] = self.request.user
        elif named and not self.instance.is_managed_by(self.request.user):
            raise PermissionDenied(_("Only its owner and administrators choose a project's people."))
        return super().validate(attrs)

    def fill(self, row: Any, attrs: dict[str, Any]) -> None:
        """Its people are chosen by `save`."""
        keep = {"members"} if row.pk is None else {"owner", "members"}
        super().fill(row, {name: value for name, value in attrs.items() if name not in keep})

    def save(self, **kwargs: Any) -> Project:
        row: Project = self.row
        if row.pk is None:
            row.save()
        else:
            row.save(update_fields=[name for name in _OWN if name in self.validated_data])
            row.touch()
        if {"owner", "members"} & self.validated_data.keys():
            values = self.validated_data
            members = values.get("members", row.members.all())
            share(row, values.get("owner", row.owner), list(members))
        refresh(row)
        return row


class ProjectQuery(SearchQuery):
    ordering = Ordering("changed_at", "created_at", "name")
    kind = serializers.ChoiceField([(name, name) for name in kinds()], required=False)
    bank = IdFilter(help_text="A bank's id.")
    owner = IdFilter(help_text="A user's id.")

    searched = ("name",)


class LinesBody(StrictBody):
    lines = serializers.ListField(
        child=StrictInteger(min_value=1, max_value=LARGEST_ID),
        required=False,
        max_length=MOST_LINES,
        help_text="Lines' ids; all of the project where it is left out.",
    )


class GenerateBody(LinesBody):
    want = serializers.ChoiceField(
        [each.value for each in Want],
        default=Want.MISSING.value,
        help_text="missing: what has no audio or stale audio. failed: what failed. all: that and what is current.",
    )


class RefusedSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField()
    lines = serializers.IntegerField(help_text="How many.")


class OutcomeSerializer(serializers.Serializer[Any]):
    queued = serializers.IntegerField(help_text="New takes.")
    reused = serializers.IntegerField(help_text="Lines that have the audio of another.")
    waiting = serializers.IntegerField(help_text="Lines that were asked for already.")
    refused = RefusedSerializer(many=True)


class CountsSerializer(serializers.Serializer[Any]):
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Lines in each state.")


class ProjectViewSet(RowViewSet[Project]):
    queryset = Project.objects.all()
    serializer_class = ProjectSerializer
    query_class = ProjectQuery
    looks = frozenset({"list", "retrieve", "counts"})

    def rights(self) -> tuple[str, ...]:
        return ("studio.add_project",) if self.action == "duplicate" else super().rights()

    def get_queryset(self) -> QuerySet[Project]:
        found = visible_projects(self.request) if hasattr(self, "request") and self.request else Project.objects.none()
        return found.select_related("bank", "owner").prefetch_related("members")

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        serializer = super().get_serializer(*args, **kwargs)
        if kwargs.get("many"):
            # One query for all of the page.
            context: Any = serializer.context
            context["progress"] = progress_of(args[0])
        return serializer

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a project with its lines, exports and takes, but for the takes that are kept."""
        row = self.writable()
        if not row.is_managed_by(request.user):
            raise PermissionDenied(_("Only its owner and administrators delete a project."))
        remove(row, request.user)
        return Response(status=204)

    @extend_schema(request=None, responses={201: ProjectSerializer})
    @action(detail=True, methods=["post"])
    def duplicate(self, request: Request, pk: str) -> Response:
        """A copy of your own, with the same lines and cast, without audio."""
        return self.shown(duplicate(self.get_object(), request.user), status=201)

    @extend_schema(responses=CountsSerializer)
    @action(detail=True, methods=["get"])
    def counts(self, request: Request, pk: str) -> Response:
        """How many of its lines are missing, queued, running, failed, stale and done."""
        project = self.get_object()
        refresh(project)
        return Response({"counts": {state.value: 0 for state in LineState} | project.lines.counts()})

    @extend_schema(request=GenerateBody, responses=OutcomeSerializer)
    @action(detail=True, methods=["post"])
    def generate(self, request: Request, pk: str) -> Response:
        """Queue takes for lines. They belong to whoever asks."""
        project = self.get_object()
        body = _checked(GenerateBody, request)
        outcome = generate(project, _chosen(project, body), Want(body["want"]), request.user)
        return Response(_told(outcome))

    @extend_schema(request=ImportBody, responses={201: ImportedSerializer, 200: ImportedSerializer})
    @action(detail=True, methods=["post"], url_path="import")
    def import_text(self, request: Request, pk: str) -> Response:
        """Make lines of a text, at the end or in place of all others (201); of a dry run only what it would make
        (200)."""
        project = self.get_object()
        body = _checked(ImportBody, request)
        return Response(imported(project, body), status=200 if body["dry_run"] else 201)

    @extend_schema(request=LinesBody, responses=CancelledSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Cancel what waits or is spoken for lines."""
        project = self.get_object()
        body = _checked(LinesBody, request)
        return Response({"cancelled": cancel(project, _chosen(project, body))})


def _checked(body: type[StrictBody], request: Request) -> dict[str, Any]:
    read = body(data=request.data)
    read.is_valid(raise_exception=True)
    values: dict[str, Any] = read.validated_data
    return values


def _chosen(project: Project, body: dict[str, Any]) -> LineQuerySet:
    """All lines, or those that are named; none of another project."""
    if "lines" not in body:
        return project.lines.all()
    return project.lines.filter(pk__in=body["lines"])


def _told(outcome: Outcome) -> dict[str, Any]:
    refused = [{"reason": reason, "lines": count} for reason, count in outcome.refused.most_common()]
    return {"queued": outcome.queued, "reused": outcome.reused, "waiting": outcome.waiting, "refused": refused}
