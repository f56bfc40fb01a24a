"""The order that people give to rows with a `position`. Each function is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from providers.archive import Archivable
from providers.versions import bump


def last_position(model: type[Archivable]) -> int:
    """-1 where there is no row."""
    last: int | None = _present(model).order_by("-position").values_list("position", flat=True).first()
    return -1 if last is None else last


@transaction.atomic
def set_order[M: Archivable](model: type[M], wanted: Sequence[int]) -> M | None:
    """The rows with these primary keys in this order, in the places that they have among all the others.

    Answers with the row that went farthest; None where all are where they were.
    """
    rows: dict[int, M] = {row.pk: row for row in _present(model)}
    moving = [rows[pk] for pk in dict.fromkeys(wanted) if pk in rows]
    places, moved = {row.pk for row in moving}, iter(moving)
    return _number(list(rows.values()), [next(moved) if pk in places else row for pk, row in rows.items()])


@transaction.atomic
def shift[M: Archivable](row: M, places: int) -> M | None:
    """Up (negative) or down; at the end of the list it stays, and the answer is None."""
    before: list[M] = list(_present(type(row)))
    after = before.copy()
    at = after.index(row)
    after.insert(max(at + places, 0), after.pop(at))
    return _number(before, after)


def _present(model: type[Archivable]) -> Any:
    """Only what is needed: a provider's key may be unreadable."""
    manager: Any = model._default_manager
    return manager.filter(archived_at=None).order_by("position", "pk").only("pk", "position")


def _number[M: Archivable](before: list[M], after: list[M]) -> M | None:
    changed: list[Any] = []
    for position, row in enumerate(after):
        numbered: Any = row
        if numbered.position != position:
            numbered.position = position
            changed.append(row)
    if changed:
        type(changed[0])._default_manager.bulk_update(changed, ["position"])
        bump()
    if before == after:
        return None
    was = {row.pk: place for place, row in enumerate(before)}
    return max(enumerate(after), key=lambda placed: abs(placed[0] - was[placed[1].pk]))[1]
