"""What the pages of one project share: who may open them, and their frame."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from studio.kinds import kinds
from studio.models import Project


def project_of(request: HttpRequest, pk: int, right: str = "view") -> Project:
    """The project, for its people with this right on projects. To outsiders there is none."""
    if not request.user.has_perm(f"studio.{right}_project"):
        raise PermissionDenied
    visible = (
        Project.objects.visible_to(request.user).filter(kind__in=kinds()).select_related("bank", "owner", "footage")
    )
    return get_object_or_404(visible, pk=pk)


def project_page(request: HttpRequest, project: Project, template: str, context: dict[str, Any]) -> TemplateResponse:
    """`template` is a name in templates/studio/projects/, which extends `frame.html` there."""
    common = {
        **admin.site.each_context(request),
        "title": project.name,
        "project": project,
        "kind": kinds()[project.kind],
        "tabs": _tabs(request, project),
        "may_change": request.user.has_perm("studio.change_project"),
    }
    return TemplateResponse(request, f"studio/projects/{template}.html", {**common, **context})


def _tabs(request: HttpRequest, project: Project) -> list[dict[str, Any]]:
    kind = kinds()[project.kind]
    tabs = [
        (_("Lines"), "project", True),
        (_("Read"), "read", kind.reader),
        *((title, name, True) for title, name in kind.pages),
        (_("Import"), "import", request.user.has_perm("studio.change_project")),
        (_("Cast"), "cast", True),
        (_("Suggestions"), "suggestions", kind.suggests_speakers),
        (_("Pronunciation"), "project-pronunciation", True),
        (_("Export"), "exports", True),
        (_("Settings"), "settings", True),
    ]
    links = [(title, reverse(f"studio:{name}", args=[project.pk])) for title, name, shown in tabs if shown]
    return [{"title": title, "link": link, "current": request.path == link} for title, link in links]
