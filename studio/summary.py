"""How far a project is: its lines by state, what there is to hear, how fast it goes and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Min, Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from providers.wording import PAUSES, duration
from studio.models import LineState, Project, Take, TakeState
from studio.rows import STATES
from studio.stages import Stage

RATE_SECONDS = 60.0
# A rate of the first moments says nothing.
LEAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Share:
    """The lines in one state."""

    state: LineState
    label: str | Promise
    tone: str
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    shares: list[Share]
    total: int
    seconds: float
    """Of the audio of all lines that are done."""
    per_minute: float | None
    left: str
    pauses: list[str]

    def count(self, *states: LineState) -> int:
        return sum(share.count for share in self.shares if share.state in states)

    @property
    def done(self) -> int:
        return self.count(LineState.DONE)

    @property
    def open(self) -> int:
        return self.count(LineState.QUEUED, LineState.RUNNING)

    @property
    def failed(self) -> int:
        return self.count(LineState.FAILED)

    @property
    def wanting(self) -> int:
        return self.count(LineState.MISSING, LineState.STALE)

    @property
    def length(self) -> str:
        return clock(self.seconds)


def summary(project: Project, staged: Iterable[Stage]) -> Summary:
    """One query, and another while something is open."""
    found = project.lines.measures()
    shares = [Share(state, label, tone, found[state][0]) for state, (tone, label) in STATES.items() if state in found]
    waiting = sum(share.count for share in shares if share.state in (LineState.QUEUED, LineState.RUNNING))
    rate = _rate(project) if waiting else None
    return Summary(
        shares=shares,
        total=sum(share.count for share in shares),
        seconds=found.get(LineState.DONE, (0, 0.0))[1],
        per_minute=rate,
        left=duration(60 * waiting / rate) if rate else "",
        pauses=_pauses(staged) if waiting else [],
    )


def _rate(project: Project) -> float | None:
    """Takes that were done in each minute, over the last one, or since they were begun if that is less ago."""
    now = timezone.now()
    recent = Q(state=TakeState.DONE, finished_at__gt=now - timedelta(seconds=RATE_SECONDS))
    found = Take.objects.filter(recent, project=project).aggregate(done=Count("pk"), first=Min("started_at"))
    if not found["done"]:
        return None
    seconds = min(max((now - found["first"]).total_seconds(), LEAST_SECONDS), RATE_SECONDS)
    return float(found["done"] * 60 / seconds)


def _pauses(staged: Iterable[Stage]) -> list[str]:
    """Of each provider for which lines wait, why and how long the first of them does, if it is not for its turn."""
    first: dict[str, Stage] = {}
    for stage in staged:
        known = first.get(stage.provider)
        if not stage.waiting:
            continue
        if known is None or stage.seconds < known.seconds:
            first[stage.provider] = stage
    return [
        _("“%(provider)s” waits %(time)s: %(reason)s")
        % {"provider": stage.provider, "time": duration(stage.seconds), "reason": PAUSES[stage.reason]}
        for stage in first.values()
        if stage.reason in PAUSES
    ]


def clock(seconds: float) -> str:
    """As a player shows it: 0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
