"""What the tickets of takes say that they were made for, to whoever watches the queue."""

from __future__ import annotations

_TAKE = "take:"


def made_for(pk: int) -> str:
    return f"{_TAKE}{pk}"


def take_of(made_for: str) -> int:
    """The take's primary key; 0 where the ticket is of something else, such as a request to the API."""
    return int(made_for.removeprefix(_TAKE)) if made_for.startswith(_TAKE) else 0
