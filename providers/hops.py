"""The hop header: which servers of our kind a request has passed, so that a provider that leads back here is noticed.

Every request to a provider names the servers that it comes through, this one last. Standard library only.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

HOP_HEADER = "x-neiroha-hop"
LOOP_STATUS = 508
LOOP_CODE = "provider_loop"
MAX_HOPS = 5
# Names this process, and tells nothing about it.
INSTANCE = secrets.token_hex(8)

_passed: ContextVar[tuple[str, ...]] = ContextVar("hops_passed", default=())


def arrive(header: str) -> str:
    """Note, for all that the current task does, the servers that its request has passed.

    Why the request must not go on, in words for whoever set up the provider that sent it; empty when it may.
    """
    hops = tuple(re.findall(r"\b[0-9a-f]{16}\b", header))
    _passed.set(hops[:MAX_HOPS])
    if INSTANCE in hops:
        return (
            "The request came back to the server that it started from. Change the base URL of this provider: it leads,"
            " directly or by way of other servers, to the very server that calls it."
        )
    if len(hops) > MAX_HOPS:
        return (
            f"The request has passed more than {MAX_HOPS} servers like this one. Change the base URL of this provider"
            " to that of the backend itself."
        )
    return ""


def hop_value() -> str:
    """What the hop header of a request to a provider says."""
    return ", ".join((*_passed.get(), INSTANCE))
