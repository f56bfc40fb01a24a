"""Putting banks in order, and characters into banks. Each function is one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models import Max
from django.db.models.fields.files import FieldFile
from django.utils.translation import gettext as _

from banks.models import Bank, Character, Membership, free_name
from providers.versions import bump


def last_position() -> int:
    """Of the banks; -1 where there is none."""
    last: int | None = Bank.objects.present().aggregate(last=Max("position"))["last"]
    return -1 if last is None else last


@transaction.atomic
def order_banks(wanted: Sequence[int]) -> None:
    """The banks with these primary keys in this order, in the places that they have among all the others."""
    banks = {bank.pk: bank for bank in Bank.objects.present()}
    moved = iter([banks[pk] for pk in dict.fromkeys(wanted) if pk in banks])
    _number([next(moved) if pk in set(wanted) else bank for pk, bank in banks.items()])


@transaction.atomic
def shift_bank(bank: Bank, places: int) -> None:
    """One place up (-1) or down (1); at the end of the list it stays."""
    banks = list(Bank.objects.present())
    at = banks.index(bank)
    banks.insert(max(at + places, 0), banks.pop(at))
    _number(banks)


def _number(banks: Iterable[Bank]) -> None:
    changed = []
    for position, bank in enumerate(banks):
        if bank.position != position:
            bank.position = position
            changed.append(bank)
    if changed:
        Bank.objects.bulk_update(changed, ["position"])
        bump()


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
