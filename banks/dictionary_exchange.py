"""The page on which the pronunciation dictionary leaves as a CSV file and comes in from one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.decorators.http import require_GET, require_http_methods
from unfold.widgets import UnfoldAdminSelectWidget

from banks.dictionary import Pronunciation
from banks.dictionary_files import COLUMNS, CSV_BYTES, Brought, bring_in, read_csv, write_csv
from banks.models import Bank
from banks.uploads import FileUploadField
from providers.admin_base import ModelAdmin, page_action
from providers.audit import Change, record

IMPORTED = gettext_noop("Pronunciation rules imported from a file.")


class ScopeForm(forms.Form):
    bank = forms.ModelChoiceField(
        label=gettext_lazy("Rules of"),
        queryset=Bank.objects.present(),
        required=False,
        empty_label=gettext_lazy("Everybody: those of no single bank"),
        widget=UnfoldAdminSelectWidget,
    )


class DictionaryFileForm(ScopeForm):
    file = FileUploadField(
        limit=CSV_BYTES,
        accept=".csv,text/csv",
        label=gettext_lazy("CSV file"),
        help_text=gettext_lazy("In UTF-8, with the columns “written” and “spoken”, at most 4 MB."),
    )

    field_order = ["file", "bank"]

    def clean_file(self) -> list[Pronunciation]:
        return read_csv(self.cleaned_data["file"].read())


class DictionaryExchangeAdmin(ModelAdmin[Pronunciation]):
    actions_list = ["files_action"]

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        files, export = require_http_methods(["GET", "HEAD", "POST"])(self.files_view), require_GET(self.export_view)
        return [
            path("files/", guard(files), name="banks_pronunciation_files"),
            path("export/", guard(export), name="banks_pronunciation_export"),
            *super().get_urls(),
        ]

    @page_action(description=gettext_lazy("Import or export"), url_path="import-or-export", icon="swap_vert")
    def files_action(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:banks_pronunciation_files"))

    def has_import_permission(self, request: HttpRequest) -> bool:
        """A file adds rules and changes others."""
        return self.has_add_permission(request) and self.has_change_permission(request)

    def files_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        form = DictionaryFileForm(auto_id="import_%s")
        if request.method == "POST":
            if not self.has_import_permission(request):
                raise PermissionDenied
            form = DictionaryFileForm(request.POST, request.FILES, auto_id="import_%s")
            if form.is_valid() and self._import(request, form):
                return HttpResponseRedirect(reverse("admin:banks_pronunciation_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Import or export the dictionary"),
            "opts": self.opts,
            "form": form,
            "scope_form": ScopeForm(),
            "columns": ", ".join(COLUMNS),
            "may_import": self.has_import_permission(request),
        }
        return TemplateResponse(request, "admin/banks/pronunciation/files.html", context)

    def _import(self, request: HttpRequest, form: DictionaryFileForm) -> bool:
        bank: Bank | None = form.cleaned_data["bank"]
        try:
            with transaction.atomic():
                brought = bring_in(form.cleaned_data["file"], bank)
                record(request.user, bank, Change.CHANGED, IMPORTED)
        except ValidationError as error:
            form.add_error("file", error)
            return False
        self.message_user(request, _told(brought), messages.SUCCESS)
        return True

    def export_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        form = ScopeForm(request.GET)
        if not form.is_valid():
            return HttpResponseRedirect(reverse("admin:banks_pronunciation_files"))
        bank: Bank | None = form.cleaned_data["bank"]
        rows = Pronunciation.objects.filter(bank=bank)
        response = HttpResponse(write_csv(rows), content_type="text/csv; charset=utf-8")
        name = f"pronunciation-{slugify(bank.name, allow_unicode=True) or 'bank'}.csv" if bank else "pronunciation.csv"
        response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
        response["Cache-Control"] = "no-store"
        return response


def _told(brought: Brought) -> str:
    text = _("Rules added: %(added)d, changed: %(changed)d, as they were: %(same)d.")
    values: dict[str, Any] = {"added": brought.added, "changed": brought.changed, "same": brought.same}
    return text % values
