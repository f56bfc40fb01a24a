"""An import from the desktop application: what would come, or all of it in one transaction."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction
from django.utils import timezone

from studio.desktop.job import Job, Options
from studio.desktop.known import Known, source_of
from studio.desktop.preparing import Ready, prepare_some, preparing
from studio.desktop.projects import bring_projects
from studio.desktop.reading import Contents, read
from studio.desktop.report import Report
from studio.desktop.sounds import Sounds
from studio.desktop.takes import bring_quick
from studio.desktop.voices import bring_banks, bring_characters, bring_providers, bring_recordings
from studio.models import DesktopSource


def look(path: Path, sounds: Sounds, options: Options) -> Report:
    """What an import would bring now; nothing is changed. Of audio files only the beginnings are read, so that some may
    still turn out to be damaged. SpeechError."""
    return _run(read(path), sounds, options, path.name, Ready(), dry=True)


def bring(path: Path, sounds: Sounds, options: Options, *, name: str = "", ready: Ready | None = None) -> Report:
    """All that `look` tells of, or nothing. `ready` is what earlier steps stored; it is used up, whatever happens.
    SpeechError."""
    return _run(read(path), sounds, options, name or path.name, ready or Ready(), dry=False)


def step(path: Path, sounds: Sounds, options: Options, ready: Ready, seconds: float) -> tuple[int, int]:
    """Work ahead of `bring` for so long: how many takes of how many are ready now. SpeechError."""
    contents = read(path)
    known = Known(source_of(contents), again=options.again)
    return prepare_some(contents, sounds, known, options.owner, ready, seconds)


def _run(contents: Contents, sounds: Sounds, options: Options, name: str, ready: Ready, *, dry: bool) -> Report:
    known = Known(source_of(contents), again=options.again)
    with preparing(contents, sounds, known, options.owner, ready, dry=dry) as prepared, transaction.atomic():
        source = source_of(contents)
        # What another import brought meanwhile is known too.
        known = Known(source, again=options.again)
        job = Job(contents, prepared, known, options, Report(contents.version, contents.clips), dry)
        _bring(job)
        if dry:
            transaction.set_rollback(True)
            return job.report
        known.save(_stamped(source, contents, name))
    return job.report


def _bring(job: Job) -> None:
    bring_recordings(job)
    providers = bring_providers(job)
    characters = bring_characters(job, providers)
    banks = bring_banks(job, characters)
    bring_projects(job, characters, banks)
    bring_quick(job, characters)


def _stamped(source: DesktopSource | None, contents: Contents, name: str) -> DesktopSource:
    if source is None:
        return DesktopSource.objects.create(fingerprint=contents.fingerprint, name=name[:255])
    source.imported_at = timezone.now()
    source.save(update_fields=["imported_at"])
    return source
