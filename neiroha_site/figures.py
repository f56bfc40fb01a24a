"""What was spoken lately, in numbers for the dashboard."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Avg, Count, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _

from api.models import RequestLog
from providers.models import ChatModel, UsageMinute
from studio.forms import BEGUN_AGAIN
from studio.models import Take, TakeState
from studio.periods import beginning_of

DAYS = 30
LOG_HOURS = 24
# Speech files and the database need room; a full disk loses what is being written.
LITTLE_DISK_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    characters: int = 0
    requests: int = 0


def spoken_by_day() -> list[Day]:
    """The last DAYS days, today last, in the time zone of whoever looks."""
    zone, since = timezone.get_current_timezone(), beginning_of(DAYS)
    first = since.date()
    rows = (
        UsageMinute.objects.filter(minute__gte=since)
        .exclude(provider=ChatModel.USAGE_ID)
        .annotate(day=TruncDate("minute", tzinfo=zone))
        .values_list("day")
        .annotate(Sum("characters"), Sum("requests"))
    )
    found = {day: Day(day, characters, requests) for day, characters, requests in rows}
    days = [first + timedelta(days=number) for number in range(DAYS)]
    return [found.get(day, Day(day)) for day in days]


@dataclass(frozen=True, slots=True)
class Takes:
    """How many takes are in one state; `state` is as the archive's filter has it."""

    state: str
    name: str
    today: int
    lately: int


def takes_by_state(user: User) -> list[Takes]:
    """What this person sees of today's takes, and of those of the last DAYS days; the takes that were begun again are
    among the others too. In one query."""
    counts: dict[str, Any] = {}
    names = {**dict(TakeState.choices), BEGUN_AGAIN: _("Begun again")}
    today = Q(created_at__gte=beginning_of(1))
    for state in names:
        those = Q(attempts__gt=1) if state == BEGUN_AGAIN else Q(state=state)
        counts |= {f"{state}_today": Count("pk", filter=those & today), f"{state}_lately": Count("pk", filter=those)}
    found = Take.objects.visible_to(user).filter(created_at__gte=beginning_of(DAYS)).aggregate(**counts)
    return [Takes(state, str(name), found[f"{state}_today"], found[f"{state}_lately"]) for state, name in names.items()]


@dataclass(frozen=True, slots=True)
class Answered:
    """The API's requests of the last LOG_HOURS that came to one provider; `provider` is empty for those that came to
    none. Times are seconds, and None where nothing is known."""

    provider: str
    answered: int
    refused: int
    failed: int
    first_byte: float | None
    real_time_factor: float | None


def answered_by_provider() -> list[Answered]:
    """From the request log; the busiest first."""
    since = timezone.now() - timedelta(hours=LOG_HOURS)
    spoken = Q(status=200, complete=True)
    rows = (
        RequestLog.objects.filter(at__gte=since)
        .values("provider")
        .annotate(
            answered=Count("pk", filter=Q(status__lt=400)),
            refused=Count("pk", filter=Q(status__gte=400, status__lt=500)),
            failed=Count("pk", filter=Q(status__gte=500)),
            first_byte=Avg("first_byte_ms", filter=spoken),
            inference=Sum("inference_ms", filter=spoken & Q(audio_ms__gt=0)),
            audio=Sum("audio_ms", filter=spoken & Q(inference_ms__gt=0)),
        )
        .order_by("-answered", "provider")
    )
    return [
        Answered(
            row["provider"],
            row["answered"],
            row["refused"],
            row["failed"],
            None if row["first_byte"] is None else row["first_byte"] / 1000,
            row["inference"] / row["audio"] if row["inference"] and row["audio"] else None,
        )
        for row in rows
    ]


def free_disk_bytes() -> int:
    return shutil.disk_usage(settings.DATA_DIR).free
