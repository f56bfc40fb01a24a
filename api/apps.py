from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.db.models import ProtectedError
from django.db.models.signals import pre_delete
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from banks.models import Bank


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = _("API")

    def ready(self) -> None:
        from django.contrib.auth import get_user_model

        from banks.models import Bank
        from providers.versions import track

        for name in ("ApiKey", "ServerSettings"):
            track(self.get_model(name))
        track(get_user_model())
        pre_delete.connect(keep_restricted_keys_restricted, sender=Bank)


def keep_restricted_keys_restricted(sender: object, instance: Bank, **kwargs: object) -> None:
    """A key without banks may use them all, so the last of a key's banks must not vanish under it."""
    keys = list(instance._meta.apps.get_model("api", "ApiKey").objects.filter(banks=instance))
    if keys:
        raise ProtectedError("API keys are restricted to this bank: archive it instead.", set(keys))
