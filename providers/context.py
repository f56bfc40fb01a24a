"""What the current task works for, for its log lines: the request that it serves and the take that it speaks.

Standard library only.
"""

from __future__ import annotations

import secrets
from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_take_id: ContextVar[int | None] = ContextVar("take_id", default=None)


def begin_request() -> str:
    """A new request's id, from here on that of the current task and of all that it starts."""
    made = "req_" + secrets.token_hex(12)
    _request_id.set(made)
    return made


def request_id() -> str:
    """Empty outside a request."""
    return _request_id.get()


def take_id() -> int | None:
    return _take_id.get()


def work_on(request_id: str, take_id: int | None = None) -> None:
    """From here on the current task works for this request, which may have ended long ago, and on this take."""
    _request_id.set(request_id)
    _take_id.set(take_id)
