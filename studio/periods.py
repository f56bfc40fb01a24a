"""Days as whoever looks has them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone


def beginning_of(days: int) -> datetime:
    """The first moment of the last `days` days, of which today is the last, in the current time zone."""
    first = timezone.localdate() - timedelta(days=days - 1)
    return datetime(first.year, first.month, first.day, tzinfo=timezone.get_current_timezone())
