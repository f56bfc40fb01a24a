"""The import from the desktop application: what comes, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from studio.desktop.imports import bring, look
from studio.desktop.job import Options
from studio.desktop.report import Report, Verdict, What
from studio.desktop.sounds import FolderSounds
from studio.models import Project
from tests.desktop import audio_folder, database
from tests.studio import clear_files, somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Iterator[User]:
    yield somebody("ann", superuser=True)
    clear_files()


def test_x(owner: User, tmp_path: Path) -> None:
    for version in (1, 13, 27):
        path = database(tmp_path, version)
        sounds = FolderSounds(audio_folder(tmp_path))
        seen = look(path, sounds, Options(owner))
        for e in seen.entries:
            print(e)
        got = bring(path, sounds, Options(owner))
        assert got == seen
        for p in Project.objects.all():
            print(
                p,
                p.kind,
                p.format,
                [(l.text, l.speaker, l.character, l.chapter, l.state, l.start_ms) for l in p.lines.with_state()],
            )
        again = bring(path, sounds, Options(owner))
        print([(e.name, e.verdict, e.lines, e.left_out) for e in again.entries])
        assert again.is_empty
