"""The shared queue: who runs and who waits, and ending one's own, or all with the right to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from api.native.filters import Query
from api.native.pagination import DEFAULT_LIMIT, MAX_LIMIT
from api.native.serializers import StrictBody
from api.native.views import NativeView
from providers.engine import Engine, ask_engine
from providers.queue import Priority, QueueSnapshot, Ticket

LOOK = ("providers.view_provider", "providers.change_provider")
CANCEL_ANY = "providers.change_provider"


class TicketSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    provider = serializers.IntegerField(help_text="The provider's id.")
    provider_name = serializers.CharField()
    source = serializers.CharField(help_text="Who asked, for people.")  # type: ignore[assignment]  # the answer's own name
    batch = serializers.BooleanField()
    asked_at = serializers.DateTimeField()
    tokens = serializers.IntegerField()
    mine = serializers.BooleanField(help_text="Whether you asked, by a key or a page.")
    waited = serializers.FloatField(help_text="Seconds so far, or until it started.")


class RunningSerializer(TicketSerializer):
    runs = serializers.FloatField(help_text="Seconds since it started.")
    may_cancel = serializers.BooleanField()


class WaitingSerializer(TicketSerializer):
    expected = serializers.FloatField(help_text="Seconds until it may start.")
    may_cancel = serializers.BooleanField()


class EndedSerializer(TicketSerializer):
    outcome = serializers.CharField(help_text="done, left (whoever asked went away), or an error's code.")
    message = serializers.CharField()
    ago = serializers.FloatField(help_text="Seconds since its end.")


class RestingSerializer(serializers.Serializer[Any]):
    provider = serializers.IntegerField()
    provider_name = serializers.CharField()
    seconds = serializers.FloatField()
    cooling = serializers.BooleanField(help_text="After failures; otherwise the provider asked for it.")


class QueueSerializer(serializers.Serializer[Any]):
    running_count = serializers.IntegerField()
    running = RunningSerializer(many=True)
    waiting_count = serializers.IntegerField()
    waiting = WaitingSerializer(many=True)
    recent = EndedSerializer(many=True, help_text="The newest first.")
    resting = RestingSerializer(many=True)


class QueueQuery(Query):
    limit = serializers.IntegerField(
        required=False, default=DEFAULT_LIMIT, min_value=1, max_value=MAX_LIMIT, help_text="Tickets of each kind."
    )


class CancelSerializer(StrictBody):
    which = serializers.ChoiceField(["mine", "all"])


class CancelledSerializer(serializers.Serializer[Any]):
    cancelled = serializers.IntegerField()


class QueueView(NativeView):
    http_method_names = ["get", "head"]
    query_class = QueueQuery

    def rights(self) -> tuple[str, ...]:
        return LOOK

    @extend_schema(responses=QueueSerializer)
    def get(self, request: Request) -> Response:
        async def look(engine: Engine) -> tuple[QueueSnapshot, float]:
            return await engine.queue.snapshot(), engine.queue.clock.monotonic()

        limit = self.asked()["limit"]
        snapshot, now = ask_engine(look)
        return Response(QueueSerializer(_shown(snapshot, now, request.user, limit)).data)


def _shown(snapshot: QueueSnapshot, now: float, user: Any, limit: int) -> dict[str, Any]:
    recent = snapshot.recent[: -limit - 1 : -1]
    return {
        "running_count": len(snapshot.running),
        "running": [_running(ticket, now, user) for ticket in snapshot.running[:limit]],
        "waiting_count": len(snapshot.waiting),
        "waiting": [{**_ticket(one.ticket, now, user), "expected": one.expected} for one in snapshot.waiting[:limit]],
        "recent": [_ended(ticket, now, user) for ticket in recent],
        "resting": [
            {
                "provider": one.provider.id,
                "provider_name": one.provider.name,
                "seconds": one.seconds,
                "cooling": one.cooling,
            }
            for one in snapshot.resting[:limit]
        ],
    }


def _ticket(ticket: Ticket, now: float, user: Any) -> dict[str, Any]:
    ended = now if ticket.ended_at is None else ticket.ended_at
    started = ended if ticket.started_at is None else ticket.started_at
    return {
        "id": ticket.id,
        "provider": ticket.provider.id,
        "provider_name": ticket.provider.name,
        "source": ticket.source,
        "batch": ticket.priority is Priority.BATCH,
        "asked_at": ticket.asked_at,
        "tokens": ticket.cost.tokens,
        "mine": _is_mine(ticket, user),
        "may_cancel": _is_mine(ticket, user) or user.has_perm(CANCEL_ANY),
        "waited": started - ticket.queued_at,
    }


def _running(ticket: Ticket, now: float, user: Any) -> dict[str, Any]:
    shown = _ticket(ticket, now, user)
    runs = now - (now if ticket.started_at is None else ticket.started_at)
    return {**shown, "runs": runs, "may_cancel": shown["may_cancel"] and ticket.stop is not None}


def _ended(ticket: Ticket, now: float, user: Any) -> dict[str, Any]:
    ago = now - (now if ticket.ended_at is None else ticket.ended_at)
    return {**_ticket(ticket, now, user), "outcome": ticket.outcome, "message": ticket.message, "ago": ago}


def _is_mine(ticket: Ticket, user: Any) -> bool:
    return ticket.user_id is not None and ticket.user_id == user.pk


def _cancel(chosen: Callable[[Ticket], bool]) -> int:
    """How many of the open tickets that are chosen could be ended."""

    async def end(engine: Engine) -> int:
        snapshot = await engine.queue.snapshot()
        tickets = [*snapshot.running, *(waiting.ticket for waiting in snapshot.waiting)]
        return sum([await engine.queue.cancel(ticket.id) for ticket in tickets if chosen(ticket)])

    return ask_engine(end)


class CancelView(NativeView):
    http_method_names = ["post"]

    def rights(self) -> tuple[str, ...]:
        return LOOK

    @extend_schema(request=CancelSerializer, responses=CancelledSerializer)
    def post(self, request: Request) -> Response:
        """Cancel all that is yours, or simply all; what can't be stopped any more goes on."""
        body = CancelSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        mine = body.validated_data["which"] == "mine"
        if not mine and not request.user.has_perm(CANCEL_ANY):
            raise PermissionDenied(_("You may cancel your own requests only: “mine”."))
        count = _cancel(lambda ticket: not mine or _is_mine(ticket, request.user))
        return Response({"cancelled": count})


class TicketView(NativeView):
    http_method_names = ["delete"]

    def rights(self) -> tuple[str, ...]:
        return LOOK

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: str) -> Response:
        """Cancel one request, waiting or running."""
        any_right = request.user.has_perm(CANCEL_ANY)
        ended = _cancel(lambda ticket: ticket.id == int(pk) and (any_right or _is_mine(ticket, request.user)))
        if not ended:
            raise NotFound(_("Nothing of yours waits or runs under this number."))
        return Response(status=204)
