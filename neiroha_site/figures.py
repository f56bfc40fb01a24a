"""What was spoken lately, in numbers for the dashboard."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.conf import settings
from django.db.models import Avg, Count, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from api.models import RequestLog
from providers.models import UsageMinute

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
    zone = timezone.get_current_timezone()
    first = timezone.localdate() - timedelta(days=DAYS - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=zone)
    rows = (
        UsageMinute.objects.filter(minute__gte=since)
        .annotate(day=TruncDate("minute", tzinfo=zone))
        .values_list("day")
        .annotate(Sum("characters"), Sum("requests"))
    )
    found = {day: Day(day, characters, requests) for day, characters, requests in rows}
    days = [first + timedelta(days=number) for number in range(DAYS)]
    return [found.get(day, Day(day)) for day in days]


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
