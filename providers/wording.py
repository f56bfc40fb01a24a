"""Figures and reasons in the words of pages."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from providers.queue import Reason

# What a request in the queue waits for, where that is more than its turn.
PAUSES = {
    Reason.REQUESTS: gettext_lazy("requests per minute"),
    Reason.TOKENS: gettext_lazy("tokens per minute"),
    Reason.DAY: gettext_lazy("the day's budget is spent"),
    Reason.REST: gettext_lazy("the provider is left alone after failures, or as it asked"),
}


def duration(seconds: float) -> str:
    """Rounded to what matters, such as 0.4 s, 12 s, 5 min or 3 h."""
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return _("%.1f s") % seconds
    if seconds < 99.5:
        return _("%d s") % round(seconds)
    if seconds < 99.5 * 60:
        return _("%d min") % round(seconds / 60)
    return _("%d h") % round(seconds / 3600)
