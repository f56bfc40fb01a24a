"""Dub: subtitle cues that are spoken in time with a recording."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from studio.kinds.base import Kind


class Dub(Kind):
    label = _("Video dub")
    description = _("Subtitles that are spoken in time with a video or a sound recording.")
    icon = "movie"
    line_template = "studio/projects/line_dub.html"
    timed = True
    tools_template = "studio/projects/timeline.html"
    scripts = (
        "neiroha/cues.js",
        "neiroha/timeline.js",
        "neiroha/timeline_edit.js",
        "neiroha/dub_player.js",
    )
    styles = ("neiroha/dub.css",)
    exports = ("audio", "video", "files", "subtitles")
    pages = ((_("Footage"), "footage"),)
