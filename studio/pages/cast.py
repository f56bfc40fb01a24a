"""Who speaks for which name of a project's script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from banks.listen import heard
from banks.models import Character
from banks.roster import Speaker, speaker_of
from banks.samples import sample
from providers.errors import ProviderUnavailable
from studio.cast import refusal
from studio.character_choices import CharacterChoices
from studio.models import Project
from studio.pages.project import project_of, project_page
from studio.roles import Role, recast, roles_of

A_PAGE = 50
# In place of a character: the lines keep the different ones that they have.
AS_IT_IS = "keep"


@dataclass(frozen=True, slots=True)
class Row:
    """One name with its select. `was` is what the select holds at first, so that only what is changed is stored."""

    role: Role
    was: str
    options: SafeString


@require_http_methods(["GET", "HEAD", "POST"])
def cast(request: HttpRequest, pk: int) -> HttpResponse:
    project = project_of(request, pk)
    if request.method == "POST":
        return _save(request, project)
    roles = roles_of(project)
    page = Paginator(roles, A_PAGE).get_page(request.GET.get("page"))
    context = {
        "rows": _rows(project, page),
        "page": page,
        "page_range": page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1),
        "open": sum(role.is_open for role in roles),
        "may_listen": request.user.has_perm("studio.add_take"),
        "as_it_is": AS_IT_IS,
    }
    return project_page(request, project, "cast", context)


def _rows(project: Project, roles: Page[Role]) -> list[Row]:
    choices = CharacterChoices(project.bank)
    return [
        Row(role, AS_IT_IS if role.mixed else str(role.character_id or ""), choices.options(role.character_id))
        for role in roles
    ]


def _save(request: HttpRequest, project: Project) -> HttpResponse:
    if not request.user.has_perm("studio.change_project"):
        raise PermissionDenied
    chosen = dict(_chosen(request.POST))
    pks = [int(value) for value in chosen.values() if value]
    known = Character.objects.in_bulk([pk for pk in pks if pk in CharacterChoices(project.bank).known])
    if len(known) < len(set(pks)):
        messages.error(request, _("A character that you chose can't speak any more: choose another. Nothing is saved."))
    elif chosen:
        count = recast(project, [(name, known[int(value)] if value else None) for name, value in chosen.items()])
        text = ngettext("The cast is saved; it changed %d line.", "The cast is saved; it changed %d lines.", count)
        messages.success(request, text % count)
    return HttpResponseRedirect(request.get_full_path())


def _chosen(data: QueryDict) -> Iterator[tuple[str, str]]:
    """The names whose character was changed on the page, with the new one's key or nothing."""
    columns = (data.getlist(name) for name in ("speaker", "was", "character"))
    for speaker, was, value in zip(*columns, strict=False):
        is_key = value.isascii() and value.isdigit() and len(value) < 19
        if value != was and (is_key or not value) and "\x00" not in speaker:
            yield speaker[:100], value


@require_POST
@staff_member_required
def listen(request: HttpRequest, pk: int, character: int) -> HttpResponse:
    """How a character sounds. For the page's script."""
    project = project_of(request, pk)
    if not request.user.has_perm("studio.add_take"):
        raise PermissionDenied
    found = get_object_or_404(Character.objects.select_related("provider", "reference", "fallback"), pk=character)
    text = sample(found.language or project.language, found.voice)
    return heard(request, partial(_able, found, project), text)


def _able(character: Character, project: Project) -> Speaker:
    if reason := refusal(character):
        raise ProviderUnavailable(reason)
    return speaker_of(character, project.bank.name if project.bank else "", {})
