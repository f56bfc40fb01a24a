"""Pages that belong to no single row: the shared queue, and what to try when it stays silent."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from api.models import ServerSettings
from neiroha_site.dashboard import active_banks, api_address, curl
from neiroha_site.navigation import may_see
from providers import adapters
from providers.engine import Engine, ask_engine
from providers.models import CatalogueModel, CatalogueVoice, Provider
from providers.pages import checked_ago, health_mark, health_of
from providers.queue import Priority, QueueSnapshot, Resting, Ticket, Waiting
from providers.wording import PAUSES, duration
from studio.line_forms import is_key
from studio.retries import again, failed
from studio.tickets import take_of

SHOWN = 100
CANCEL_ANY = "providers.change_provider"
# Codes of an ending that nobody has to look into.
QUIET_OUTCOMES = ("done", "left", "cancelled")


def urls() -> list[URLPattern]:
    """For the admin site, under /admin/."""
    guard = admin.site.admin_view
    return [
        path("queue/", guard(queue), name="queue"),
        path("queue/cancel/", guard(cancel), name="queue_cancel"),
        path("queue/retry/", guard(retry), name="queue_retry"),
        path("troubleshooting/", guard(troubleshooting), name="troubleshooting"),
    ]


def _require_view(request: HttpRequest) -> None:
    if not may_see(request, "providers", "provider"):
        raise PermissionDenied


# The queue.


def queue(request: HttpRequest) -> HttpResponse:
    _require_view(request)
    snapshot, now = ask_engine(_look)
    context = {
        **admin.site.each_context(request),
        "title": _("Queue"),
        **queue_context(request.user, snapshot, now),
    }
    return TemplateResponse(request, "admin/queue.html", context)


def queue_context(user: Any, snapshot: QueueSnapshot, now: float) -> dict[str, Any]:
    """The live part of the queue's page, for this user."""
    recent = list(reversed(snapshot.recent))[:SHOWN]
    retriable = _retriable(user, recent)
    tickets = _open_tickets(snapshot)
    return {
        "resting": [_resting(resting) for resting in snapshot.resting],
        "running": [_running(ticket, now, user) for ticket in snapshot.running[:SHOWN]],
        "running_count": len(snapshot.running),
        "waiting": [_waiting(waiting, now, user) for waiting in snapshot.waiting[:SHOWN]],
        "waiting_count": len(snapshot.waiting),
        "recent": [_ended(ticket, now, retriable) for ticket in recent],
        "may_cancel_mine": any(ticket.user_id == user.pk for ticket in tickets),
        "may_cancel_all": bool(tickets) and user.has_perm(CANCEL_ANY),
    }


def _open_tickets(snapshot: QueueSnapshot) -> list[Ticket]:
    return [*snapshot.running, *(waiting.ticket for waiting in snapshot.waiting)]


def _may_cancel(user: Any, ticket: Ticket) -> bool:
    mine = ticket.user_id is not None and ticket.user_id == user.pk
    return mine or bool(user.has_perm(CANCEL_ANY))


def cancel(request: HttpRequest) -> HttpResponse:
    """One ticket by its id, `mine`, or `all`; nobody ends what is not theirs without the right."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    _require_view(request)
    asked, user_id = request.POST.get("ticket", ""), request.user.pk
    any_right = request.user.has_perm(CANCEL_ANY)

    async def end(engine: Engine) -> int:
        own_only = asked == "mine" or not any_right
        snapshot = await engine.queue.snapshot()
        tickets = [one for one in _open_tickets(snapshot) if one.user_id == user_id or not own_only]
        return sum([await engine.queue.cancel(one.id) for one in tickets if asked in ("mine", "all", str(one.id))])

    if count := ask_engine(end):
        text = ngettext("%d request was cancelled.", "%d requests were cancelled.", count)
        messages.success(request, text % count)
    elif any_right or asked == "mine":
        messages.warning(request, _("Nothing of that waits or runs any more."))
    else:
        raise PermissionDenied
    return HttpResponseRedirect(reverse("admin:queue"))


def _retriable(user: Any, recent: list[Ticket]) -> dict[int, int]:
    """The takes that this person may try again, each by the id of its newest ticket."""
    newest: dict[int, int] = {}
    for ticket in recent:
        if ticket.outcome not in QUIET_OUTCOMES and (take := take_of(ticket.made_for)):
            newest.setdefault(take, ticket.id)
    return {newest[take]: take for take in failed(user, newest).values_list("pk", flat=True)} if newest else {}


def retry(request: HttpRequest) -> HttpResponse:
    """A take that failed, once more; what a program asked for keeps no text and can only be asked again by it."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    _require_view(request)
    if not request.user.has_perm("studio.add_take"):
        raise PermissionDenied
    asked = request.POST.get("take", "")
    try:
        tried = is_key(asked) and again(request.user, int(asked))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        if tried:
            messages.success(request, _("It is tried again."))
        else:
            messages.warning(request, _("That can't be tried again any more."))
    return HttpResponseRedirect(reverse("admin:queue"))


async def _look(engine: Engine) -> tuple[QueueSnapshot, float]:
    return await engine.queue.snapshot(), engine.queue.clock.monotonic()


def _ticket(ticket: Ticket) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "provider": ticket.provider.name,
        "provider_url": reverse("admin:providers_provider_change", args=[ticket.provider.id]),
        "source": ticket.source or _("Neiroha itself"),
        "batch": ticket.priority is Priority.BATCH,
        "tokens": ticket.cost.tokens,
        "asked_at": ticket.asked_at,
    }


def _resting(resting: Resting) -> dict[str, Any]:
    values = {"provider": resting.provider.name, "seconds": duration(resting.seconds)}
    if resting.cooling:
        text = _("“%(provider)s” failed repeatedly and is left alone for %(seconds)s; then one request tries it.")
    else:
        text = _("“%(provider)s” asked for a pause of %(seconds)s.")
    return {"text": text % values, "url": reverse("admin:providers_provider_change", args=[resting.provider.id])}


def _running(ticket: Ticket, now: float, user: Any) -> dict[str, Any]:
    started = now if ticket.started_at is None else ticket.started_at
    times = {"runs": duration(now - started), "waited": duration(ticket.waited)}
    return {**_ticket(ticket), **times, "may_cancel": ticket.stop is not None and _may_cancel(user, ticket)}


def _waiting(waiting: Waiting, now: float, user: Any) -> dict[str, Any]:
    times = {"waits": duration(now - waiting.ticket.queued_at), "expected": duration(waiting.expected)}
    pause = PAUSES.get(waiting.reason, "")
    return {**_ticket(waiting.ticket), **times, "pause": pause, "may_cancel": _may_cancel(user, waiting.ticket)}


def _ended(ticket: Ticket, now: float, retriable: dict[int, int]) -> dict[str, Any]:
    ended = now if ticket.ended_at is None else ticket.ended_at
    waited = (ended if ticket.started_at is None else ticket.started_at) - ticket.queued_at
    return {
        **_ticket(ticket),
        "ago": duration(now - ended),
        "waited": duration(waited),
        "took": "" if ticket.started_at is None else duration(ended - ticket.started_at),
        "outcome": _outcome(ticket.outcome),
        "tone": "ok" if ticket.outcome == "done" else "none" if ticket.outcome in QUIET_OUTCOMES else "bad",
        "message": ticket.message,
        "take": retriable.get(ticket.id),
    }


def _outcome(code: str) -> str:
    return {"done": _("Done"), "left": _("The caller left"), "cancelled": _("Cancelled")}.get(code, code)


# Troubleshooting.


def troubleshooting(request: HttpRequest) -> HttpResponse:
    _require_view(request)
    server = ServerSettings.load()
    banks = active_banks() if may_see(request, "banks", "bank") else []
    address = api_address(request)
    context = {
        **admin.site.each_context(request),
        "title": _("Troubleshooting"),
        "server": server,
        "address": address,
        "banks": banks,
        "speakers": sum(len(entry["members"]) for entry in banks),
        "may_see_banks": may_see(request, "banks", "bank"),
        "curl": curl(address, server, banks),
        "providers": _provider_rows(request),
        "headers": response_headers(),
    }
    return TemplateResponse(request, "admin/troubleshooting.html", context)


def _provider_rows(request: HttpRequest) -> list[dict[str, Any]]:
    voices, models = _listed(CatalogueVoice), _listed(CatalogueModel)
    rows = []
    for provider in Provider.objects.present().select_related("health").defer("api_key"):
        registered = provider.kind in adapters.kinds()
        report = health_of(provider)
        rows.append({
            "provider": provider,
            "kind": provider.adapter_class.label if registered else provider.kind,
            "problem": provider.adapter_class.unavailable() if registered else _("Not part of this version."),
            "reason": report.reason if report else "",
            "checked": checked_ago(report) if report else "",
            "mark": health_mark(report),
            "voices": voices.get(provider.pk, 0),
            "models": models.get(provider.pk, 0),
            "may_press": registered and request.user.has_perm("providers.change_provider"),
        })  # fmt: skip
    return rows


def _listed(kind: type[CatalogueVoice] | type[CatalogueModel]) -> dict[int, int]:
    """How many entries each provider has now, by its primary key."""
    entries: Any = kind._default_manager
    counted = entries.values("provider").annotate(listed=Count("pk", filter=Q(vanished_at=None)))
    return dict(counted.values_list("provider", "listed"))


def response_headers() -> list[tuple[str, str]]:
    return [
        ("X-Neiroha-Backend", _("Backend: who made the sound")),
        ("X-Neiroha-Model-Preset", _("The backend's own model preset")),
        ("X-Neiroha-Voice", _("The voice that spoke; percent-encoded where its name is not ASCII")),
        ("X-Neiroha-Fallback-For", _("The character that was asked for, when its fallback spoke")),
        ("X-Neiroha-Cache", _("hit or shared: no provider was asked for this; miss: one was")),
        ("X-Neiroha-Queue-Ms", _("Time waited in the queue, in milliseconds")),
        ("X-Neiroha-Sample-Rate", _("Samples a second")),
        ("X-Neiroha-Inference-Ms", _("Time that the provider took, in milliseconds")),
        ("X-Neiroha-Audio-Seconds", _("Length of the sound, in seconds")),
        ("X-Neiroha-RTF", _("Real-time factor: time taken for each second of sound; below 1 is faster than speech")),
        ("X-Neiroha-Output-Path", _("A file on the backend's own machine. Neiroha never passes it on")),
    ]
