"""When an account ends, what is open under its name ends too.

An account is closed when its user is deactivated or deleted, or gets another password. Then its sessions are deleted,
and the channel-layer group `account_group(user_id)` gets the message {"type": "account.closed"}. A WebSocket consumer
joins that group once it knows who is there, leaves it in `disconnect`, and closes in `account_closed(event)`. A page
that is still entitled may open its socket anew.

API keys need nothing: they are refused while their owner is inactive, and deleted with the owner. Changes made with
QuerySet.update() send no signal: call `close_account` after them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_save
from django.utils import timezone

from providers.broadcast import send_from_thread


def account_group(user_id: int) -> str:
    return f"user-{user_id}"


def close_account(user_id: int) -> None:
    """End the user's sessions and tell the sockets, once the surrounding transaction commits."""
    transaction.on_commit(partial(_end, user_id))


def connect() -> None:
    pre_save.connect(_look, sender=User, dispatch_uid="neiroha-account-look")
    post_save.connect(_saved, sender=User, dispatch_uid="neiroha-account-saved")
    post_delete.connect(_deleted, sender=User, dispatch_uid="neiroha-account-deleted")


def _look(sender: object, instance: User, raw: bool = False, **kwargs: Any) -> None:
    """Note on the instance whether saving it closes the account."""
    before = User.objects.filter(pk=instance.pk).values_list("is_active", "password").first() if instance.pk else None
    instance._closes = before is not None and (  # type: ignore[attr-defined]
        (before[0] and not instance.is_active) or before[1] != instance.password
    )


def _saved(sender: object, instance: User, **kwargs: Any) -> None:
    if instance.__dict__.pop("_closes", False):
        close_account(instance.pk)


def _deleted(sender: object, instance: User, **kwargs: Any) -> None:
    close_account(instance.pk)


def _end(user_id: int) -> None:
    for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator():
        if session.get_decoded().get(SESSION_KEY) == str(user_id):
            session.delete()
    send_from_thread(account_group(user_id), {"type": "account.closed"})
