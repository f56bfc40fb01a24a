"""The pages about people, for administrators alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.options import ActionLocation
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from neiroha_site.guessing import for_account, is_paused, unlock
from neiroha_site.passwords import one_time_link
from neiroha_site.people_forms import NewUserForm, PasswordForm, UserForm
from neiroha_site.roles import GROUPS, Role, is_last_administrator, role_of, set_role
from providers.admin_base import ModelAdmin

if TYPE_CHECKING:
    _DjangoUserAdmin = DjangoUserAdmin[User]
else:
    _DjangoUserAdmin = DjangoUserAdmin


def is_administrator(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


class RoleFilter(admin.SimpleListFilter):
    title = gettext_lazy("role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(role.value, str(role.label)) for role in Role]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        asked = self.value()
        if asked == Role.ADMINISTRATOR:
            return queryset.filter(is_superuser=True)
        members = Q(groups__name__in=GROUPS.values())
        if asked == Role.CUSTOM:
            return queryset.filter(is_superuser=False, is_staff=True).exclude(members)
        name = GROUPS.get(Role(asked)) if asked in GROUPS else None
        return queryset.filter(is_superuser=False, groups__name=name) if name else queryset


class UserAdmin(_DjangoUserAdmin, ModelAdmin[User]):
    form = UserForm
    add_form = NewUserForm
    add_form_template = None
    change_password_form = PasswordForm
    change_form_outer_before_template = "admin/auth/user/panel.html"
    list_display = ["username", "full_name", "role", "state", "last_login"]
    list_filter = [RoleFilter, "is_active"]
    readonly_fields = ["last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["username", "first_name", "last_name", "email"]}),
        (gettext_lazy("Access"), {"fields": ["role", "is_active", "last_login", "date_joined"]}),
        (gettext_lazy("Single rights"), {"fields": ["groups", "user_permissions"], "classes": ["collapse"]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["username", "first_name", "last_name", "email", "role"]}),
        (gettext_lazy("Password"), {"fields": ["password1", "password2"]}),
    ]

    # Whoever manages people can take any right, so it is not a right to give.

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request)

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return is_administrator(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return is_administrator(request)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if not is_administrator(request):
            return False
        return obj is None or (obj.pk != request.user.pk and not is_last_administrator(obj))

    def get_actions(
        self, request: HttpRequest, action_location: ActionLocation = ActionLocation.CHANGE_LIST
    ) -> dict[str, Any]:
        """No deletion in bulk: each is a decision, and deactivating is the better one."""
        return {}

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.editor = request.user
        return form

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        set_role(form.instance, Role(form.cleaned_data["role"]))

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        return [
            path("<path:object_id>/link/", guard(self.link_view), name="auth_user_link"),
            path("<path:object_id>/unlock/", guard(self.unlock_view), name="auth_user_unlock"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        person: User | None = context.get("original")
        context["paused"] = person is not None and is_paused(for_account(person.username))
        context["show_save_and_add_another"] = False
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(self, request: HttpRequest, obj: User, post_url_continue: str | None = None) -> HttpResponse:
        if not obj.has_usable_password():
            return self._link_page(request, obj)
        return admin.ModelAdmin.response_add(self, request, obj, post_url_continue)

    def link_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        person = self._posted(request, object_id)
        if isinstance(person, HttpResponse):
            return person
        self.log_change(request, person, gettext_noop("Made a one-time link."))
        return self._link_page(request, person)

    def unlock_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        person = self._posted(request, object_id)
        if isinstance(person, HttpResponse):
            return person
        unlock([for_account(person.username)])
        self.log_change(request, person, gettext_noop("Ended the pause after failed sign-ins."))
        self.message_user(request, _("%s can try to sign in again.") % person)
        return HttpResponseRedirect(reverse("admin:auth_user_change", args=[person.pk]))

    def _posted(self, request: HttpRequest, object_id: str) -> User | HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not is_administrator(request):
            raise PermissionDenied
        person = self.get_object(request, unquote(object_id))
        if person is None:
            raise Http404
        return person

    def _link_page(self, request: HttpRequest, person: User) -> HttpResponse:
        """Not a redirect: the link stands in this one answer."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("A one-time link for %s") % person,
            "opts": self.opts,
            "person": person,
            "link": one_time_link(request, person),
            "list_url": reverse("admin:auth_user_changelist"),
        }
        response = TemplateResponse(request, "admin/auth/user/link.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.display(description=gettext_lazy("name"), ordering="first_name")
    def full_name(self, person: User) -> str:
        return person.get_full_name() or "–"

    @admin.display(description=gettext_lazy("role"))
    def role(self, person: User) -> str:
        role = role_of(person)
        return str(role.label) if role else _("Keys only")

    @admin.display(description=gettext_lazy("state"), ordering="is_active")
    def state(self, person: User) -> SafeString:
        if not person.is_active:
            return format_html('<span class="nr-tag nr-tag-warn">{}</span>', _("Deactivated"))
        if not person.has_usable_password():
            return format_html('<span class="nr-tag">{}</span>', _("Has no password yet"))
        return format_html('<span class="nr-tag nr-tag-ok">{}</span>', _("Active"))
