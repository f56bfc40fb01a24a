"""Telling what is wrong with a form while it is being filled in: by the very form that saving uses, saving nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.urls import URLPattern, path, reverse

from providers.admin_base import ModelAdmin


class LiveChecks[M: Model](ModelAdmin[M]):
    """Stands before the other bases of an admin to switch it on. The page's script sends the fields without files, and
    passwords as stars; without the script, saving tells the same."""

    change_form_before_template = "admin/live_check.html"

    class Media:
        js = ["neiroha/live_check.js"]

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view(self.live_check_view), self._live_check_name
        return [
            path("add/live-check/", view, name=f"{name}_add"),
            path("<path:object_id>/change/live-check/", view, name=name),
            *super().get_urls(),
        ]

    @property
    def _live_check_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_live_check"

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row: M | None = context.get("original")
        if self.may_check(request, row):
            here = f"admin:{self._live_check_name}"
            context["check_url"] = reverse(here, args=[row.pk]) if row else reverse(f"{here}_add")
        return super().render_change_form(request, context, *args, **kwargs)

    def may_check(self, request: HttpRequest, row: M | None) -> bool:
        """Whether this person may save the form, which is for a new row where there is none."""
        return self.has_change_permission(request, row) if row else self.has_add_permission(request)

    def consequences(self, request: HttpRequest, form: ModelForm[M]) -> Mapping[str, str]:
        """What saving would lead to, by field: nothing that is wrong, but worth knowing before."""
        return {}

    def live_check_view(self, request: HttpRequest, object_id: str = "") -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self.get_object(request, unquote(object_id)) if object_id else None
        if object_id and row is None:
            raise Http404
        if not self.may_check(request, row):
            raise PermissionDenied
        form = self.get_form(request, row, change=row is not None)(request.POST, instance=row)
        errors = {name: [str(text) for text in texts] for name, texts in form.errors.items()}
        notes = {name: text for name, text in self.consequences(request, form).items() if text and name not in errors}
        return JsonResponse({"errors": errors, "notes": notes})
