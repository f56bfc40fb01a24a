"""What people may do: three roles, and an own selection of rights for whom none of them fits.

An administrator is a superuser. Producers and viewers are members of a group, whose permissions are brought up to date
after every migration; what somebody changes about them by hand does not last.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    ADMINISTRATOR = "administrator", _("Administrator")
    PRODUCER = "producer", _("Producer")
    VIEWER = "viewer", _("Viewer")
    CUSTOM = "custom", _("Own selection")


# The names in the database.
GROUPS = {Role.PRODUCER: "Producers", Role.VIEWER: "Viewers"}


def _rights(app: str, models: str, verbs: str) -> frozenset[str]:
    return frozenset(f"{app}.{verb}_{model}" for model, verb in product(models.split(), verbs.split()))


# Permissions of an app that is not installed are left out.
_LOOK = (
    _rights("banks", "bank character membership pronunciation", "view")
    | _rights("providers", "provider cataloguevoice cataloguemodel", "view")
    | _rights("studio", "take project", "view")
)
_ALL = "view add change delete"
PERMISSIONS = {
    Role.VIEWER: _LOOK,
    Role.PRODUCER: _LOOK
    | _rights("banks", "bank character membership pronunciation referenceaudio", _ALL)
    | _rights("studio", "take project", _ALL)
    | _rights("api", "apikey", _ALL),
}


def update_groups(using: str = "default", **kwargs: Any) -> None:
    """Make the roles' groups, and give them exactly their permissions."""
    for role, name in GROUPS.items():
        group, _created = Group.objects.using(using).get_or_create(name=name)
        wanted = set(_permissions(PERMISSIONS[role]).using(using).values_list("pk", flat=True))
        if wanted != set(group.permissions.values_list("pk", flat=True)):
            group.permissions.set(wanted)


def _permissions(rights: frozenset[str]) -> models.QuerySet[Permission]:
    found = Q()
    for right in rights:
        app, codename = right.split(".")
        found |= Q(content_type__app_label=app, codename=codename)
    return Permission.objects.filter(found)


def role_of(person: User | AnonymousUser) -> Role | None:
    """None: somebody who may not sign in to the pages, such as a mere owner of keys."""
    if not isinstance(person, User) or not person.is_staff:
        return None
    if person.is_superuser:
        return Role.ADMINISTRATOR
    names = {group.name for group in person.groups.all()}
    return next((role for role, name in GROUPS.items() if name in names), Role.CUSTOM)


def set_role(person: User, role: Role) -> None:
    """Save the person with this role in place of any other."""
    person.is_staff, person.is_superuser = True, role == Role.ADMINISTRATOR
    person.save()
    person.groups.remove(*Group.objects.filter(name__in=GROUPS.values()).exclude(name=GROUPS.get(role, "")))
    if role in GROUPS:
        person.groups.add(Group.objects.get_or_create(name=GROUPS[role])[0])


def is_last_administrator(person: User) -> bool:
    """Whether nobody else could manage people any more. In a transaction, others who ask this meanwhile wait."""
    with transaction.atomic():
        # All of them are locked, in one order: two that remove each other can't both find the other there.
        able = User.objects.select_for_update().filter(is_superuser=True, is_staff=True, is_active=True).order_by("pk")
        administrators = [one.pk for one in able]
    return person.pk in administrators and len(administrators) == 1
