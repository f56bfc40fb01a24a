"""Who may speak a project's lines, as the chat model suggests it: asking, looking at what came, and deciding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Page, Paginator
from django.db.models import Avg, Count, F, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from providers.models import ChatModel
from studio.kinds import kinds
from studio.line_forms import is_key
from studio.models import Line, Project, SpeakerSuggestion, SuggestionQuerySet, SuggestionRun, TakeState
from studio.pages.project import project_of, project_page
from studio.passages import Entry
from studio.readings import entries_of, names_of
from studio.suggester import waits
from studio.suggestion_forms import AskForm, SureForm
from studio.suggestions import Outcome, cancel, go_on, plans, reject, take

A_PAGE = 50
# Names that are shown together; the others are found by their lines.
MOST_NAMES = 100
_TONES = {TakeState.DONE: "ok", TakeState.FAILED: "bad"}


@dataclass(frozen=True, slots=True)
class Row:
    """A suggestion with its line's number and the lines beside that."""

    suggestion: SpeakerSuggestion
    number: int
    before: Line | None
    after: Line | None


def _project(request: HttpRequest, pk: int, right: str = "view") -> Project:
    project = project_of(request, pk, right)
    if not kinds()[project.kind].suggests_speakers:
        raise Http404
    return project


@require_http_methods(["GET", "HEAD", "POST"])
def suggestions(request: HttpRequest, pk: int) -> HttpResponse:
    project = _project(request, pk, "change" if request.method == "POST" else "view")
    chat, latest = ChatModel.load(), _runs(project).first()
    may_change = request.user.has_perm("studio.change_project")
    entries = entries_of(project)
    form = None
    if may_change and chat.is_ready and (request.method == "POST" or not (latest and latest.is_open)):
        narrator = latest.narrator if latest else _("Narrator")
        form = AskForm(project, request.user, plans(entries, chat), narrator, request.POST or None)
    if request.method == "POST" and form is not None and form.is_valid() and form.start():
        messages.success(request, _("The text is being read. You can leave this page meanwhile."))
        return HttpResponseRedirect(request.path)
    if request.method == "POST" and form is None:
        messages.error(request, _("The chat model is switched off."))
    context = {
        "form": form,
        "chat": chat,
        "may_set_up": request.user.has_perm("providers.change_chatmodel"),
        "row": _run_row(latest, chat, may_change=may_change) if latest else None,
        **_found(project, entries, request.GET),
    }
    return project_page(request, project, "suggestions", context)


def _found(project: Project, entries: Sequence[Entry], asked: QueryDict) -> dict[str, Any]:
    chosen = project.suggestions.all()
    speaker = asked.get("speaker", "").replace("\x00", "")
    if speaker:
        chosen = chosen.filter(speaker=speaker)
    page = Paginator(chosen.select_related("line"), A_PAGE).get_page(asked.get("page"))
    names = _names(project) if page.paginator.count or speaker else []
    return {
        "rows": _rows(entries, page),
        "page": page,
        "page_range": page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1),
        "names": names[:MOST_NAMES],
        "stale": sum(name["stale"] for name in names),
        "speaker": speaker,
        "known": names_of(project) if page.paginator.count else [],
        "sure_form": SureForm(),
    }


def _names(project: Project) -> Sequence[dict[str, Any]]:
    """The suggested speakers, those of most lines first."""
    stale = Count("pk", filter=~Q(revision=F("line__revision")))
    groups = project.suggestions.order_by().values("speaker")
    counted: Any = groups.annotate(count=Count("pk"), mean=100 * Avg("confidence"), stale=stale)
    return list(counted.order_by("-count", "speaker"))


def _rows(entries: Sequence[Entry], page: Page[SpeakerSuggestion]) -> list[Row]:
    if not page.object_list:
        return []
    order = [entry.pk for entry in entries]
    places = {pk: place for place, pk in enumerate(order)}
    # A line that came after the entries were read has no place yet.
    listed = [(one, places[one.line_id]) for one in page if one.line_id in places]
    beside = {order[at] for _one, place in listed for at in (place - 1, place + 1) if 0 <= at < len(order)}
    lines = Line.objects.in_bulk(beside)

    def line_at(place: int) -> Line | None:
        return lines.get(order[place]) if 0 <= place < len(order) else None

    return [Row(one, at + 1, line_at(at - 1), line_at(at + 1)) for one, at in listed]


@require_GET
def run(request: HttpRequest, pk: int, run: int) -> HttpResponse:
    """One run as the page shows it, for the script that follows its progress."""
    project = _project(request, pk)
    found = get_object_or_404(_runs(project), pk=run)
    may_change = request.user.has_perm("studio.change_project")
    context = {"row": _run_row(found, ChatModel.load(), may_change=may_change), "project": project}
    return TemplateResponse(request, "studio/projects/suggestion_run.html", context)


def _runs(project: Project) -> QuerySet[SuggestionRun]:
    """With the number of their suggestions that wait for a decision."""
    return project.suggestion_runs.select_related("owner").annotate(waiting=Count("suggestions"))


def _run_row(run: SuggestionRun, chat: ChatModel, *, may_change: bool) -> dict[str, Any]:
    ended = run.state in (TakeState.FAILED, TakeState.CANCELLED)
    return {
        "run": run,
        "tone": _TONES.get(TakeState(run.state), "none"),
        "waiting": getattr(run, "waiting", 0),
        "may_cancel": may_change and run.is_open,
        "may_go_on": may_change and ended and chat.is_ready and run.done < run.lines,
        "sent_to": chat.destination,
        "waits": waits(run),
    }


# Deciding.


@require_POST
def act(request: HttpRequest, pk: int) -> HttpResponse:
    project = _project(request, pk, "change")
    action = _ACTIONS.get(request.POST.get("act", ""))
    if action is None:
        raise PermissionDenied
    try:
        action(request, project)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    own, asked = reverse("studio:suggestions", args=[pk]), request.POST.get("next", "")
    return HttpResponseRedirect(asked if asked == own or asked.startswith(f"{own}?") else own)


def _one(request: HttpRequest, project: Project) -> SuggestionQuerySet:
    pk = request.POST.get("suggestion", "")
    chosen = project.suggestions.filter(pk=pk if is_key(pk) else 0)
    if not chosen.exists():
        raise ValidationError(_("This suggestion is not there any more."))
    return chosen


def _named(request: HttpRequest, project: Project) -> SuggestionQuerySet:
    return project.suggestions.filter(speaker=request.POST.get("name", "").replace("\x00", ""))


def _take(chosen: Callable[[HttpRequest, Project], SuggestionQuerySet]) -> Callable[[HttpRequest, Project], None]:
    """Under the name that stands in the field, which is the suggested one unless somebody changed it."""

    def action(request: HttpRequest, project: Project) -> None:
        speaker = request.POST.get("speaker", "").strip()
        if not speaker:
            raise ValidationError(_("Enter the name of the speaker, or reject the suggestion."))
        _say(request, take(project, chosen(request, project), speaker))

    return action


def _take_sure(request: HttpRequest, project: Project) -> None:
    form = SureForm(request.POST)
    if not form.is_valid():
        raise ValidationError(_("Enter the confidence as a number from 0 to 100."))
    # As the page rounds it.
    least = (form.cleaned_data["percent"] - 0.5) / 100
    _say(request, take(project, project.suggestions.filter(confidence__gte=least)))


def _reject(chosen: Callable[[HttpRequest, Project], SuggestionQuerySet]) -> Callable[[HttpRequest, Project], None]:
    def action(request: HttpRequest, project: Project) -> None:
        count = reject(project, chosen(request, project))
        text = ngettext("%d suggestion was rejected.", "%d suggestions were rejected.", count)
        messages.success(request, text % count)

    return action


def _cancel(request: HttpRequest, project: Project) -> None:
    if cancel(project):
        messages.success(request, _("Nothing more is sent. What was suggested so far is below."))


def _go_on(request: HttpRequest, project: Project) -> None:
    latest = project.suggestion_runs.first()
    if latest is None:
        raise ValidationError(_("There is nothing to go on with."))
    go_on(latest, request.user, sent_to=request.POST.get("sent_to", ""))
    messages.success(request, _("The text is being read. You can leave this page meanwhile."))


def _say(request: HttpRequest, outcome: Outcome) -> None:
    if outcome.taken:
        text = ngettext("%d line has its speaker now.", "%d lines have their speaker now.", outcome.taken)
        messages.success(request, text % outcome.taken)
    if outcome.stale:
        text = ngettext(
            "%d line was changed since it was read, so it stays as it is.",
            "%d lines were changed since they were read, so they stay as they are.",
            outcome.stale,
        )
        messages.warning(request, text % outcome.stale)
    if not (outcome.taken or outcome.stale):
        messages.warning(request, _("No suggestion is like that."))


_ACTIONS: dict[str, Callable[[HttpRequest, Project], None]] = {
    "take": _take(_one),
    "take_named": _take(_named),
    "take_sure": _take_sure,
    "reject": _reject(_one),
    "reject_named": _reject(_named),
    "reject_stale": _reject(lambda request, project: project.suggestions.stale()),
    "reject_all": _reject(lambda request, project: project.suggestions.all()),
    "cancel": _cancel,
    "go_on": _go_on,
}
