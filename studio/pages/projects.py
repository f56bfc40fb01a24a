"""The list of projects."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from studio.kinds import kinds
from studio.models import Project

A_PAGE = 30


@require_GET
def projects(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("studio.view_project"):
        raise PermissionDenied
    visible = Project.objects.visible_to(request.user).filter(kind__in=kinds()).select_related("bank", "owner")
    page = Paginator(visible, A_PAGE).get_page(request.GET.get("page"))
    context = {**admin.site.each_context(request), "title": _("Projects"), "page": page}
    return TemplateResponse(request, "studio/projects/list.html", context)
