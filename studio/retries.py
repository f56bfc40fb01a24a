"""Trying takes again that failed, from the page of the queue: its tickets know what they were made for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Q

from studio import runner
from studio.generate import Want, generate
from studio.models import Line, Project, Take, TakeQuerySet, TakeState


def failed(user: Any, pks: Iterable[int]) -> TakeQuerySet:
    """Of these takes those that this person may try again. A line's take only while it is the line's last attempt:
    otherwise the line is spoken anew already."""
    if not user.has_perm("studio.add_take"):
        return Take.objects.none()
    tried = Take.objects.visible_to(user).filter(pk__in=set(pks) - {0}, state=TakeState.FAILED)
    lines = Line.objects.none()
    if user.has_perm("studio.change_project"):
        lines = Line.objects.filter(project__in=Project.objects.visible_to(user))
    return tried.filter(Q(project=None, line=None) | Q(pk__in=lines.order_by().values("attempt")))


def again(user: Any, pk: int) -> bool:
    """Whether it is tried again; False where that can't be (any more). ValidationError where there is no room."""
    take = failed(user, [pk]).select_related("project").first()
    if take is None:
        return False
    if take.project is not None:
        lines = take.project.lines.filter(attempt=take)
        return generate(take.project, lines, Want.FAILED, user).queued > 0
    Take.objects.require_room(user)
    take.again(user)
    runner.wake()
    return True
