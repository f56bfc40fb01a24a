"""What is done with a project's lines: by plain forms, whose answer is the page that follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from banks.models import Character
from studio import dubbing, generate, lines
from studio.generate import Outcome, Want
from studio.kinds import kind
from studio.line_forms import Composer, LineForm, SelectionForm, Voices, is_key
from studio.models import Line, LineQuerySet, Project, Take, TakeState
from studio.pages.lines import address_of, lines_page, shown_lines
from studio.pages.project import project_of


@require_POST
def add(request: HttpRequest, pk: int) -> HttpResponse:
    project = project_of(request, pk, "change")
    composer = Composer(request.POST, project=project, voices=Voices(project))
    made = composer.write() if composer.is_valid() else None
    if made is None:
        return lines_page(request, project, _asked(request, project), composer=composer)
    if composer.cleaned_data["generate"]:
        say(request, generate.generate(project, project.lines.filter(pk=made.pk), Want.ALL, request.user), quiet=True)
    return HttpResponseRedirect(address_of(project, made))


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int, line_pk: int) -> HttpResponse:
    """The form alone, for the page's script, or what it sent. With `split`, cut the line too, at the cursor `at`."""
    project = project_of(request, pk, "change")
    voices = Voices(project)
    line = project.lines.select_related("character", "project__bank").filter(pk=line_pk).first()
    if request.method != "POST":
        if line is None:
            raise Http404
        context = {"editing": LineForm(line=line, voices=voices), "project": project, "kind": kind(project.kind)}
        context["address"] = reverse("studio:project", args=[project.pk])
        return TemplateResponse(request, "studio/projects/line_edit.html", context)
    asked = _asked(request, project)
    if line is None:
        return _orphaned(request, project, asked, voices, line_pk)
    form = LineForm(request.POST, line=line, voices=voices)
    if not (form.is_valid() and form.save()):
        return lines_page(request, project, asked, editing=form)
    if "split" in request.POST:
        try:
            lines.split(line, _cursor(request, form))
        except ValidationError as error:
            form = LineForm(_at_revision(request.POST, form), line=line, voices=voices)
            form.add_error("text", error.messages[0])
            return lines_page(request, project, asked, editing=form)
    return HttpResponseRedirect(f"{_back(request, project)}#nr-line-{line_pk}")


def _orphaned(request: HttpRequest, project: Project, asked: QueryDict, voices: Voices, line_pk: int) -> HttpResponse:
    """The words of somebody whose line was removed meanwhile."""
    prefix = f"line-{line_pk}-"
    data = QueryDict(mutable=True)
    for name in ("text", "character"):
        data[f"new-{name}"] = request.POST.get(prefix + name, "")
    composer = Composer(data, project=project, voices=voices)
    composer.add_error("text", _("Somebody removed this line meanwhile. Your words are here: add them as a new line."))
    return lines_page(request, project, asked, composer=composer)


def _at_revision(data: QueryDict, form: LineForm) -> QueryDict:
    """What was sent, once it has been stored."""
    changed = data.copy()
    changed[form.add_prefix("revision")] = str(form.line.revision)
    return changed


def _cursor(request: HttpRequest, form: LineForm) -> int:
    """Where in the stored text the cursor stands, counted in characters."""
    typed = str(request.POST.get(form.add_prefix("text"), "")).replace("\r\n", "\n")
    at = request.POST.get("at", "")
    return int(at) - (len(typed) - len(typed.lstrip())) if is_key(at) else 0


@require_POST
def act(request: HttpRequest, pk: int) -> HttpResponse:
    """`act` is an action, for the lines that are ticked, or action:key for a single one."""
    name, _colon, key = request.POST.get("act", "").partition(":")
    project = project_of(request, pk, "change")
    key, _colon, further = key.partition(":")
    action = _ON_ONE.get(name) if key else _ON_SEVERAL.get(name) or _ON_ALL.get(name)
    if action is None:
        raise PermissionDenied
    chosen = shown_lines(project, [key] if key else request.POST.getlist("line"))
    if name not in _ON_ALL and not chosen.exists():
        messages.warning(request, _("This line is not there any more.") if key else _("Tick the lines first."))
        return HttpResponseRedirect(_back(request, project))
    try:
        answer = action(request, project, chosen, further)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        answer = None
    return answer or HttpResponseRedirect(_back(request, project) + (f"#nr-line-{key}" if key else ""))


def _asked(request: HttpRequest, project: Project) -> QueryDict:
    return QueryDict(urlsplit(_back(request, project)).query)


def _back(request: HttpRequest, project: Project) -> str:
    """The page of lines from which this came."""
    own, asked = reverse("studio:project", args=[project.pk]), request.POST.get("next", "")
    return asked if asked == own or asked.startswith(f"{own}?") else own


# Speaking.


def _generate(want: Want) -> Callable[..., None]:
    def action(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
        say(request, generate.generate(project, chosen, want, request.user))

    return action


def _generate_all(want: Want) -> Callable[..., None]:
    def action(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
        say(request, generate.generate(project, project.lines.all(), want, request.user))

    return action


def _faster(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
    say(request, dubbing.faster(project, chosen, request.user))


def _faster_all(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
    say(request, dubbing.faster(project, project.lines.all(), request.user))


def say(request: HttpRequest, outcome: Outcome, *, quiet: bool = False) -> None:
    """What became of it; `quiet` where the line itself shows that all went well."""
    told = []
    if outcome.queued:
        told.append(ngettext("%d line is queued.", "%d lines are queued.", outcome.queued) % outcome.queued)
    if outcome.reused:
        text = ngettext("%d line takes audio that is there.", "%d lines take audio that is there.", outcome.reused)
        told.append(text % outcome.reused)
    if not (told or outcome.refused):
        told.append(
            _("They are queued already.") if outcome.waiting else _("Nothing is missing: all audio is current.")
        )
    if told and not quiet:
        messages.success(request, " ".join(told))
    for reason, count in outcome.refused.items():
        text = ngettext(
            "%(count)d line can't be spoken. %(reason)s", "%(count)d lines can't be spoken. %(reason)s", count
        )
        messages.warning(request, text % {"count": count, "reason": reason})


def _cancel(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
    generate.cancel(project, chosen)


def _cancel_all(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
    count = generate.cancel(project)
    messages.success(request, ngettext("%d take was cancelled.", "%d takes were cancelled.", count) % count)


def _use(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
    takes = Take.objects.filter(project=project, line__in=chosen.values("pk"), state=TakeState.DONE)
    generate.use(chosen[0], get_object_or_404(takes, pk=further if is_key(further) else 0))


# Writing.


def _selection(request: HttpRequest, project: Project) -> SelectionForm:
    return SelectionForm(request.POST, voices=Voices(project))


def _assign(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> HttpResponse | None:
    form = _selection(request, project)
    if not form.is_valid() and "character" in form.errors:
        return lines_page(request, project, _asked(request, project), selection=form)
    pk = form.cleaned_data["character"]
    lines.assign(project, chosen, Character.objects.filter(pk=pk).first() if pk else None)
    return None


def _change(name: str) -> Callable[..., HttpResponse | None]:
    def action(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> HttpResponse | None:
        form = _selection(request, project)
        if not form.is_valid() and name in form.errors:
            return lines_page(request, project, _asked(request, project), selection=form)
        value = form.cleaned_data[name]
        lines.change(project, chosen, **{name: 1.0 if value is None else value})
        return None

    return action


def _remove(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
    count = lines.remove(project, chosen)
    text = ngettext("%d line was deleted; its takes stay in the archive.",
                    "%d lines were deleted; their takes stay in the archive.", count)  # fmt: skip
    messages.success(request, text % count)


def _join(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
    lines.join(chosen.select_related("project__bank")[0])


def _up(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
    line = chosen[0]
    before = project.lines.filter(position__lt=line.position).order_by("-position", "-pk").first()
    if before is not None:
        lines.move(project, [line.pk], before=before)


def _down(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
    line = chosen[0]
    behind = list(project.lines.filter(position__gt=line.position).order_by("position", "pk")[:2])
    if behind:
        lines.move(project, [line.pk], before=behind[1] if len(behind) > 1 else None)


def _move(request: HttpRequest, project: Project, chosen: LineQuerySet, further: str) -> None:
    """Before the line `before`, or behind the line `after`."""
    before: Line | None
    if is_key(pk := request.POST.get("before", "")):
        before = project.lines.filter(pk=pk).first()
    else:
        pk = request.POST.get("after", "")
        after = project.lines.filter(pk=pk).first() if is_key(pk) else None
        behind = project.lines.filter(position__gt=after.position) if after else project.lines.none()
        before = behind.order_by("position", "pk").first()
    lines.move(project, list(chosen.values_list("pk", flat=True)), before=before)


_ON_ONE: dict[str, Callable[..., Any]] = {
    "generate": _generate(Want.ALL), "cancel": _cancel, "use": _use, "delete": _remove, "join": _join,
    "faster": _faster,
    "up": _up, "down": _down, "move": _move,
}  # fmt: skip
_ON_SEVERAL: dict[str, Callable[..., Any]] = {
    "generate": _generate(Want.ALL), "cancel": _cancel, "delete": _remove, "assign": _assign, "faster": _faster,
    "speed": _change("speed"), "instruction": _change("instruction"),
}  # fmt: skip
_ON_ALL: dict[str, Callable[..., Any]] = {
    "missing": _generate_all(Want.MISSING), "failed": _generate_all(Want.FAILED), "all": _generate_all(Want.ALL),
    "cancel_all": _cancel_all, "faster_all": _faster_all,
}  # fmt: skip
