from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import models, transaction
from django.utils.translation import gettext_noop

from providers.audit import Change, record
from providers.fields import EncryptedTextField, SecretUnreadable


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret anew with the first of NEIROHA_FIELD_KEYS. Put a new key in front of the old"
        " ones, restart the server, run this, then drop the old keys."
    )

    def handle(self, **options: Any) -> None:
        try:
            with transaction.atomic():
                count = sum(rotate(model) for model in apps.get_models())
                record(None, None, Change.CHANGED, gettext_noop("Encrypted every stored secret anew."))
        except SecretUnreadable as error:
            raise CommandError(f"{error} Nothing was changed.") from error
        self.stdout.write(f"{count} stored secrets are encrypted with the first key.")


def rotate(model: type[models.Model]) -> int:
    """Rewrite the encrypted columns of one table; the number of secrets in it."""
    names = [field.attname for field in model._meta.concrete_fields if isinstance(field, EncryptedTextField)]
    if not names:
        return 0
    count = 0
    # The base manager leaves out no row, and update() changes no other column.
    for pk, *secrets in model._base_manager.select_for_update().values_list("pk", *names):
        held = {name: secret for name, secret in zip(names, secrets, strict=True) if secret}
        model._base_manager.filter(pk=pk).update(**held)
        count += len(held)
    return count
