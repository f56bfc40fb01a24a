"""What a merged recording says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Chapter:
    """`start` and `end` are samples."""

    title: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Label:
    """What the file says of itself. Chapters lie one behind the other and cover `samples`, all that will be written.
    `cover` is a JPEG, empty for none."""

    samples: int
    title: str = ""
    author: str = ""
    chapters: Sequence[Chapter] = field(default=())
    cover: bytes = b""

    def tags(self) -> Mapping[str, str]:
        return {name: value for name, value in (("title", self.title), ("artist", self.author)) if value}
