"""A project's settings, people, copy and end."""

from __future__ import annotations

from copy import copy

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from providers.audit import Change, changed, record
from studio import events
from studio.freshness import refresh
from studio.models import Project
from studio.pages.project import project_of, project_page
from studio.project_forms import CoverForm, PeopleForm, SettingsForm
from studio.projects import Losses, cover_of, duplicate, remove


@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, pk: int) -> HttpResponse:
    project = project_of(request, pk)
    may_change = request.user.has_perm("studio.change_project")
    if request.method == "POST" and not may_change:
        raise PermissionDenied
    form = SettingsForm(request.POST or None, instance=copy(project))
    if request.method == "POST" and form.is_valid():
        _store(request, form)
        return HttpResponseRedirect(request.path)
    return _page(request, project, settings_form=form)


@require_POST
def set_cover(request: HttpRequest, pk: int) -> HttpResponse:
    project = project_of(request, pk, "change")
    form = CoverForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, project, cover_form=form)
    picture = form.cleaned_data["cover"]
    with transaction.atomic():
        project.show(picture)
        project.save(update_fields=["cover"])
        project.touch()
        record(request.user, project, Change.CHANGED, changed("cover"))
    messages.success(request, _("The cover is saved.") if picture else _("The cover is removed."))
    return HttpResponseRedirect(reverse("studio:settings", args=[pk]))


@require_safe
@staff_member_required
def cover(request: HttpRequest, pk: int) -> HttpResponse:
    """The picture, for the project's people."""
    picture = cover_of(project_of(request, pk))
    if not picture:
        raise Http404
    headers = {"Cache-Control": "private, max-age=3600", "Content-Disposition": "inline"}
    return HttpResponse(picture, content_type="image/jpeg", headers=headers)


@require_POST
def people(request: HttpRequest, pk: int) -> HttpResponse:
    project = _managed(request, pk, "change")
    form = PeopleForm(project, request.POST)
    if not form.is_valid():
        return _page(request, project, people_form=form)
    with transaction.atomic():
        if fields := form.store():
            record(request.user, project, Change.CHANGED, changed(*fields))
    messages.success(request, _("The project's people are saved."))
    visible = Project.objects.visible_to(request.user).filter(pk=pk).exists()
    return HttpResponseRedirect(reverse("studio:settings", args=[pk]) if visible else reverse("studio:projects"))


@require_POST
def copy_project(request: HttpRequest, pk: int) -> HttpResponse:
    project = project_of(request, pk)
    if not request.user.has_perm("studio.add_project"):
        raise PermissionDenied
    made = duplicate(project, request.user)
    messages.success(request, _("This is a copy with the same lines and cast, without audio. It is yours alone."))
    return HttpResponseRedirect(reverse("studio:settings", args=[made.pk]))


@require_http_methods(["GET", "HEAD", "POST"])
def delete_project(request: HttpRequest, pk: int) -> HttpResponse:
    project = _managed(request, pk, "delete")
    if request.method == "POST":
        remove(project, request.user)
        messages.success(request, _("“%s” was deleted.") % project.name)
        return HttpResponseRedirect(reverse("studio:projects"))
    return project_page(request, project, "delete", {"losses": Losses.of(project)})


def cover_address(project: Project) -> str:
    """Another for another picture, so that browsers may keep it; empty where there is none."""
    name = project.cover.name or ""
    return f"{reverse('studio:cover', args=[project.pk])}?v={name[-12:-4]}" if name else ""


def _managed(request: HttpRequest, pk: int, right: str) -> Project:
    """For its owner and administrators."""
    project = project_of(request, pk, right)
    if not project.is_managed_by(request.user):
        raise PermissionDenied
    return project


def _store(request: HttpRequest, form: SettingsForm) -> None:
    if not form.changed_data:
        return
    project = form.instance
    with transaction.atomic():
        project.save(update_fields=form.changed_data)
        project.touch()
        record(request.user, project, Change.CHANGED, changed(*form.changed_data))
        stale = refresh(project)
    events.announce(project.pk, structure=True)
    text = _("The settings are saved.")
    if stale:
        text += " " + _("Lines that are to sound otherwise now are stale: generate them again.")
    messages.success(request, text)


def _page(
    request: HttpRequest,
    project: Project,
    settings_form: SettingsForm | None = None,
    people_form: PeopleForm | None = None,
    cover_form: CoverForm | None = None,
) -> HttpResponse:
    manages = project.is_managed_by(request.user)
    may_choose = manages and request.user.has_perm("studio.change_project")
    context = {
        "form": settings_form or SettingsForm(instance=project),
        "people_form": (people_form or PeopleForm(project)) if may_choose else None,
        "cover_form": cover_form or CoverForm(),
        "cover": cover_address(project),
        "members": project.members.order_by("username"),
        "may_delete": manages and request.user.has_perm("studio.delete_project"),
        "may_add": request.user.has_perm("studio.add_project"),
    }
    return project_page(request, project, "settings", context)
