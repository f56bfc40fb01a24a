"""The import of a bank in the browser: a file, then a provider for each one that is not here."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from banks.bank_pages import BankPagesAdmin
from banks.bundle import Bundle
from banks.bundle_forms import BundleForm, ProvidersForm
from banks.bundle_zip import opened_bundle
from banks.import_bank import Chosen, NotImported, import_bank, same_providers
from banks.storage import private_storage
from providers.admin_base import page_action

IMPORT_RIGHTS = ("bank", "character", "membership", "referenceaudio")
# A file waits in this folder while somebody chooses providers; their session holds its name.
FOLDER, SESSION_KEY = "imports", "bank_import"
KEPT = timedelta(days=1)


class BankImportAdmin(BankPagesAdmin):
    actions_list = ["import_action"]

    def get_urls(self) -> list[URLPattern]:
        return [
            path("import/", self.admin_site.admin_view(self.import_view), name="banks_bank_import"),
            *super().get_urls(),
        ]

    def has_import_permission(self, request: HttpRequest) -> bool:
        return all(request.user.has_perm(f"banks.add_{model}") for model in IMPORT_RIGHTS)

    @page_action(description=gettext_lazy("Import a bank"), permissions=["import"], icon="upload_file")
    def import_action(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:banks_bank_import"))

    def import_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_import_permission(request):
            raise PermissionDenied
        if request.method == "POST" and "forget" in request.POST:
            _forget(request)
            return HttpResponseRedirect(request.path)
        if request.method == "POST" and request.FILES:
            return self._take(request)
        waiting = _waiting(request)
        if waiting is None:
            return self._page(request, BundleForm(request.POST or None))
        return self._match(request, waiting)

    def _take(self, request: HttpRequest) -> HttpResponse:
        """An upload. With all its providers here it is imported at once, else it waits for a choice."""
        _forget(request)
        form = BundleForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._page(request, form)
        upload: UploadedFile[bytes] = form.cleaned_data["file"]
        try:
            with opened_bundle(upload) as opened:
                bundle = opened.bundle
            if bundle.pronunciations and not request.user.has_perm("banks.add_pronunciation"):
                raise ValidationError(_("It holds pronunciation rules, and you lack the right to add those."))
            found = same_providers(bundle)
            if set(found) == set(bundle.providers):
                return self._import(request, upload, found, active=form.cleaned_data["active"])
        except ValidationError as error:
            form.add_error("file", error.messages)
            return self._page(request, form)
        name = private_storage().save(f"{FOLDER}/{secrets.token_hex(16)}.zip", upload)
        request.session[SESSION_KEY] = {"name": name, "active": form.cleaned_data["active"]}
        return HttpResponseRedirect(request.path)

    def _match(self, request: HttpRequest, waiting: dict[str, Any]) -> HttpResponse:
        with private_storage().open(waiting["name"]) as file:
            with opened_bundle(file) as opened:
                bundle = opened.bundle
            form = ProvidersForm(bundle, same_providers(bundle), request.POST or None)
            # A provider may have been added or renamed meanwhile: then nothing is left to choose.
            if request.method == "POST" and form.is_valid():
                try:
                    response = self._import(request, file, form.chosen(), active=waiting["active"])
                except NotImported as error:
                    form.refuse(error.messages, error.provider)
                except ValidationError as error:
                    form.add_error(None, error.messages)
                else:
                    _forget(request)
                    return response
        return self._page(request, form, bundle)

    def _import(self, request: HttpRequest, file: Any, chosen: Chosen, *, active: bool) -> HttpResponse:
        bank = import_bank(file, chosen, active=active)
        count = bank.memberships.count()
        self.log_addition(request, bank, gettext_noop("Imported from a file."))
        text = ngettext(
            "“%(bank)s” is here, with %(count)d character.", "“%(bank)s” is here, with %(count)d characters.", count
        )
        if not active:
            text += " " + _("Switch it on when it is ready.")
        self.message_user(request, text % {"bank": bank, "count": count}, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:banks_bank_change", args=[bank.pk]))

    def _page(self, request: HttpRequest, form: Any, bundle: Bundle | None = None) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Import a bank"),
            "opts": self.opts,
            "form": form,
            "bundle": bundle,
            "back_url": self._list_url(request),
            "may_add_provider": request.user.has_perm("providers.add_provider"),
        }
        return TemplateResponse(request, "admin/banks/bank/import.html", context)


def _waiting(request: HttpRequest) -> dict[str, Any] | None:
    waiting: dict[str, Any] | None = request.session.get(SESSION_KEY)
    if waiting is None or not private_storage().exists(waiting["name"]):
        return None
    return waiting


def _forget(request: HttpRequest) -> None:
    """The session's file, and what others left behind long ago."""
    storage, waiting = private_storage(), request.session.pop(SESSION_KEY, None)
    if waiting is not None:
        storage.delete(waiting["name"])
    storage.remove_older(FOLDER, KEPT)
