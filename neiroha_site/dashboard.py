"""The first page: where the API is, who speaks, what is missing."""

from __future__ import annotations

import json
import shlex
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.translation import gettext as _

from api.exposure import is_loopback
from api.models import Access, ServerSettings
from banks.admin import avatar_url
from banks.models import Bank, Character, Membership
from neiroha_site.figures import (
    DAYS,
    LITTLE_DISK_BYTES,
    LOG_HOURS,
    Answered,
    Day,
    answered_by_provider,
    free_disk_bytes,
    spoken_by_day,
    takes_by_state,
)
from neiroha_site.navigation import may_see
from providers import adapters
from providers.engine import Engine, ask_engine
from providers.models import Provider
from providers.pages import health_mark, health_of
from providers.queue import QueueSnapshot
from providers.wording import duration


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    banks = active_banks() if may_see(request, "banks", "bank") else []
    may_see_providers = may_see(request, "providers", "provider")
    providers = _providers() if may_see_providers else []
    server = ServerSettings.load()
    address = api_address(request)
    return {
        **context,
        "title": _("Dashboard"),
        "api_address": address,
        "curl": curl(address, server, banks),
        "server": server,
        "banks": banks,
        "providers": providers,
        "steps": _next_steps(request, server),
        "warnings": _warnings(providers),
        "queue": _queue_now() if may_see_providers else None,
        "chart": _chart(spoken_by_day()) if may_see_providers else None,
        "answered": [_shown(row) for row in answered_by_provider()] if may_see(request, "api", "requestlog") else [],
        "log_hours": LOG_HOURS,
        "takes": _takes(request.user) if request.user.has_perm("studio.view_take") else None,
    }


def _warnings(providers: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What goes wrong now, or soon will."""
    warnings = []
    for entry in providers:
        report = entry["health"]
        if entry["provider"].enabled and report is not None and not report.healthy:
            text = _("“%(name)s” fails: %(reason)s") % {
                "name": entry["provider"].name,
                "reason": report.reason or _("it can't be reached."),
            }
            warnings.append({"text": text, "action": _("Look"), "url": entry["url"]})
    free = free_disk_bytes()
    if free < LITTLE_DISK_BYTES:
        text = _("The disk is nearly full: %s are free. Speech can't be kept once it is.") % filesizeformat(free)
        warnings.append({"text": text, "action": "", "url": ""})
    return warnings


def _queue_now() -> dict[str, Any]:
    async def look(engine: Engine) -> QueueSnapshot:
        return await engine.queue.snapshot()

    snapshot = ask_engine(look)
    return {
        "running": len(snapshot.running),
        "waiting": len(snapshot.waiting),
        "resting": [resting.provider.name for resting in snapshot.resting],
    }


def _chart(days: list[Day]) -> dict[str, Any]:
    """Bars of the characters of text a day, in an image of 10 units a day and 100 units of height."""
    most = max(days, key=lambda day: day.characters)
    scale = 100 / most.characters if most.characters else 0
    bars = [
        {
            "x": 10 * number + 1,
            "y": 100 - round(day.characters * scale, 1),
            "height": round(day.characters * scale, 1),
            "day": day,
        }
        for number, day in enumerate(days)
    ]
    total = {"characters": sum(day.characters for day in days), "requests": sum(day.requests for day in days)}
    return {"bars": bars, "width": 10 * len(days), "most": most, "today": days[-1], "first": days[0], "total": total}


def _takes(user: Any) -> dict[str, Any]:
    """Each count with the archive's page that lists what it counts."""
    archive = reverse("studio:takes")
    rows = [
        {
            "name": row.name,
            "today": row.today,
            "lately": row.lately,
            "today_url": f"{archive}?state={row.state}&days=1",
            "lately_url": f"{archive}?state={row.state}&days={DAYS}",
        }
        for row in takes_by_state(user)
    ]
    return {"rows": rows, "days": DAYS, "any": any(row["lately"] for row in rows)}


def _shown(row: Answered) -> dict[str, Any]:
    return {
        "provider": row.provider or _("No provider"),
        "answered": row.answered,
        "refused": row.refused,
        "failed": row.failed,
        "first_byte": "" if row.first_byte is None else duration(row.first_byte),
        "real_time_factor": row.real_time_factor,
    }


def api_address(request: HttpRequest) -> str:
    return (settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")) + "/v1"


def active_banks() -> list[dict[str, Any]]:
    places = Membership.objects.filter(bank__active=True, bank__archived_at=None)
    speaking = places.filter(character__enabled=True, character__archived_at=None).filter(
        character__provider__enabled=True, character__provider__archived_at=None
    )
    members: dict[int, list[dict[str, str]]] = {}
    shown = speaking.select_related("character").only("bank_id", "character__name", "character__avatar")
    for place in shown.order_by("position", "pk"):
        members.setdefault(place.bank_id, []).append(_member(place.character))
    return [
        {"bank": bank, "url": reverse("admin:banks_bank_change", args=[bank.pk]), "members": members.get(bank.pk, [])}
        for bank in Bank.objects.present().filter(active=True)
    ]


def _member(character: Character) -> dict[str, str]:
    return {
        "name": character.name,
        "url": reverse("admin:banks_character_change", args=[character.pk]),
        "avatar": avatar_url(character) if character.avatar else "",
    }


def _providers() -> list[dict[str, Any]]:
    shown = []
    for provider in Provider.objects.present().select_related("health").defer("api_key"):
        registered = provider.kind in adapters.kinds()
        adapter = provider.adapter_class if registered else None
        shown.append({
            "provider": provider,
            "kind": adapter.label if adapter else provider.kind,
            "url": reverse("admin:providers_provider_change", args=[provider.pk]),
            "problem": adapter.unavailable() if adapter else _("This kind is not part of this version."),
            "health": health_of(provider),
            "mark": health_mark(health_of(provider)),
        })  # fmt: skip
    return shown


def curl(address: str, server: ServerSettings, banks: list[dict[str, Any]]) -> str:
    """A command that speaks at once, pasted into a POSIX shell."""
    speaking = next((entry for entry in banks if entry["members"]), None)
    model = speaking["bank"].name if speaking else "tts-1"
    voice = speaking["members"][0]["name"] if speaking else "alloy"
    body = json.dumps({"model": model, "voice": voice, "input": "Hello from Neiroha."}, ensure_ascii=False)
    key = ['-H "Authorization: Bearer $NEIROHA_KEY"'] if server.access == Access.KEYS else []
    kind = "-H 'Content-Type: application/json'"
    parts = [f"curl {shlex.quote(address + '/audio/speech')}", *key, kind, f"-d {shlex.quote(body)}", "-o hello.mp3"]
    return " \\\n  ".join(parts)


def _next_steps(request: HttpRequest, server: ServerSettings) -> list[dict[str, str]]:
    """What is missing before a program can speak, and what is worth knowing; each with the page that helps."""
    steps = []
    if not server.api_enabled:
        text = _("The API is switched off, so every request is refused.")
        steps.append(_step(text, _("Open the settings"), "api", "serversettings"))
    if not Provider.objects.present().filter(enabled=True).exists():
        text = _("No provider is switched on yet: add one that makes the sound.")
        steps.append(_step(text, _("Add a provider"), "providers", "provider", "add"))
    elif not Character.objects.present().filter(enabled=True).exists():
        text = _("No character is there yet: give a voice a name.")
        steps.append(_step(text, _("Add a character"), "banks", "character", "add"))
    if not Bank.objects.present().filter(active=True).exists():
        text = _("No bank is active yet: programs find characters through banks.")
        steps.append(_step(text, _("Add a bank"), "banks", "bank", "add"))
    if server.access == Access.OPEN:
        steps.append(_open_notice(server))
    return [step for step in steps if request.user.has_perm(step.pop("right"))]


def _open_notice(server: ServerSettings) -> dict[str, str]:
    alone = is_loopback(settings.BIND_HOST or server.host) and not settings.TRUSTED_PROXIES
    who = _("programs on this machine") if alone else _("everyone who reaches this server")
    text = _("The API is open to %s. The first key that you make closes it to all others.") % who
    return _step(text, _("Make a key"), "api", "apikey", "add")


def _step(text: str, action: str, app: str, model: str, page: str = "changelist") -> dict[str, str]:
    right = "add" if page == "add" else "change"
    url = reverse(f"admin:{app}_{model}_{page}")
    return {"text": text, "action": action, "url": url, "right": f"{app}.{right}_{model}"}
