"""One import, while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_noop

from providers.audit import Change, record
from studio.desktop.known import Known
from studio.desktop.preparing import Prepared
from studio.desktop.reading import Contents
from studio.desktop.report import Report

IMPORTED = gettext_noop("Imported from the desktop application.")


@dataclass(frozen=True, slots=True)
class Options:
    """`owner` gets the projects and takes; `by`, None for a command, is who imports. `with_keys` brings the providers'
    keys, `again` what was deleted here since it came."""

    owner: Any
    by: Any = None
    with_keys: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """`dry`: everything is rolled back in the end, and lines and takes are only counted."""

    contents: Contents
    prepared: Prepared
    known: Known
    options: Options
    report: Report
    dry: bool

    def added(self, table: str, id: str, row: models.Model) -> None:
        """Note a new row that is part of the configuration, or a project."""
        self.known.note(table, id, row)
        if not self.dry:
            record(self.options.by, row, Change.ADDED, IMPORTED)


def reasons(error: ValidationError) -> str:
    """Of a form's or a row's errors, in one line."""
    return " ".join(error.messages)
