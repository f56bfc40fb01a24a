"""Rows that one process at a time works at.

Where several processes work, what runs has a lease, which whoever works at it renews: what a dead one left is queued
again when it lapses. A server that is alone gives none. `claim` is another one each time: whoever was frozen, and wakes
when somebody else works at the row, changes nothing of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Protocol

from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

LEASE = timedelta(seconds=15)
_RUNNING, _QUEUED = "running", "queued"


class Holder(Protocol):
    """Whoever works at some rows."""

    def held(self) -> dict[int, str]:
        """Their claims, by primary key."""

    def give_up(self, pks: Collection[int]) -> None:
        """These count no more: somebody cancelled them, or works at them in our place."""


class Leased(models.Model):
    claim = models.CharField(max_length=16, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True


def begun(lease: timedelta | None) -> dict[str, Any]:
    """What a row says that somebody begins to work at, with a new claim. Leases are by the database's clock."""
    until = None if lease is None else Now() + lease
    return {"state": _RUNNING, "started_at": timezone.now(), "claim": secrets.token_hex(8), "lease_until": until}


def laid_down() -> dict[str, Any]:
    """What a row says that waits again."""
    return {"state": _QUEUED, "started_at": None, "claim": "", "lease_until": None}


def lapsed[Rows: models.QuerySet[Any]](rows: Rows) -> Rows:
    """What runs, and nobody works at any more; what was begun without a lease too."""
    return rows.filter(Q(lease_until=None) | Q(lease_until__lt=Now()), state=_RUNNING)


def ours[Row: models.Model](rows: models.QuerySet[Row], claims: Mapping[int, str]) -> models.QuerySet[Row]:
    """What still runs under these claims, which are by primary key."""
    return rows.filter(pk__in=list(claims), claim__in=set(claims.values()), state=_RUNNING)


def renew[Row: models.Model](rows: models.QuerySet[Row], claims: Mapping[int, str], lease: timedelta) -> None:
    with transaction.atomic():
        # What is locked is just being ended.
        mine = list(unlocked(ours(rows, claims)).values_list("pk", flat=True))
        ours(rows, claims).filter(pk__in=mine).update(lease_until=Now() + lease)


def lost[Row: models.Model](rows: models.QuerySet[Row], claims: Mapping[int, str]) -> set[int]:
    """Of these claims those that count no more: somebody cancelled it, or works at it in our place."""
    return claims.keys() - set(ours(rows, claims).values_list("pk", flat=True))


def can_pass_over() -> bool:
    """Whether the database can pass over rows that somebody else has locked."""
    return connection.features.has_select_for_update_skip_locked


def unlocked[Row: models.Model](rows: models.QuerySet[Row]) -> models.QuerySet[Row]:
    """Locked for this transaction, without those that somebody else has locked, where the database can do that."""
    rows = rows.order_by("pk")
    return rows.select_for_update(skip_locked=True, of=("self",)) if can_pass_over() else rows


def lock_in_order[Row: models.Model](rows: models.QuerySet[Row]) -> None:
    """Before many rows are written in this transaction, so that of two who do neither waits for the other."""
    if connection.features.has_select_for_update:
        list(rows.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
