"""The import from the desktop application, for administrators: its files, what would come, then all of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from banks.storage import storage_errors
from providers.errors import SpeechError
from studio.desktop import waiting
from studio.desktop.forms import FilesForm, OptionsForm
from studio.desktop.imports import bring, look, step
from studio.desktop.job import Options
from studio.desktop.report import Report
from studio.desktop.waiting import Waiting

# What one request works ahead before it shows how far it is.
STEP_SECONDS = 5.0
# Of one group, and of the files that are missing; the command tells of all.
SHOWN = 200


@require_http_methods(["GET", "HEAD", "POST"])
def desktop(request: HttpRequest) -> HttpResponse:
    if not request.user.is_superuser:
        raise PermissionDenied
    if request.method == "POST" and "forget" in request.POST:
        waiting.forget(request.session)
        return HttpResponseRedirect(request.path)
    held = waiting.waiting(request.session)
    if request.method == "POST" and ("begin" in request.POST or held is None):
        return _begin(request)
    if held is None:
        return _page(request, "files", form=FilesForm())
    form = OptionsForm(request.user, request.POST if request.method == "POST" else None)
    if form.is_bound and not form.is_valid():
        return _page(request, "plan", form=form, held=held)
    options = form.options() if form.is_bound else form.untouched()
    try:
        if "import" in request.POST:
            return _import(request, form, held, options)
        with storage_errors(), held.database() as database, held.sounds() as sounds:
            return _page(request, "plan", form=form, held=held, **_told(look(database, sounds, options)))
    except SpeechError as error:
        return _page(request, "plan", form=form, held=held, refused=error.message)


def _begin(request: HttpRequest) -> HttpResponse:
    if "begin" not in request.POST:
        messages.warning(request, _("The files are not here any more: choose them again."))
        return HttpResponseRedirect(request.path)
    form = FilesForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, "files", form=form)
    waiting.keep(request.session, form.cleaned_data["database"], form.cleaned_data["audio"])
    return HttpResponseRedirect(request.path)


def _import(request: HttpRequest, form: OptionsForm, held: Waiting, options: Options) -> HttpResponse:
    """A step ahead; once everything is ready, all of it."""
    ready = held.ready()
    with storage_errors(), held.database() as database, held.sounds() as sounds:
        try:
            done, total = step(database, sounds, options, ready, STEP_SECONDS)
        finally:
            held.keep_ready(ready)
        if done < total:
            return _page(request, "progress", form=form, held=held, done=done, total=total)
        # It is used up now, whatever comes of it.
        held.forget_ready()
        report = bring(database, sounds, options, name=held.name, ready=ready)
    waiting.forget(request.session)
    return _page(request, "done", **_told(report))


def _told(report: Report) -> dict[str, Any]:
    missing = report.missing
    groups = [(heading, entries[:SHOWN], max(len(entries) - SHOWN, 0)) for heading, entries in report.groups()]
    shown = {"missing": missing[:SHOWN], "more_missing": max(len(missing) - SHOWN, 0)}
    return {"report": report, "groups": groups, **shown}


def _page(request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    common = {**admin.site.each_context(request), "title": _("Import from the desktop application")}
    return TemplateResponse(request, f"studio/desktop/{template}.html", {**common, **context})
