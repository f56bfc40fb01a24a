"""Quick TTS and the archive of takes, in the shell of the admin site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from studio import runner
from studio.cards import cards
from studio.forms import QuickForm, TakeFilter
from studio.models import MEGABYTE, StudioSettings, Take, TakeQuerySet, TakeState
from studio.models.takes import bytes_used

LATEST = 6
A_PAGE = 20


def _require(request: HttpRequest, right: str) -> None:
    if not request.user.has_perm(f"studio.{right}_take"):
        raise PermissionDenied


def _page(request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> TemplateResponse:
    common = {**admin.site.each_context(request), "title": title, "storage": _storage(request.user)}
    return TemplateResponse(request, f"studio/{template}.html", {**common, **context})


def _storage(user: Any) -> dict[str, Any]:
    """What this person's takes use, and for how long they stay."""
    row = StudioSettings.load()
    used = bytes_used(user.pk)
    return {"used_mb": used / MEGABYTE, "quota_mb": row.quota_mb, "days": row.retention_days}


# Quick TTS.


@require_http_methods(["GET", "HEAD", "POST"])
def quick(request: HttpRequest) -> HttpResponse:
    _require(request, "add")
    if request.method == "POST":
        form = QuickForm(request.POST, user=request.user)
        if form.is_valid():
            take = form.take()
            runner.wake()
            return HttpResponseRedirect(f"{reverse('studio:quick')}?character={take.character_id}#nr-take-{take.pk}")
    else:
        form = QuickForm(user=request.user, character=request.GET.get("character", ""))
    latest = Take.objects.filter(owner_id=request.user.pk).select_related("owner")[:LATEST]
    context = {"form": form, "cards": cards(latest, request.user), **_next_steps(request.user)}
    return _page(request, "quick", _("Quick TTS"), context)


def _next_steps(user: Any) -> dict[str, bool]:
    return {
        "may_add_character": user.has_perm("banks.add_character"),
        "may_add_provider": user.has_perm("providers.add_provider"),
        "may_view": user.has_perm("studio.view_take"),
    }


@require_GET
def card(request: HttpRequest, pk: int) -> HttpResponse:
    """One take as the pages show it, for the script that follows its progress."""
    _require(request, "view")
    take = get_object_or_404(Take.objects.visible_to(request.user).select_related("owner"), pk=pk)
    context = {"card": cards([take], request.user)[0], "archive": "archive" in request.GET}
    return TemplateResponse(request, "studio/card.html", context)


# The archive.


@require_GET
def takes(request: HttpRequest) -> HttpResponse:
    _require(request, "view")
    mine = Take.objects.visible_to(request.user)
    filters = TakeFilter(request.GET, mine)
    page = Paginator(filters.found().select_related("owner"), A_PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "page": page,
        "page_range": page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1),
        "cards": cards(page, request.user),
        "filters": filters,
        "query": query.urlencode(),
        "filtered": any(query.values()),
        "may_delete": request.user.has_perm("studio.delete_take"),
        "may_add": request.user.has_perm("studio.add_take"),
    }
    return _page(request, "takes", _("Takes"), context)


def _is_key(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 19


# What can be done with takes: one by its own button, several by their boxes.


@require_POST
def act(request: HttpRequest) -> HttpResponse:
    """`act` is an action, for the takes that are ticked, or action:key for a single one."""
    name, _colon, pk = request.POST.get("act", "").partition(":")
    right, action = _ACTIONS.get(name, ("", None))
    if action is None:
        raise PermissionDenied
    _require(request, right)
    asked = [pk] if pk else request.POST.getlist("take")
    chosen = Take.objects.visible_to(request.user).filter(pk__in=filter(_is_key, asked))
    if chosen.exists():
        action(request, chosen)
    else:
        none = _("It is not there any more.") if pk else _("Tick the takes first.")
        messages.warning(request, none)
    return HttpResponseRedirect(_back(request))


def _back(request: HttpRequest) -> str:
    asked = request.POST.get("next", "")
    own = url_has_allowed_host_and_scheme(asked, allowed_hosts=None) and asked.startswith(reverse("studio:quick"))
    return asked if own else reverse("studio:takes")


def _cancel(request: HttpRequest, chosen: TakeQuerySet) -> None:
    runner.cancel(list(chosen.values_list("pk", flat=True)))


def _keep(request: HttpRequest, chosen: TakeQuerySet) -> None:
    count = chosen.filter(state=TakeState.DONE).update(kept=True)
    if not count:
        messages.warning(request, _("Only takes that are done can be kept."))


def _let_go(request: HttpRequest, chosen: TakeQuerySet) -> None:
    chosen.update(kept=False)


def _delete(request: HttpRequest, chosen: TakeQuerySet) -> None:
    pks = list(chosen.values_list("pk", flat=True))
    runner.cancel(pks)
    Take.objects.filter(pk__in=pks).delete()
    text = ngettext("%d take was deleted.", "%d takes were deleted.", len(pks))
    messages.success(request, text % len(pks))


def _retry(request: HttpRequest, chosen: TakeQuerySet) -> None:
    for take in chosen.exclude(state__in=[TakeState.QUEUED, TakeState.RUNNING]):
        try:
            Take.objects.require_room(request.user)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            break
        take.again(request.user)
    runner.wake()


_ACTIONS: dict[str, tuple[str, Callable[[HttpRequest, TakeQuerySet], None]]] = {
    "cancel": ("add", _cancel),
    "retry": ("add", _retry),
    "keep": ("change", _keep),
    "let_go": ("change", _let_go),
    "delete": ("delete", _delete),
}
