"""The files of takes, for those who may listen: streamed from the disk, whole or in the part that a player asks for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Sent:
    """How a file, or the part of it that was asked for, is answered. Without `chunks` there is nothing but the head."""

    status: int
    headers: dict[str, str]
    chunks: AsyncGenerator[bytes] | None = None


@require_safe
@staff_member_required
async def audio(request: HttpRequest, pk: int) -> HttpResponseBase:
    """To listen to; with `?download`, to save. Raw samples, which no player knows, are heard as WAV."""
    user: Any = await request.auser()
    if not await user.ahas_perm("studio.view_take"):
        raise PermissionDenied
    take = await Take.objects.audible_to(user).filter(pk=pk).exclude(file="").afirst()
    path = await stored_file(take) if take else None
    if take is None or path is None:
        raise Http404
    saving, format = "download" in request.GET, AudioFormat(take.format)
    as_wav = format is AudioFormat.PCM and not saving
    size = (await asyncio.to_thread(path.stat)).st_size
    head = wav_header(PCM_SAMPLE_RATE, size) if as_wav else b""
    response = answer(request, path, file_name(take), saving=saving, head=head, size=size)
    response["Content-Type"] = (AudioFormat.WAV if as_wav else format).content_type
    return response


def answer(
    request: HttpRequest, path: Path, name: str, *, saving: bool, size: int, head: bytes = b""
) -> HttpResponseBase:
    """A file of `size` bytes, for whoever asked only, behind `head`: whole, or the part that is asked for."""
    response = _response(_sent(path, request.method or "", request.headers.get("range", ""), head, len(head) + size))
    response["Content-Disposition"] = content_disposition_header(saving, name) or "inline"
    response["Cache-Control"] = "private, max-age=3600"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _response(sent: Sent) -> HttpResponseBase:
    if sent.chunks is None:
        return HttpResponse(status=sent.status, headers=sent.headers)
    return StreamingHttpResponse(sent.chunks, status=sent.status, headers=sent.headers)


async def stored_file(take: Take) -> Path | None:
    """Where a take's file lies; None where there is none, or none any more."""
    if not take.file:
        return None
    path = Path(private_storage().path(take.file.name or ""))
    return path if await asyncio.to_thread(path.is_file) else None


async def sending(path: Path, method: str, asked_range: str) -> Sent:
    """The file by the rules of HTTP."""
    size = (await asyncio.to_thread(path.stat)).st_size
    return _sent(path, method, asked_range, b"", size)


def _sent(path: Path, method: str, asked_range: str, head: bytes, size: int) -> Sent:
    part = asked_part(asked_range, size)
    headers = {"Accept-Ranges": "bytes"}
    if part is None:
        return Sent(416, headers | {"Content-Range": f"bytes */{size}"})
    headers["Content-Length"] = str(len(part))
    if len(part) != size:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    status = 200 if len(part) == size else 206
    return Sent(status, headers, None if method == "HEAD" else _chunks(head, path, part))


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


async def _chunks(head: bytes, path: Path, part: range) -> AsyncGenerator[bytes]:
    """The bytes of `part`, counted from the first of `head`, which stands before the file."""
    if first := head[part.start : part.stop]:
        yield first
    position, end = max(part.start - len(head), 0), part.stop - len(head)
    with await asyncio.to_thread(open, path, "rb") as file:
        file.seek(position)
        while position < end and (chunk := await asyncio.to_thread(file.read, min(CHUNK_BYTES, end - position))):
            position += len(chunk)
            yield chunk
