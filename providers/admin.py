from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Length
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from providers import adapters
from providers.admin_base import ArchivedFilter, ModelAdmin
from providers.chat_admin import ChatModelAdmin as ChatModelAdmin
from providers.forms import OPTION_PREFIX, CatalogueVoiceForm, for_kind
from providers.key_form import stored_key_length
from providers.live_checks import LiveChecks
from providers.models import CatalogueEntry, CatalogueModel, CatalogueVoice, Provider
from providers.pages import BackendPagesAdmin, catalogue_counts, health_mark, health_of, of_limit, used_today
from providers.speech import TaskMode

LIMITS: list[Any] = [
    ("max_concurrency", "timeout_seconds"),
    "piece_characters",
    ("requests_per_minute", "tokens_per_minute"),
    ("requests_per_day", "tokens_per_day"),
    "time_zone",
]


@admin.register(Provider)
class ProviderAdmin(LiveChecks[Provider], BackendPagesAdmin):
    list_display = [
        "name",
        "switch",
        "kind_label",
        "health_state",
        "availability",
        "character_count",
        "max_concurrency",
    ]
    list_select_related = ["health"]
    list_filter = [ArchivedFilter, "enabled"]
    search_fields = ["name", "base_url"]
    readonly_fields = ["kind_label", "key_state", "used_today"]
    switch_field = "enabled"

    class Media:
        css = {"all": ["neiroha/lists.css"]}
        js = ["neiroha/order.js"]

    def may_switch(self, row: Provider) -> bool:
        return row.kind in adapters.kinds() and super().may_switch(row)

    def switched_text(self, row: Provider, *, on: bool) -> str:
        if on:
            return _("“%s” is switched on.") % row
        return _("“%s” is switched off: no character speaks through it until it is switched on.") % row

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        """Without the key itself, so that a page can neither show it nor fail on one that can't be decrypted."""
        present = Count("characters", filter=Q(characters__archived_at=None))
        keyless = super().get_queryset(request).defer("api_key")
        return keyless.annotate(key_length=Length("api_key"), characters_now=present)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.GET.get("kind", "") not in adapters.kinds():
            return self._choose_kind(request)
        return super().add_view(request, form_url, extra_context)

    def has_change_permission(self, request: HttpRequest, obj: Provider | None = None) -> bool:
        registered = obj is None or obj.kind in adapters.kinds()
        return registered and super().has_change_permission(request, obj)

    def may_check(self, request: HttpRequest, row: Provider | None) -> bool:
        chosen = row is not None or request.GET.get("kind", "") in adapters.kinds()
        return chosen and super().may_check(request, row)

    def get_form(self, request: HttpRequest, obj: Provider | None = None, change: bool = False, **kwargs: Any) -> Any:
        kind = obj.kind if obj else request.GET["kind"]
        if kind in adapters.kinds():
            kwargs["form"] = for_kind(kind)
        form: type[ModelForm[Provider]] = super().get_form(request, obj, change, **kwargs)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Provider | None = None) -> Any:
        if obj and not self.has_change_permission(request, obj):
            connection = ["kind_label", "name", "base_url", "key_state", "enabled"]
            return [(None, {"fields": connection}), (_("Limits"), {"fields": ["used_today", *LIMITS]})]
        capabilities = adapters.adapter_class(obj.kind if obj else request.GET["kind"]).capabilities
        at_address = ["base_url"] if capabilities.needs_base_url else []
        # A server at an address may ask for a key even where its kind does not.
        key = ["key"] if capabilities.needs_key or capabilities.needs_base_url else []
        if key and stored_key_length(obj):
            key = ["key_state", "key", "remove_key"]
        options = [OPTION_PREFIX + option.name for option in capabilities.provider_options]
        return [
            (None, {"fields": ["kind_label", "name", *at_address, *key, "enabled"]}),
            *([(_("Options"), {"fields": options})] if options else []),
            (_("Limits"), {"fields": [*(["used_today"] if obj else []), *LIMITS]}),
        ]

    def _choose_kind(self, request: HttpRequest) -> TemplateResponse:
        cards = []
        for kind in adapters.kinds():
            adapter = adapters.adapter_class(kind)
            cards.append({"url": f"?kind={kind}", "title": adapter.label, "warning": adapter.unavailable()})
        context = {
            **self.admin_site.each_context(request),
            "title": _("Which kind of provider?"),
            "opts": self.opts,
            "cards": cards,
        }
        return TemplateResponse(request, "admin/choose.html", context)

    @admin.display(description=gettext_lazy("kind"), ordering="kind")
    def kind_label(self, provider: Provider) -> str:
        return provider.adapter_class.label if provider.kind in adapters.kinds() else provider.kind

    @admin.display(description=gettext_lazy("stored key"))
    def key_state(self, provider: Provider) -> str:
        return _("A key is stored.") if stored_key_length(provider) else _("No key is stored.")

    @admin.display(description=gettext_lazy("on this machine"))
    def availability(self, provider: Provider) -> str:
        if provider.kind not in adapters.kinds():
            return _("This kind is not part of this version.")
        return provider.adapter_class.unavailable() or _("Ready")

    @admin.display(description=gettext_lazy("health"), ordering="health__reachable")
    def health_state(self, provider: Provider) -> SafeString:
        return health_mark(health_of(provider))

    @admin.display(description=gettext_lazy("used today"))
    def used_today(self, provider: Provider) -> str:
        used = used_today(provider)
        requests = of_limit(used.requests, provider.requests_per_day, _("requests"))
        tokens = of_limit(used.tokens, provider.tokens_per_day, _("tokens"))
        return _("%(requests)s, %(tokens)s, since midnight (%(zone)s)") % {
            "requests": requests,
            "tokens": tokens,
            "zone": provider.time_zone,
        }

    @admin.display(description=gettext_lazy("characters"), ordering="characters_now")
    def character_count(self, provider: Provider) -> int:
        return int(getattr(provider, "characters_now", 0))


class ProviderFilter(admin.SimpleListFilter):
    title = gettext_lazy("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Provider.objects.present().values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value() or ""
        # By way of the table: a number beyond the column's range finds nothing there, instead of failing.
        return queryset.filter(provider__in=Provider.objects.filter(pk=chosen)) if chosen.isdecimal() else queryset


class OriginFilter(admin.SimpleListFilter):
    """Where an entry comes from: listed by the provider, listed once, or entered here."""

    title = gettext_lazy("origin")
    parameter_name = "origin"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("listed", _("Listed")), ("vanished", _("Vanished")), ("hand", _("By hand"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        conditions = {
            "listed": Q(by_hand=False, vanished_at=None),
            "vanished": Q(vanished_at__isnull=False),
            "hand": Q(by_hand=True),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


class CatalogueAdmin[E: CatalogueEntry](ModelAdmin[E]):
    """What providers offer. What they list is read-only; what was entered by hand, or vanished, can go.

    Whoever may see or change providers may do so with their catalogue.
    """

    list_before_template = "admin/providers/catalogue_head.html"
    list_per_page = 100
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[E]:
        return super().get_queryset(request).select_related("provider").defer("provider__api_key")

    def has_view_permission(self, request: HttpRequest, obj: E | None = None) -> bool:
        return request.user.has_perm("providers.view_provider") or self._may_change(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may_change(request)

    def has_change_permission(self, request: HttpRequest, obj: E | None = None) -> bool:
        return self._may_change(request) and (obj is None or obj.by_hand)

    def has_delete_permission(self, request: HttpRequest, obj: E | None = None) -> bool:
        return self._may_change(request) and (obj is None or obj.by_hand or obj.vanished_at is not None)

    def _may_change(self, request: HttpRequest) -> bool:
        return request.user.has_perm("providers.change_provider")

    def get_readonly_fields(self, request: HttpRequest, obj: E | None = None) -> list[str]:
        return ["provider"] if obj else []

    def get_list_display(self, request: HttpRequest) -> Any:
        return [*self.list_display, *([] if request.GET.get("provider") else ["provider"])]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs["queryset"] = Provider.objects.present().defer("api_key")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: E, form: Any, change: bool) -> None:
        obj.by_hand = True
        super().save_model(request, obj, form, change)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        chosen = request.GET.get("provider", "")
        provider = None
        if chosen.isdecimal():
            provider = Provider.objects.defer("api_key").filter(pk=chosen).first()
        extra = {"provider": provider, "catalogue": catalogue_counts(provider) if provider else []}
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    @admin.display(description=gettext_lazy("origin"), ordering="by_hand")
    def origin(self, entry: E) -> SafeString:
        if entry.vanished_at is not None:
            return format_html('<span class="nr-tag nr-tag-warn">{}</span>', _("Vanished"))
        return format_html('<span class="nr-tag">{}</span>', _("By hand") if entry.by_hand else _("Listed"))


def may_listen(user: Any) -> bool:
    """It spends of the provider's limits, so it is for those who work with voices."""
    return any(user.has_perm(right) for right in ("providers.change_provider", "banks.add_character"))


@admin.register(CatalogueVoice)
class CatalogueVoiceAdmin(CatalogueAdmin[CatalogueVoice]):
    form = CatalogueVoiceForm
    list_before_template = "admin/providers/voices_head.html"
    list_display = ["external_id", "name", "origin", "language", "gender", "style_names", "model", "task_mode"]
    list_filter = [ProviderFilter, OriginFilter, "task_mode"]
    search_fields = ["external_id", "name", "language", "description", "styles", "model"]
    fields = ["provider", "external_id", "name", "language", "gender", "description", "styles", "model", "task_mode"]
    list_display_links = ["external_id"]

    class Media:
        css = {"all": ["neiroha/lists.css"]}
        js = ["neiroha/listen.js"]

    def get_list_display(self, request: HttpRequest) -> Any:
        return [*(["listen"] if may_listen(request.user) else []), *super().get_list_display(request)]

    @admin.display(description=gettext_lazy("listen"))
    def listen(self, voice: CatalogueVoice) -> SafeString:
        """Works by script alone. Voices that need a recording or a description can't be heard like this."""
        if voice.task_mode not in ("", TaskMode.PRESET):
            return SafeString("")
        return format_html(
            '<button class="nr-listen" type="button" hidden data-nr-listen="{}" data-nr-state="idle" data-nr-name="{}"'
            ' data-nr-play="{}" data-nr-stop="{}" aria-label="{}" title="{}">'
            '<span class="material-symbols-outlined" aria-hidden="true">play_arrow</span></button>'
            '<span class="nr-listen-reason nr-error" role="alert" hidden></span>',
            reverse("listen", args=[voice.pk]),
            voice,
            _("Listen to %s") % voice,
            _("Stop %s") % voice,
            _("Listen to %s") % voice,
            _("Listen to %s") % voice,
        )

    @admin.display(description=gettext_lazy("styles"))
    def style_names(self, voice: CatalogueVoice) -> str:
        return ", ".join(map(str, voice.styles))


@admin.register(CatalogueModel)
class CatalogueModelAdmin(CatalogueAdmin[CatalogueModel]):
    list_display = ["external_id", "name", "origin"]
    list_filter = [ProviderFilter, OriginFilter]
    search_fields = ["external_id", "name"]
    fields = ["provider", "external_id", "name"]
