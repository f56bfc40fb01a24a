"""Forms of API keys and server settings."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from api.models import ApiKey
from banks.models import Bank

if TYPE_CHECKING:
    _ApiKeyModelForm = forms.ModelForm[ApiKey]
else:
    _ApiKeyModelForm = forms.ModelForm


class ApiKeyForm(_ApiKeyModelForm):
    class Meta:
        model = ApiKey
        fields = ["name", "owner", "scope", "banks", "rate_limit_per_minute", "expires_at"]
        widgets = {"banks": UnfoldAdminCheckboxSelectMultipleWidget}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "banks" not in self.fields:
            return
        chosen = self.instance.banks.values("pk") if self.instance.pk else []
        # What the key has stays to be chosen even if archived: dropping its last bank would open all banks to it.
        self._offer("banks", Bank.objects.filter(Q(archived_at=None) | Q(pk__in=chosen)))
        users = get_user_model()._default_manager
        self._offer("owner", users.filter(Q(is_active=True) | Q(pk=self.instance.owner_id)))

    def _offer(self, name: str, choices: Any) -> None:
        if name in self.fields:
            self.fields[name].queryset = choices  # type: ignore[attr-defined]

    def clean_expires_at(self) -> datetime | None:
        moment: datetime | None = self.cleaned_data["expires_at"]
        if moment and "expires_at" in self.changed_data and moment <= timezone.now():
            raise ValidationError(_("This is in the past. To end a key at once, revoke it."))
        return moment
