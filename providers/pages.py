"""What a provider's page shows and asks of it: health, today's use, Fetch All, its backend's model, log and voices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from providers import adapters
from providers.abilities import abilities
from providers.adapters.base import Adapter, BackendLogs, ModelControl, VoiceRegistry
from providers.catalogue import Fetched, check_health, fetch_all
from providers.engine import Engine, ask_engine
from providers.errors import SpeechError, UpstreamRejected, UpstreamTimeout
from providers.forms import RegisteredVoiceForm
from providers.models import CatalogueModel, CatalogueVoice, HealthReport, Provider, UsageMinute
from providers.row_controls import RowControlsAdmin
from providers.speech import ProviderConfig
from providers.wording import duration

# What somebody in front of a browser waits for a list; loading a model has the provider's own time limit.
PATIENCE = 60.0
LONGEST = 3700.0
LOG_LINES = 300
LOG_CHARACTERS = 200_000

ACTION_LABELS = {
    "load": gettext_lazy("Load the model"),
    "unload": gettext_lazy("Unload the model"),
    "reload": gettext_lazy("Reload the model"),
}

type Outcome = tuple[int, str]
"""A level of django.contrib.messages and the text."""
type Work[R] = Callable[[Engine, ProviderConfig], Awaitable[R]]


def ask[R](provider: Provider, work: Work[R], seconds: float = PATIENCE) -> R:
    """Do `work` on the server's engine. UpstreamTimeout when it takes longer than `seconds`."""
    config = provider.config()

    async def limited(engine: Engine) -> R:
        try:
            async with asyncio.timeout(seconds):
                return await work(engine, config)
        except TimeoutError as error:
            raise UpstreamTimeout(f"{config.name} did not answer within {seconds:g} seconds.") from error

    return ask_engine(limited)


def lacking(adapter: Adapter) -> UpstreamRejected:
    return UpstreamRejected(f"{adapter.label} can't do that.")


# Health.


def health_of(provider: Provider) -> HealthReport | None:
    """What the last check found; nothing before the first one."""
    return getattr(provider, "health", None)


def health_mark(report: HealthReport | None) -> SafeString:
    """A light with its meaning in words."""
    if report is None:
        tone, word = "none", _("Not checked yet")
    elif report.healthy:
        tone, word = "ok", _("Healthy")
    elif report.reachable:
        tone, word = "warn", _("Needs attention")
    else:
        tone, word = "bad", _("Not reachable")
    return format_html('<span class="nr-light nr-light-{}">{}</span>', tone, word)


def health_facts(report: HealthReport) -> list[tuple[str, str]]:
    told = {True: _("Yes"), False: _("No"), None: _("Not told")}
    return [
        (_("Reachable"), told[report.reachable]),
        (_("Key accepted"), told[report.key_accepted]),
        (_("Right kind"), told[report.right_kind]),
        (_("Model loaded"), told[report.model_loaded]),
        (_("Latency"), _("%d ms") % report.latency_ms),
        (_("Checked"), _("%s ago") % checked_ago(report)),
    ]


def checked_ago(report: HealthReport) -> str:
    return duration((timezone.now() - report.checked_at).total_seconds())


def backend_pages(report: HealthReport | None) -> str:
    """The address of the backend's own pages; only a web address may become a link."""
    url = report.admin_url if report else ""
    return url if url.startswith(("http://", "https://")) else ""


# Use and catalogue.


@dataclass(frozen=True, slots=True)
class Use:
    requests: int
    tokens: int


def used_today(provider: Provider) -> Use:
    """Since midnight in the provider's time zone."""
    now = timezone.now().astimezone(ZoneInfo(provider.time_zone))
    midnight = datetime(now.year, now.month, now.day, tzinfo=now.tzinfo)
    minutes = UsageMinute.objects.filter(provider=provider, minute__gte=midnight)
    found = minutes.aggregate(requests=Sum("requests"), tokens=Sum("tokens"))
    return Use(found["requests"] or 0, found["tokens"] or 0)


def of_limit(used: int, limit: int, unit: str) -> str:
    if not limit:
        return _("%(used)s %(unit)s (no limit)") % {"used": f"{used:,}", "unit": unit}
    values = {"used": f"{used:,}", "limit": f"{limit:,}", "unit": unit, "percent": round(100 * used / limit)}
    return _("%(used)s of %(limit)s %(unit)s (%(percent)d %%)") % values


def catalogue_counts(provider: Provider) -> list[dict[str, Any]]:
    """For voices and models: how many are listed and how many vanished, and the page that shows them."""
    counts = []
    for kind, title in ((CatalogueVoice, _("Voices")), (CatalogueModel, _("Models"))):
        entries: Any = kind._default_manager.filter(provider=provider)
        found = entries.aggregate(listed=Count("pk", filter=Q(vanished_at=None)), all=Count("pk"))
        name = f"admin:providers_{kind._meta.model_name}"
        counts.append({
            "title": title,
            "listed": found["listed"],
            "vanished": found["all"] - found["listed"],
            "url": f"{reverse(f'{name}_changelist')}?provider={provider.pk}",
            "add_url": f"{reverse(f'{name}_add')}?provider={provider.pk}",
        })  # fmt: skip
    return counts


# The buttons' work.


async def fetch(engine: Engine, config: ProviderConfig) -> Outcome:
    fetched: Fetched = await fetch_all(config, engine)
    voices = ngettext("%d voice", "%d voices", fetched.voices) % fetched.voices
    models = ngettext("%d model", "%d models", fetched.models) % fetched.models
    if fetched.vanished:
        return messages.WARNING, f"{voices}, {models}; " + _("%d vanished") % fetched.vanished
    return messages.SUCCESS, f"{voices}, {models}"


async def check(engine: Engine, config: ProviderConfig) -> Outcome:
    health = await check_health(config, engine)
    if health.reachable and not health.reason:
        return messages.SUCCESS, _("%s is healthy.") % config.name
    return messages.ERROR, health.reason or _("%s can't be reached.") % config.name


def control(action: str) -> Work[Outcome]:
    async def work(engine: Engine, config: ProviderConfig) -> Outcome:
        adapter = engine.adapter(config)
        if not isinstance(adapter, ModelControl):
            raise lacking(adapter)
        await adapter.act(action)
        await check_health(config, engine)
        return messages.SUCCESS, _("%(name)s: done (%(action)s).") % {"name": config.name, "action": action}

    return work


async def read_log(engine: Engine, config: ProviderConfig) -> str:
    adapter = engine.adapter(config)
    if not isinstance(adapter, BackendLogs):
        raise lacking(adapter)
    return (await adapter.logs(LOG_LINES))[:LOG_CHARACTERS]


def registry(engine: Engine, config: ProviderConfig) -> VoiceRegistry:
    adapter = engine.adapter(config)
    if not isinstance(adapter, VoiceRegistry):
        raise lacking(adapter)
    return adapter


async def list_registered(engine: Engine, config: ProviderConfig) -> list[dict[str, object]]:
    return await registry(engine, config).registered_voices()


def register(voice_id: str, profile: dict[str, object]) -> Work[Outcome]:
    async def work(engine: Engine, config: ProviderConfig) -> Outcome:
        await registry(engine, config).register_voice(voice_id, profile)
        return messages.SUCCESS, _("Voice “%s” is registered.") % voice_id

    return work


def unregister(voice_id: str) -> Work[Outcome]:
    async def work(engine: Engine, config: ProviderConfig) -> Outcome:
        await registry(engine, config).delete_voice(voice_id)
        return messages.SUCCESS, _("Voice “%s” is deleted.") % voice_id

    return work


def shown_voice(profile: dict[str, object]) -> dict[str, Any]:
    """A registered voice for the page: what every backend has in the row, all that is set below it."""
    identity = str(profile.get("id") or profile.get("voice_id") or "")
    name = str(profile.get("display_name") or profile.get("name") or identity)
    set_fields = sorted((key, str(value)) for key, value in profile.items() if value not in (None, "", [], {}))
    return {
        "id": identity,
        "name": name,
        "language": str(profile.get("language") or profile.get("text_lang") or ""),
        "mode": str(profile.get("mode") or ""),
        "fields": set_fields,
    }


class BackendPagesAdmin(RowControlsAdmin[Provider]):
    """The buttons and pages around a provider. All of them ask for the right to change it."""

    change_form_outer_before_template = "admin/providers/provider/panel.html"

    def get_urls(self) -> list[URLPattern]:
        views = [
            ("fetch", self.fetch_view),
            ("check", self.check_view),
            ("model", self.model_view),
            ("log", self.log_view),
            ("voices", self.voices_view),
            ("voices/delete", self.delete_voice_view),
        ]
        return [
            path(
                f"<path:object_id>/{end}/",
                self.admin_site.admin_view(view),
                name=f"providers_provider_{end.replace('/', '_')}",
            )
            for end, view in views
        ] + super().get_urls()

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        provider: Provider | None = context.get("original")
        if provider is not None:
            context |= self._panel(request, provider)
        return super().render_change_form(request, context, *args, **kwargs)

    def _panel(self, request: HttpRequest, provider: Provider) -> dict[str, Any]:
        report = health_of(provider)
        may_press = self.has_change_permission(request, provider)
        adapter = provider.adapter_class if provider.kind in adapters.kinds() else None
        actions = adapter.actions if adapter and issubclass(adapter, ModelControl) else ()
        return {
            "report": report,
            "mark": health_mark(report),
            "facts": health_facts(report) if report else [],
            "outdated": report is not None and provider.updated_at > report.checked_at,
            "backend_url": backend_pages(report),
            "catalogue": catalogue_counts(provider),
            "abilities": abilities(adapter, provider.piece_characters) if adapter else [],
            "may_press": may_press,
            "actions": [(action, ACTION_LABELS.get(action, action)) for action in actions] if may_press else [],
            "has_log": may_press and adapter is not None and issubclass(adapter, BackendLogs),
            "has_registry": may_press and adapter is not None and issubclass(adapter, VoiceRegistry),
        }

    def fetch_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._press(request, object_id, fetch, note=_("Fetched voices and models."))

    def check_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._press(request, object_id, check)

    def model_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        action = request.POST.get("action", "")
        if request.method == "POST":
            adapter = self._changeable(request, object_id).adapter_class
            if not issubclass(adapter, ModelControl) or action not in adapter.actions:
                raise Http404
        # The provider's own time limit is the one that counts.
        return self._press(request, object_id, control(action), seconds=LONGEST, note=action)

    def log_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        provider = self._able(request, object_id, BackendLogs)
        text, problem = "", ""
        try:
            text = ask(provider, read_log)
        except SpeechError as error:
            problem = error.message
        context = {"text": text, "problem": problem, "lines": LOG_LINES}
        return self._page(request, provider, "log", _("Log of %s") % provider, context)

    def voices_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        provider = self._able(request, object_id, VoiceRegistry)
        form = RegisteredVoiceForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            work = register(form.cleaned_data["voice_id"], form.profile())
            note = _("Registered a voice on the backend.")
            if self._told(request, provider, work, note=note):
                return HttpResponseRedirect(request.path)
        voices, problem = list[dict[str, Any]](), ""
        try:
            voices = [shown_voice(profile) for profile in ask(provider, list_registered)]
        except SpeechError as error:
            problem = error.message
        context = {"form": form, "voices": voices, "problem": problem}
        return self._page(request, provider, "voices", _("Voices registered on %s") % provider, context)

    def delete_voice_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        provider = self._able(request, object_id, VoiceRegistry)
        work = unregister(request.POST.get("voice_id", ""))
        self._told(request, provider, work, note=_("Deleted a voice on the backend."))
        return HttpResponseRedirect(reverse("admin:providers_provider_voices", args=[provider.pk]))

    def _press(
        self,
        request: HttpRequest,
        object_id: str,
        work: Work[Outcome],
        *,
        note: str = "",
        seconds: float = PATIENCE,
    ) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        provider = self._changeable(request, object_id)
        self._told(request, provider, work, note=note, seconds=seconds)
        onward = request.POST.get("next", "")
        if not url_has_allowed_host_and_scheme(onward, allowed_hosts=None):
            onward = reverse("admin:providers_provider_change", args=[provider.pk])
        return HttpResponseRedirect(onward)

    def _told(
        self,
        request: HttpRequest,
        provider: Provider,
        work: Work[Outcome],
        *,
        note: str = "",
        seconds: float = PATIENCE,
    ) -> bool:
        """Do the work and say in a message what came of it; a success is noted in the history. False for a failure."""
        try:
            level, text = ask(provider, work, seconds)
        except SpeechError as error:
            self.message_user(request, error.message, messages.ERROR)
            return False
        self.message_user(request, text, level)
        if note:
            self.log_change(request, provider, note)
        return True

    def _changeable(self, request: HttpRequest, object_id: str) -> Provider:
        provider = self._found(request, object_id)
        if not self.has_change_permission(request, provider):
            raise PermissionDenied
        return provider

    def _able(self, request: HttpRequest, object_id: str, ability: type[Any]) -> Provider:
        """The provider, if its kind has the ability; else there is no such page."""
        provider = self._changeable(request, object_id)
        if not issubclass(provider.adapter_class, ability):
            raise Http404
        return provider

    def _page(
        self, request: HttpRequest, provider: Provider, name: str, title: str, context: dict[str, Any]
    ) -> TemplateResponse:
        common = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "original": provider}
        back = {"back_url": reverse("admin:providers_provider_change", args=[provider.pk])}
        return TemplateResponse(request, f"admin/providers/provider/{name}.html", {**common, **back, **context})
