"""What of a project's pages and import differs between kinds; lines, takes, queue, progress and export are shared."""

from __future__ import annotations

from typing import ClassVar

from django.utils.functional import Promise


class Kind:
    label: ClassVar[str | Promise]
    description: ClassVar[str | Promise]
    icon: ClassVar[str]
    """A name of the shell's symbol font."""
    line_template: ClassVar[str]
    """Paints one line on the project's page."""
    reader: ClassVar[bool] = False
    """Whether its pages have a tab on which it is read aloud."""
    turns: ClassVar[bool] = False
    """Whether an imported text is read as `Name: text` turns, rather than cut into segments."""
    suggests_speakers: ClassVar[bool] = False
    """Whether a chat model may be asked who speaks its lines."""
