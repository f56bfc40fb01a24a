"""A project's settings, people, copy and end."""

from __future__ import annotations

from copy import copy

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from providers.audit import Change, changed, record
from studio import events
from studio.freshness import refresh
from studio.models import Project
from studio.pages.project import project_of, project_page
from studio.project_forms import PeopleForm, SettingsForm
from studio.projects import Losses, duplicate, remove


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
) -> HttpResponse:
    manages = project.is_managed_by(request.user)
    may_choose = manages and request.user.has_perm("studio.change_project")
    context = {
        "form": settings_form or SettingsForm(instance=project),
        "people_form": (people_form or PeopleForm(project)) if may_choose else None,
        "members": project.members.order_by("username"),
        "may_delete": manages and request.user.has_perm("studio.delete_project"),
        "may_add": request.user.has_perm("studio.add_project"),
    }
    return project_page(request, project, "settings", context)
