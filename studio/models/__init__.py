from __future__ import annotations

from studio.models import leases
from studio.models.desktop import DesktopOrigin, DesktopSource
from studio.models.exports import VIDEO, Export, ExportQuerySet
from studio.models.footage import Footage, OriginalSound, Upload, video_bytes_used
from studio.models.projects import (
    LONGEST_LINE,
    MOST_LINES,
    CastEntry,
    Line,
    LineQuerySet,
    LineState,
    Project,
    ProjectPronunciation,
    ProjectQuerySet,
)
from studio.models.reading import ReadingPlace
from studio.models.settings import LONGEST_TEXT, MEGABYTE, StudioSettings
from studio.models.suggestions import Scope, SpeakerSuggestion, SuggestionQuerySet, SuggestionRun
from studio.models.takes import MOST_OPEN, OPEN, Take, TakeQuerySet, TakeState

__all__ = [
    "LONGEST_LINE",
    "LONGEST_TEXT",
    "MEGABYTE",
    "MOST_LINES",
    "MOST_OPEN",
    "OPEN",
    "VIDEO",
    "CastEntry",
    "DesktopOrigin",
    "DesktopSource",
    "Export",
    "ExportQuerySet",
    "Footage",
    "Line",
    "LineQuerySet",
    "LineState",
    "OriginalSound",
    "Project",
    "ProjectPronunciation",
    "ProjectQuerySet",
    "ReadingPlace",
    "Scope",
    "SpeakerSuggestion",
    "StudioSettings",
    "SuggestionQuerySet",
    "SuggestionRun",
    "Take",
    "TakeQuerySet",
    "TakeState",
    "Upload",
    "leases",
    "video_bytes_used",
]
