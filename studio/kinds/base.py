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
    reader: ClassVar[bool] = False
    """Whether its pages have a tab on which it is read aloud."""
    turns: ClassVar[bool] = False
    """Whether an imported text is read as `Name: text` turns, rather than cut into segments."""
    sides: ClassVar[bool] = False
    """Whether its characters stand on two sides, as in a chat."""
    suggests_speakers: ClassVar[bool] = False
    """Whether a chat model may be asked who speaks its lines."""
    timed: ClassVar[bool] = False
    """Whether lines have times at which they are heard, beside a recording, rather than one behind the other. Subtitles
    are imported then, and lines stand in the order of their times."""
    tools_template: ClassVar[str] = ""
    """Stands above the lines on the project's page, if anything does, with scripts and styles of its own."""
    scripts: ClassVar[tuple[str, ...]] = ()
    styles: ClassVar[tuple[str, ...]] = ()
    exports: ClassVar[tuple[str, ...]] = ("audio", "chapters", "files", "subtitles")
    """What can be exported: values of studio.export_options.What."""
    pages: ClassVar[tuple[tuple[str | Promise, str], ...]] = ()
    """Pages of its own, behind that of the lines: the title of each and the name of its address."""
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
