from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from studio.models.projects import Line, Project

PLAYBACK_MIN, PLAYBACK_MAX = 0.5, 3.0


class ReadingPlace(models.Model):
    """Where somebody is in a project, and how fast they listen."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reading_places")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="reading_places")
    line = models.ForeignKey(Line, on_delete=models.SET_NULL, null=True, related_name="+")
    speed = models.FloatField(
        default=1.0, validators=[MinValueValidator(PLAYBACK_MIN), MaxValueValidator(PLAYBACK_MAX)]
    )
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("reading place")
        verbose_name_plural = _("reading places")
        constraints = [models.UniqueConstraint(fields=["user", "project"], name="reading_place_once")]

    def __str__(self) -> str:
        return f"{self.user} / {self.project}"
