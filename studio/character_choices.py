"""Characters to choose from in a page's many selects, which are written once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from banks.models import Bank, Character
from studio.cast import everybody

type Group = tuple[str, list[tuple[int, str]]]


class CharacterChoices:
    """Everybody who can speak, once each, by bank: that of the project first."""

    def __init__(self, bank: Bank | None) -> None:
        self.groups = _groups(bank.pk if bank else 0)
        self.known = {pk: name for _bank, people in self.groups for pk, name in people}

    def options(self, chosen: int | None) -> SafeString:
        """The groups of a select, with one of the characters selected; it is there even where it can't speak now."""
        written = [
            _written(group, chosen) if any(pk == chosen for pk, _name in group[1]) else plain
            for group, plain in zip(self.groups, self._plain, strict=True)
        ]
        if chosen is not None and chosen not in self.known:
            written.append(_written((_("Can't speak now"), self._absent(chosen)), chosen))
        return format_html_join("", "{}", ((group,) for group in written))

    @cached_property
    def _plain(self) -> list[SafeString]:
        return [_written(group, None) for group in self.groups]

    def _absent(self, pk: int) -> list[tuple[int, str]]:
        return list(Character.objects.filter(pk=pk).values_list("pk", "name"))


def _groups(own: int) -> list[Group]:
    seen: set[int] = set()
    groups: dict[int, Group] = {}
    for part in sorted(everybody(), key=lambda part: part.bank_id != own):
        if part.character.pk not in seen:
            seen.add(part.character.pk)
            group = groups.setdefault(part.bank_id, (part.bank or _("In no bank"), []))
            group[1].append((part.character.pk, part.character.name))
    return list(groups.values())


def _written(group: Group, chosen: int | None) -> SafeString:
    label, people = group
    return format_html('<optgroup label="{}">{}</optgroup>', label, _options(people, chosen))


def _options(people: Sequence[tuple[int, str]], chosen: int | None) -> SafeString:
    rows = ((pk, SafeString(" selected" if pk == chosen else ""), name) for pk, name in people)
    return format_html_join("", '<option value="{}"{}>{}</option>', rows)
