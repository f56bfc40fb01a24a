"""Jobs: speech that a program asks for now and fetches later.

A job holds no sound and no state of its own: each of its items has a take, and what a job is follows from these.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from providers.fields import EncryptedTextField
from studio.models import OPEN, Take, TakeState

LONGEST_CUSTOM_ID = 64
LONGEST_IDEMPOTENCY_KEY = 255
LONGEST_URL = 2000
# How long the same Idempotency-Key means the same job.
REPLAY = timedelta(hours=24)
# A job whose sound is all gone is forgotten so long after it was made.
FORGOTTEN = timedelta(days=90)

EXPIRED = "expired"
# What an item can be: its take's state, or that the take is gone.
ITEM_STATUSES = (*TakeState.values, EXPIRED)


class JobStatus(models.TextChoices):
    QUEUED = "queued", _("Queued")
    IN_PROGRESS = "in_progress", _("In progress")
    COMPLETED = "completed", _("Completed")
    PARTIALLY_FAILED = "partially_failed", _("Partially failed")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")
    EXPIRED = "expired", _("Expired")

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> JobStatus:
        """From how many items have which status. `JobQuerySet.with_status` asks the database the same."""
        some = {status for status, count in counts.items() if count}
        if some & set(OPEN):
            return cls.QUEUED if some <= {TakeState.QUEUED, EXPIRED} else cls.IN_PROGRESS
        if TakeState.CANCELLED in some:
            return cls.CANCELLED
        if TakeState.FAILED in some:
            return cls.PARTIALLY_FAILED if TakeState.DONE in some else cls.FAILED
        return cls.COMPLETED if TakeState.DONE in some else cls.EXPIRED

    @property
    def is_open(self) -> bool:
        return self in (JobStatus.QUEUED, JobStatus.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a job's items have which status, and when the last of them ended."""

    counts: Mapping[str, int]
    ended_at: datetime | None

    @classmethod
    def of(cls, items: Iterable[JobItem]) -> Self:
        counts, end = dict.fromkeys(ITEM_STATUSES, 0), None
        for item in items:
            counts[item.status] += 1
            finished = item.take.finished_at if item.take else None
            end = max(filter(None, (end, finished)), default=None)
        return cls(counts, end)


class WebhookState(models.TextChoices):
    NONE = "", _("None")
    WAITING = "waiting", _("Waiting for the job's end")
    SENDING = "sending", _("Sending")
    DELIVERED = "delivered", _("Delivered")
    FAILED = "failed", _("Failed")


def new_job_id() -> str:
    return "job_" + secrets.token_hex(12)


def new_webhook_secret() -> str:
    return "whsec_" + secrets.token_urlsafe(32)


class JobQuerySet(models.QuerySet["Job"]):
    def of_key(self, key_id: int) -> Self:
        """The secret is read where it is needed only: it may be unreadable."""
        return self.filter(key=key_id).defer("webhook_secret")

    def with_status(self, status: JobStatus) -> Self:
        return self.filter(_meaning(status))

    def ended(self) -> Self:
        return self.filter(*(~_has(state) for state in OPEN))

    def forgettable(self) -> Self:
        old = self.filter(created_at__lt=timezone.now() - FORGOTTEN)
        return old.exclude(models.Exists(JobItem.objects.filter(job=models.OuterRef("pk"), take__isnull=False)))

    def replayed(self, key_id: int, idempotency_key: str) -> Job | None:
        """The job that this key was used for. An old use of it is let go."""
        used = self.filter(key=key_id, idempotency_key=idempotency_key)
        used.filter(created_at__lt=timezone.now() - REPLAY).update(idempotency_key="")
        return used.defer("webhook_secret").first()


def _has(state: TakeState) -> models.Exists:
    return models.Exists(JobItem.objects.filter(job=models.OuterRef("pk"), take__state=state))


def _meaning(status: JobStatus) -> models.Q:
    queued, running, done, failed, cancelled = (models.Q(_has(state)) for state in TakeState)
    begun = running | done | failed | cancelled
    ended = ~queued & ~running
    return {
        JobStatus.QUEUED: queued & ~begun,
        JobStatus.IN_PROGRESS: running | (queued & begun),
        JobStatus.COMPLETED: ended & done & ~failed & ~cancelled,
        JobStatus.PARTIALLY_FAILED: ended & done & failed & ~cancelled,
        JobStatus.FAILED: ended & failed & ~done & ~cancelled,
        JobStatus.CANCELLED: ended & cancelled,
        JobStatus.EXPIRED: ~queued & ~begun,
    }[status]


class Job(models.Model):
    public_id = models.CharField(max_length=40, unique=True, default=new_job_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobs", verbose_name=_("owner")
    )
    key = models.ForeignKey(
        "api.ApiKey", on_delete=models.SET_NULL, null=True, related_name="jobs", verbose_name=_("API key")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    metadata = models.JSONField(_("metadata"), default=dict)
    idempotency_key = models.CharField(max_length=LONGEST_IDEMPOTENCY_KEY, blank=True, editable=False)
    body_digest = models.CharField(max_length=64, blank=True, editable=False)
    webhook_url = models.CharField(_("webhook"), max_length=LONGEST_URL, blank=True)
    webhook_secret = EncryptedTextField(blank=True, editable=False)
    webhook_state = models.CharField(
        _("webhook's state"), max_length=10, choices=WebhookState, default=WebhookState.NONE, blank=True
    )
    webhook_attempts = models.PositiveSmallIntegerField(_("webhook's attempts"), default=0)
    webhook_due = models.DateTimeField(_("webhook's next attempt"), null=True)
    webhook_error = models.CharField(_("webhook's last error"), max_length=300, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        indexes = [
            models.Index(fields=["key", "-id"], name="job_of_key"),
            models.Index(fields=["webhook_state", "webhook_due"], name="job_webhook"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["key", "idempotency_key"], condition=~models.Q(idempotency_key=""), name="job_once"
            ),
        ]

    def __str__(self) -> str:
        return self.public_id


class JobItemQuerySet(models.QuerySet["JobItem"]):
    def with_takes(self) -> Self:
        """In order, without what is not told of them."""
        return self.select_related("take").defer("take__waveform", "take__text", "take__spoken").order_by("index")

    def tallies(self, jobs: Sequence[int]) -> dict[int, Tally]:
        """By job. One query."""
        counts = {job: dict.fromkeys(ITEM_STATUSES, 0) for job in jobs}
        ends: dict[int, datetime] = {}
        grouped = self.filter(job__in=jobs).order_by().values_list("job", "take__state")
        for job, state, count, end in grouped.annotate(models.Count("pk"), models.Max("take__finished_at")):
            counts[job][state or EXPIRED] = count
            if end is not None:
                ends[job] = max(end, ends.get(job, end))
        return {job: Tally(counts[job], ends.get(job)) for job in jobs}


class JobItem(models.Model):
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="items", verbose_name=_("job"))
    index = models.PositiveIntegerField(_("index"))
    custom_id = models.CharField(_("custom id"), max_length=LONGEST_CUSTOM_ID, blank=True)
    # Its id in the lists of voices, for another attempt.
    voice_id = models.CharField(max_length=40, editable=False)
    take = models.OneToOneField(
        Take, on_delete=models.SET_NULL, null=True, related_name="job_item", verbose_name=_("take")
    )

    objects = JobItemQuerySet.as_manager()

    class Meta:
        ordering = ["job", "index"]
        verbose_name = _("item of a job")
        verbose_name_plural = _("items of jobs")
        constraints = [
            models.UniqueConstraint(fields=["job", "index"], name="job_item_place"),
            models.UniqueConstraint(
                fields=["job", "custom_id"], condition=~models.Q(custom_id=""), name="job_item_custom_id"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_id}[{self.index}]"

    @property
    def status(self) -> str:
        return EXPIRED if self.take is None else self.take.state
