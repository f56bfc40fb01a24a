"""Asking for a project's exports, which the exporter makes."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from providers.errors import InvalidRequest
from studio import runner
from studio.export_options import FORMATS, ExportOptions, Material, What
from studio.file_names import safe_name
from studio.files import QuotaSpent, quota_spent, video_quota_spent
from studio.freshness import refresh
from studio.kinds import kind
from studio.models import (
    MEGABYTE,
    Export,
    ExportQuerySet,
    Footage,
    Project,
    StudioSettings,
    video_bytes_used,
)
from studio.models.takes import bytes_used

# What may wait or be made at once for one project.
MOST_OPEN = 5


def ask(project: Project, owner: Any, options: ExportOptions, *, incomplete: bool = False) -> Export:
    """Queue an export. ValidationError where nothing can be heard, something is left out and it must not be
    `incomplete`, a line at which it begins or ends is not the project's, or there is no room."""
    refresh(project)
    require_format(project, options)
    try:
        material = material_of(project, options)
    except InvalidRequest as error:
        raise ValidationError(error.message) from error
    require_material(material, options, incomplete=incomplete)
    with transaction.atomic():
        require_room(project, owner, options.what)
        made = Export.objects.create(project=project, owner=owner, options_json=options.as_json())
        transaction.on_commit(runner.wake)
    return made


def formats_of(project: Project, what: What) -> tuple[str, ...]:
    """Those that a project can be exported in; none where its kind has no such export. A video stays what it is."""
    if what not in kind(project.kind).exports:
        return ()
    if what is not What.VIDEO:
        return FORMATS[what]
    footage = Footage.objects.filter(project=project).first()
    return (footage.container,) if footage and footage.has_picture else ()


def material_of(project: Project, options: ExportOptions | None = None) -> Material:
    """Of the part that is asked for, else of the whole. InvalidRequest."""
    lines = project.lines.all()
    return Material.of(options.within(lines) if options else lines, timed=kind(project.kind).timed)


def require_format(project: Project, options: ExportOptions) -> None:
    formats = formats_of(project, options.what)
    if options.format in formats:
        return
    if formats:
        text = _("For “%(what)s” there are: %(formats)s.")
        raise ValidationError({"format": text % {"what": options.what, "formats": ", ".join(formats)}})
    if options.what in kind(project.kind).exports:
        raise ValidationError({"what": _("There is no video: add one on the page “Footage” first.")})
    raise ValidationError({"what": _("A project of this kind has no such export.")})


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


def require_room(project: Project, owner: Any, what: What) -> None:
    if project.exports.open().count() >= MOST_OPEN:
        text = _("%d exports of this project are not made yet: wait for them, or cancel some.")
        raise ValidationError(text % MOST_OPEN)
    # A video will be about as long as what it is made of.
    footage = Footage.objects.filter(project=project).first() if what is What.VIDEO else None
    if spent := quota_beyond(owner, footage.size if footage else 1, what):
        raise ValidationError(spent.message)


def quota_beyond(owner: Any, size: int, what: What) -> QuotaSpent | None:
    """What is to be said where so many bytes more are too many for this person."""
    settings = StudioSettings.load()
    if what is What.VIDEO:
        quota, used, spent = settings.video_quota_mb, video_bytes_used(owner.pk), video_quota_spent
    else:
        quota, used, spent = settings.quota_mb, bytes_used(owner.pk), quota_spent
    return spent(quota) if quota and used + size > quota * MEGABYTE else None


def cancel(exports: ExportQuerySet) -> int:
    """End what is open; whoever makes one of them finds that it is no longer running."""
    count = exports.cancel()
    runner.wake()
    return count


def file_name(export: Export) -> str:
    """For whoever downloads it."""
    return f"{safe_name(export.project.name, 'export')}.{ExportOptions.read(export.options_json).format}"
