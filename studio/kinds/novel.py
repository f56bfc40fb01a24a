"""Novel: a book that is read aloud, chapter by chapter, by a narrator and voices for what its people say."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from studio.kinds.base import Kind
from studio.text import How


class Novel(Kind):
    label = _("Novel")
    description = _("A book that is read aloud, chapter by chapter, with voices for what its people say.")
    icon = "auto_stories"
    line_template = "studio/projects/line_phase.html"
    reader = True
    suggests_speakers = True
    cuts = (How.SENTENCE, How.CLAUSE, How.PARAGRAPH, How.PATTERN)
    longest = 250
    chapters = True
    voices = True
