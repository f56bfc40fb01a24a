"""What is done with banks beside editing one: banks as files."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _

from banks.export_bank import export_bank
from banks.models import Bank
from providers.row_controls import RowControlsAdmin

EXPORT_RIGHTS = ("bank", "character", "referenceaudio")


class BankPagesAdmin(RowControlsAdmin[Bank]):
    switch_field = "active"
    change_form_outer_before_template = "admin/banks/bank/panel.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        return [path("<path:object_id>/export/", view, name="banks_bank_export"), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        bank: Bank | None = context.get("original")
        context["may_export"] = bank is not None and may_export(request, bank)
        return super().render_change_form(request, context, *args, **kwargs)

    def switched_text(self, row: Bank, *, on: bool) -> str:
        return (_("“%s” is active: a model of the API.") if on else _("“%s” is no model of the API any more.")) % row

    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        bank = self._found(request, object_id)
        if not may_export(request, bank):
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


def may_export(request: HttpRequest, bank: Bank) -> bool:
    """The file holds all of a bank, so one has to be allowed to see all of it."""
    if not all(_may_see(request, model) for model in EXPORT_RIGHTS):
        return False
    return _may_see(request, "pronunciation") or not bank.pronunciations.exists()


def _may_see(request: HttpRequest, model: str) -> bool:
    return any(request.user.has_perm(f"banks.{right}_{model}") for right in ("view", "change"))
