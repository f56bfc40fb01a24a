"""The pronunciation dictionary's pages: its rules, and what they make of a sentence."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from banks.dictionary import Pronunciation, rules_for
from banks.dictionary_exchange import DictionaryExchangeAdmin
from banks.models import Bank
from banks.pieces import speakable
from banks.pronunciation import PronunciationError, Rules
from providers.admin_base import page_action
from providers.audit import Change, record
from providers.row_controls import SWITCHED
from providers.versions import bump

LONGEST_TRIAL = 500


class TryForm(forms.Form):
    """A sentence to try rules with; it stands in the address, so that it can be shared."""

    text = forms.CharField(
        label=gettext_lazy("Sentence"),
        required=False,
        max_length=LONGEST_TRIAL,
        widget=UnfoldAdminTextareaWidget({"rows": 3, "dir": "auto"}),
    )
    language = forms.CharField(
        label=gettext_lazy("Language"),
        required=False,
        max_length=35,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Of the voice that speaks, such as en; empty: not known."),
    )

    def tried(self, rules: Rules) -> dict[str, Any]:
        """For banks/try.html: the sentence in parts, each with the rule that put it there; or what went wrong."""
        if not self.is_valid() or not self.cleaned_data["text"].strip():
            return {}
        text, language = self.cleaned_data["text"], self.cleaned_data["language"]
        try:
            spoken = rules.traced(text, language)
        except PronunciationError as error:
            return {"error": error.message}
        used = list(dict.fromkeys(mark.rule for mark in spoken.marks))
        return {"parts": list(spoken.parts()), "used": used, "silent": not speakable(spoken.text)}


class BankTryForm(TryForm):
    bank = forms.ModelChoiceField(
        label=gettext_lazy("Bank"),
        queryset=Bank.objects.present(),
        required=False,
        empty_label=gettext_lazy("Every bank"),
        widget=UnfoldAdminSelectWidget,
    )


@admin.register(Pronunciation)
class PronunciationAdmin(DictionaryExchangeAdmin):
    list_display = ["written", "spoken", "is_pattern", "language", "scope", "enabled"]
    list_filter = ["enabled", "is_pattern", ("bank", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["bank"]
    list_before_template = "admin/banks/intro.html"
    intro = gettext_lazy(
        "The dictionary says how words are spoken that voices would say wrong, such as names."
        " It holds for the API, too."
    )
    search_fields = ["written", "spoken"]
    fields = ["written", "spoken", "is_pattern", "match_case", "language", "bank", "enabled"]
    actions = ["switch_on", "switch_off"]
    actions_list = ["try_it", "files_action"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_GET(self.try_view))
        return [path("try/", view, name="banks_pronunciation_try"), *super().get_urls()]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "bank" and field is not None:
            # An archived bank's rules keep it.
            chosen = Pronunciation.objects.filter(pk=_number(request)).values("bank")
            field.queryset = Bank.objects.filter(Q(archived_at=None) | Q(pk__in=chosen))
            field.empty_label = _("Every bank")
        return field

    @page_action(description=gettext_lazy("Try it"), url_path="try-it")
    def try_it(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:banks_pronunciation_try"))

    @admin.action(permissions=["change"], description=gettext_lazy("Switch on"))
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Pronunciation]) -> None:
        self._switch(request, queryset, on=True)

    @admin.action(permissions=["change"], description=gettext_lazy("Switch off"))
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Pronunciation]) -> None:
        self._switch(request, queryset, on=False)

    @transaction.atomic
    def _switch(self, request: HttpRequest, queryset: QuerySet[Pronunciation], *, on: bool) -> None:
        rows = list(queryset.exclude(enabled=on))
        Pronunciation.objects.filter(pk__in=[row.pk for row in rows]).update(enabled=on)
        bump()
        for row in rows:
            record(request.user, row, Change.CHANGED, SWITCHED[on])
        text = _("Rules switched on: %d.") if on else _("Rules switched off: %d.")
        self.message_user(request, text % len(rows), messages.SUCCESS)

    def try_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        form = BankTryForm(request.GET)
        bank: Bank | None = form.cleaned_data.get("bank") if form.is_valid() else None
        context = {
            **self.admin_site.each_context(request),
            "title": _("Try the dictionary"),
            "opts": self.opts,
            "form": form,
            "action": reverse("admin:banks_pronunciation_try"),
            **form.tried(rules_for(bank.pk if bank else None)),
        }
        return TemplateResponse(request, "admin/banks/pronunciation/try.html", context)

    @admin.display(description=gettext_lazy("for"), ordering="bank")
    def scope(self, row: Pronunciation) -> str:
        return str(row.bank) if row.bank else _("every bank")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pronunciation]:
        return super().get_queryset(request).select_related("bank")


def _number(request: HttpRequest) -> int:
    """Of the row whose page it is; 0 for a new one."""
    told = request.resolver_match.kwargs.get("object_id", "") if request.resolver_match else ""
    return int(told) if told.isascii() and told.isdecimal() and len(told) < 19 else 0
