"""The import of a text: what it is, then how it is cut and who speaks, with a preview before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from banks.models import Character
from studio import import_drafts
from studio.character_choices import CharacterChoices
from studio.cut_forms import CutForm
from studio.import_forms import SHOWN_NAMES, TextForm
from studio.kinds import kinds
from studio.models import Project
from studio.pages.project import project_of, project_page
from studio.subtitle_forms import CueForm, SubtitleForm
from studio.text_import import Plan, describe, known_cast, store

SHOWN_LINES = 20
# Names that are asked for here; the page of the cast has them all.
MOST_NAMES = 50
MOST_CHAPTERS = 500
# What a preview asks for.
CHOICES = ("speaker", "character", "no_name", "left_out")


@dataclass(frozen=True, slots=True)
class Name:
    """One of the script, with its select. `known`: somebody speaks for it without being chosen here."""

    speaker: str
    lines: int
    known: bool
    options: SafeString
    is_open: bool


@require_http_methods(["GET", "HEAD", "POST"])
def import_text(request: HttpRequest, pk: int) -> HttpResponse:
    project = project_of(request, pk, "change")
    if request.method == "POST" and "forget" in request.POST:
        import_drafts.forget(request.session, project)
        return HttpResponseRedirect(request.path)
    drafts = import_drafts.waiting(request.session, project)
    if request.method == "POST" and ("begin" in request.POST or not drafts):
        return _begin(request, project)
    if not drafts:
        return project_page(request, project, "import", {"form": _text_form(project)()})
    return _cut(request, project, drafts)


def _text_form(project: Project) -> type[TextForm]:
    return SubtitleForm if kinds()[project.kind].timed else TextForm


def _cut_form(project: Project) -> type[CutForm]:
    return CueForm if kinds()[project.kind].timed else CutForm


def _begin(request: HttpRequest, project: Project) -> HttpResponse:
    form = _text_form(project)(request.POST, request.FILES)
    if "begin" not in request.POST:
        messages.warning(request, _("The text is not here any more: choose it again."))
        form = _text_form(project)()
    elif form.is_valid():
        import_drafts.sweep()
        import_drafts.keep(request.session, project, form.cleaned_data["drafts"])
        if form.skipped:
            messages.info(request, _left_out(form.skipped))
        return HttpResponseRedirect(request.path)
    return project_page(request, project, "import", {"form": form})


def _left_out(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN_NAMES]) + (" …" if len(names) > SHOWN_NAMES else "")
    text = ngettext("%d file is no text, and left out:", "%d files are no texts, and left out:", len(names))
    return f"{text % len(names)} {shown}"


def _cut(request: HttpRequest, project: Project, drafts: list[import_drafts.DraftFile]) -> HttpResponse:
    data = request.POST if request.method == "POST" else _untouched(_cut_form(project)(project, drafts))
    form = _cut_form(project)(project, drafts, data)
    if form.is_valid() and "import" in data and (made := form.plan):
        try:
            return _store(request, project, form, made, _chosen(data))
        except ValidationError as error:
            form.add_error(None, error)
    context = {"form": form, "files": [file.name for file in drafts if file.name], "existing": project.lines.count()}
    return project_page(request, project, "import_cut", context | _preview(project, form, data))


@require_POST
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    """What the second step's form would make as it stands, for the page's script."""
    project = project_of(request, pk, "change")
    drafts = import_drafts.waiting(request.session, project)
    if not drafts:
        return HttpResponse(status=410)
    form = _cut_form(project)(project, drafts, request.POST)
    form.is_valid()
    return TemplateResponse(
        request, "studio/projects/import_preview.html", {"form": form, **_preview(project, form, request.POST)}
    )


def _untouched(form: CutForm) -> QueryDict:
    """The form as it is at first, as if it had been sent."""
    data = QueryDict(mutable=True)
    for name, field in form.fields.items():
        if isinstance(field.initial, list):
            data.setlist(name, field.initial)
        elif field.initial:
            data[name] = str(field.initial)
    return data


def _preview(project: Project, form: CutForm, data: QueryDict) -> dict[str, Any]:
    made = form.plan
    if made is None:
        # What was chosen comes back with the next plan.
        return {"plan": None, "kept": [(name, value) for name in CHOICES for value in data.getlist(name)]}
    known, choices = known_cast(project, made.speakers), CharacterChoices(project.bank)
    cast = known | _chosen(data)
    speakers = sorted(made.speakers, key=lambda name: (name in known, -made.speakers[name]))
    names = [
        Name(name, made.speakers[name], name in known, choices.options(cast.get(name)), cast.get(name) is None)
        for name in speakers[:MOST_NAMES]
    ]
    return {
        "plan": made,
        "names": names,
        "more_names": len(speakers) - len(names),
        "shown": [(draft, choices.known.get(cast.get(draft.speaker) or 0, "")) for draft in made.drafts[:SHOWN_LINES]],
        "more_lines": max(len(made.drafts) - SHOWN_LINES, 0),
        "book": form.book,
        "chapters": [(chapter, chapter.key in form.left_out) for chapter in made.chapters[:MOST_CHAPTERS]],
        "more_chapters": max(len(made.chapters) - MOST_CHAPTERS, 0),
        "doubtful": [(name, name in form.no_names) for name in [*form.no_names, *made.doubtful][:MOST_NAMES]],
    }


def _chosen(data: QueryDict) -> dict[str, int | None]:
    """Who was chosen for which name."""
    pairs = zip(data.getlist("speaker"), data.getlist("character"), strict=False)
    return {name: int(value) if _is_key(value) else None for name, value in pairs}


def _is_key(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 19


def _store(
    request: HttpRequest, project: Project, form: CutForm, made: Plan, chosen: Mapping[str, int | None]
) -> HttpResponse:
    known = known_cast(project, made.speakers)
    cast = {name: pk for name, pk in {**known, **chosen}.items() if name in made.speakers}
    able = {*CharacterChoices(project.bank).known, *known.values()}
    people = Character.objects.in_bulk([pk for pk in cast.values() if pk in able])
    if not people.keys() >= {pk for pk in cast.values() if pk}:
        raise ValidationError(_("A character that you chose can't speak any more: choose another."))
    stored = store(
        project, made, {name: people[pk] if pk else None for name, pk in cast.items()}, replace_all=form.replaces
    )
    for reason in describe(project, form.book, rename=form.cleaned_data.get("rename", False)):
        messages.warning(request, reason)
    import_drafts.forget(request.session, project)
    text = ngettext("%d line was imported.", "%d lines were imported.", len(stored))
    messages.success(request, text % len(stored))
    return HttpResponseRedirect(reverse("studio:project", args=[project.pk]))
