from __future__ import annotations

from django.db import models


class FailedSignIns(models.Model):
    """How often proving who one is failed lately, under one key of `neiroha_site.guessing`."""

    key = models.CharField(max_length=64, primary_key=True)
    count = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key[:8]}: {self.count}"
