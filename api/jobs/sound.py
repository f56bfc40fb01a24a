"""What a job spoke: the file of one item, or all of them as a ZIP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from api.handler import AudioStreamResponse
from api.jobs.answers import item_answer, job_answer
from api.jobs.errors import AudioGone, ItemCancelled, ItemFailed, ItemNotFound, JobUnfinished
from api.jobs.models import Job, JobItem, JobStatus, Tally
from api.jobs.zipping import Entry, safe_name, zipped
from providers.speech import AudioFormat
from studio.audio import sending, stored_file
from studio.models import Take, TakeState

# When to ask again for what is not spoken yet.
AGAIN_SECONDS = 5
GONE = "This sound was discarded: sound stays as long as the studio's settings say."


def wanted(job: Job, query: dict[str, Any]) -> list[JobItem]:
    """The item of this `index` or `custom_id`; without either, all. ItemNotFound."""
    items = list(JobItem.objects.filter(job=job, **query).with_takes())
    if not items:
        raise ItemNotFound("This job has no such item.", param="custom_id" if "custom_id" in query else "item")
    return items


async def answer(
    job: Job, items: list[JobItem], method: str, asked: Mapping[str, str], *, one: bool
) -> HttpResponseBase:
    """A job with a single item is that one's file, too. `asked` are the request's headers."""
    if one or len(items) == 1:
        return await _one(job, items[0], method, asked)
    return _all(job, items, method)


async def _one(job: Job, item: JobItem, method: str, asked: Mapping[str, str]) -> HttpResponseBase:
    take = _spoken(item)
    stored = await stored_file(take.file)
    if stored is None:
        raise AudioGone(GONE)
    format = AudioFormat(take.format)
    sent = sending(stored, method, asked)
    name = f"{job.public_id}-{safe_name(item.index, item.custom_id, take.format)}"
    headers = {
        **sent.headers,
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    if sent.chunks is None:
        return HttpResponse(status=sent.status, headers=headers, content_type=format.content_type)
    return AudioStreamResponse(sent.chunks, status=sent.status, headers=headers, content_type=format.content_type)


def _spoken(item: JobItem) -> Take:
    """The item's take, which has a file; else why it has none."""
    take = item.take
    if take is None:
        raise AudioGone(GONE)
    if take.is_open:
        raise JobUnfinished("This is not spoken yet: ask again soon.", retry_after=AGAIN_SECONDS)
    if take.state == TakeState.CANCELLED:
        raise ItemCancelled("This was cancelled: retry the job to have it spoken.")
    if take.state == TakeState.FAILED:
        raise ItemFailed(take.error_code, take.error)
    return take


def _all(job: Job, items: list[JobItem], method: str) -> HttpResponseBase:
    tally = Tally.of(items)
    if JobStatus.of(tally.counts).is_open:
        raise JobUnfinished("This job is not at its end yet: ask again soon.", retry_after=AGAIN_SECONDS)
    if not tally.counts[TakeState.DONE]:
        # The first of them says why there is nothing.
        _spoken(next((item for item in items if item.status == TakeState.FAILED), items[0]))
    headers = {
        "Content-Disposition": f'attachment; filename="{job.public_id}.zip"',
        "Cache-Control": "private, no-store",
        "X-Accel-Buffering": "no",
    }
    entries = [_entry(job, item) for item in items]
    parts = _nothing() if method == "HEAD" else zipped(entries, job_answer(job, tally))
    return AudioStreamResponse(parts, content_type="application/zip", headers=headers)


def _entry(job: Job, item: JobItem) -> Entry:
    take = item.take
    done = take is not None and take.state == TakeState.DONE
    stored = take.file.name if take is not None and done else None
    name = safe_name(item.index, item.custom_id, take.format if take else "none")
    at = (take.finished_at if take else None) or timezone.now()
    return Entry(name, stored, at, item_answer(job.public_id, item))


async def _nothing() -> AsyncGenerator[bytes]:
    for part in list[bytes]():
        yield part
