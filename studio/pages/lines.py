"""The lines of a project, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Case, Q, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.views.decorators.http import require_GET

from studio.freshness import refresh
from studio.kinds import kind
from studio.line_forms import Composer, LineFilter, LineForm, SelectionForm, Voices, is_key
from studio.models import Line, LineQuerySet, Project
from studio.pages.project import project_of, project_page
from studio.rows import may_change, paint, rows, speakers_of, stamp
from studio.runner import stages
from studio.summary import summary
from studio.timing import footage_of, overview

A_PAGE = 100
# What of an address is not the choice of lines.
PASSING = ("page", "line", "edit", "insert")


@require_GET
def project(request: HttpRequest, pk: int) -> HttpResponse:
    found = project_of(request, pk)
    if is_key(number := request.GET.get("line", "")):
        return HttpResponseRedirect(_jump(found, int(number)))
    if is_key(key := request.GET.get("key", "")) and (line := found.lines.filter(pk=key).first()):
        return HttpResponseRedirect(address_of(found, line))
    refresh(found)
    return lines_page(request, found, request.GET)


def lines_page(
    request: HttpRequest,
    project: Project,
    asked: QueryDict,
    *,
    editing: LineForm | None = None,
    composer: Composer | None = None,
    selection: SelectionForm | None = None,
) -> HttpResponse:
    """As `asked` for by the address; forms that are given are shown with what is wrong with them."""
    timed, sides = kind(project.kind).timed, kind(project.kind).sides
    placed, speakers = overview(project) if timed else ({}, speakers_of(project))
    staged = stages(project.pk)
    figures, filters = summary(project, staged.values()), LineFilter(asked, speakers)
    found = _find(project, filters.condition(), figures.total, asked.get("page", ""))
    query = asked.copy()
    for name in PASSING:
        query.pop(name, None)
    listed = rows(found.lines, staged, speakers if sides else (), placed)
    painted = paint(project, listed, may_change(request.user))
    context = {
        "page": found.page,
        "page_range": found.page.paginator.get_elided_page_range(found.page.number, on_each_side=2, on_ends=1),
        "rows": [(number, row, painted[row.line.pk]) for number, row in zip(found.numbers, listed, strict=False)],
        "summary": figures,
        "filters": filters,
        "filtered": found.filtered,
        "query": query.urlencode(),
        "address": _address(request, project, asked),
        "stamp": stamp(project),
        "ticked": request.POST.getlist("line"),
        "footage": footage_of(project) if timed else None,
        "over": sum(place.over > 0 for place in placed.values()),
    }
    if may_change(request.user):
        context |= _forms(project, asked, editing, composer, selection)
    return project_page(request, project, "lines", context)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of lines and the places of these in the whole project."""

    page: Page[Any]
    lines: LineQuerySet
    numbers: Sequence[int]
    filtered: bool


def _find(project: Project, condition: Q, total: int, number: str) -> Found:
    """One query where something is filtered, else none."""
    if not condition:
        page: Page[Any] = Paginator(range(1, total + 1), A_PAGE).get_page(number)
        start = page.start_index() - 1 if total else 0
        listed = project.lines.order_by("position", "pk")[start : start + A_PAGE]
        return Found(page, listed, range(start + 1, start + A_PAGE + 1), False)
    fits = Case(When(condition, then=True), default=False)
    order = project.lines.with_state().annotate(fits=fits).order_by("position", "pk").values_list("pk", "fits")
    places = {pk: place for place, (pk, fit) in enumerate(order, start=1) if fit}
    page = Paginator(list(places), A_PAGE).get_page(number)
    listed = project.lines.filter(pk__in=page.object_list)
    return Found(page, listed, [places[pk] for pk in page.object_list], True)


def _forms(
    project: Project,
    asked: QueryDict,
    editing: LineForm | None,
    composer: Composer | None,
    selection: SelectionForm | None,
) -> dict[str, Any]:
    voices = Voices(project)
    if editing is None and is_key(pk := asked.get("edit", "")):
        line = project.lines.select_related("character").filter(pk=pk).first()
        editing = LineForm(line=line, voices=voices) if line else None
    return {
        "editing": editing,
        "composer": composer or Composer(project=project, voices=voices, place=asked.get("insert", "")),
        "selection": selection or SelectionForm(voices=voices),
        "has_voices": bool(voices.by_pk),
    }


def _address(request: HttpRequest, project: Project, asked: QueryDict) -> str:
    """Of this page of lines, without what is open on it."""
    query = asked.copy()
    for name in PASSING[1:]:
        query.pop(name, None)
    path = reverse("studio:project", args=[project.pk])
    return f"{path}?{query.urlencode()}" if query else path


def _jump(project: Project, number: int) -> str:
    """The address of the line with this number, or of the last one."""
    place = max(min(number, project.lines.count()), 1)
    line = project.lines.order_by("position", "pk")[place - 1 : place].first()
    return address_of(project, line, place) if line else reverse("studio:project", args=[project.pk])


def address_of(project: Project, line: Line, place: int | None = None) -> str:
    """Of the page that shows the line among all, and of its place there."""
    if place is None:
        place = project.lines.filter(position__lt=line.position).count() + 1
    number = -(-place // A_PAGE)
    path = reverse("studio:project", args=[project.pk])
    return f"{path}{f'?page={number}' if number > 1 else ''}#nr-line-{line.pk}"


def shown_lines(project: Project, asked: list[str]) -> LineQuerySet:
    return project.lines.filter(pk__in=[pk for pk in asked if is_key(pk)])
