"""Putting characters into banks. Each function is one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models.fields.files import FieldFile
from django.utils.translation import gettext as _

from banks.models import Bank, Character, Membership, free_name


@transaction.atomic
def duplicate(character: Character) -> Character:
    """A second one in the same banks, beside the first. It leaves the aliases to the first, which answers to them."""
    copy = _twin(character)
    copy.name = free_name(Character, _("%s (copy)") % character.name[:80])
    copy.aliases = []
    copy.save()
    for place in character.memberships.filter(bank__archived_at=None):
        Membership.objects.create(bank_id=place.bank_id, character=copy, position=place.position)
    return copy


@transaction.atomic
def share(characters: Iterable[Character], bank: Bank) -> int:
    """Let them speak in the bank as well; how many did not yet."""
    there = set(bank.memberships.values_list("character_id", flat=True))
    new = [character for character in characters if character.pk not in there]
    for character in new:
        bank.append(character)
    return len(new)


@transaction.atomic
def copy_into(characters: Iterable[Character], bank: Bank) -> int:
    """Copies of their own for the bank, under the same names and aliases."""
    copies = [_twin(character) for character in characters]
    for copy in copies:
        copy.save()
        bank.append(copy)
    return len(copies)


@transaction.atomic
def move(characters: Iterable[Character], bank: Bank, source: Bank | None) -> int:
    """Out of `source`, or out of all banks, into the bank; how many went. Their ids in the API go along."""
    moved = 0
    for character in characters:
        places = character.memberships.filter(bank__archived_at=None).exclude(bank=bank)
        leaving = list(places.filter(bank=source) if source else places)
        if not leaving and (source or bank.memberships.filter(character=character).exists()):
            continue
        moved += 1
        public_id = leaving[0].public_id if leaving else ""
        for place in leaving:
            place.delete()
        if not bank.memberships.filter(character=character).exists():
            arrived = bank.append(character)
            if public_id:
                arrived.public_id = public_id
                arrived.save(update_fields=["public_id"])
    return moved


def _twin(character: Character) -> Character:
    """An unsaved copy, with a picture of its own."""
    twin = Character.objects.get(pk=character.pk)
    twin.pk, twin._state.adding = None, True
    twin.avatar = _copied(character.avatar)
    return twin


def _copied(picture: FieldFile) -> ContentFile[bytes] | str:
    if not picture or not picture.storage.exists(picture.name or ""):
        return ""
    with picture.open("rb") as stored:
        return ContentFile(stored.read(), name=f"{secrets.token_hex(16)}.webp")
