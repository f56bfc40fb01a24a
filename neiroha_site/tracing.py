"""Whether and where traces go: as the settings say."""

from __future__ import annotations

from django.conf import settings

from providers import tracing


def start_tracing(process: str) -> None:
    """Begin to export traces, where they are on; `process` is what this one does."""
    if settings.OTEL:
        tracing.start(process, settings.VERSION, settings.OTEL_PROPAGATE_TO)
