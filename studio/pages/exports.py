"""A project's exports: asking for one, watching it being made, and its file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from providers.wording import duration
from studio.audio import answer, stored_file
from studio.export_forms import ExportForm
from studio.export_options import ExportOptions, What
from studio.exports import cancel, file_name
from studio.freshness import refresh
from studio.kinds import kind
from studio.models import Export, TakeState
from studio.pages.project import project_of, project_page

A_PAGE = 20
_TONES = {TakeState.DONE: "ok", TakeState.FAILED: "bad"}


@require_http_methods(["GET", "HEAD", "POST"])
def exports(request: HttpRequest, pk: int) -> HttpResponse:
    project = project_of(request, pk)
    may_change = request.user.has_perm("studio.change_project")
    if request.method == "POST" and not may_change:
        raise PermissionDenied
    refresh(project)
    form = ExportForm(project, request.user, request.POST or None, chapter=request.GET.get("chapter", ""))
    if request.method == "POST" and form.is_valid() and form.export():
        messages.success(request, _("The export is under way. You can leave this page meanwhile."))
        return HttpResponseRedirect(request.path)
    page = Paginator(project.exports.select_related("owner", "project"), A_PAGE).get_page(request.GET.get("page"))
    context = {
        "form": form if may_change else None,
        "material": form.material,
        "rows": [_row(one, may_change=may_change) for one in page],
        "page": page,
        "page_range": page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1),
    }
    return project_page(request, project, "exports", context)


@require_GET
def export(request: HttpRequest, pk: int, export: int) -> HttpResponse:
    """One export as the page shows it, for the script that follows its progress."""
    found = _found(request, pk, export)
    context = {"row": _row(found, may_change=request.user.has_perm("studio.change_project"))}
    return TemplateResponse(request, "studio/projects/export.html", context)


@require_POST
def act(request: HttpRequest, pk: int, export: int) -> HttpResponse:
    found = _found(request, pk, export, "change")
    chosen = Export.objects.filter(pk=found.pk)
    match request.POST.get("act"):
        case "cancel":
            cancel(chosen)
        case "delete":
            cancel(chosen)
            chosen.delete()
        case _:
            raise PermissionDenied
    return HttpResponseRedirect(reverse("studio:exports", args=[pk]))


@require_safe
@staff_member_required
async def file(request: HttpRequest, pk: int, export: int) -> HttpResponseBase:
    """To save; with `?listen`, to listen to."""
    user: Any = await request.auser()
    if not await user.ahas_perm("studio.view_project"):
        raise PermissionDenied
    found = Export.objects.visible_to(user).filter(pk=export, project=pk, state=TakeState.DONE)
    made = await found.select_related("project").afirst()
    stored = await stored_file(made.file) if made else None
    if made is None or stored is None:
        raise Http404
    response = answer(request, stored, file_name(made), saving="listen" not in request.GET)
    response["Content-Type"] = ExportOptions.read(made.options_json).content_type
    return response


def _found(request: HttpRequest, pk: int, export: int, right: str = "view") -> Export:
    project = project_of(request, pk, right)
    return get_object_or_404(project.exports.select_related("owner", "project"), pk=export)


def _row(export: Export, *, may_change: bool) -> dict[str, Any]:
    """What the page shows of an export."""
    options = ExportOptions.read(export.options_json)
    return {
        "export": export,
        "options": options,
        "tone": _TONES.get(TakeState(export.state), "none"),
        "percent": round(export.progress * 100),
        "facts": [text for text in _facts(export, options) if text],
        "plays": options.what is What.AUDIO and export.state == TakeState.DONE,
        "shows": options.what is What.VIDEO and export.state == TakeState.DONE,
        "may_change": may_change,
    }


def _facts(export: Export, options: ExportOptions) -> Iterable[str]:
    yield options.target.upper() if options.what is What.CHAPTERS else ""
    yield _("a part of the project") if options.first or options.last else ""
    yield duration(export.duration) if export.duration else ""
    yield filesizeformat(export.size) if export.size else ""
    if options.what is not What.FILES and not kind(export.project.kind).timed:
        yield _("pauses %(gap)d and %(chapter)d ms") % {"gap": options.gap_ms, "chapter": options.chapter_gap_ms}
    if options.what is What.VIDEO:
        yield str(options.track.label)
    if options.what in (What.AUDIO, What.CHAPTERS, What.VIDEO):
        yield _("loudness as it is") if options.loudness is None else _("%s LUFS") % f"{options.loudness:g}"
    yield _("only current audio") if options.only_done else ""
