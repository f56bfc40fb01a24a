from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from api.consequences import consequences
from api.forms import ApiKeyForm
from api.models import ApiKey, RequestLog, Scope, ServerSettings
from providers.admin_base import ModelAdmin, page_action
from providers.audit import Change, record
from providers.live_checks import LiveChecks


@admin.register(ApiKey)
class ApiKeyAdmin(LiveChecks[ApiKey]):
    form = ApiKeyForm
    list_display = ["name", "ends_in", "owner", "scope", "state", "expires_at", "last_used_at"]
    list_filter = ["owner", "scope"]
    list_select_related = ["owner"]
    search_fields = ["name", "hint"]
    actions = ["revoke_selected"]
    readonly_fields = ["ends_in", "state", "last_used_at", "created_at"]
    change_form_outer_before_template = "admin/api/apikey/revoke.html"

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        choices = ["name", "owner", "scope", "banks", "rate_limit_per_minute", "expires_at"]
        shown = ["ends_in", "state", "last_used_at", "created_at"] if obj else []
        if not request.user.is_superuser:
            # The own ones, within the limits that hold for everybody.
            choices = [name for name in choices if name not in ("owner", "rate_limit_per_minute")]
        return [(None, {"fields": [choices[0], *shown, *choices[1:]]})]

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Only administrators watch the server."""
        if db_field.name == "scope" and not request.user.is_superuser:
            kwargs["choices"] = [choice for choice in Scope.choices if choice[0] != Scope.METRICS]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        """Everybody's own keys; all of them for administrators."""
        found = super().get_queryset(request)
        return found if request.user.is_superuser else found.filter(owner=request.user.pk)

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [name for name in self.list_filter if request.user.is_superuser or name != "owner"]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("<path:object_id>/revoke/", view, name="api_apikey_revoke"), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["show_save_and_add_another"] = False
        if kwargs.get("add"):
            context["show_save_and_continue"] = False
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if not request.user.is_superuser:
            obj.owner_id = request.user.pk
        if not change:
            obj.draw_secret()
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Not a redirect: the secret lives in this one answer and nowhere else."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("Your new API key"),
            "opts": self.opts,
            "key": obj,
            "list_url": reverse("admin:api_apikey_changelist"),
        }
        response = TemplateResponse(request, "admin/api/apikey/created.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        key = self.get_object(request, unquote(object_id))
        if key is None:
            raise Http404
        if not self.has_change_permission(request, key):
            raise PermissionDenied
        self._revoke(request, [key])
        return HttpResponseRedirect(reverse("admin:api_apikey_change", args=[key.pk]))

    @admin.action(permissions=["change"], description=gettext_lazy("Revoke"))
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        self._revoke(request, list(queryset))

    def _revoke(self, request: HttpRequest, keys: list[ApiKey]) -> None:
        for key in keys:
            if key.revoked_at is None:
                key.revoke()
                self.log_change(request, key, gettext_noop("Revoked."))
            self.message_user(request, _("The key “%s” no longer opens anything.") % key, messages.SUCCESS)

    @admin.display(description=gettext_lazy("ends in"), ordering="hint")
    def ends_in(self, key: ApiKey) -> str:
        return "…" + key.hint

    @admin.display(description=gettext_lazy("state"))
    def state(self, key: ApiKey) -> str:
        return str(key.state.label)


@admin.register(ServerSettings)
class ServerSettingsAdmin(LiveChecks[ServerSettings]):
    readonly_fields = ["host_in_force", "port_in_force"]

    def get_fieldsets(self, request: HttpRequest, obj: ServerSettings | None = None) -> Any:
        host = "host" if settings.BIND_HOST is None else "host_in_force"
        port = "port" if settings.BIND_PORT is None else "port_in_force"
        return [
            (_("Access"), {"fields": ["api_enabled", "access", "public_lists", "cors_origins"]}),
            (_("Limits"), {"fields": ["rate_limit_per_minute", "max_body_bytes", "max_input_characters"]}),
            (_("Queue"), {"fields": ["queue_limit", "queue_deadline_seconds"]}),
            (_("Kept speech"), {"fields": ["speech_cache_megabytes"]}),
            (_("Request log"), {"fields": ["log_requests", "log_keep_rows"]}),
            (_("Listening"), {"fields": [host, port]}),
        ]

    def consequences(self, request: HttpRequest, form: ModelForm[ServerSettings]) -> Mapping[str, str]:
        return consequences(ServerSettings.load(), form.cleaned_data)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ServerSettings | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There is one row, so its page is the list."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(reverse("admin:api_serversettings_change", args=[ServerSettings.load().pk]))

    def response_change(self, request: HttpRequest, obj: ServerSettings) -> HttpResponse:
        self.message_user(request, _("Saved and in force."), messages.SUCCESS)
        return HttpResponseRedirect(request.path)

    @admin.display(description=gettext_lazy("bind host"))
    def host_in_force(self, row: ServerSettings) -> str:
        return _("%(value)s (from %(name)s)") % {"value": settings.BIND_HOST, "name": "NEIROHA_HOST"}

    @admin.display(description=gettext_lazy("port"))
    def port_in_force(self, row: ServerSettings) -> str:
        return _("%(value)s (from %(name)s)") % {"value": settings.BIND_PORT, "name": "NEIROHA_PORT"}


class StatusFilter(admin.SimpleListFilter):
    title = gettext_lazy("status")
    parameter_name = "status_class"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("2", _("Answered (2xx)")), ("4", _("Refused (4xx)")), ("5", _("Failed (5xx)"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RequestLog]) -> QuerySet[RequestLog]:
        hundred = {"2": 200, "4": 400, "5": 500}.get(self.value() or "")
        return queryset if hundred is None else queryset.filter(status__gte=hundred, status__lt=hundred + 100)


@admin.register(RequestLog)
class RequestLogAdmin(ModelAdmin[RequestLog]):
    """Read-only; clearing it needs the right to delete requests."""

    list_display = ["at", "method", "path", "status", "error_code", "key_name", "bank", "character", "total_ms"]
    list_filter = [StatusFilter, ("at", admin.DateFieldListFilter), ("key_name", admin.AllValuesFieldListFilter)]
    # There may be a million rows, and no index would help to find what stands in the middle.
    search_fields = ["=request_id", "^path", "^error_code", "^address", "^character"]
    search_help_text = gettext_lazy("A request id, or how a path, an error, an address or a character's name begins.")
    list_per_page = 50
    show_full_result_count = False
    actions_list = ["clear"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: RequestLog | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: RequestLog | None = None) -> bool:
        return False

    def has_clear_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("api.delete_requestlog")

    @page_action(description=gettext_lazy("Clear the log"), permissions=["clear"], icon="delete_sweep")
    def clear(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            count, _rows = RequestLog.objects.all().delete()
            record(request.user, ServerSettings.load(), Change.CHANGED, gettext_noop("Cleared the request log."))
            self.message_user(request, _("%d requests were removed from the log.") % count, messages.SUCCESS)
            return HttpResponseRedirect(reverse("admin:api_requestlog_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Clear the request log"),
            "opts": self.opts,
            "count": RequestLog.objects.count(),
            "back_url": reverse("admin:api_requestlog_changelist"),
        }
        return TemplateResponse(request, "admin/api/requestlog/clear.html", context)
