"""What every admin page of ours is built on: unfold's classes in typed form, and archiving in place of deletion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from unfold.decorators import action

from providers.archive import Archivable

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as ModelAdmin
    from django.contrib.admin import TabularInline as TabularInline
else:
    from django.contrib.admin.options import ActionLocation
    from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
    from django.db import models
    from unfold.admin import ModelAdmin as UnfoldModelAdmin
    from unfold.admin import TabularInline as UnfoldTabularInline
    from unfold.widgets import UnfoldAdminExpandableTextareaWidget

    from providers.key_choices import KeyChoices
    from providers.long_select import LongSelect

    def _without_links(field):
        """No menus beside a choice: adding asks for a kind first, and deleting archives, both on pages of their own."""
        if isinstance(field and field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def _long_choice():
        return {"widget": LongSelect(), "empty_label": gettext_lazy("Select value")}

    class ModelAdmin(UnfoldModelAdmin):
        formfield_overrides = {models.TextField: {"widget": UnfoldAdminExpandableTextareaWidget}}

        def __class_getitem__(cls, model: object) -> type[ModelAdmin]:
            return cls

        def formfield_for_dbfield(self, db_field, request, **kwargs):
            return _without_links(super().formfield_for_dbfield(db_field, request, **kwargs))

        def formfield_for_foreignkey(self, db_field, request, **kwargs):
            return super().formfield_for_foreignkey(db_field, request, **{**_long_choice(), **kwargs})

        def formfield_for_manytomany(self, db_field, request, **kwargs):
            return super().formfield_for_manytomany(db_field, request, **{"form_class": KeyChoices, **kwargs})

        def get_action_choices(self, request, default_choices=None, action_location=ActionLocation.CHANGE_LIST):
            """Unfold's own does not know the location that Django passes."""
            none_chosen = [("", gettext_lazy("Select action"))]
            return admin.ModelAdmin.get_action_choices(self, request, none_chosen, action_location)

        def log_deletions(self, request, queryset):
            """One by one: rows that are made in bulk send no signal, and the audit trail would not hear of them."""
            return [entry for row in queryset for entry in super(ModelAdmin, self).log_deletions(request, [row])]

    class TabularInline(UnfoldTabularInline):
        show_title = False

        def formfield_for_dbfield(self, db_field, request, **kwargs):
            return _without_links(super().formfield_for_dbfield(db_field, request, **kwargs))

        def formfield_for_foreignkey(self, db_field, request, **kwargs):
            return super().formfield_for_foreignkey(db_field, request, **{**_long_choice(), **kwargs})

        def __class_getitem__(cls, models: object) -> type[TabularInline]:
            return cls


def page_action[F: Callable[..., Any]](**options: Any) -> Callable[[F], F]:
    """Unfold's button above a list, typed."""
    return cast(Callable[[F], F], action(**options))


class ArchivedFilter(admin.SimpleListFilter):
    """Hides archived rows unless they are asked for."""

    title = gettext_lazy("archive")
    parameter_name = "archived"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("Archived"))]

    def choices(self, changelist: Any) -> Any:
        current, *others = super().choices(changelist)
        return [{**current, "display": _("Current")}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(archived_at__isnull=self.value() != "yes")


class ArchivableAdmin[M: Archivable](ModelAdmin[M]):
    """Deleting lists the users first and archives what has any; an archived row is read-only until it is restored."""

    actions = ["delete_selected"]
    change_form_outer_before_template = "admin/archived_notice.html"

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_restore"
        view = self.admin_site.admin_view(self.restore_view)
        return [path("<path:object_id>/restore/", view, name=name), *super().get_urls()]

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return (obj is None or obj.archived_at is None) and super().has_change_permission(request, obj)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["may_restore"] = super().has_change_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        found = self._found(request, object_id)
        if not self.has_delete_permission(request, found):
            raise PermissionDenied
        if request.method == "POST":
            self._remove_all(request, [found])
            return HttpResponseRedirect(self._list_url(request))
        return self._confirmation(request, [found])

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete or archive"))
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[M]) -> HttpResponse | None:
        if request.POST.get("post"):
            self._remove_all(request, list(queryset))
            return None
        return self._confirmation(request, list(queryset))

    def restore_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not super().has_change_permission(request):
            raise PermissionDenied
        found = self._found(request, object_id)
        here = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[found.pk])
        try:
            found.restore()
        except ValidationError:
            text = _("“%s” can't be restored while something else has its name. Rename that one first.")
            self.message_user(request, text % found, messages.ERROR)
        else:
            self.log_change(request, found, gettext_noop("Restored."))
            self.message_user(request, _("“%s” is back.") % found, messages.SUCCESS)
        return HttpResponseRedirect(here)

    def _found(self, request: HttpRequest, object_id: str) -> M:
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404
        return found

    def _list_url(self, request: HttpRequest) -> str:
        if not self.has_view_or_change_permission(request):
            return reverse("admin:index")
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    @transaction.atomic
    def _remove_all(self, request: HttpRequest, chosen: list[M]) -> None:
        for item in chosen:
            name, pk = str(item), item.pk
            if item.remove():
                self.log_change(request, item, gettext_noop("Archived."))
                text = _("“%s” is in use, so it was archived: hidden and disabled until it is restored.")
                self.message_user(request, text % name, messages.WARNING)
            else:
                item.pk = pk  # delete() took it; the history still needs it
                self.log_deletions(request, [item])  # type: ignore[arg-type]
                self.message_user(request, _("“%s” was deleted.") % name, messages.SUCCESS)

    def _confirmation(self, request: HttpRequest, chosen: list[M]) -> TemplateResponse:
        items = [{"item": item, "users": item.users()} for item in chosen]
        context = {
            **self.admin_site.each_context(request),
            "title": _("Delete or archive"),
            "opts": self.opts,
            "items": items,
            "button": _button([bool(entry["users"]) for entry in items]),
            "bulk": request.method == "POST",
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "back_url": self._list_url(request),
        }
        return TemplateResponse(request, "admin/remove_confirmation.html", context)


def _button(used: list[bool]) -> str:
    if all(used):
        return _("Archive")
    return _("Archive what is used, delete the rest") if any(used) else _("Delete")


class SingleRowAdmin[M: Model](ModelAdmin[M]):
    """Settings of which there is one row, under primary key 1: its page is the list."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        row, _created = self.model._default_manager.get_or_create(pk=1)
        return HttpResponseRedirect(
            reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])
        )

    def response_change(self, request: HttpRequest, obj: M) -> HttpResponse:
        self.message_user(request, _("Saved and in force."), messages.SUCCESS)
        return HttpResponseRedirect(request.path)
