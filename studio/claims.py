"""Which queued takes the runner may begin with. With a `lease` it is one of several, in other processes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Count

from banks.roster import Speaker
from providers import adapters
from providers.errors import ProviderUnavailable, SpeechError
from providers.models import Provider
from providers.queue import Priority
from providers.speech import ProviderConfig
from studio.files import quota_spent
from studio.frozen import FrozenVoice
from studio.models import MEGABYTE, StudioSettings, Take, TakeState, leases
from studio.models.takes import bytes_used

logger = logging.getLogger(__name__)

MOST_INTERACTIVE = 200
# What waits in a provider's queue at least, beyond what it speaks at once, so that it never idles.
AHEAD = 4
# What one of several runners takes of a provider at once: the next one takes what is left.
CHUNK = 40


class TakeUnreadable(SpeechError):
    code = "internal_error"
    permanent = True


@dataclass(frozen=True, slots=True)
class Claim:
    """A take that is running now, with who speaks it, or the error with which it ends."""

    take: Take
    speaker: Speaker | None
    error: SpeechError | None = None


def interactive(lease: timedelta | None = None) -> list[Claim]:
    """What somebody waits for: all of it."""
    return _claimed(_interactive, lease)


def batch(busy: Mapping[int | None, int], lease: timedelta | None = None) -> list[Claim]:
    """Of each provider as much as it has room for: twice what it speaks at once, less those that are `busy` already,
    here or, with a lease, anywhere. First come, first served."""
    return _claimed(lambda: _batch(busy if lease is None else _busy(), lease), lease)


def _interactive() -> list[int]:
    queued = Take.objects.queued().filter(priority=Priority.INTERACTIVE)
    return list(leases.unlocked(queued).values_list("pk", flat=True)[:MOST_INTERACTIVE])


def _busy() -> dict[int | None, int]:
    running = Take.objects.filter(state=TakeState.RUNNING, priority=Priority.BATCH).order_by()
    return dict(running.values_list("provider").annotate(Count("pk")))


def _batch(busy: Mapping[int | None, int], lease: timedelta | None) -> list[int]:
    queued = Take.objects.queued().filter(priority=Priority.BATCH)
    limits = dict(Provider.objects.values_list("pk", "max_concurrency"))
    pks: list[int] = []
    for provider_id in queued.order_by().values_list("provider", flat=True).distinct():
        at_once = limits.get(provider_id or 0, 1)
        ahead = max(at_once, AHEAD)
        room = at_once + ahead - busy.get(provider_id, 0)
        most = room if lease is None else min(room, CHUNK)
        # In chunks, since each claim is a transaction.
        if room >= ahead // 4:
            pks += leases.unlocked(queued.filter(provider=provider_id)).values_list("pk", flat=True)[:most]
    return pks


def _claimed(chosen: Callable[[], Sequence[int]], lease: timedelta | None) -> list[Claim]:
    # Where rows can be passed over they are locked while they are chosen; elsewhere to look costs no transaction.
    with transaction.atomic() if leases.can_pass_over() else nullcontext():
        pks = chosen()
        return _begun(pks, lease) if pks else []


def _begun(pks: Sequence[int], lease: timedelta | None) -> list[Claim]:
    with transaction.atomic():
        takes = Take.objects.claim(pks, lease)
        config_of = _Configs()
        spent = _over_quota(Counter(take.owner_id for take in takes))
        return [_claim(take, config_of, spent.get(take.owner_id)) for take in takes]


def _claim(take: Take, config_of: Callable[[FrozenVoice], ProviderConfig | None], spent: SpeechError | None) -> Claim:
    if spent is not None:
        return Claim(take, None, spent)
    try:
        return Claim(take, speaker_of(take, config_of))
    except SpeechError as error:
        return Claim(take, None, error)
    except (KeyError, TypeError, ValueError):
        logger.exception("Take %d can't be read.", take.pk)
        return Claim(take, None, TakeUnreadable("This take was stored by another version of Neiroha: ask for it anew."))


def _over_quota(owners: Counter[int]) -> dict[int, SpeechError]:
    """Speech that has no room would be paid for in vain."""
    quota = StudioSettings.load().quota_mb
    return {owner: quota_spent(quota) for owner in owners if quota and bytes_used(owner) >= quota * MEGABYTE}


def speaker_of(take: Take, config_of: Callable[[FrozenVoice], ProviderConfig | None] | None = None) -> Speaker:
    """As it was frozen, with its provider as it is now. ProviderUnavailable."""
    voice = take.made_with.voice
    speaker = voice.speaker(config_of or _Configs())
    if speaker is None:
        raise ProviderUnavailable(f"Provider “{voice.provider}” is switched off or was removed: choose another voice.")
    return speaker


class _Configs:
    """The configurations of usable providers, each read once."""

    def __init__(self) -> None:
        self._known: dict[int, ProviderConfig | None] = {}

    def __call__(self, voice: FrozenVoice) -> ProviderConfig | None:
        if voice.provider_id not in self._known:
            usable = Provider.objects.present().filter(enabled=True, kind__in=list(adapters.kinds()))
            provider = usable.filter(pk=voice.provider_id).first()
            self._known[voice.provider_id] = provider.config() if provider else None
        return self._known[voice.provider_id]
