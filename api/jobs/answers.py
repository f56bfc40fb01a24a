"""What is told of jobs, and the shapes of it for the schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers

from api.jobs.models import ITEM_STATUSES, Job, JobItem, JobStatus, Tally, WebhookState
from providers.speech import AudioFormat
from studio.models import TakeState


def seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def job_answer(job: Job, tally: Tally, items: Sequence[JobItem] | None = None) -> dict[str, Any]:
    status = JobStatus.of(tally.counts)
    path = f"/v1/jobs/{job.public_id}"
    answer: dict[str, Any] = {
        "id": job.public_id,
        "object": "job",
        "status": status.value,
        "created_at": seconds(job.created_at),
        "ended_at": None if status.is_open else seconds(tally.ended_at),
        "counts": {"total": sum(tally.counts.values()), **tally.counts},
        "metadata": job.metadata,
        "webhook": webhook_answer(job) if job.webhook_url else None,
        "audio_url": f"{path}/audio",
        "events_url": f"{path}/events",
    }
    if items is not None:
        answer["items"] = [item_answer(job.public_id, item) for item in items]
    return answer


def webhook_answer(job: Job) -> dict[str, Any]:
    return {
        "url": job.webhook_url,
        "state": job.webhook_state,
        "attempts": job.webhook_attempts,
        "error": job.webhook_error or None,
    }


def item_answer(public_id: str, item: JobItem) -> dict[str, Any]:
    take = item.take
    answer: dict[str, Any] = {
        "index": item.index,
        "custom_id": item.custom_id or None,
        "status": item.status,
        "voice": None,
        "model": None,
        "response_format": None,
        "duration": None,
        "size": None,
        "error": None,
        "audio_url": None,
    }
    if take is None:
        return answer
    voice = take.made_with.voice
    answer |= {"voice": voice.name, "model": voice.bank, "response_format": take.format}
    if take.state == TakeState.DONE:
        url = f"/v1/jobs/{public_id}/audio?item={item.index}"
        answer |= {"duration": take.duration, "size": take.size, "audio_url": url}
    elif take.state == TakeState.FAILED:
        answer["error"] = {"code": take.error_code, "message": take.error, "retry": take.retry_helps}
    return answer


def told(job: Job) -> dict[str, Any]:
    """A job with its items, as they are now. Two queries."""
    items = list(JobItem.objects.filter(job=job).with_takes())
    return job_answer(job, Tally.of(items), items)


def listed(jobs: Sequence[Job], more: bool) -> dict[str, Any]:
    """A page of jobs. One query."""
    tallies: Mapping[int, Tally] = JobItem.objects.tallies([job.pk for job in jobs])
    data = [job_answer(job, tallies[job.pk]) for job in jobs]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"object": "list", "data": data, **ends, "has_more": more}


class CountsAnswer(serializers.Serializer[Any]):
    total = serializers.IntegerField()

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {status: serializers.IntegerField() for status in ITEM_STATUSES}


class WebhookAnswer(serializers.Serializer[Any]):
    url = serializers.CharField()
    state = serializers.ChoiceField([state.value for state in WebhookState if state.value])
    attempts = serializers.IntegerField()
    error = serializers.CharField(allow_null=True)


class ItemErrorAnswer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    retry = serializers.BooleanField(help_text="Whether trying again can help.")


class ItemAnswer(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    custom_id = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(ITEM_STATUSES)
    voice = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True, help_text="The bank.")
    response_format = serializers.ChoiceField([format.value for format in AudioFormat], allow_null=True)
    duration = serializers.FloatField(allow_null=True, help_text="In seconds.")
    size = serializers.IntegerField(allow_null=True, help_text="In bytes.")
    error = ItemErrorAnswer(allow_null=True)
    audio_url = serializers.CharField(allow_null=True)


class ListedJobAnswer(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.ChoiceField(["job"])
    status = serializers.ChoiceField(JobStatus.values)
    created_at = serializers.IntegerField()
    ended_at = serializers.IntegerField(allow_null=True)
    counts = CountsAnswer(help_text="Of its items, by their status.")
    metadata = serializers.DictField(child=serializers.CharField(allow_blank=True))
    webhook = WebhookAnswer(allow_null=True)
    audio_url = serializers.CharField()
    events_url = serializers.CharField()


class JobAnswer(ListedJobAnswer):
    items = ItemAnswer(many=True)


class MadeJobAnswer(JobAnswer):
    webhook_secret = serializers.CharField(
        required=False, help_text="What the webhook is signed with; only here, and only with a webhook."
    )


class JobsAnswer(serializers.Serializer[Any]):
    object = serializers.ChoiceField(["list"])
    data = ListedJobAnswer(many=True)  # type: ignore[assignment]  # the answer's own name
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()


SOUND_ANSWERS: dict[tuple[int, str], Any] = {
    (status, content_type): OpenApiTypes.BINARY
    for status in (200, 206)
    for content_type in (*(format.content_type for format in AudioFormat), "application/zip")
}
EVENT_ANSWERS: dict[tuple[int, str], Any] = {(200, "text/event-stream"): OpenApiTypes.OBJECT}
