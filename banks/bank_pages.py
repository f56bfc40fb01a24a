"""What is done with banks beside editing one: banks as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_POST

from banks.export_bank import export_bank
from banks.models import Bank, CacheUse
from banks.speech_store import SpeechStore
from providers.audit import Change, record
from providers.row_controls import RowControlsAdmin

CLEARED = gettext_noop("Kept speech cleared.")
EXPORT_RIGHTS = ("bank", "character", "referenceaudio")


class BankPagesAdmin(RowControlsAdmin[Bank]):
    switch_field = "active"
    change_form_outer_before_template = "admin/banks/bank/panel.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        clear = self.admin_site.admin_view(require_POST(self.clear_speech_view))
        return [
            path("<path:object_id>/export/", view, name="banks_bank_export"),
            path("<path:object_id>/clear-speech/", clear, name="banks_bank_clear_speech"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        bank: Bank | None = context.get("original")
        context["may_export"] = bank is not None and may_export(request, bank)
        if bank is not None and bank.cache_speech:
            context["kept_speech"] = kept_speech(bank)
            context["may_clear_speech"] = self.has_change_permission(request, bank)
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

    def clear_speech_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        bank = self._found(request, object_id)
        if not self.has_change_permission(request, bank):
            raise PermissionDenied
        SpeechStore().forget(bank.pk)
        CacheUse.objects.filter(bank=bank).delete()
        record(request.user, bank, Change.CHANGED, CLEARED)
        self.message_user(request, _("The kept speech of “%s” is cleared.") % bank, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:banks_bank_change", args=[bank.pk]))


@dataclass(frozen=True, slots=True)
class KeptSpeech:
    """What a bank's page shows of the speech that it keeps."""

    files: int
    bytes: int
    hits: int
    asked: int


def kept_speech(bank: Bank) -> KeptSpeech:
    usage, use = SpeechStore().usage(bank.pk), CacheUse.objects.filter(bank=bank).first() or CacheUse()
    return KeptSpeech(usage.files, usage.bytes, use.hits, use.hits + use.misses)


def may_export(request: HttpRequest, bank: Bank) -> bool:
    """The file holds all of a bank, so one has to be allowed to see all of it."""
    if not all(_may_see(request, model) for model in EXPORT_RIGHTS):
        return False
    return _may_see(request, "pronunciation") or not bank.pronunciations.exists()


def _may_see(request: HttpRequest, model: str) -> bool:
    return any(request.user.has_perm(f"banks.{right}_{model}") for right in ("view", "change"))
