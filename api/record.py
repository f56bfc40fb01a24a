"""What is remembered of requests, written in batches off the speech path.

Metadata only. Rows go to RequestLog when the log is on; the time of a key's last use is always kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections, connections, router, transaction

from api.models import ApiKey, RequestLog
from banks.delivery import Speech

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
# What may wait to be written while the database is busy; beyond it the oldest are forgotten.
MAX_PENDING = 10_000


@dataclass(slots=True)
class RequestRecord:
    request_id: str
    method: str
    path: str
    address: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: int = 0
    error_code: str = ""
    key_id: int | None = None
    key_name: str = ""
    bank: str = ""
    character: str = ""
    provider: str = ""
    characters: int = 0
    audio_format: str = ""
    queue_ms: int = 0
    model_preset: str = ""
    inference_ms: int | None = None
    audio_ms: int | None = None
    upstream: str = ""
    cache: str = ""
    first_byte_ms: int = 0
    total_ms: int = 0
    bytes_sent: int = 0
    complete: bool = False
    speech: Speech | None = None
    """What was spoken, until `conclude`."""

    def conclude(self) -> None:
        """Take over what is known once the speech has ended, and let it go."""
        if self.speech is None:
            return
        speech, self.speech = self.speech, None
        self.queue_ms = round(speech.queue_seconds * 1000)
        self.model_preset = (speech.upstream.model_preset or speech.speaker.model)[:100]
        self.inference_ms = _milliseconds(speech.inference_seconds)
        self.audio_ms = _milliseconds(speech.audio_seconds)
        self.upstream = speech.upstream.said
        self.cache = speech.cache
        # A fallback may have spoken.
        self.provider = speech.speaker.provider.name

    def fit(self) -> None:
        """What a client may choose, as long as the log has room for; PostgreSQL takes no zero bytes."""
        self.method, self.address = self.method[:10], self.address[:45]
        self.path = self.path.replace("\0", "")[:200]


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _insert(records: list[RequestRecord]) -> None:
    """In one statement for all: `bulk_create` would take as long over each row as the request's own view."""
    connection = connections[router.db_for_write(RequestLog)]
    fields = [field for field in RequestLog._meta.concrete_fields if not field.primary_key]
    for record in records:
        record.fit()
    rows = [[field.get_db_prep_save(getattr(record, field.name), connection) for field in fields] for record in records]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    table, places = quote(RequestLog._meta.db_table), ", ".join(["%s"] * len(fields))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)


class RequestRecorder:
    """Collects records on the event loop and writes them from a thread."""

    def __init__(self) -> None:
        self._pending: deque[RequestRecord] = deque(maxlen=MAX_PENDING)
        self._last_used: dict[int, datetime] = {}
        self._keep_rows = 0

    def add(self, record: RequestRecord, *, log: bool, keep_rows: int) -> None:
        self._keep_rows = keep_rows
        if log:
            self._pending.append(record)
        if record.key_id is not None:
            self._last_used[record.key_id] = record.at

    async def run(self) -> None:
        """Write what came in, until cancelled; the last of it is written then."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        if self._pending or self._last_used:
            records, self._pending = list(self._pending), deque(maxlen=MAX_PENDING)
            last_used, self._last_used = self._last_used, {}
            await sync_to_async(self._write, thread_sensitive=False)(records, last_used)

    def _write(self, records: list[RequestRecord], last_used: dict[int, datetime]) -> None:
        close_old_connections()
        try:
            with transaction.atomic():
                if records:
                    _insert(records)
                    self._trim()
                for key_id, at in last_used.items():
                    ApiKey.objects.filter(pk=key_id).update(last_used_at=at)
        except DatabaseError:
            logger.exception("The request log could not be written; %d records are lost.", len(records))
        finally:
            close_old_connections()

    def _trim(self) -> None:
        newest = RequestLog.objects.order_by("-pk").values_list("pk", flat=True)
        oldest_kept = newest[self._keep_rows - 1 : self._keep_rows].first()
        if oldest_kept is not None:
            RequestLog.objects.filter(pk__lt=oldest_kept).delete()
