"""Asking for a project's exports, which the exporter makes."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from providers.errors import InvalidRequest
from studio import runner
from studio.export_options import ExportOptions, Material
from studio.file_names import safe_name
from studio.files import quota_spent
from studio.freshness import refresh
from studio.models import MEGABYTE, Export, ExportQuerySet, Project, StudioSettings
from studio.models.takes import bytes_used

# What may wait or be made at once for one project.
MOST_OPEN = 5


def ask(project: Project, owner: Any, options: ExportOptions, *, incomplete: bool = False) -> Export:
    """Queue an export. ValidationError where nothing can be heard, something is left out and it must not be
    `incomplete`, a line at which it begins or ends is not the project's, or there is no room."""
    refresh(project)
    try:
        material = Material.of(options.within(project.lines.all()))
    except InvalidRequest as error:
        raise ValidationError(error.message) from error
    require_material(material, options, incomplete=incomplete)
    with transaction.atomic():
        require_room(project, owner)
        made = Export.objects.create(project=project, owner=owner, options_json=options.as_json())
        transaction.on_commit(runner.wake)
    return made


def require_material(material: Material, options: ExportOptions, *, incomplete: bool) -> None:
    heard = material.heard(only_done=options.only_done)
    if not heard:
        text = _("No line has audio that is current: generate some first.")
        raise ValidationError(text if options.only_done else _("No line has audio yet: generate some first."))
    if (left := material.total - heard) and not incomplete:
        text = ngettext(
            "%d line would be left out: generate it first, or say that the export may be incomplete.",
            "%d lines would be left out: generate them first, or say that the export may be incomplete.",
            left,
        )
        raise ValidationError({"incomplete": text % left})


def require_room(project: Project, owner: Any) -> None:
    if project.exports.open().count() >= MOST_OPEN:
        text = _("%d exports of this project are not made yet: wait for them, or cancel some.")
        raise ValidationError(text % MOST_OPEN)
    quota = StudioSettings.load().quota_mb
    if quota and bytes_used(owner.pk) >= quota * MEGABYTE:
        raise ValidationError(quota_spent(quota).message)


def cancel(exports: ExportQuerySet) -> int:
    """End what is open; whoever makes one of them finds that it is no longer running."""
    count = exports.cancel()
    runner.wake()
    return count


def file_name(export: Export) -> str:
    """For whoever downloads it."""
    return f"{safe_name(export.project.name, 'export')}.{ExportOptions.read(export.options_json).format}"
