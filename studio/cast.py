"""Which characters can be asked to speak: those of all banks, whether or not these are active, and those of none."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from banks.models import Character, Membership
from banks.roster import speaker_of
from providers import adapters
from studio.frozen import FrozenVoice


@dataclass(frozen=True, slots=True)
class Part:
    """A character in one bank; `bank_id` 0 and an empty name stand for none."""

    bank_id: int
    bank: str
    character: Character

    @property
    def key(self) -> str:
        return f"{self.bank_id}-{self.character.pk}"


def _able(prefix: str = "") -> Q:
    values = {
        "enabled": True,
        "archived_at": None,
        "provider__enabled": True,
        "provider__archived_at": None,
        "provider__kind__in": list(adapters.kinds()),
    }
    return Q(**{prefix + name: value for name, value in values.items()})


def everybody() -> list[Part]:
    """In the order of the banks and within them, then those in no bank by name. Two queries."""
    in_bank = Q(memberships__bank__archived_at=None, memberships__isnull=False)
    places = (
        Membership.objects.filter(_able("character__"), bank__archived_at=None)
        .select_related("bank", "character__provider")
        .defer("character__provider__api_key")
        .order_by("bank__position", "bank", "position", "pk")
    )
    rest = Character.objects.filter(_able()).exclude(pk__in=Character.objects.filter(in_bank).values("pk"))
    parts = [Part(place.bank_id, place.bank.name, place.character) for place in places]
    return parts + [Part(0, "", one) for one in rest.select_related("provider").defer("provider__api_key")]


def freeze(character_id: int | None, bank: str) -> FrozenVoice | None:
    """A character's values as they are now; None where it can't be asked to speak (any more)."""
    related = ("provider", "reference", "fallback__provider", "fallback__reference")
    found = Character.objects.filter(_able(), pk=character_id or 0).select_related(*related).first()
    return FrozenVoice.of(speaker_of(found, bank, {})) if found else None
