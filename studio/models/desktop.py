from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class DesktopSource(models.Model):
    """An installation of the desktop application that something was imported from. `fingerprint` tells two apart that
    hold nothing but the rows that every installation begins with."""

    fingerprint = models.CharField(max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=255)
    imported_at = models.DateTimeField(_("imported at"), default=timezone.now)

    class Meta:
        ordering = ["name", "pk"]
        verbose_name = _("desktop installation")
        verbose_name_plural = _("desktop installations")

    def __str__(self) -> str:
        return self.name


class DesktopOrigin(models.Model):
    """What a row there has become here, whether or not that is still here: so that it comes once. `table` also names
    parts of a row, such as “dialog_tts_lines.audio”; the model of `object_id` follows from it."""

    source = models.ForeignKey(DesktopSource, on_delete=models.CASCADE, related_name="origins")
    table = models.CharField(max_length=60)
    original_id = models.CharField(max_length=200)
    object_id = models.BigIntegerField()

    class Meta:
        verbose_name = _("origin in a desktop installation")
        verbose_name_plural = _("origins in desktop installations")
        constraints = [models.UniqueConstraint(fields=["source", "table", "original_id"], name="desktop_origin_once")]
        indexes = [models.Index(fields=["original_id"], name="desktop_origin_id")]

    def __str__(self) -> str:
        return f"{self.table} {self.original_id}"
