"""Phase: a script that is cut into segments, each with its character."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from studio.kinds.base import Kind


class Phase(Kind):
    label = _("Script")
    description = _("A text that is cut into segments by paragraph, sentence, quotes or a pattern of yours.")
    icon = "subject"
    line_template = "studio/projects/line_phase.html"
    reader = True
    suggests_speakers = True
