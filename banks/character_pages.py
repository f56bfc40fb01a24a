"""What is done with characters beside editing one: a second one like it, and places in other banks."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from banks.arrange import copy_into, duplicate, move, share
from banks.models import Bank, Character, Membership
from banks.place_form import COPY, MOVE, SHARE, PlaceForm
from providers.admin import may_listen
from providers.admin_base import ArchivableAdmin

NOTES = {
    SHARE: gettext_noop("Joined a bank."),
    COPY: gettext_noop("Copied into a bank."),
    MOVE: gettext_noop("Moved to a bank."),
}


class BankFilter(admin.SimpleListFilter):
    title = gettext_lazy("bank")
    parameter_name = "bank"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        banks = Bank.objects.present().values_list("pk", "name")
        return [*((str(pk), name) for pk, name in banks), ("none", _("In no bank"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value() or ""
        if chosen == "none":
            return queryset.exclude(pk__in=Membership.objects.filter(bank__archived_at=None).values("character"))
        # By way of the table: a number beyond the column's range finds nothing there, instead of failing.
        return queryset.filter(banks__in=Bank.objects.filter(pk=chosen)) if chosen.isdecimal() else queryset


class CharacterPagesAdmin(ArchivableAdmin[Character]):
    actions = ["place_in_bank", "delete_selected"]
    change_form_outer_before_template = "admin/banks/character/panel.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.duplicate_view)
        return [path("<path:object_id>/duplicate/", view, name="banks_character_duplicate"), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        character: Character | None = context.get("original")
        present = character is not None and character.archived_at is None
        context["may_listen"] = may_listen(request.user)
        context["may_duplicate"] = present and self._may_duplicate(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def duplicate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        original = self._found(request, object_id)
        if not self._may_duplicate(request) or original.archived_at is not None:
            raise PermissionDenied
        made = duplicate(original)
        self.log_addition(request, made, gettext_noop("Duplicated from another character."))
        text = _("“%s” is like the other one and in the same banks. Aliases stay with the other one.")
        self.message_user(request, text % made, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:banks_character_change", args=[made.pk]))

    def _may_duplicate(self, request: HttpRequest) -> bool:
        """The copy joins banks, so the right to that is needed, too."""
        may_see = self.has_view_or_change_permission(request)
        return may_see and self.has_add_permission(request) and request.user.has_perm("banks.add_membership")

    # Into banks.

    def has_place_permission(self, request: HttpRequest) -> bool:
        return bool(self._ways(request))

    def _ways(self, request: HttpRequest) -> list[str]:
        if not request.user.has_perm("banks.add_membership"):
            return []
        may_copy = self.has_add_permission(request)
        may_move = request.user.has_perm("banks.delete_membership")
        return [SHARE, *([COPY] if may_copy else []), *([MOVE] if may_move else [])]

    @admin.action(permissions=["place"], description=gettext_lazy("Copy or move to a bank"))
    def place_in_bank(self, request: HttpRequest, queryset: QuerySet[Character]) -> HttpResponse | None:
        chosen = queryset.filter(archived_at=None)
        sent = request.POST if request.POST.get("post") else None
        form = PlaceForm(self._ways(request), chosen, sent)
        if sent is not None and form.is_valid():
            self._place(request, list(chosen), form)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": _("Copy or move to a bank"),
            "opts": self.opts,
            "characters": chosen,
            "form": form,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "back_url": self._list_url(request),
        }
        return TemplateResponse(request, "admin/banks/character/place.html", context)

    def _place(self, request: HttpRequest, characters: list[Character], form: PlaceForm) -> None:
        bank: Bank = form.cleaned_data["bank"]
        way = form.cleaned_data["way"]
        if way == MOVE:
            count = move(characters, bank, form.cleaned_data["source"])
        else:
            count = (copy_into if way == COPY else share)(characters, bank)
        for character in characters:
            self.log_change(request, character, NOTES[way])
        text = ngettext(
            "%(count)d character came into “%(bank)s”.", "%(count)d characters came into “%(bank)s”.", count
        )
        level = messages.SUCCESS if count else messages.WARNING
        self.message_user(request, text % {"count": count, "bank": bank}, level)
