"""Files in the order in which people number them: 2 before 10, and 第二章 before 第十章."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "萬": 10_000}
_NUMBER = re.compile(r"(\d{1,18}|(?<=[第卷])[" + "".join([*_DIGITS, *_UNITS]) + "]{1,12})")

type Key = tuple[tuple[tuple[int, int, str], ...], ...]


def natural_key(path: str) -> Key:
    """For sorting paths; a folder's files stay together."""
    return tuple(tuple(_part(part) for part in _NUMBER.split(name) if part) for name in PurePosixPath(path).parts)


def _part(part: str) -> tuple[int, int, str]:
    if part.isdecimal():
        return 0, int(part), part
    if all(character in _DIGITS or character in _UNITS for character in part):
        return 0, chinese_number(part), part
    return 1, 0, part.casefold()


def chinese_number(text: str) -> int:
    if not any(character in _UNITS for character in text):
        return int("".join(str(_DIGITS[character]) for character in text))
    total = section = digit = 0
    for character in text:
        unit = _UNITS.get(character)
        if unit is None:
            digit = _DIGITS[character]
        elif unit == 10_000:
            total, section, digit = (total + section + digit) * unit, 0, 0
        else:
            section, digit = section + (digit or 1) * unit, 0
    return total + section + digit
