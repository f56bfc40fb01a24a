"""The audit trail: who changed which part of the configuration, and when. Names of fields, never their values.

Whatever Django's admin logs comes here by itself. Code that changes something outside the admin's own forms (a REST
call, a command, a switch on a page) calls `record` inside the same transaction. Unlike the admin's log, an entry
outlives both the person and the thing.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class Change(models.TextChoices):
    ADDED = "added", _("Added")
    CHANGED = "changed", _("Changed")
    DELETED = "deleted", _("Deleted")
    SIGN_IN_FAILED = "sign_in_failed", _("Sign-in failed")
    SIGN_IN_LOCKED = "sign_in_locked", _("Sign-in locked")


_FLAGS = {Change.ADDED: ADDITION, Change.CHANGED: CHANGE, Change.DELETED: DELETION}
_CHANGES = {flag: change for change, flag in _FLAGS.items()}


class AuditEntry(models.Model):
    at = models.DateTimeField(_("time"), default=timezone.now, db_index=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )
    user_name = models.CharField(_("person"), max_length=150, blank=True, db_index=True, editable=False)
    change = models.CharField(_("change"), max_length=20, choices=Change, editable=False)
    content_type = models.ForeignKey(
        ContentType, on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )
    object_id = models.CharField(max_length=64, blank=True, editable=False)
    object_name = models.CharField(_("thing"), max_length=200, blank=True, editable=False)
    message = models.TextField(_("details"), blank=True, editable=False)
    address = models.CharField(_("address"), max_length=45, blank=True, editable=False)

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.user_name} {self.change} {self.object_name}"

    @property
    def details(self) -> str:
        """The message in the reader's language, where it is one of ours."""
        text = LogEntry(change_message=self.message).get_change_message()
        return gettext(text) if text else ""

    @property
    def url(self) -> str:
        """The thing's own page; empty when it has none (any more)."""
        if self.content_type is None or not self.object_id or self.change == Change.DELETED:
            return ""
        name = f"admin:{self.content_type.app_label}_{self.content_type.model}_change"
        try:
            return reverse(name, args=[quote(self.object_id)])
        except NoReverseMatch:
            return ""


def changed(*fields: str) -> list[dict[str, Any]]:
    """The message “Changed name and speed.”, which every reader sees in the own language. Names, never values."""
    return [{"changed": {"fields": list(fields)}}]


def record(
    user: User | AnonymousUser | None,
    row: models.Model | None,
    change: Change,
    message: str | list[dict[str, Any]] = "",
    *,
    address: str = "",
) -> None:
    """Note that `user` (None: a command, or nobody who is known) made this `change` to `row`.

    `message` is an English sentence, for translation marked with `gettext_noop`, or made by `changed`. It must hold no
    secret and no value of a field. Before a deletion, call it while the row still has its key. People's changes stand
    in the thing's own history too.
    """
    person = user if isinstance(user, User) and user.pk is not None else None
    if person is not None and row is not None and change in _FLAGS:
        LogEntry.objects.log_actions(person.pk, [row], _FLAGS[change], message, single_object=True)
        return
    AuditEntry.objects.create(
        user=person,
        user_name=person.get_username() if person else "",
        change=change,
        content_type=ContentType.objects.get_for_model(row) if row else None,
        object_id=str(row.pk) if row else "",
        object_name=str(row)[:200] if row else "",
        message=message if isinstance(message, str) else json.dumps(message),
        address=address,
    )


@receiver(post_save, sender=LogEntry, dispatch_uid="neiroha-audit")
def _keep(sender: object, instance: LogEntry, created: bool, raw: bool = False, **kwargs: Any) -> None:
    if not created or raw:
        return
    AuditEntry.objects.create(
        at=instance.action_time,
        user=instance.user,
        user_name=instance.user.get_username(),
        change=_CHANGES.get(instance.action_flag, Change.CHANGED),
        content_type=instance.content_type,
        object_id=str(instance.object_id or "")[:64],
        object_name=instance.object_repr,
        message=instance.change_message,
    )
