"""What is done with banks beside editing one: the switch, their order, and banks as files."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import content_disposition_header, url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from banks.arrange import order_banks, shift_bank
from banks.export_bank import export_bank
from banks.models import Bank
from providers.admin_base import ArchivableAdmin

SWITCHED = {True: gettext_noop("Switched on."), False: gettext_noop("Switched off.")}
EXPORT_RIGHTS = ("bank", "character", "referenceaudio")


class BankPagesAdmin(ArchivableAdmin[Bank]):
    change_form_outer_before_template = "admin/banks/bank/panel.html"

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        return [
            path("order/", guard(self.order_view), name="banks_bank_order"),
            path("<path:object_id>/switch/", guard(self.switch_view), name="banks_bank_switch"),
            path("<path:object_id>/shift/", guard(self.shift_view), name="banks_bank_shift"),
            path("<path:object_id>/export/", guard(self.export_view), name="banks_bank_export"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["may_export"] = context.get("original") is not None and may_export(request)
        return super().render_change_form(request, context, *args, **kwargs)

    # The list. Its buttons are part of the list's own form, which brings the CSRF token.

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        may_change = self.has_change_permission(request)
        shown = list(super().get_list_display(request))
        if may_change and "o" not in request.GET and request.GET.get("archived") != "yes":
            shown.insert(0, "order_buttons")
        return ["active" if name == "active_switch" and not may_change else name for name in shown]

    @admin.display(description=gettext_lazy("active"), ordering="active")
    def active_switch(self, bank: Bank) -> SafeString | str:
        if bank.archived_at is not None:
            return _("Archived")
        return format_html(
            '<button class="nr-switch" type="submit" role="switch" aria-checked="{}" aria-label="{}"'
            ' name="active" value="{}" formaction="{}">{}</button>',
            "true" if bank.active else "false",
            _("%s is active") % bank,
            "off" if bank.active else "on",
            reverse("admin:banks_bank_switch", args=[bank.pk]),
            _("On") if bank.active else _("Off"),
        )

    @admin.display(description=gettext_lazy("order"))
    def order_buttons(self, bank: Bank) -> SafeString:
        shift = reverse("admin:banks_bank_shift", args=[bank.pk])
        step = '<button class="nr-step" type="submit" name="by" value="{}" formaction="{}" aria-label="{}">{}</button>'
        return format_html(
            '<span class="nr-order" data-nr-order="{}" data-nr-order-url="{}">'
            '<span class="nr-handle material-symbols-outlined" title="{}" aria-hidden="true" hidden>'
            "drag_indicator</span>"
            "{}{}</span>",
            bank.pk,
            reverse("admin:banks_bank_order"),
            _("Drag to change the order"),
            format_html(step, -1, shift, _("Move %s up") % bank, "↑"),
            format_html(step, 1, shift, _("Move %s down") % bank, "↓"),
        )

    def switch_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        bank = self._posted(request, object_id)
        if isinstance(bank, HttpResponse):
            return bank
        bank.active = request.POST.get("active") == "on"
        bank.save(update_fields=["active", "updated_at"])
        self.log_change(request, bank, SWITCHED[bank.active])
        text = _("“%s” is active: a model of the API.") if bank.active else _("“%s” is no model of the API any more.")
        self.message_user(request, text % bank, messages.SUCCESS)
        return self._back(request)

    def shift_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        bank = self._posted(request, object_id)
        if isinstance(bank, HttpResponse):
            return bank
        shift_bank(bank, -1 if request.POST.get("by") == "-1" else 1)
        return self._back(request)

    def order_view(self, request: HttpRequest) -> HttpResponse:
        """For the page's script: the list as it stands there, after a row was dragged."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request):
            raise PermissionDenied
        order_banks([int(pk) for pk in request.POST.getlist("pk")[:1000] if pk.isdecimal() and len(pk) < 19])
        return HttpResponse(status=204)

    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        bank = self._found(request, object_id)
        if not may_export(request):
            raise PermissionDenied
        try:
            packed = export_bank(bank)
        except ValidationError as error:
            self.message_user(
                request, _("“%s” was not exported.") % bank + " " + " ".join(error.messages), messages.ERROR
            )
            return HttpResponseRedirect(reverse("admin:banks_bank_change", args=[bank.pk]))
        name = f"{slugify(bank.name, allow_unicode=True) or 'bank'}.neiroha.zip"
        response = HttpResponse(packed, content_type="application/zip")
        response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
        response["Cache-Control"] = "no-store"
        return response

    def _posted(self, request: HttpRequest, object_id: str) -> Bank | HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        bank = self._found(request, object_id)
        if not self.has_change_permission(request, bank):
            raise PermissionDenied
        return bank

    def _back(self, request: HttpRequest) -> HttpResponse:
        """To the list as it was filtered."""
        before = request.headers.get("referer", "")
        if url_has_allowed_host_and_scheme(before, {request.get_host()}, require_https=request.is_secure()):
            return HttpResponseRedirect(before)
        return HttpResponseRedirect(self._list_url(request))


def may_export(request: HttpRequest) -> bool:
    """The file holds all of a bank, so one has to be allowed to see all of it."""
    return all(
        any(request.user.has_perm(f"banks.{right}_{model}") for right in ("view", "change")) for model in EXPORT_RIGHTS
    )
