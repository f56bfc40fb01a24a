"""Telling a job's webhook that the job is at its end.

What is to be sent stands in the job's row, so it survives the server. A receiver hears of an end at least once; whoever
answers anything but 2xx, or redirects, is asked again after each of BACKOFF_SECONDS.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import httpx
from aiohttp.abc import AbstractResolver
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Min
from django.utils import timezone

from api.jobs.answers import job_answer
from api.jobs.models import Job, JobItem, WebhookState
from providers.database import in_database
from providers.errors import ProviderError
from providers.fields import SecretUnreadable
from providers.http import make_client, translated
from providers.speech import ProviderConfig

logger = logging.getLogger(__name__)

BACKOFF_SECONDS = (5.0, 25.0, 90.0, 180.0, 300.0)
TIMEOUT_SECONDS = 10.0
# How soon ends are noticed that nobody told of.
POLL_SECONDS = 15.0
# For how long no other server sends what this one is sending.
OURS_SECONDS = 30.0
# What ends within this time is looked for together.
SETTLE_SECONDS = 0.1
AT_ONCE = 16
# Of several processes one sends it; should that one die, another does after so long.
LEASE_SECONDS = 3 * TIMEOUT_SECONDS
SIGNATURE_HEADER = "X-Neiroha-Signature"

# Failures of the call are told of under this name.
_RECEIVER = ProviderConfig(id=0, name="The webhook", kind="")


@dataclass(frozen=True, slots=True)
class Letter:
    """What one attempt sends. `attempts`: how many were made before; `due`: what the row says until it is over."""

    job: int
    url: str
    secret: str
    body: bytes
    attempts: int
    due: datetime | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`error` is empty where it was received; `final`: another attempt can't help."""

    error: str = ""
    final: bool = False


def signature(secret: str, body: bytes, at: int) -> str:
    """`t` is the time of sending in Unix seconds, `v1` the HMAC-SHA256 of “t.body” in hexadecimal."""
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


class Webhooks:
    """Belongs to one event loop. `resolver` finds the addresses of names, in place of the system."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver
        self._clients: dict[bool, httpx.AsyncClient] = {}
        self._sending: dict[int, asyncio.Task[None]] = {}
        self._awake = asyncio.Event()

    def wake(self, takes: Collection[int] = ()) -> None:
        """A job may have come to its end."""
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._awake.clear()
                wait = await self._begin()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._awake.wait()
                await asyncio.sleep(SETTLE_SECONDS)
        finally:
            await self.rest()
            for client in self._clients.values():
                await client.aclose()

    async def rest(self) -> None:
        """Break off what is being sent."""
        sending = list(self._sending.values())
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)

    async def _begin(self) -> float:
        """Begin to send what is due; the seconds until more may be."""
        try:
            due, wait = await in_database(_due, list(self._sending), AT_ONCE - len(self._sending))
        except DatabaseError:
            logger.exception("The webhooks of jobs could not be looked for.")
            return POLL_SECONDS
        for pk in due:
            task = asyncio.get_running_loop().create_task(self._send(pk))
            self._sending[pk] = task
            task.add_done_callback(partial(self._sent, pk))
        return min(wait, POLL_SECONDS)

    def _sent(self, pk: int, task: asyncio.Task[None]) -> None:
        del self._sending[pk]
        self.wake()

    async def _send(self, pk: int) -> None:
        try:
            letter = await in_database(_letter, pk)
            if letter is not None:
                await in_database(_note, letter, await self._post(letter))
        except Exception:
            logger.exception("A job's webhook could not be sent; the next try is in %d seconds.", POLL_SECONDS)
            # While this rests, nobody begins it again.
            await asyncio.sleep(POLL_SECONDS)

    async def _post(self, letter: Letter) -> Outcome:
        at = int(timezone.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: signature(letter.secret, letter.body, at),
        }
        try:
            with translated(_RECEIVER):
                async with (
                    asyncio.timeout(TIMEOUT_SECONDS),
                    self._client().stream("POST", letter.url, content=letter.body, headers=headers) as response,
                ):
                    status = response.status_code
        except ProviderError as error:
            return Outcome(error.message, final=error.permanent)
        return Outcome() if 200 <= status < 300 else Outcome(f"The webhook answered with status {status}.")

    def _client(self) -> httpx.AsyncClient:
        public = not settings.ALLOW_PRIVATE_WEBHOOKS
        if public not in self._clients:
            self._clients[public] = make_client(self._resolver, public=public)
        return self._clients[public]


def _due(busy: Collection[int], most: int) -> tuple[list[int], float]:
    """The jobs whose webhooks are to be called now, and the seconds until the next is."""
    now = timezone.now()
    ended = Job.objects.filter(webhook_state=WebhookState.WAITING).ended()
    # Only where there are any: an update holds up whoever else writes.
    if pks := list(ended.values_list("pk", flat=True)):
        ended.filter(pk__in=pks).update(webhook_state=WebhookState.SENDING, webhook_due=now)
    sending = Job.objects.filter(webhook_state=WebhookState.SENDING).exclude(pk__in=busy)
    due = list(sending.filter(webhook_due__lte=now).order_by("webhook_due").values_list("pk", flat=True)[:most])
    if settings.REDIS_URL:
        due = [pk for pk in due if _is_ours(pk, now)]
    later = sending.filter(webhook_due__gt=now).aggregate(first=Min("webhook_due"))["first"]
    return due, POLL_SECONDS if later is None else (later - now).total_seconds()


def _is_ours(pk: int, now: datetime) -> bool:
    """Whether this server is the one of several that sends it now. Should it die meanwhile, it is due again."""
    due = Job.objects.filter(pk=pk, webhook_state=WebhookState.SENDING, webhook_due__lte=now)
    return due.update(webhook_due=now + timedelta(seconds=OURS_SECONDS)) == 1


def _letter(pk: int) -> Letter | None:
    """None where there is nothing to send any more."""
    sending = Job.objects.filter(pk=pk, webhook_state=WebhookState.SENDING)
    job = sending.defer("webhook_secret").first()
    if job is None:
        return None
    try:
        secret = sending.values_list("webhook_secret", flat=True).get()
    except SecretUnreadable as error:
        sending.update(webhook_state=WebhookState.FAILED, webhook_error=str(error)[:300])
        return None
    due = timezone.now() + timedelta(seconds=LEASE_SECONDS) if settings.REDIS_URL else job.webhook_due
    if sending.filter(webhook_due=job.webhook_due).update(webhook_due=due) != 1:
        return None
    told = job_answer(job, JobItem.objects.tallies([pk])[pk])
    del told["webhook"]
    body = json.dumps({"type": "job.ended", **told}, ensure_ascii=False).encode()
    return Letter(pk, job.webhook_url, secret, body, job.webhook_attempts, due)


def _note(letter: Letter, outcome: Outcome) -> None:
    """Unless the job was tried again meanwhile: then its next end is told."""
    asked = Job.objects.filter(pk=letter.job, webhook_state=WebhookState.SENDING, webhook_due=letter.due)
    attempts = letter.attempts + 1
    if not outcome.error:
        asked.update(webhook_state=WebhookState.DELIVERED, webhook_attempts=attempts, webhook_error="")
    elif outcome.final or letter.attempts >= len(BACKOFF_SECONDS):
        asked.update(webhook_state=WebhookState.FAILED, webhook_attempts=attempts, webhook_error=outcome.error[:300])
    else:
        due = timezone.now() + timedelta(seconds=BACKOFF_SECONDS[letter.attempts])
        asked.update(webhook_attempts=attempts, webhook_due=due, webhook_error=outcome.error[:300])
