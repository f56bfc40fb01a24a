"""Stored files, for those who may listen: streamed, whole or in the part that a player asks for."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied, RequestAborted
from django.db.models.fields.files import FieldFile
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from banks.storage import StoredFile, private_storage, translated
from providers.audio import wav_header
from providers.speech import PCM_SAMPLE_RATE, AudioFormat
from studio.cards import file_name
from studio.files import find
from studio.models import Take
from studio.streaming import from_thread, in_file_thread

CHUNK_BYTES = 256 * 1024

logger = logging.getLogger(__name__)
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
    stored = await stored_file(take.file) if take else None
    if take is None or stored is None:
        raise Http404
    saving, format = "download" in request.GET, AudioFormat(take.format)
    as_wav = format is AudioFormat.PCM and not saving
    head = wav_header(PCM_SAMPLE_RATE, stored.size) if as_wav else b""
    response = answer(request, stored, file_name(take), saving=saving, head=head)
    response["Content-Type"] = (AudioFormat.WAV if as_wav else format).content_type
    return response


def answer(request: HttpRequest, stored: StoredFile, name: str, *, saving: bool, head: bytes = b"") -> HttpResponseBase:
    """A file, for whoever asked only, behind `head`: whole, or the part that is asked for."""
    response = _response(sending(stored, request.method or "", request.headers, head))
    response["Content-Disposition"] = content_disposition_header(saving, name) or "inline"
    response["Cache-Control"] = "private, max-age=3600"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _response(sent: Sent) -> HttpResponseBase:
    if sent.chunks is None:
        return HttpResponse(status=sent.status, headers=sent.headers)
    return StreamingHttpResponse(_or_cut(sent.chunks), status=sent.status, headers=sent.headers)


async def _or_cut(chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Where a file breaks off, the connection is cut. As Django's own word for that, since it gives the request's
    database connection back for no other failure of a stream."""
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
    except OSError as error:
        logger.error("An answer broke off: %s", translated(error).message)
        raise RequestAborted from error


async def stored_file(file: FieldFile) -> StoredFile | None:
    """None where there is none, or none any more. StorageError."""
    return await in_file_thread(partial(find, file.name))


def sending(stored: StoredFile, method: str, headers: Mapping[str, str], head: bytes = b"") -> Sent:
    """The file by the rules of HTTP, behind `head`."""
    size, tag = len(head) + stored.size, _entity_tag(stored, head)
    # A client that has a part of another file must not put this one's behind it.
    meant = headers.get("if-range", tag) == tag
    part = asked_part(headers.get("range", ""), size) if meant else range(size)
    told = {"Accept-Ranges": "bytes", "ETag": tag}
    if part is None:
        return Sent(416, told | {"Content-Range": f"bytes */{size}"})
    told["Content-Length"] = str(len(part))
    if len(part) != size:
        told["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    status = 200 if len(part) == size else 206
    return Sent(status, told, None if method == "HEAD" else from_thread(_chunks(head, stored, part)))


def _entity_tag(stored: StoredFile, head: bytes) -> str:
    """A name is given once, and what it names never changes."""
    return '"' + sha256(stored.name.encode() + head).hexdigest()[:32] + '"'


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


def _chunks(head: bytes, stored: StoredFile, part: range) -> Generator[bytes]:
    """The bytes of `part`, counted from the first of `head`, which stands before the file."""
    if first := head[part.start : part.stop]:
        yield first
    position, end = max(part.start - len(head), 0), part.stop - len(head)
    if position >= end:
        return
    with closing(private_storage().reader(stored.name, position)) as reader:
        while position < end and (chunk := reader.read(min(CHUNK_BYTES, end - position))):
            position += len(chunk)
            yield chunk
