from __future__ import annotations

import secrets
from pathlib import Path, PurePath
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from banks.models import discard
from banks.storage import pieces_storage, private_storage
from providers.audio import Film
from providers.speech import AudioFormat
from studio.models.exports import Export
from studio.models.projects import Project

STRETCH_MOST = 2.0
DUCK_LEAST_DB = -60.0


class OriginalSound(models.TextChoices):
    KEEP = "keep", _("Keep as it is")
    DUCK = "duck", _("Quieter under speech")
    OFF = "off", _("Leave out")


class Footage(models.Model):
    """The recording that a project's lines are fitted to, and how. `name` is that of the file that was sent.
    `frame_rate` is frames a second, None for one without a picture."""

    project = models.OneToOneField(
        Project, on_delete=models.CASCADE, related_name="footage", verbose_name=_("project"), primary_key=True
    )
    file = models.FileField(_("file"), upload_to="footage/", storage=private_storage, editable=False)
    name = models.CharField(_("name"), max_length=255, editable=False)
    size = models.PositiveBigIntegerField(_("size, bytes"), editable=False)
    duration = models.FloatField(_("duration, seconds"), editable=False)
    frame_rate = models.FloatField(null=True, editable=False)
    has_sound = models.BooleanField(default=True, editable=False)
    sound = models.CharField(
        _("original sound"), max_length=10, choices=OriginalSound, default=OriginalSound.DUCK, blank=False
    )
    duck_db = models.FloatField(
        _("quieter by, dB"),
        default=-12.0,
        validators=[MinValueValidator(DUCK_LEAST_DB), MaxValueValidator(0.0)],
        help_text=_("How much the original sound is lowered under speech."),
    )
    stretch_most = models.FloatField(
        _("fastest"),
        default=1.2,
        validators=[MinValueValidator(1.0), MaxValueValidator(STRETCH_MOST)],
        help_text=_("How much faster speech may be played, at most, to end in time."),
    )
    added_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("footage")
        verbose_name_plural = _("footage")

    def __str__(self) -> str:
        return self.name

    @property
    def has_picture(self) -> bool:
        return self.frame_rate is not None

    @property
    def container(self) -> Film | AudioFormat:
        suffix = PurePath(self.file.name or "").suffix[1:]
        return Film(suffix) if suffix in Film else AudioFormat(suffix)

    @property
    def content_type(self) -> str:
        return self.container.content_type


def _token() -> str:
    return secrets.token_hex(16)


class Upload(models.Model):
    """A big file that comes piece by piece: so many bytes of it are there."""

    token = models.CharField(primary_key=True, max_length=32, default=_token, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="uploads")
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    received = models.PositiveBigIntegerField(default=0)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> Path:
        return Path(pieces_storage().path(f"uploads/{self.token}"))


def video_bytes_used(user_id: int, *, but_for: Project | None = None) -> int:
    """By the footage of a person's projects, what is still to come of it, and exported videos. Without the footage of
    one project, where that is about to be replaced."""
    sizes: list[models.QuerySet[Any]] = [
        Footage.objects.filter(project__owner_id=user_id).exclude(project=but_for),
        Upload.objects.filter(project__owner_id=user_id),
        Export.objects.filter(owner_id=user_id).videos(),
    ]
    return sum(rows.aggregate(used=models.Sum("size"))["used"] or 0 for rows in sizes)


@receiver(post_delete, sender=Footage)
def discard_footage(sender: type[Footage], instance: Footage, **kwargs: Any) -> None:
    discard(instance.file)


@receiver(post_delete, sender=Upload)
def discard_upload(sender: type[Upload], instance: Upload, **kwargs: Any) -> None:
    instance.path.unlink(missing_ok=True)
