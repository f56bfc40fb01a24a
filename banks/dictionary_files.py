"""The pronunciation dictionary as a CSV file: `written`, `spoken`, `language`, `kind`, `match_case`, `enabled`.

A spreadsheet takes a cell that begins with =, +, - or @ for a formula, so such cells go out with an apostrophe before
them, and come in without it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import regex
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from banks.dictionary import MOST_RULES, TOO_MANY, Pronunciation, problems
from banks.models import Bank
from providers.versions import bump

CSV_BYTES = 4 * 1024**2
COLUMNS = ("written", "spoken", "language", "kind", "match_case", "enabled")
NEEDED = ("written", "spoken")
WORD, PATTERN = "word", "pattern"
# Of a file with many, so many problems are told.
TOLD = 20
_FLAGS = {"yes": True, "no": False}
# Also as East Asian keyboards write them.
_FORMULA = regex.compile(r"'*[=+\-@＝＋－＠\t\r\n]")


def write_csv(rows: Iterable[Pronunciation]) -> bytes:
    """With a mark at the beginning, by which spreadsheets know that it is UTF-8."""
    text = io.StringIO()
    # In quotes, so that no part of a cell becomes one where another separator is usual.
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for row in rows:
        kind = PATTERN if row.is_pattern else WORD
        flags = ["yes" if flag else "no" for flag in (row.match_case, row.enabled)]
        writer.writerow([*map(_guarded, (row.written, row.spoken, row.language)), kind, *flags])
    return text.getvalue().encode("utf-8-sig")


def read_csv(content: bytes) -> list[Pronunciation]:
    """The rules of a file, of no scope yet. ValidationError with a line for each row that is wrong."""
    rows, wrong, taken = list[Pronunciation](), list[str](), set[tuple[str, str]]()
    for number, cells in _records(_text(content)):
        if len(rows) >= MOST_RULES:
            raise ValidationError(TOO_MANY % MOST_RULES)
        row, found = _rule(cells)
        found = found or problems(row, taken)
        wrong += [_("Row %(row)d: %(problem)s") % {"row": number, "problem": problem} for problem in found]
        taken.add(row.key)
        rows.append(row)
    if len(wrong) > TOLD:
        wrong[TOLD:] = [_("And %d more.") % (len(wrong) - TOLD)]
    if wrong:
        raise ValidationError(wrong)
    if not rows:
        raise ValidationError(_("There is no rule in it."))
    return rows


@dataclass(frozen=True, slots=True)
class Brought:
    added: int
    changed: int
    same: int


def bring_in(rows: list[Pronunciation], bank: Bank | None) -> Brought:
    """Add them to a scope; a rule for what has one there already takes its place. ValidationError where they would
    be too many. All or nothing."""
    with transaction.atomic():
        there = {row.key: row for row in Pronunciation.objects.filter(bank=bank)}
        added = [row for row in rows if row.key not in there]
        if len(there) + len(added) > MOST_RULES:
            raise ValidationError(TOO_MANY % MOST_RULES)
        changed = []
        for row in rows:
            row.bank = bank
            if (old := there.get(row.key)) and (old.rule(), old.enabled) != (row.rule(), row.enabled):
                row.pk = old.pk
                changed.append(row)
        Pronunciation.objects.bulk_create(added)
        names = ["spoken", "language", "is_pattern", "match_case", "enabled"]
        Pronunciation.objects.bulk_update(changed, names, batch_size=200)
        bump()
    return Brought(len(added), len(changed), len(rows) - len(added) - len(changed))


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValidationError(_("The file is not UTF-8: save it as “CSV UTF-8”.")) from error


def _records(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row that is not empty, with its number in a spreadsheet and its cells by column."""
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    columns: list[str] = []
    try:
        for number, cells in enumerate(reader, 1):
            if number == 1:
                columns = _columns(cells)
            elif any(cell.strip() for cell in cells):
                if any(cell.strip() for cell in cells[len(columns) :]):
                    raise ValidationError(_("Row %d has more cells than there are columns.") % number)
                yield number, dict(zip(columns, map(_unguarded, cells), strict=False))
    except csv.Error as error:
        text_ = _("Line %d can't be read: look at its quotation marks.")
        raise ValidationError(text_ % reader.line_num) from error
    if not columns:
        raise ValidationError(_("The file is empty."))


def _columns(cells: list[str]) -> list[str]:
    names = [cell.strip().lower().replace(" ", "_") for cell in cells]
    while names and not names[-1]:
        names.pop()
    if not set(NEEDED) <= set(names) <= set(COLUMNS) or len(set(names)) != len(names):
        text = _("Its first row has to name the columns: %(needed)s, and where wanted %(others)s.")
        others = ", ".join(name for name in COLUMNS if name not in NEEDED)
        raise ValidationError(text % {"needed": ", ".join(NEEDED), "others": others})
    return names


def _rule(cells: dict[str, str]) -> tuple[Pronunciation, list[str]]:
    """The rule of a row, and what of its cells can't be read."""
    found = []
    kind = cells.get("kind", "").strip().lower() or WORD
    if kind not in (WORD, PATTERN):
        found.append(_("kind: Write “word” or “pattern”."))
    flags = {"match_case": False, "enabled": True}
    for name in flags:
        told = cells.get(name, "").strip().lower()
        if told and told not in _FLAGS:
            found.append(_("%s: Write “yes” or “no”.") % name)
        flags[name] = _FLAGS.get(told, flags[name])
    texts = {name: cells.get(name, "").strip() for name in ("written", "spoken", "language")}
    return Pronunciation(**texts, **flags, is_pattern=kind == PATTERN), found


def _guarded(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
