"""What is put right when a server starts, and cleared away from time to time."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from django.utils import timezone

from banks.models import Character, ReferenceAudio
from banks.storage import private_storage
from studio import files, import_drafts, uploads
from studio.desktop import waiting
from studio.models import (
    OPEN,
    Export,
    Footage,
    Project,
    StudioSettings,
    SuggestionRun,
    Take,
    TakeState,
    Upload,
    leases,
)

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 3600.0
UNFINISHED_KEPT = timedelta(days=1)
BATCH = 200
# All that name files.
_FILES: tuple[tuple[Any, str], ...] = (
    (Take, "file"),
    (Export, "file"),
    (Footage, "file"),
    (ReferenceAudio, "file"),
    (Character, "avatar"),
    (Project, "cover"),
)


def recover() -> None:
    """What a server left that is gone: takes in the middle are queued again, files that were being written go. Only
    before anything is claimed or written."""
    if interrupted := Take.objects.put_back():
        logger.warning("%d takes were interrupted when the server stopped, and are queued again.", interrupted)
    Export.objects.put_back()
    SuggestionRun.objects.put_back()
    private_storage().remove_unfinished(timedelta(0))


def put_back_lapsed() -> None:
    """The same where several processes share the work: what one of them left that is gone is queued again once its
    lease has lapsed."""
    if interrupted := leases.lapsed(Take.objects.all()).put_back():
        logger.warning("%d takes were left by a process that is gone, and are queued again.", interrupted)
    leases.lapsed(Export.objects.all()).put_back()
    leases.lapsed(SuggestionRun.objects.all()).put_back()


def any_waiting() -> bool:
    rows = (Take.objects.all(), Export.objects.all(), SuggestionRun.objects.all())
    return any(some.filter(state=TakeState.QUEUED).exists() for some in rows)


def sweep() -> None:
    """Discard what is past its days, and remove files that nothing names."""
    days = StudioSettings.load().retention_days
    expired = Take.objects.expired(days)
    while batch := list(expired.values_list("pk", flat=True)[:BATCH]):
        Take.objects.filter(pk__in=batch).delete()
    if days:
        old = Export.objects.filter(created_at__lt=timezone.now() - timedelta(days=days)).exclude(state__in=OPEN)
        old.delete()
    files.remove_orphans(_known)
    private_storage().remove_unfinished(UNFINISHED_KEPT)
    import_drafts.sweep()
    waiting.sweep()
    uploads.sweep()


def _known(names: list[str]) -> set[str]:
    """Which of these names of files something has."""
    tokens = [PurePath(name).name for name in names if name.startswith(f"{files.UPLOADS}/")]
    coming = Upload.objects.filter(pk__in=tokens).values_list("pk", flat=True)
    return {f"{files.UPLOADS}/{token}" for token in coming} | {
        name or ""
        for rows, field in _FILES
        for name in rows.objects.filter(**{f"{field}__in": names}).values_list(field, flat=True)
    }
