"""The files of takes, for those who may listen: streamed from the disk, whole or in the part that a player asks for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from banks.storage import private_storage
from providers.audio import wav_header
from providers.speech import PCM_SAMPLE_RATE, AudioFormat
from studio.cards import file_name
from studio.models import Take

CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


@require_safe
@staff_member_required
async def audio(request: HttpRequest, pk: int) -> HttpResponseBase:
    """To listen to; with `?download`, to save. Raw samples, which no player knows, are heard as WAV."""
    user: Any = await request.auser()
    if not await user.ahas_perm("studio.view_take"):
        raise PermissionDenied
    take = await Take.objects.audible_to(user).filter(pk=pk).exclude(file="").afirst()
    path = Path(private_storage().path(take.file.name or "")) if take else None
    if take is None or path is None or not await asyncio.to_thread(path.is_file):
        raise Http404
    saving, format = "download" in request.GET, AudioFormat(take.format)
    as_wav = format is AudioFormat.PCM and not saving
    size = (await asyncio.to_thread(path.stat)).st_size
    head = wav_header(PCM_SAMPLE_RATE, size) if as_wav else b""
    response = _answer(request, head, path, len(head) + size)
    response["Content-Type"] = (AudioFormat.WAV if as_wav else format).content_type
    response["Content-Disposition"] = content_disposition_header(saving, file_name(take)) or "inline"
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, max-age=3600"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _answer(request: HttpRequest, head: bytes, path: Path, size: int) -> HttpResponseBase:
    part = asked_part(request.headers.get("range", ""), size)
    if part is None:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {"Content-Length": str(len(part))}
    if len(part) != size:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    status = 200 if len(part) == size else 206
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers)
    return StreamingHttpResponse(_chunks(head, path, part), status=status, headers=headers)


def asked_part(header: str, size: int) -> range | None:
    """What a Range header asks for: everything where there is none that we understand, None where it can't be met."""
    asked = _RANGE.fullmatch(header.strip())
    if asked is None or not (asked[1] or asked[2]):
        return range(size)
    if not asked[1]:
        start, stop = max(size - int(asked[2]), 0), size
    else:
        start, stop = int(asked[1]), min(int(asked[2] or size) + 1, size)
    return range(start, stop) if start < stop else None


async def _chunks(head: bytes, path: Path, part: range) -> AsyncIterator[bytes]:
    """The bytes of `part`, counted from the first of `head`, which stands before the file."""
    if first := head[part.start : part.stop]:
        yield first
    position, end = max(part.start - len(head), 0), part.stop - len(head)
    with await asyncio.to_thread(open, path, "rb") as file:
        file.seek(position)
        while position < end and (chunk := await asyncio.to_thread(file.read, min(CHUNK_BYTES, end - position))):
            position += len(chunk)
            yield chunk
