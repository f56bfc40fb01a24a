"""JSON as the standard has it: finite numbers, no half of a surrogate pair, no nesting without end."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


class StrictDecoder(json.JSONDecoder):
    """For `json.loads(text, cls=…)` and JSON fields of forms. Whatever it refuses is a JSONDecodeError."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"parse_constant": _refuse, "parse_float": _finite})

    def decode(self, s: str, *arguments: Any) -> Any:
        try:
            data = super().decode(s, *arguments)
            json.dumps(data, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise json.JSONDecodeError(str(error), s, 0) from error
        return data


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number
