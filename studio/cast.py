"""Which characters can be asked to speak: those of all banks, whether or not these are active, and those of none."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from banks.dictionary import rules_for
from banks.models import Bank, Character, Membership
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


# What choosing among thousands of characters takes; whoever speaks reads the rest.
_SHOWN = ("name", "aliases", "provider__kind")


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
        .only("position", "bank__name", *(f"character__{name}" for name in _SHOWN))
        .order_by("bank__position", "bank", "position", "pk")
    )
    rest = Character.objects.filter(_able()).exclude(pk__in=Character.objects.filter(in_bank).values("pk"))
    parts = [Part(place.bank_id, place.bank.name, place.character) for place in places]
    return parts + [Part(0, "", one) for one in rest.select_related("provider").only(*_SHOWN)]


def freeze(character_id: int | None, bank: str) -> FrozenVoice | None:
    """A character's values as they are now; None where it can't be asked to speak (any more)."""
    related = ("provider", "reference", "fallback__provider", "fallback__reference")
    found = Character.objects.filter(_able(), pk=character_id or 0).select_related(*related).first()
    return FrozenVoice.of(speaker_of(found, bank, {})) if found else None


def pronounced(text: str, voice: FrozenVoice) -> str:
    """The text as the dictionary of the voice's bank, which is known by its name, has it. PronunciationError."""
    bank = Bank.objects.present().filter(name=voice.bank).first() if voice.bank else None
    return rules_for(bank.pk if bank else None).apply(text, voice.language)


@dataclass(frozen=True, slots=True)
class CastVoice:
    """A character's values, whether or not it can speak now; `refusal` says why it can't."""

    voice: FrozenVoice
    refusal: str
    instructions: bool
    """Whether it can follow instructions."""


def voices_of(character_ids: Collection[int] | QuerySet[Any], bank: str) -> dict[int, CastVoice]:
    """By the character's primary key; one whose provider's kind is unknown here is left out. One query, of which that
    for the keys may be a part."""
    related = ("provider", "reference", "fallback__provider", "fallback__reference")
    found = Character.objects.filter(pk__in=character_ids, provider__kind__in=list(adapters.kinds()))
    return {one.pk: _cast_voice(one, bank) for one in found.select_related(*related)}


def _cast_voice(character: Character, bank: str) -> CastVoice:
    voice = FrozenVoice.of(speaker_of(character, bank, {}))
    return CastVoice(voice, refusal(character), character.provider.adapter_class.capabilities.instructions)


def refusal(character: Character) -> str:
    """Why a character can't be asked to speak; empty when it can."""
    provider = character.provider
    if character.archived_at:
        return _("“%s” is archived: choose another character, or restore it.") % character.name
    if not character.enabled:
        return _("“%s” is switched off: switch it on, or choose another character.") % character.name
    if provider.archived_at or not provider.enabled or provider.kind not in adapters.kinds():
        return _("The provider of “%s” is switched off or was removed: choose another character.") % character.name
    return ""
