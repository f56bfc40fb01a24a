from __future__ import annotations

import codecs
import json
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from providers.strict_json import StrictDecoder


class StrictJSONParser(BaseParser):
    """UTF-8, and JSON as the standard has it."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            text = codecs.decode(stream.read(), "utf-8")
            return json.loads(text, cls=StrictDecoder)
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {type(error).__name__}.") from error
