from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

MEGABYTE = 1024 * 1024
LONGEST_TEXT = 50_000


class StudioSettings(models.Model):
    """One row (pk 1)."""

    retention_days = models.PositiveIntegerField(
        _("days that takes stay"),
        default=14,
        validators=[MaxValueValidator(36_500)],
        help_text=_(
            "Older takes and exports are discarded with their files, unless they are kept or a project's line uses"
            " them; 0 = never."
        ),
    )
    quota_mb = models.PositiveIntegerField(
        _("quota per user, MB"),
        default=1000,
        help_text=_("What all takes and exports of one user may take on the disk, kept or not; 0 = no limit."),
    )
    video_quota_mb = models.PositiveIntegerField(
        _("video quota per user, MB"),
        default=20_000,
        help_text=_("What footage of a user's projects and exported videos may take beside that; 0 = no limit."),
    )
    max_text_characters = models.PositiveIntegerField(
        _("longest text, characters"),
        default=5000,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_TEXT)],
        help_text=_("Of one take; at most 50,000."),
    )

    read_ahead = models.PositiveSmallIntegerField(
        _("made while somebody listens"),
        default=5,
        validators=[MaxValueValidator(20)],
        help_text=_("Sentences behind the one that is heard, on the page where a project is read; 0 = none."),
    )

    class Meta:
        verbose_name = _("studio settings")
        verbose_name_plural = _("studio settings")

    def __str__(self) -> str:
        return str(_("studio settings"))

    @classmethod
    def load(cls) -> StudioSettings:
        return cls.objects.get_or_create(pk=1)[0]
