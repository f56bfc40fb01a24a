"""A project's footage: how it comes, how it is used, and the file itself."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from providers.audit import Change, changed, record
from providers.errors import SpeechError
from studio.audio import answer, stored_file
from studio.footage_forms import FootageForm, RecordingForm
from studio.kinds import kinds
from studio.models import Footage, Project, Upload
from studio.pages.project import project_of, project_page
from studio.uploads import PIECE_BYTES, UploadError, begin, finish, receive


@require_http_methods(["GET", "HEAD", "POST"])
def footage(request: HttpRequest, pk: int) -> HttpResponse:
    project = _timed(request, pk, "change" if request.method == "POST" else "view")
    found = Footage.objects.filter(project=project).first()
    if request.method == "POST" and found is None:
        raise Http404
    form = FootageForm(request.POST if request.method == "POST" else None, instance=found)
    if request.method == "POST" and form.is_valid():
        if form.changed_data:
            form.save()
            _note(request, project, *form.changed_data)
        messages.success(request, _("The settings are saved."))
        return HttpResponseRedirect(request.path)
    context = {
        "footage": found,
        "form": form,
        "recording": RecordingForm(),
        "length": _length(found.duration) if found else "",
        "piece_bytes": PIECE_BYTES,
    }
    return project_page(request, project, "footage", context)


@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    project = _timed(request, pk, "change")
    if found := Footage.objects.filter(project=project).first():
        found.delete()
        _note(request, project, "footage")
        messages.success(request, _("“%s” was removed.") % found.name)
    return HttpResponseRedirect(reverse("studio:footage", args=[pk]))


@require_safe
@staff_member_required
async def file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """To look at, whole or in parts."""
    user: Any = await request.auser()
    if not await user.ahas_perm("studio.view_project"):
        raise PermissionDenied
    visible = Project.objects.visible_to(user).filter(pk=pk)
    found = await Footage.objects.filter(project__in=visible).afirst()
    stored = await stored_file(found.file) if found else None
    if found is None or stored is None:
        raise Http404
    response = answer(request, stored, found.name, saving="download" in request.GET)
    response["Content-Type"] = found.content_type
    return response


@require_POST
def upload(request: HttpRequest, pk: int) -> HttpResponse:
    """Begin one, with its `name` and `size`, or go on with what was begun."""
    project = _timed(request, pk, "change")
    size = request.POST.get("size", "")
    try:
        if not (size.isascii() and size.isdigit() and len(size) < 19):
            raise UploadError("Say how many bytes the file has.", param="size")
        made = begin(project, request.user, request.POST.get("name", ""), int(size))
    except SpeechError as error:
        return _refused(error)
    return _state(made, status=201)


@require_http_methods(["GET", "HEAD", "PUT", "DELETE"])
def upload_part(request: HttpRequest, pk: int, token: str) -> HttpResponse:
    """How much is there; the next piece, from `offset` on; or giving it up."""
    found = _upload(request, pk, token)
    if request.method == "DELETE":
        found.delete()
        return HttpResponse(status=204)
    if request.method == "PUT":
        offset = request.GET.get("offset", "")
        try:
            if not (offset.isascii() and offset.isdigit() and len(offset) < 19):
                raise UploadError("Say at which byte the piece begins.", param="offset")
            receive(found, int(offset), request)
        except SpeechError as error:
            return _refused(error, found)
    return _state(found)


@require_POST
def upload_end(request: HttpRequest, pk: int, token: str) -> HttpResponse:
    """The file is whole: look what it is, and take it."""
    found = _upload(request, pk, token)
    try:
        made = finish(found)
    except SpeechError as error:
        return _refused(error, found)
    _note(request, found.project, "footage")
    text = _("“%s” is there.") % made.name
    if not made.has_sound:
        text += " " + _("It has no sound: the dub will be all that is heard.")
    elif not made.has_picture:
        text += " " + _("It has no picture: the dub is exported as sound.")
    messages.success(request, text)
    return JsonResponse({"next": reverse("studio:footage", args=[pk])})


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _timed(request: HttpRequest, pk: int, right: str = "view") -> Project:
    project = project_of(request, pk, right)
    if not kinds()[project.kind].timed:
        raise Http404
    return project


def _upload(request: HttpRequest, pk: int, token: str) -> Upload:
    """A person's own; to others there is none."""
    project = _timed(request, pk, "change")
    found = get_object_or_404(project.uploads.select_related("project"), pk=token, owner=request.user)
    if not found.path.is_file():
        found.delete()
        raise Http404
    return found


def _state(upload: Upload, status: int = 200) -> JsonResponse:
    address = reverse("studio:upload_part", args=[upload.project_id, upload.pk])
    values = {"address": address, "received": upload.received, "size": upload.size, "piece": PIECE_BYTES}
    return JsonResponse(values, status=status)


def _refused(error: SpeechError, upload: Upload | None = None) -> JsonResponse:
    told: dict[str, Any] = {"error": {"message": error.message, "code": error.code, "param": error.param}}
    if upload is not None:
        told["received"] = upload.received
    # What a file holds is not the server's failure.
    return JsonResponse(told, status=400 if error.code == "bad_audio" else error.status)


def _note(request: HttpRequest, project: Project, *fields: str) -> None:
    project.touch()
    record(request.user, project, Change.CHANGED, changed(*fields))
