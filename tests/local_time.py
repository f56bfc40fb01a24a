"""Time zones chosen so that a test never meets midnight on its way."""

from __future__ import annotations

from datetime import UTC, datetime


def zone_where_it_is(hour: int) -> str:
    """The name of a time zone whose clocks show this hour, of 24, now."""
    ahead = (hour - datetime.now(UTC).hour) % 24
    # These names count the other way round: Etc/GMT-2 is two hours ahead of Greenwich.
    return f"Etc/GMT{-(ahead if ahead <= 12 else ahead - 24):+d}"
