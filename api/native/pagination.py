from __future__ import annotations

from typing import Any

from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
MAX_OFFSET = 2**31 - 1


class NativePagination(LimitOffsetPagination):
    """`limit` and `offset` as the view's query has them, already checked."""

    default_limit = DEFAULT_LIMIT
    max_limit = MAX_LIMIT

    def __init__(self, limit: int = DEFAULT_LIMIT, offset: int = 0) -> None:
        self._asked = (limit, offset)

    def get_limit(self, request: Request) -> int:
        return self._asked[0]

    def get_offset(self, request: Request) -> int:
        return self._asked[1]

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []  # the view's query describes them
