"""A project read aloud, a page of the book at a time."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from studio import generate
from studio.freshness import refresh
from studio.generate import Want
from studio.line_forms import is_key
from studio.models import Line, LineQuerySet, Project, ReadingPlace, StudioSettings
from studio.models.reading import PLAYBACK_MAX, PLAYBACK_MIN
from studio.pages.line_actions import say
from studio.pages.project import project_of, project_page
from studio.reading import Chapter, Spread, chapters_of, lines_of, make_ahead, paragraphs, place_of, remember
from studio.rows import SENTENCE, paint, rows, stamp
from studio.runner import stages
from studio.summary import summary

SPEEDS = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
SLEEP_MINUTES = (5, 10, 15, 30, 45, 60)


@require_GET
def read(request: HttpRequest, pk: int) -> HttpResponse:
    project = project_of(request, pk)
    refresh(project)
    staged, chapters = stages(project.pk), chapters_of(project)
    saved = ReadingPlace.objects.filter(user=request.user.pk, project=project).select_related("line").first()
    asked = _line(project, request.GET.get("line", ""))
    spread = _spread(request, chapters, asked or (saved.line if saved else None))
    listed = rows(spread.lines(project, chapters), staged, ()) if spread else []
    here, place = _here([row.line.pk for row in listed], asked, saved), saved.line_id if saved else None
    context = {
        "chapters": chapters,
        "spread": spread,
        "paragraphs": paragraphs(listed),
        "here": here,
        "resumes": here == place,
        "where": place if place not in [row.line.pk for row in listed] else None,
        "summary": summary(project, staged.values()),
        "stamp": stamp(project),
        "before": spread.before(chapters) if spread else None,
        "behind": spread.behind(chapters) if spread else None,
        "address": reverse("studio:read", args=[project.pk]),
        **_player(request, saved),
    }
    return project_page(request, project, "read", context)


def _player(request: HttpRequest, saved: ReadingPlace | None) -> dict[str, Any]:
    return {
        "may_listen": request.user.has_perm("studio.view_take"),
        "ahead": StudioSettings.load().read_ahead if request.user.has_perm("studio.change_project") else 0,
        "speed": saved.speed if saved else 1.0,
        "speeds": SPEEDS,
        "sleeps": SLEEP_MINUTES,
    }


def _line(project: Project, key: str) -> Line | None:
    return project.lines.filter(pk=key).first() if is_key(key) else None


def _spread(request: HttpRequest, chapters: list[Chapter], line: Line | None) -> Spread | None:
    """The page that is asked for, by a line, or by the numbers of a chapter and a part of it; else that of `line`."""
    if not chapters:
        return None
    number = request.GET.get("chapter", "")
    if "line" not in request.GET and is_key(number):
        chapter = chapters[min(max(int(number), 1), len(chapters)) - 1]
        part = request.GET.get("part", "")
        return Spread(chapter, min(max(int(part) if is_key(part) else 1, 1), chapter.parts))
    return Spread.at(chapters, place_of(line) if line else 0)


def _here(shown: list[int], asked: Line | None, saved: ReadingPlace | None) -> int:
    """The key of the sentence at which listening begins."""
    wished = [asked.pk if asked else None, saved.line_id if saved else None]
    return next((pk for pk in wished if pk in shown), shown[0] if shown else 0)


@require_POST
def ahead(request: HttpRequest, pk: int) -> HttpResponse:
    """Have what is heard next made: `line` is the sentence that is heard, or about to be."""
    project = project_of(request, pk, "change")
    line = _line(project, request.POST.get("line", ""))
    if line is None:
        return JsonResponse({"gone": True})
    if not StudioSettings.load().read_ahead:
        return JsonResponse({"rows": {}, "refusals": {}})
    keys, outcome = make_ahead(project, line, request.user, again="again" in request.POST)
    listed = rows(project.lines.filter(pk__in=keys), stages(project.pk), ())
    return JsonResponse({"rows": paint(project, listed, True, SENTENCE), "refusals": outcome.refusals})


class PlaceForm(forms.Form):
    line = forms.CharField(required=False)
    speed = forms.FloatField(min_value=PLAYBACK_MIN, max_value=PLAYBACK_MAX)


@require_POST
def place(request: HttpRequest, pk: int) -> HttpResponse:
    """Where this person is. A line that was removed meanwhile leaves the place as it was."""
    project, form = project_of(request, pk), PlaceForm(request.POST)
    if not form.is_valid():
        return JsonResponse(form.errors, status=400)
    remember(project, request.user, _line(project, form.cleaned_data["line"]), form.cleaned_data["speed"])
    return HttpResponse(status=204)


@require_POST
def act(request: HttpRequest, pk: int) -> HttpResponse:
    """`act` is an action for the whole book, or action:number for a chapter."""
    project = project_of(request, pk, "change")
    name, _colon, number = request.POST.get("act", "").partition(":")
    chosen = _chosen(project, number)
    if name == "cancel" and chosen is not None:
        count = generate.cancel(project, chosen)
        messages.success(request, ngettext("%d take was cancelled.", "%d takes were cancelled.", count) % count)
    elif name in ("missing", "failed") and chosen is not None:
        say(request, generate.generate(project, chosen, Want(name), request.user))
    elif chosen is None:
        messages.warning(request, _("This chapter is not there any more."))
    else:
        raise PermissionDenied
    return HttpResponseRedirect(_back(request, project))


def _chosen(project: Project, number: str) -> LineQuerySet | None:
    if not number:
        return project.lines.all()
    chapters = chapters_of(project)
    there = is_key(number) and 0 < int(number) <= len(chapters)
    return lines_of(project, chapters, int(number)) if there else None


def _back(request: HttpRequest, project: Project) -> str:
    own, asked = reverse("studio:read", args=[project.pk]), request.POST.get("next", "")
    return asked if asked.startswith(own) and url_has_allowed_host_and_scheme(asked, allowed_hosts=None) else own
