"""The lines of a project."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from studio.freshness import refresh
from studio.pages.project import project_of, project_page

A_PAGE = 100


@require_GET
def project(request: HttpRequest, pk: int) -> HttpResponse:
    found = project_of(request, pk)
    refresh(found)
    page = Paginator(found.lines.shown(), A_PAGE).get_page(request.GET.get("page"))
    return project_page(request, found, "lines", {"page": page, "counts": found.lines.counts()})
