from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from banks.character_pages import BankFilter, CharacterPagesAdmin
from banks.dictionary_pages import PronunciationAdmin
from banks.forms import (
    BankForm,
    BankMembershipFormSet,
    CharacterForm,
    MembershipForm,
    for_kinds,
    option_prefix,
    selectable_providers,
    suggestions,
)
from banks.import_pages import BankImportAdmin
from banks.library import ReferenceAudioAdmin, player
from banks.models import Bank, Character, Membership
from providers import adapters
from providers.admin import ProviderFilter
from providers.admin_base import ArchivedFilter, TabularInline
from providers.live_checks import LiveChecks
from providers.models import Provider

__all__ = ["BankAdmin", "CharacterAdmin", "PronunciationAdmin", "ReferenceAudioAdmin"]


class CharactersInline(TabularInline[Membership, Bank]):
    model = Membership
    form = MembershipForm
    formset = BankMembershipFormSet
    fields = ["character", "position"]
    extra = 0
    ordering_field = "position"
    verbose_name = gettext_lazy("character")
    verbose_name_plural = gettext_lazy("characters, in the order of the API's lists")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("character")


class BanksInline(TabularInline[Membership, Character]):
    model = Membership
    form = MembershipForm
    fields = ["bank", "position"]
    extra = 0
    verbose_name = gettext_lazy("bank")
    verbose_name_plural = gettext_lazy("banks")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("bank")


@admin.register(Bank)
class BankAdmin(BankImportAdmin):
    form = BankForm
    list_display = ["name", "switch", "public", "member_count", "default_character"]
    list_display_links = ["name"]
    list_filter = [ArchivedFilter, "active", "public"]
    list_before_template = "admin/banks/intro.html"
    intro = gettext_lazy(
        "A bank is a set of characters. An active one is a model of the API: programs find its characters as voices."
        " Make one, or import one that somebody exported."
    )
    list_select_related = ["default_character"]
    search_fields = ["name", "description"]
    inlines = [CharactersInline]
    fields = ["name", "description", "active", "public", "cache_speech", "position", "default_character"]

    class Media:
        css = {"all": ["neiroha/banks.css", "neiroha/lists.css"]}
        js = ["neiroha/order.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bank]:
        present = Count("memberships", filter=Q(memberships__character__archived_at=None))
        return super().get_queryset(request).annotate(members_now=present)

    def get_readonly_fields(self, request: HttpRequest, obj: Bank | None = None) -> list[str]:
        """Whoever may not change the members may not choose among them either."""
        return [] if request.user.has_perm("banks.change_membership") else ["default_character"]

    @admin.display(description=gettext_lazy("characters"), ordering="members_now")
    def member_count(self, bank: Bank) -> SafeString:
        url = f"{reverse('admin:banks_character_changelist')}?bank={bank.pk}"
        return format_html('<a class="nr-link" href="{}">{}</a>', url, int(getattr(bank, "members_now", 0)))


@admin.register(Character)
class CharacterAdmin(LiveChecks[Character], CharacterPagesAdmin):
    form = CharacterForm
    list_display = ["thumbnail", "name", "enabled", "provider", "task_mode", "bank_names"]
    list_display_links = ["name"]
    list_before_template = "admin/banks/intro.html"
    intro = gettext_lazy(
        "A character is a voice with a name: a provider, and how it speaks through it."
        " Make one, then put it into a bank."
    )
    list_filter = [ArchivedFilter, BankFilter, "enabled", "task_mode", ProviderFilter]
    search_fields = ["name", "description", "voice", "aliases"]
    readonly_fields = ["thumbnail", "reference_player"]
    list_per_page = 50
    inlines = [BanksInline]

    class Media:
        css = {"all": ["neiroha/banks.css", "neiroha/lists.css"]}
        js = ["neiroha/character.js", "neiroha/listen.js"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.suggestions_view)
        return [path("suggestions/", view, name="banks_character_suggestions"), *super().get_urls()]

    def suggestions_view(self, request: HttpRequest) -> JsonResponse:
        """For the form's script: what the chosen provider offers."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        chosen = request.GET.get("provider", "")
        if not chosen.isdecimal():
            raise Http404
        provider = get_object_or_404(Provider.objects.defer("api_key"), pk=int(chosen))
        may_look = any(request.user.has_perm(f"providers.{right}_provider") for right in ("view", "change"))
        return JsonResponse(suggestions(provider, request.GET.get("q", "")[:200], linked=may_look))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Character]:
        found = super().get_queryset(request).select_related("provider", "reference")
        return found.defer("provider__api_key", "reference__waveform").prefetch_related("memberships__bank")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        chosen = request.GET.get("provider", "")
        if not chosen.isdecimal() or not selectable_providers(None).filter(pk=chosen).exists():
            return self._choose_provider(request)
        return super().add_view(request, form_url, extra_context)

    def get_form(self, request: HttpRequest, obj: Character | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: type[ModelForm[Character]] = super().get_form(request, obj, change, **{**kwargs, "form": for_kinds()})
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Character | None = None) -> Any:
        picture, options = (["thumbnail"] if obj and obj.avatar else []), []
        heard = ["reference_player"] if obj and obj.reference_id else []
        if obj is None or self.has_change_permission(request, obj):
            heard = []  # the page's script plays whichever is chosen
            picture += ["avatar_upload"] + (["remove_avatar"] if obj and obj.avatar else [])
            options = _option_names()
        voice = [
            "provider",
            "task_mode",
            "model",
            "voice",
            "reference",
            *heard,
            "prompt_text",
            "prompt_language",
            "language",
        ]
        return [
            (None, {"fields": ["name", "description", "enabled", "aliases", *picture]}),
            (_("Voice"), {"fields": [*voice, "instruction", "speed", "fallback", *options]}),
        ]

    def _choose_provider(self, request: HttpRequest) -> TemplateResponse:
        cards = []
        for provider in selectable_providers(None):
            shown = {"title": provider.name, "text": provider.adapter_class.label}
            warning = provider.adapter_class.unavailable()
            cards.append({"url": f"?provider={provider.pk}", "warning": warning, **shown})
        may_add = request.user.has_perm("providers.add_provider")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Which provider speaks for the character?"),
            "opts": self.opts,
            "cards": cards,
            "empty_text": _("There is no provider yet that could speak. Add one first."),
            "empty_action": _("Add a provider"),
            "empty_url": reverse("admin:providers_provider_add") if may_add else "",
        }
        return TemplateResponse(request, "admin/choose.html", context)

    @admin.display(description=gettext_lazy("avatar"))
    def thumbnail(self, character: Character) -> SafeString:
        if not character.avatar:
            return format_html('<span class="nr-avatar" aria-hidden="true">{}</span>', character.name[:1].upper())
        return format_html('<img class="nr-avatar" src="{}" alt="">', avatar_url(character))

    @admin.display(description=gettext_lazy("listen to it"))
    def reference_player(self, character: Character) -> SafeString:
        return player(character.reference) if character.reference else SafeString("")

    @admin.display(description=gettext_lazy("banks"))
    def bank_names(self, character: Character) -> str:
        return ", ".join(place.bank.name for place in character.memberships.all() if place.bank.archived_at is None)


def avatar_url(character: Character) -> str:
    """Changes with the picture, so that browsers may keep it."""
    return reverse("avatar", args=[character.pk]) + "?v=" + str(character.avatar.name)[-12:-5]


def _option_names() -> list[str]:
    return [
        option_prefix(kind) + option.name
        for kind in adapters.kinds()
        for option in adapters.adapter_class(kind).capabilities.character_options
    ]
