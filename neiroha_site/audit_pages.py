"""The audit trail's page, for administrators alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from neiroha_site.people import is_administrator
from providers.admin_base import ModelAdmin
from providers.audit import AuditEntry, Change

MAX_PEOPLE = 200
NOBODY = "-"


class PersonFilter(admin.SimpleListFilter):
    """By name, as the trail keeps people who are gone."""

    title = gettext_lazy("person")
    parameter_name = "person"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = AuditEntry.objects.order_by("user_name").values_list("user_name", flat=True).distinct()[:MAX_PEOPLE]
        return [(name or NOBODY, name or _("Nobody who is known")) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        asked = self.value()
        return queryset.filter(user_name="" if asked == NOBODY else asked) if asked else queryset


class KindFilter(admin.SimpleListFilter):
    title = gettext_lazy("kind of thing")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = AuditEntry.objects.order_by().exclude(content_type=None).values("content_type").distinct()
        found = ContentType.objects.filter(pk__in=kinds)
        return sorted(((str(kind.pk), kind_name(kind)) for kind in found), key=lambda kind: kind[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        asked = self.value() or ""
        return queryset.filter(content_type=int(asked)) if asked.isdecimal() and len(asked) < 10 else queryset


def kind_name(kind: ContentType) -> str:
    model = kind.model_class()
    name = str(model._meta.verbose_name) if model else kind.model
    return name[:1].upper() + name[1:]


class AuditEntryAdmin(ModelAdmin[AuditEntry]):
    """Read-only, for everybody."""

    list_display = ["at", "person", "change_mark", "thing", "shown_details", "address"]
    list_display_links = None
    list_filter = [PersonFilter, "change", KindFilter, ("at", admin.DateFieldListFilter)]
    list_select_related = ["content_type"]
    list_per_page = 50
    search_fields = ["user_name", "object_name", "message", "address"]
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request)

    def has_view_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return is_administrator(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("person"), ordering="user_name")
    def person(self, entry: AuditEntry) -> str:
        return entry.user_name or "–"

    @admin.display(description=gettext_lazy("change"), ordering="change")
    def change_mark(self, entry: AuditEntry) -> SafeString:
        tone = "nr-tag-warn" if entry.change in (Change.SIGN_IN_FAILED, Change.SIGN_IN_LOCKED) else ""
        return format_html('<span class="nr-tag {}">{}</span>', tone, Change(entry.change).label)

    @admin.display(description=gettext_lazy("thing"), ordering="object_name")
    def thing(self, entry: AuditEntry) -> SafeString | str:
        if entry.content_type is None:
            return "–"
        kind, url = kind_name(entry.content_type), entry.url
        name = format_html('<a class="nr-link" href="{}">{}</a>', url, entry.object_name) if url else entry.object_name
        return format_html('{} <span class="nr-quiet">{}</span>', name, kind)

    @admin.display(description=gettext_lazy("details"))
    def shown_details(self, entry: AuditEntry) -> str:
        return entry.details or "–"
