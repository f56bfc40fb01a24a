from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from providers.errors import SpeechError
from studio.models import leases
from studio.models.projects import Line, Project
from studio.models.takes import OPEN, TakeState


class Scope(models.TextChoices):
    """Which lines a chat model is asked about."""

    UNNAMED = "unnamed", _("Lines without a name")
    ALL = "all", _("All lines")


class SuggestionRunQuerySet(models.QuerySet["SuggestionRun"]):
    def open(self) -> SuggestionRunQuerySet:
        return self.filter(state__in=OPEN)

    def cancel(self) -> int:
        return self.open().update(state=TakeState.CANCELLED, finished_at=timezone.now())

    def put_back(self) -> int:
        """Queue again what a process left running that is gone; it goes on where it was."""
        return self.filter(state=TakeState.RUNNING).update(**leases.laid_down())

    def claim_next(self, lease: timedelta | None = None) -> SuggestionRun | None:
        """The oldest that waits, now running and the caller's alone."""
        queued = self.filter(state=TakeState.QUEUED)
        for pk in queued.order_by("pk").values_list("pk", flat=True)[:10]:
            if queued.filter(pk=pk).update(**leases.begun(lease)) == 1:
                return self.select_related("project__bank", "owner").get(pk=pk)
        return None


class SuggestionRun(leases.Leased):
    """A project's lines being read by the chat model. States as a take's.

    `reached` is the position of the last line that it was asked about, where a next server goes on. `sent_to` is where
    somebody agreed to send the text, and the only place where it goes.
    """

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="suggestion_runs", verbose_name=_("project")
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("owner")
    )
    scope = models.CharField(_("which lines"), max_length=10, choices=Scope, default=Scope.UNNAMED)
    narrator = models.CharField(_("narrator's name"), max_length=100, blank=True)
    sent_to = models.CharField(_("sent to"), max_length=500)
    state = models.CharField(_("state"), max_length=10, choices=TakeState, default=TakeState.QUEUED)
    reached = models.BigIntegerField(default=-1)
    lines = models.PositiveIntegerField(_("lines"), default=0)
    done = models.PositiveIntegerField(_("done"), default=0)
    requests = models.PositiveIntegerField(_("requests"), default=0)
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    error = models.TextField(_("error"), blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    objects = SuggestionRunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("suggestion of speakers")
        verbose_name_plural = _("suggestions of speakers")
        indexes = [models.Index(fields=["state", "id"], name="suggestion_run_state")]
        constraints = [
            models.UniqueConstraint(
                fields=["project"], condition=models.Q(state__in=OPEN), name="suggestion_run_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.project} {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def percent(self) -> int:
        return min(100 * self.done // self.lines, 100) if self.lines else 0

    def end(self, state: TakeState, **values: Any) -> bool:
        """False when it is not running any more, or for somebody else, and then nothing is stored."""
        return self.ours().update(state=state, finished_at=timezone.now(), **values) == 1

    def ours(self) -> SuggestionRunQuerySet:
        """Its row, while it runs under the claim that it was read with."""
        return SuggestionRun.objects.filter(pk=self.pk, state=TakeState.RUNNING, claim=self.claim)

    def fail(self, error: SpeechError) -> bool:
        return self.end(TakeState.FAILED, error_code=error.code, error=error.message)

    def went_on(self, reached: int, lines: int) -> bool:
        """Note one request that was answered. False when it is not running any more, or for somebody else."""
        return self.ours().update(reached=reached, done=F("done") + lines, requests=F("requests") + 1) == 1


class SuggestionQuerySet(models.QuerySet["SpeakerSuggestion"]):
    def current(self) -> SuggestionQuerySet:
        return self.filter(revision=F("line__revision"))

    def stale(self) -> SuggestionQuerySet:
        return self.exclude(revision=F("line__revision"))


class SpeakerSuggestion(models.Model):
    """Who may speak a line, until somebody takes or rejects it. `revision` is the line's that was read."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="suggestions", verbose_name=_("project")
    )
    run = models.ForeignKey(SuggestionRun, on_delete=models.CASCADE, related_name="suggestions", editable=False)
    line = models.OneToOneField(Line, on_delete=models.CASCADE, related_name="suggestion", verbose_name=_("line"))
    speaker = models.CharField(_("speaker"), max_length=100)
    confidence = models.FloatField(
        _("confidence"), default=0.0, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )
    revision = models.PositiveIntegerField(editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    objects = SuggestionQuerySet.as_manager()

    class Meta:
        ordering = ["line__position", "line"]
        verbose_name = _("suggested speaker")
        verbose_name_plural = _("suggested speakers")
        indexes = [models.Index(fields=["project", "speaker"], name="suggestion_of_speaker")]

    def __str__(self) -> str:
        return f"{self.speaker} ({self.confidence:.0%})"

    @property
    def percent(self) -> int:
        return round(100 * self.confidence)

    @property
    def is_stale(self) -> bool:
        return self.revision != self.line.revision
