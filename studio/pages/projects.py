"""The list of projects, and a new one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from providers.audit import Change, record
from studio.kinds import kinds
from studio.models import Project
from studio.project_forms import NewProjectForm, ProjectFilter
from studio.projects import Progress, progress_of

A_PAGE = 30


def _page(request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> TemplateResponse:
    common = {**admin.site.each_context(request), "title": title}
    return TemplateResponse(request, f"studio/projects/{template}.html", {**common, **context})


@require_GET
def projects(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("studio.view_project"):
        raise PermissionDenied
    visible = Project.objects.visible_to(request.user).filter(kind__in=kinds()).select_related("bank", "owner")
    filters = ProjectFilter(request.GET, request.user)
    page = Paginator(filters.found(visible), A_PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    listed, known = list(page), kinds()
    progress = progress_of(listed)
    context = {
        "rows": [(one, known[one.kind], progress.get(one.pk, Progress())) for one in listed],
        "page": page,
        "page_range": page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1),
        "filters": filters,
        "query": query.urlencode(),
        "filtered": any(query.values()),
        "may_add": request.user.has_perm("studio.add_project"),
    }
    return _page(request, "list", _("Projects"), context)


@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """The next step is a text, or an empty project to write in."""
    if not request.user.has_perm("studio.add_project"):
        raise PermissionDenied
    form = NewProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            made = form.made_for(request.user)
            record(request.user, made, Change.ADDED)
        follows = "import" if "import" in request.POST else "project"
        return HttpResponseRedirect(reverse(f"studio:{follows}", args=[made.pk]))
    cards = [(choice, kinds()[choice.data["value"]]) for choice in form["kind"]]
    return _page(request, "new", _("New project"), {"form": form, "cards": cards})
