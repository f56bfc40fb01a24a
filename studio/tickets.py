"""What the tickets of takes say that they were made for, to whoever watches the queue."""

from __future__ import annotations

import re

_TAKE = re.compile(r"take:(\d+)(?:/(\d+))?", re.ASCII)


def made_for(pk: int, project: int | None = None) -> str:
    return f"take:{pk}" if project is None else f"take:{pk}/{project}"


def take_of(made_for: str) -> int:
    """The take's primary key; 0 where the ticket is of something else, such as a request to the API."""
    found = _TAKE.fullmatch(made_for)
    return int(found[1]) if found else 0


def project_of(made_for: str) -> int | None:
    """That of the take's project, if it has one."""
    found = _TAKE.fullmatch(made_for)
    return int(found[2]) if found and found[2] else None
