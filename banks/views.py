"""Stored files, for signed-in staff: found by the row they belong to, never by a path from outside."""

from __future__ import annotations

import re
from contextlib import closing

from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.db.models.fields.files import FieldFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from banks.models import Character, ReferenceAudio
from banks.storage import private_storage


@require_safe
@staff_member_required
def avatar(request: HttpRequest, pk: int) -> HttpResponse:
    _require_sight(request, "character")
    return _file_response(request, get_object_or_404(Character, pk=pk).avatar, "image/webp")


@require_safe
@staff_member_required
def reference(request: HttpRequest, pk: int) -> HttpResponse:
    _require_sight(request, "referenceaudio")
    return _file_response(request, get_object_or_404(ReferenceAudio, pk=pk).file, "audio/wav")


def _require_sight(request: HttpRequest, model: str) -> None:
    if not any(request.user.has_perm(f"banks.{right}_{model}") for right in ("view", "change")):
        raise PermissionDenied


def _file_response(request: HttpRequest, file: FieldFile, content_type: str) -> HttpResponse:
    """The file or the asked part of it: players seek by Range. Whole, since ASGI would gather a sync stream anyway."""
    stored = private_storage().find(file.name) if file.name else None
    if stored is None:
        raise Http404
    part = _range(request.headers.get("range", ""), stored.size)
    with closing(private_storage().reader(stored.name, part.start)) as reader:
        response = HttpResponse(reader.read(len(part)), content_type=content_type)
    if len(part) != stored.size:
        response.status_code = 206
        response["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{stored.size}"
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, max-age=3600"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Disposition"] = "inline"
    return response


def _range(header: str, size: int) -> range:
    """The bytes that a Range header asks for; everything where it is missing or can't be met."""
    asked = re.fullmatch(r"bytes=(\d{1,15})-(\d{0,15})", header.strip(), re.ASCII)
    if asked is None:
        return range(size)
    start, stop = int(asked[1]), min(int(asked[2] or size) + 1, size)
    return range(start, stop) if start < stop else range(size)
