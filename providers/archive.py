"""Things that others use are archived instead of deleted."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class ArchivableQuerySet[M: "Archivable"](models.QuerySet[M]):
    def present(self) -> Self:
        return self.filter(archived_at=None)


class Archivable(models.Model):
    """A row that can be hidden, disabled and restored."""

    archived_at = models.DateTimeField(_("archived at"), null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    def users(self) -> list[str]:
        """What uses this row, one readable line each; empty when it may be deleted for good."""
        raise NotImplementedError

    def remove(self) -> bool:
        """Delete the row, or archive it while something uses it. True when it was archived."""
        if not self.users():
            self.delete()
            return False
        self.archived_at = timezone.now()
        self.save(update_fields=["archived_at"])
        return True

    def restore(self) -> None:
        """ValidationError when something else has taken its name meanwhile."""
        self.archived_at = None
        self.validate_constraints()
        self.save(update_fields=["archived_at"])
