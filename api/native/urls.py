from __future__ import annotations

from typing import Any

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from api.native import (
    banks,
    catalogue,
    characters,
    docs,
    exports,
    keys,
    lines,
    projects,
    pronunciations,
    providers,
    queue,
    references,
    settings,
    takes,
    views,
)

router = SimpleRouter()
router.trailing_slash = "/?"  # a slash at the end makes no difference
VIEWSETS: dict[str, Any] = {
    "providers": providers.ProviderViewSet,
    "voices": catalogue.VoiceViewSet,
    "models": catalogue.ModelViewSet,
    "banks": banks.BankViewSet,
    "characters": characters.CharacterViewSet,
    "memberships": banks.MembershipViewSet,
    "pronunciations": pronunciations.PronunciationViewSet,
    "references": references.ReferenceViewSet,
    "keys": keys.KeyViewSet,
}
STUDIO: dict[str, Any] = {
    "projects": projects.ProjectViewSet,
    "lines": lines.LineViewSet,
    "exports": exports.ExportViewSet,
    "takes": takes.TakeViewSet,
}
for name, viewset in (VIEWSETS | STUDIO).items():
    router.register(name, viewset, basename=f"native-{name}")

urlpatterns = [
    *router.urls,
    re_path(r"^kinds/?$", providers.KindsView.as_view(), name="native-kinds"),
    re_path(r"^settings/?$", settings.SettingsView.as_view(), name="native-settings"),
    re_path(r"^queue/?$", queue.QueueView.as_view(), name="native-queue"),
    re_path(r"^queue/cancel/?$", queue.CancelView.as_view(), name="native-queue-cancel"),
    re_path(r"^queue/(?P<pk>[0-9]{1,19})/?$", queue.TicketView.as_view(), name="native-queue-ticket"),
    re_path(r"^schema/?$", docs.SchemaView.as_view(), name="native-schema"),
    re_path(r"^docs/?$", docs.docs_page, name="native-docs"),
    re_path(r"", views.UnknownPathView.as_view()),
]
