from __future__ import annotations

from django.contrib import admin

from providers.admin_base import SingleRowAdmin
from studio.models import StudioSettings


@admin.register(StudioSettings)
class StudioSettingsAdmin(SingleRowAdmin[StudioSettings]):
    fields = ["retention_days", "quota_mb", "max_text_characters", "read_ahead"]
