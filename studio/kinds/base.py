"""What of a project's pages and import differs between kinds; lines, takes, queue, progress and export are shared."""

from __future__ import annotations

from typing import ClassVar

from django.utils.functional import Promise

from studio.text import How


class Kind:
    label: ClassVar[str | Promise]
    description: ClassVar[str | Promise]
    icon: ClassVar[str]
    """A name of the shell's symbol font."""
    line_template: ClassVar[str]
    """Paints one line on the project's page."""
    turns: ClassVar[bool] = False
    """Whether an imported text is read as `Name: text` turns, rather than cut into segments."""
    cuts: ClassVar[tuple[How, ...]] = (
        How.PARAGRAPH,
        How.LINE,
        How.SENTENCE,
        How.CLAUSE,
        How.QUOTES,
        How.PATTERN,
    )
    """How else it may be cut; the first is chosen at the beginning."""
    longest: ClassVar[int] = 500
    """Of an imported line, in characters, until somebody chooses another."""
    chapters: ClassVar[bool] = False
    """Whether headings are looked for in an imported text, and chapters may be left out."""
    voices: ClassVar[bool] = False
    """Whether what an imported text tells and what is said in it have voices of their own, rather than names in it."""
