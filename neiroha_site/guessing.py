"""Against guessing passwords: failures are counted in the database, and each further one costs a longer pause.

An attempt is counted before the password is looked at, and taken back when it was right: however many come at once, no
more get through than are free. What comes during a pause is refused without a look and not counted, so every pause ends
by itself. Names are counted alike whether or not there is such an account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from api.throttling import address_group
from neiroha_site.models import FailedSignIns

FIRST_PAUSE = 60.0
LONGEST_PAUSE = 15 * 60.0
# After this long without another failure, all is forgotten.
MEMORY = timedelta(hours=1)
# At one attempt.
MOST_FORGOTTEN = 1000


@dataclass(frozen=True, slots=True)
class Counter:
    """One thing that failures are counted for; the first pause comes with failure number `free`."""

    key: str
    free: int


def for_account(name: str) -> Counter:
    return Counter(_key("account", name.casefold()), 5)


def for_address(address: str) -> Counter:
    return Counter(_key("address", address_group(address)), 20)


def for_browser(mark: str) -> Counter:
    """A browser that has signed in to the account before: counted by itself, so that strangers can't lock it out."""
    return Counter(_key("browser", mark), 5)


def for_password(user_id: int) -> Counter:
    """Whoever sits at a signed-in browser and tries old passwords."""
    return Counter(_key("password", str(user_id)), 5)


def _key(kind: str, value: str) -> str:
    """Not readable in the database: people type passwords into the field for names."""
    return salted_hmac(f"neiroha.guessing.{kind}", value, algorithm="sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Attempt:
    """`wait` seconds to wait if it was refused, else 0.0; `pause` seconds follow if it fails."""

    wait: float = 0.0
    pause: float = 0.0
    at: datetime | None = None
    # With the time of the failure before.
    counted: tuple[tuple[Counter, datetime], ...] = ()


def pause_after(count: int, free: int) -> float:
    return 0.0 if count < free else min(FIRST_PAUSE * 2.0 ** min(count - free, 16), LONGEST_PAUSE)


@transaction.atomic
def attempt(counters: Iterable[Counter]) -> Attempt:
    """Refuse, or count one attempt for each counter."""
    rows = [(counter, _locked(counter)) for counter in sorted(counters, key=lambda counter: counter.key)]
    # Not before: those that this one waited for have counted meanwhile.
    now = timezone.now()
    for _counter, row in rows:
        _forget_old(row, now)
    wait = max(_left(counter, row, now) for counter, row in rows)
    if wait > 0:
        return Attempt(wait=wait)
    counted = tuple((counter, row.last_at) for counter, row in rows)
    for _counter, row in rows:
        row.count, row.last_at = row.count + 1, now
        row.save()
    _forget(now)
    pause = max(pause_after(row.count, counter.free) for counter, row in rows)
    return Attempt(pause=pause, at=now, counted=counted)


@transaction.atomic
def forgive(right: Attempt, *, wholly: Counter) -> None:
    """The attempt was right: take it back everywhere, and forget all that `wholly` has counted."""
    for counter, before in right.counted:
        row = _locked(counter)
        _forget_old(row, timezone.now())
        row.count = 0 if counter == wholly else max(row.count - 1, 0)
        row.last_at = before if row.last_at == right.at else row.last_at
        row.save()


def _forget(now: datetime) -> None:
    """Rows that somebody else counts in at this moment are left: two who waited for each other's would both fail."""
    old = FailedSignIns.objects.select_for_update(skip_locked=True).filter(last_at__lt=now - MEMORY)
    FailedSignIns.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:MOST_FORGOTTEN])).delete()


def unlock(counters: Iterable[Counter]) -> int:
    """Forget what was counted; how many of them had been locked."""
    now = timezone.now()
    chosen = list(counters)
    rows = {row.key: row for row in FailedSignIns.objects.filter(key__in=[counter.key for counter in chosen])}
    locked = sum(_left(counter, rows[counter.key], now) > 0 for counter in chosen if counter.key in rows)
    FailedSignIns.objects.filter(key__in=rows).delete()
    return locked


def _locked(counter: Counter) -> FailedSignIns:
    """The counter's row, held until the transaction ends."""
    row = None
    while row is None:
        # Somebody may forget an old one in between.
        FailedSignIns.objects.get_or_create(key=counter.key, defaults={"last_at": timezone.now()})
        row = FailedSignIns.objects.select_for_update().filter(key=counter.key).first()
    return row


def _forget_old(row: FailedSignIns, now: datetime) -> None:
    """At zero when its last failure is forgotten."""
    if row.last_at <= now - MEMORY:
        row.count = 0


def _left(counter: Counter, row: FailedSignIns, now: datetime) -> float:
    # Another machine's clock may be ahead.
    gone_by = max((now - row.last_at).total_seconds(), 0.0)
    return pause_after(row.count, counter.free) - gone_by if row.count else 0.0


def is_paused(counter: Counter) -> bool:
    row = FailedSignIns.objects.filter(key=counter.key).first()
    return row is not None and _left(counter, row, timezone.now()) > 0
