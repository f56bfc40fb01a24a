"""Dialogue: turns of characters who talk with each other, shown as a chat."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from studio.kinds.base import Kind


class Dialogue(Kind):
    label = _("Dialogue")
    description = _("Characters who talk with each other, turn by turn, as in a chat.")
    icon = "forum"
    line_template = "studio/projects/line_dialogue.html"
    turns = True
    sides = True
