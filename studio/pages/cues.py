"""The times of a project's lines, for the timeline's script."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from studio import lines
from studio.cues import timeline
from studio.kinds import kinds
from studio.lines import Times
from studio.pages.project import project_of

# Of one request.
MOST_CUES = 500
MAX_KEY = 2**63 - 1


@require_http_methods(["GET", "POST"])
def cues(request: HttpRequest, pk: int) -> HttpResponse:
    """GET: all cues, see studio.cues. POST {"cues": [{"line": key, "was": [start, end], "now": [start, end]}]} changes
    the times of those that are still as they were; the answer {"met": {key: [start, end]}} tells how the others are
    now, null where a line is gone."""
    project = project_of(request, pk, "change" if request.method == "POST" else "view")
    if not kinds()[project.kind].timed:
        raise Http404
    if request.method != "POST":
        return JsonResponse(timeline(project))
    try:
        now, was = _asked(request)
        met = lines.retime(project, now, was)
    except ValidationError as error:
        return JsonResponse({"error": " ".join(error.messages)}, status=400)
    return JsonResponse({"met": {key: None if times == (None, None) else times for key, times in met.items()}})


def _asked(request: HttpRequest) -> tuple[dict[int, tuple[int, int]], dict[int, Times]]:
    """New times and those that were seen, by line. ValidationError."""
    try:
        listed = json.loads(request.body)["cues"]
        if not isinstance(listed, list):
            raise TypeError(listed)
        if len(listed) > MOST_CUES:
            raise ValidationError(_("At most %d cues at once.") % MOST_CUES)
        now = {_key(one["line"]): _pair(one["now"]) for one in listed}
        was: dict[int, Times] = {_key(one["line"]): _pair(one["was"]) for one in listed}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValidationError(_("These are no times of cues.")) from error
    return now, was


def _key(value: Any) -> int:
    if type(value) is not int or not 0 < value <= MAX_KEY:
        raise ValueError(value)
    return value


def _pair(value: Any) -> tuple[int, int]:
    start, end = value
    if type(start) is not int or type(end) is not int:
        raise TypeError(value)
    return start, end
