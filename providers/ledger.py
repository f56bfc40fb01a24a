"""The queue's memory beyond this process: what each provider was asked for, minute by minute."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from zoneinfo import ZoneInfo

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections, transaction
from django.db.models import F, Sum

from providers.limits import NOTHING, Cost, StoredUsage
from providers.models import UsageMinute
from providers.speech import ProviderConfig

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
KEEP = timedelta(days=40)

type _Key = tuple[int, datetime]


class DatabaseLedger:
    """Counts on the event loop, writes from a thread; what a kill -9 can lose is the last FLUSH_SECONDS."""

    def __init__(self) -> None:
        self._pending: dict[_Key, Cost] = {}
        self._trimmed = datetime.min.replace(tzinfo=UTC)

    async def load(self, provider: ProviderConfig) -> StoredUsage:
        return await sync_to_async(self._load, thread_sensitive=False)(provider)

    def note(self, provider: ProviderConfig, cost: Cost, at: datetime) -> None:
        self._add((provider.id, at.replace(second=0, microsecond=0)), cost)

    async def run(self) -> None:
        """Write what was noted, until cancelled; the last of it is written then."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        if self._pending:
            noted, self._pending = self._pending, {}
            if not await sync_to_async(self._write, thread_sensitive=False)(noted):
                for key, cost in noted.items():
                    self._add(key, cost)

    def _add(self, key: _Key, cost: Cost) -> None:
        self._pending[key] = self._pending.get(key, NOTHING) + cost

    def _load(self, provider: ProviderConfig) -> StoredUsage:
        now = datetime.now(UTC)
        local = now.astimezone(ZoneInfo(provider.time_zone))
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        try:
            rows = UsageMinute.objects.filter(provider_id=provider.id)
            day = rows.filter(minute__gte=midnight).aggregate(requests=Sum("requests"), tokens=Sum("tokens"))
            recent = list(rows.filter(minute__gt=now - timedelta(minutes=2)))
        finally:
            close_old_connections()
        return StoredUsage(
            local.date(), day["requests"] or 0, day["tokens"] or 0, tuple(_last_minute(row, now) for row in recent)
        )

    def _write(self, noted: dict[_Key, Cost]) -> bool:
        try:
            with transaction.atomic():
                # In one order in all processes, so that of two who write the same rows neither waits for the other.
                for (provider_id, minute), cost in sorted(noted.items(), key=itemgetter(0)):
                    row, _ = UsageMinute.objects.get_or_create(provider_id=provider_id, minute=minute)
                    UsageMinute.objects.filter(pk=row.pk).update(
                        requests=F("requests") + cost.requests,
                        tokens=F("tokens") + cost.tokens,
                        characters=F("characters") + cost.characters,
                    )
                self._trim()
        except DatabaseError:
            logger.exception("The usage of providers could not be written; it is tried again.")
            return False
        finally:
            close_old_connections()
        return True

    def _trim(self) -> None:
        now = datetime.now(UTC)
        if now - self._trimmed > timedelta(hours=1):
            self._trimmed = now
            UsageMinute.objects.filter(minute__lt=now - KEEP).delete()


def _last_minute(row: UsageMinute, now: datetime) -> tuple[float, Cost]:
    """A whole minute's calls count as made at its end: rather too late than over a limit."""
    ago = now - min(row.minute + timedelta(minutes=1), now)
    return ago.total_seconds(), Cost(row.requests, row.tokens)
