from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from django.http import JsonResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import AuthenticationFailed, ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from api import request as api_request
from api.authentication import check_key
from api.handler import AudioStreamResponse
from api.jobs import acting, sound
from api.jobs.answers import (
    EVENT_ANSWERS,
    SOUND_ANSWERS,
    JobAnswer,
    JobsAnswer,
    MadeJobAnswer,
    listed,
    told,
)
from api.jobs.asking import Order, submit
from api.jobs.errors import JobNotFound
from api.jobs.models import LONGEST_IDEMPOTENCY_KEY, Job, JobStatus
from api.jobs.serializers import AudioQuery, JobBody, ListQuery
from api.jobs.streaming import stream
from api.permissions import MayHaveJobs
from api.runtime import current_runtime
from api.state import KeyFacts, api_state
from api.views import ApiView, BoundedJSONParser
from providers.database import in_database
from studio.runner import wake

JOB_ID = re.compile(r"job_[0-9a-f]{24}")
IDEMPOTENCY_HEADER = "Idempotency-Key"


class DigestingParser(BoundedJSONParser):
    """Leaves the digest of the body with the view: bodies are the same when their bytes are."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        body = stream.read()
        parser_context["view"].digest = hashlib.sha256(body).hexdigest()
        return super().parse(BytesIO(body), media_type, parser_context)


class JobsApiView(ApiView):
    permission_classes: Sequence[type[BasePermission]] = (MayHaveJobs,)

    @property
    def key(self) -> KeyFacts:
        facts = api_request.caller_key(self.request)
        assert facts is not None  # MayHaveJobs
        return facts

    def query(self, query_class: type[Serializer[Any]]) -> dict[str, Any]:
        """The address's query, checked."""
        query = query_class(data={name: values[-1] for name, values in self.request.query_params.lists()})
        query.is_valid(raise_exception=True)
        checked: dict[str, Any] = query.validated_data
        return checked

    async def job(self, job_id: str) -> Job:
        """The caller's own. JobNotFound."""
        job = None
        if JOB_ID.fullmatch(job_id):
            job = await in_database(Job.objects.of_key(self.key.id).filter(public_id=job_id).first)
        if job is None:
            raise JobNotFound(f"This API key has no job “{job_id[:100]}”.")
        return job


def reply(payload: Any, status: int = 200) -> JsonResponse:
    headers = {"Cache-Control": "no-store"}
    return JsonResponse(payload, status=status, headers=headers, json_dumps_params={"ensure_ascii": False})


def _idempotency_key(request: Request) -> str:
    key = request.headers.get(IDEMPOTENCY_HEADER, "").strip()
    if len(key) > LONGEST_IDEMPOTENCY_KEY or not key.isascii() or not key.isprintable():
        text = f"`{IDEMPOTENCY_HEADER}` must be printable ASCII, at most {LONGEST_IDEMPOTENCY_KEY} characters."
        raise ValidationError({IDEMPOTENCY_HEADER: [text]})
    return key


class JobsView(JobsApiView):
    http_method_names = ["get", "head", "post"]
    parser_classes = (DigestingParser,)
    digest = ""

    @extend_schema(operation_id="jobs", tags=["jobs"], parameters=[ListQuery], responses=JobsAnswer)
    async def get(self, request: Request) -> HttpResponseBase:
        """The jobs of this key, newest first."""
        return reply(await in_database(_page, self.key.id, self.query(ListQuery)))

    @extend_schema(
        operation_id="make_job",
        tags=["jobs"],
        request=JobBody,
        parameters=[OpenApiParameter(IDEMPOTENCY_HEADER, str, OpenApiParameter.HEADER)],
        responses={200: MadeJobAnswer, 201: MadeJobAnswer},
    )
    async def post(self, request: Request) -> HttpResponseBase:
        """Have one text or many spoken; what comes of it is fetched later."""
        asked = api_request.of(request)
        body, key = request.data, self.key
        assert key.owner_id is not None  # MayHaveJobs
        order = Order(
            key_id=key.id,
            owner_id=key.owner_id,
            banks=asked.banks,
            body=body,
            digest=self.digest,
            idempotency_key=_idempotency_key(request),
            max_input_characters=asked.state.controls.max_input_characters,
        )
        answer, replayed = await in_database(_made, order)
        response = reply(answer, 200 if replayed else 201)
        if replayed:
            response["Idempotent-Replay"] = "true"
        else:
            response["Location"] = f"/v1/jobs/{answer['id']}"
            wake()
        return response


def _page(key_id: int, query: dict[str, Any]) -> dict[str, Any]:
    jobs = Job.objects.of_key(key_id)
    if after := query.get("after"):
        last = jobs.filter(public_id=after).first()
        if last is None:
            raise JobNotFound("This API key has no such job to begin after.", param="after")
        jobs = jobs.filter(pk__lt=last.pk)
    if status := query.get("status"):
        jobs = jobs.with_status(JobStatus(status))
    limit = query["limit"]
    found = list(jobs.order_by("-pk")[: limit + 1])
    return listed(found[:limit], more=len(found) > limit)


def _made(order: Order) -> tuple[dict[str, Any], bool]:
    job, replayed = submit(order)
    answer = told(job)
    if job.webhook_url:
        # Whoever did not get the first answer needs it all the more.
        answer["webhook_secret"] = job.webhook_secret
    return answer, replayed


class JobView(JobsApiView):
    http_method_names = ["get", "head", "delete"]

    @extend_schema(operation_id="job", tags=["jobs"], responses=JobAnswer)
    async def get(self, request: Request, job_id: str) -> HttpResponseBase:
        """A job with its items."""
        return reply(await in_database(told, await self.job(job_id)))

    @extend_schema(operation_id="cancel_job", tags=["jobs"], responses={200: JobAnswer})
    async def delete(self, request: Request, job_id: str) -> HttpResponseBase:
        """Cancel what is not spoken yet; what is, stays."""
        job = await self.job(job_id)
        await acting.cancel(job)
        _tell(job)
        return reply(await in_database(told, job))


class RetryView(JobsApiView):
    http_method_names = ["post"]

    @extend_schema(operation_id="retry_job", tags=["jobs"], request=None, responses=JobAnswer)
    async def post(self, request: Request, job_id: str) -> HttpResponseBase:
        """Have the items spoken again that failed or were cancelled."""
        job, asked = await self.job(job_id), api_request.of(request)
        await in_database(acting.retry, job, asked.banks, asked.state.roster.banks)
        wake()
        _tell(job)
        return reply(await in_database(told, await self.job(job_id)))


def _tell(job: Job) -> None:
    """Whoever waits for it."""
    runtime = current_runtime()
    runtime.watcher.note(job.pk)
    runtime.webhooks.wake()


class EventsView(JobsApiView):
    http_method_names = ["get"]

    @extend_schema(operation_id="job_events", tags=["jobs"], responses=EVENT_ANSWERS)
    async def get(self, request: Request, job_id: str) -> HttpResponseBase:
        """Server-sent events: `job`, then `item` for each that changes, then `done`."""
        job, key = await self.job(job_id), self.key
        events = stream(job, current_runtime().watcher, lambda: _still_welcome(key))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return AudioStreamResponse(events, content_type="text/event-stream", headers=headers)


async def _still_welcome(key: KeyFacts) -> bool:
    """Whether the key opens anything by now."""
    state = await api_state.get()
    facts = next((facts for facts in state.keys.values() if facts.id == key.id), None)
    if facts is None or not state.controls.api_enabled:
        return False
    try:
        check_key(facts)
    except AuthenticationFailed:
        return False
    return True


class SoundView(JobsApiView):
    http_method_names = ["get", "head"]

    @extend_schema(
        operation_id="job_audio",
        tags=["jobs"],
        parameters=[AudioQuery, OpenApiParameter("Range", OpenApiTypes.STR, OpenApiParameter.HEADER)],
        responses=SOUND_ANSWERS,
    )
    async def get(self, request: Request, job_id: str) -> HttpResponseBase:
        """What was spoken: the item's file, or a ZIP of all."""
        query = self.query(AudioQuery)
        job = await self.job(job_id)
        items = await in_database(sound.wanted, job, query)
        return await sound.answer(job, items, request.method or "", request.headers, one=bool(query))
