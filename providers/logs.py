"""How a line of the log is written: as text for people, or as JSON for programs. Standard library only.

Both name the request and the take that the line is about, and hide keys and recordings in whatever words reached it.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from providers.context import request_id, take_id
from providers.redaction import without_secrets


class TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        about = [request_id()] if request_id() else []
        if (take := take_id()) is not None:
            about.append(f"take {take}")
        return super().formatMessage(record) + (f" [{', '.join(about)}]" if about else "")

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class JsonFormatter(logging.Formatter):
    """One object a line: `time`, `level`, `logger`, `process`, `message`, and where there are any `request_id`, `take`
    and `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {**_head(record.levelname, record.name), "process": record.process}
        if request_id():
            line["request_id"] = request_id()
        if (take := take_id()) is not None:
            line["take"] = take
        line["message"] = without_secrets(record.getMessage().strip())
        if told := self._told(record):
            line["exception"] = without_secrets(told)
        return json.dumps(line, ensure_ascii=False)

    def _told(self, record: logging.LogRecord) -> str:
        parts = [self.formatException(record.exc_info)] if record.exc_info else []
        return "\n".join([*parts, record.stack_info] if record.stack_info else parts)


def said_as_json(text: str) -> str:
    """What the server tells whoever started it, as one line of the same shape; nothing in it is hidden."""
    return json.dumps({**_head("INFO", "serve"), "message": text}, ensure_ascii=False)


def _head(level: str, logger: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": now, "level": level, "logger": logger}
