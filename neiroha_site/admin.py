"""The admin site's own pages, and people: Django's users and groups in the shell's forms."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import ActionLocation
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path

from neiroha_site import pages
from neiroha_site.audit_pages import AuditEntryAdmin
from neiroha_site.passwords import ChoosePassword, OwnPassword
from neiroha_site.people import UserAdmin, is_administrator
from neiroha_site.preferences import preferences
from neiroha_site.roles import GROUPS
from neiroha_site.sign_in import sign_in
from providers.admin_base import ModelAdmin
from providers.audit import AuditEntry


def urls() -> list[URLPattern]:
    """Under /admin/, before the site's own: signing in and the own password stand in the place of Django's."""
    guard = admin.site.admin_view
    return [
        path("login/", sign_in, name="login"),
        path("password_change/", guard(OwnPassword.as_view()), name="password_change"),
        path("password/<uidb64>/<token>/", ChoosePassword.as_view(), name="choose_password"),
        path("preferences/", guard(preferences), name="preferences"),
        *pages.urls(),
    ]


# The shell's site looks for this attribute, which Django's own type does not have.
admin.site.extra_urls = urls  # type: ignore[attr-defined]
admin.site.unregister(User)
admin.site.unregister(Group)
admin.site.register(User, UserAdmin)
admin.site.register(AuditEntry, AuditEntryAdmin)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin[Group]):
    """Further groups. Who may change one may give all rights to its members, so only an administrator may."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        # Each right names its kind of thing.
        return super().get_queryset(request).prefetch_related("permissions__content_type")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request)

    def has_view_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return is_administrator(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """The roles' own are what they are: see `neiroha_site.roles`."""
        return is_administrator(request) and (obj is None or obj.name not in GROUPS.values())

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return is_administrator(request) and (obj is None or obj.name not in GROUPS.values())

    def get_actions(
        self, request: HttpRequest, action_location: ActionLocation = ActionLocation.CHANGE_LIST
    ) -> dict[str, Any]:
        """Nothing in bulk: it would not look at each."""
        return {}
