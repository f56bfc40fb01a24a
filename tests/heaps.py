"""glibc's heaps of a process beside its first: a thread that finds all of them in use makes one more."""

from __future__ import annotations

from pathlib import Path

HEAP = 64 * 1024 * 1024


def more_heaps(pid: int) -> int:
    """Each is a region of that size at a multiple of it: what is in use, and after it what is only set aside."""
    regions = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    # What belongs to a file has a name, too.
    unnamed = [(access, *_bounds(where)) for where, access, *others in regions if len(others) == 3]
    aside = {start: end for access, start, end in unnamed if access == "---p"}
    used = [(start, end) for access, start, end in unnamed if access == "rw-p"]
    return sum(start % HEAP == 0 and aside.get(end) == start + HEAP for start, end in used)


def _bounds(where: str) -> tuple[int, int]:
    start, end = where.split("-")
    return int(start, 16), int(end, 16)
