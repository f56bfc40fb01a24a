from __future__ import annotations

from datetime import timedelta
from pathlib import PurePath
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from banks.models import discard
from banks.storage import private_storage
from providers.errors import SpeechError
from studio.models import leases
from studio.models.projects import Project
from studio.models.takes import OPEN, TakeState

# What an export of video says that it is, in its options.
VIDEO = "video"


class ExportQuerySet(models.QuerySet["Export"]):
    def visible_to(self, user: Any) -> Self:
        return self if user.is_superuser else self.filter(project__in=Project.objects.visible_to(user))

    def videos(self) -> Self:
        return self.filter(options_json__what=VIDEO)

    def sounds(self) -> Self:
        """All others."""
        return self.exclude(options_json__what=VIDEO)

    def open(self) -> Self:
        return self.filter(state__in=OPEN)

    def cancel(self) -> int:
        return self.open().update(state=TakeState.CANCELLED, finished_at=timezone.now())

    def put_back(self) -> int:
        """Queue again what a process left running that is gone."""
        return self.filter(state=TakeState.RUNNING).update(**leases.laid_down(), progress=0)

    def claim_next(self, lease: timedelta | None = None) -> Export | None:
        """The oldest that waits, now running and the caller's alone."""
        queued = self.filter(state=TakeState.QUEUED)
        for pk in queued.order_by("pk").values_list("pk", flat=True)[:10]:
            if queued.filter(pk=pk).update(**leases.begun(lease)) == 1:
                return self.select_related("project", "owner").get(pk=pk)
        return None


class Export(leases.Leased):
    """A file made of a project's lines as they were when its making began. States as a take's."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="exports", verbose_name=_("project"))
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="exports", verbose_name=_("owner")
    )
    options_json = models.JSONField(_("options"), default=dict)
    state = models.CharField(_("state"), max_length=10, choices=TakeState, default=TakeState.QUEUED)
    progress = models.FloatField(_("progress"), default=0)
    file = models.FileField(_("file"), upload_to="exports/", storage=private_storage, blank=True, editable=False)
    size = models.PositiveBigIntegerField(_("size, bytes"), default=0)
    duration = models.FloatField(_("duration, seconds"), null=True)
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    error = models.TextField(_("error"), blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    objects = ExportQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        indexes = [
            models.Index(fields=["state", "id"], name="export_state"),
            models.Index(fields=["owner", "size"], name="export_quota"),
            models.Index(fields=["file"], name="export_file"),
        ]
        constraints = [
            models.CheckConstraint(condition=~models.Q(state="done", file=""), name="export_done_has_file"),
        ]

    def __str__(self) -> str:
        return f"{self.project} {PurePath(self.file.name or '').suffix}".strip()

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    def end(self, state: TakeState, **values: Any) -> bool:
        """False when it is not running any more, or for somebody else, and then nothing is stored."""
        return self.ours().update(state=state, finished_at=timezone.now(), **values) == 1

    def ours(self) -> ExportQuerySet:
        """Its row, while it runs under the claim that it was read with."""
        return Export.objects.filter(pk=self.pk, state=TakeState.RUNNING, claim=self.claim)

    def fail(self, error: SpeechError) -> bool:
        return self.end(TakeState.FAILED, error_code=error.code, error=error.message)


@receiver(post_delete, sender=Export)
def discard_file(sender: type[Export], instance: Export, **kwargs: Any) -> None:
    discard(instance.file)
