"""The frame of the admin pages: sidebar, icon, our style and script."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _


def stylesheet(request: HttpRequest) -> str:
    return static("neiroha/admin.css")


def script(request: HttpRequest) -> str:
    return static("neiroha/admin.js")


def favicon(request: HttpRequest) -> str:
    return static("neiroha/favicon.svg")


def may_see(request: HttpRequest, app: str, model: str) -> bool:
    return any(request.user.has_perm(f"{app}.{right}_{model}") for right in ("view", "change"))


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    groups: list[tuple[str, list[tuple[str, ...]]]] = [
        (_("Studio"), [
            (_("Quick TTS"), "play_circle", "studio", "take", "studio:quick", "add"),
            (_("Takes"), "playlist_play", "studio", "take", "studio:takes"),
            (_("Projects"), "theaters", "studio", "project", "studio:projects"),
            (_("Studio settings"), "tune", "studio", "studiosettings"),
        ]),
        (_("Voices"), [
            (_("Banks"), "library_music", "banks", "bank"),
            (_("Characters"), "record_voice_over", "banks", "character"),
            (_("Reference audio"), "mic", "banks", "referenceaudio"),
            (_("Pronunciation"), "spellcheck", "banks", "pronunciation"),
        ]),
        (_("Connections"), [
            (_("Providers"), "hub", "providers", "provider"),
            (_("Chat model"), "chat", "providers", "chatmodel"),
            (_("Queue"), "low_priority", "providers", "provider", "admin:queue"),
            (_("Troubleshooting"), "troubleshoot", "providers", "provider", "admin:troubleshooting"),
        ]),
        (_("API"), [
            (_("Keys"), "key", "api", "apikey"),
            (_("Request log"), "receipt_long", "api", "requestlog"),
            (_("Server settings"), "tune", "api", "serversettings"),
            (_("REST API"), "code", "api", "apikey", "native-docs"),
        ]),
        (_("People"), [
            (_("Users"), "person", "auth", "user"),
            (_("Groups"), "group", "auth", "group"),
            (_("Audit trail"), "policy", "providers", "auditentry"),
        ] if request.user.is_superuser else []),
    ]  # fmt: skip
    # A provider's catalogue has addresses of its own.
    in_catalogue = request.path.startswith(reverse("admin:app_list", args=["providers"]) + "catalogue")
    home = {"title": _("Dashboard"), "icon": "dashboard", "link": reverse("admin:index")}
    shown = [(title, [_entry(*item) for item in items if _may_open(request, item)]) for title, items in groups]
    for _title, items in shown:
        for item in items:
            if in_catalogue and item["link"] == reverse("admin:providers_provider_changelist"):
                item["active"] = True
            if item["link"] == reverse("studio:quick"):
                # The other pages of the studio have addresses below it.
                item["active"] = request.path == item["link"]
    own = {"title": _("Preferences"), "icon": "manage_accounts", "link": reverse("admin:preferences")}
    return [
        {"items": [home]},
        *({"title": title, "separator": True, "items": items} for title, items in shown if items),
        {"separator": True, "items": [own]},
    ]


def account_links(request: HttpRequest) -> list[dict[str, str]]:
    """The menu at the person's name."""
    return [
        {"title": _("Preferences"), "link": reverse("admin:preferences")},
        {"title": _("Change password"), "link": reverse("admin:password_change")},
    ]


def _may_open(request: HttpRequest, item: tuple[str, ...]) -> bool:
    """By the right that the entry names at its end, else as who may see or change its rows."""
    app, model, right = item[2], item[3], item[5:]
    return request.user.has_perm(f"{app}.{right[0]}_{model}") if right else may_see(request, app, model)


def _entry(title: str, icon: str, app: str, model: str, page: str = "", right: str = "") -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse(page or f"admin:{app}_{model}_changelist")}
