"""What the views of the native API share: who may come in, what a list is, and how a row is made, changed and removed.

Views are synchronous and run in Django's own threads. Each change is one transaction with its line in the audit trail.
"""

from __future__ import annotations

import json
import os
from typing import Any, ClassVar, cast

from django.core.exceptions import ValidationError as ModelError
from django.core.handlers.asgi import ASGIRequest
from django.db import models, transaction
from django.db.models import ProtectedError
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from api.exceptions import ApiSwitchedOff
from api.native.authentication import NativeKeyAuthentication, NativeSessionAuthentication
from api.native.entrance import record_of
from api.native.filters import Query
from api.native.pagination import NativePagination
from api.native.parsers import StrictJSONParser
from api.native.permissions import HasRights, NativeThrottle, allowed_banks, key_of
from api.state import load_controls
from api.views import AnyAccept
from banks.storage import StorageError
from providers.archive import Archivable
from providers.audit import Change, changed, record
from providers.errors import SpeechError

PROVIDER_FAILED = 502


class Conflict(APIException):
    """The row is not in a state for this."""

    status_code = 409
    default_code = "conflict"


class NativeView(APIView):
    """A view under /api/. `rights` says what it takes to come in."""

    authentication_classes: Any = (NativeKeyAuthentication, NativeSessionAuthentication)
    permission_classes: Any = (HasRights,)
    throttle_classes: Any = (NativeThrottle,)
    parser_classes: Any = (StrictJSONParser,)
    content_negotiation_class = AnyAccept
    serves_limited_keys = False
    query_class: ClassVar[type[Query] | None] = None

    def rights(self) -> tuple[str, ...]:
        raise NotImplementedError

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Request:
        if isinstance(request, ASGIRequest) and "CONTENT_LENGTH" not in request.META:
            # DRF takes a body of no declared length, sent in chunks, for none.
            body: Any = request._stream  # the file that Django took it into
            request.META["CONTENT_LENGTH"] = str(body.seek(0, os.SEEK_END))
            body.seek(0)
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # Whoever is signed in can switch it on again.
        if key_of(request) is not None and not load_controls().api_enabled:
            raise ApiSwitchedOff

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, SpeechError) and exc.status == 500 and not isinstance(exc, StorageError):
            exc.status = PROVIDER_FAILED
        elif isinstance(exc, ProtectedError):
            exc = Conflict(_("This is in use: first remove what uses it."))
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        final = super().finalize_response(request, response, *args, **kwargs)
        final["Cache-Control"] = "no-store"
        if final.status_code >= 400 and (log := record_of(request)):
            log.error_code = json.loads(final.content)["error"]["code"] or ""
        return final

    def asked(self) -> dict[str, Any]:
        """The address's query, checked."""
        if self.query_class is None:
            return {}
        query = self.query_class(data={name: values[-1] for name, values in self.request.query_params.lists()})
        query.is_valid(raise_exception=True)
        return cast("dict[str, Any]", query.validated_data)

    def note(self, row: models.Model, change: Change, message: Any = "") -> None:
        record(self.request.user, row, change, message)


class RowViewSet[M: models.Model](NativeView, GenericViewSet[M]):
    """Rows of one model: list and look; make, change and remove what the caller may."""

    http_method_names = ["get", "head", "post", "patch", "delete"]
    pagination_class = NativePagination
    lookup_value_regex = "[0-9]{1,19}"
    query_class: ClassVar[type[Query]]
    looks: ClassVar[frozenset[str]] = frozenset({"list", "retrieve"})
    """The actions that ask for no more than the right to view."""

    def rights(self) -> tuple[str, ...]:
        meta = self.get_queryset().model._meta
        if self.action is None:
            return ()  # a method that there is not, whoever asks
        words = [{"create": "add", "destroy": "delete"}.get(self.action, "change")]
        if self.action in self.looks:
            words += ["view"]
        return tuple(f"{meta.app_label}.{word}_{meta.model_name}" for word in words)

    def list(self, request: Request) -> Response:
        asked = self.asked()
        rows = self.query_class().apply(self.get_queryset(), asked)
        pages = NativePagination(asked["limit"], asked["offset"])
        found = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response(self.get_serializer(found, many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        return self.shown(self.get_object())

    def create(self, request: Request) -> Response:
        self.check_may_add()
        with transaction.atomic():
            serializer = self.get_serializer(data=request.data)
            row = self.written(serializer, Change.ADDED)
        return self.shown(row, status=201)

    def partial_update(self, request: Request, pk: str) -> Response:
        with transaction.atomic():
            row = self.changeable()
            self.written(self.get_serializer(row, data=request.data, partial=True), Change.CHANGED)
        return self.shown(row)

    def destroy(self, request: Request, pk: str) -> Response:
        with transaction.atomic():
            self.removed(self.writable())
        return Response(status=204)

    def removed(self, row: M) -> None:
        self.note(row, Change.DELETED)
        row.delete()

    def written(self, serializer: BaseSerializer[M], change: Change) -> M:
        """Validate, save, and note the names of what was given."""
        serializer.is_valid(raise_exception=True)
        row = serializer.save()
        given = [name for name in serializer.fields if name in serializer.initial_data]  # type: ignore[attr-defined]
        self.note(row, change, changed(*given) if change is Change.CHANGED else "")
        return row

    def shown(self, row: M, status: int = 200) -> Response:
        """Read anew, since a list's columns are counted by the database."""
        fresh = self.get_queryset().get(pk=row.pk)
        return Response(self.get_serializer(fresh).data, status=status)

    def writable(self) -> M:
        """The row, if the caller's key may touch it."""
        row = self.get_object()
        self.check_may_touch(row)
        return row

    def changeable(self) -> M:
        row = self.writable()
        if isinstance(row, Archivable) and row.archived_at is not None:
            raise Conflict(_("This is archived: restore it first."))
        return row

    def check_may_add(self) -> None:
        """PermissionDenied for a key that is limited to banks: what it made would belong to none of them."""
        if allowed_banks(self.request) is not None:
            raise PermissionDenied(_("This API key is limited to some banks: it can't add this."))

    def check_may_touch(self, row: M) -> None:
        """PermissionDenied where the row reaches beyond the banks of the caller's key."""


class ArchivableViewSet[M: Archivable](RowViewSet[M]):
    """What something uses is archived in place of being deleted, as on the pages."""

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete (204), or archive what something uses (200): it is hidden and disabled until it is restored."""
        with transaction.atomic():
            row = self.changeable()
            used = bool(row.users())
            self.note(row, *((Change.CHANGED, gettext_noop("Archived.")) if used else (Change.DELETED,)))
            row.remove()
        return self.shown(row) if used else Response(status=204)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str) -> Response:
        """Bring back what is archived."""
        with transaction.atomic():
            row = self.writable()
            try:
                row.restore()
            except ModelError as error:
                text = _("This can't be restored while something else has its name. Rename that one first.")
                raise Conflict(text) from error
            self.note(row, Change.CHANGED, gettext_noop("Restored."))
        return self.shown(row)


class UnknownPathView(NativeView):
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    schema = None

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        return self.finalize_response(self.request, self.handle_exception(Http404()), *args, **kwargs)
