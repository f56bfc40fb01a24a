"""Texts that wait while somebody chooses how to cut them: files in the private storage, whose names a session holds."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.core.files.base import ContentFile

from banks.storage import private_storage
from studio.models import Project

FOLDER, SESSION_KEY = "drafts", "project_imports"
KEPT = timedelta(days=1)
# Projects for which a session holds texts at once; the oldest goes first.
MOST_PROJECTS = 5


@dataclass(frozen=True, slots=True)
class DraftFile:
    """`name` is empty for a text that was pasted, which is UTF-8."""

    name: str
    content: bytes


def keep(session: SessionBase, project: Project, files: Iterable[DraftFile]) -> None:
    """In place of what waited for the project before."""
    forget(session, project)
    held: dict[str, Any] = session.get(SESSION_KEY, {})
    for oldest in list(held)[: max(len(held) + 1 - MOST_PROJECTS, 0)]:
        _delete(held.pop(oldest))
    held[str(project.pk)] = [{"name": file.name, "stored": _stored(file.content)} for file in files]
    session[SESSION_KEY] = held


def waiting(session: SessionBase, project: Project) -> list[DraftFile]:
    """Nothing where none waits, or where it has waited for too long."""
    storage = private_storage()
    held = session.get(SESSION_KEY, {}).get(str(project.pk), [])
    if not all(storage.exists(one["stored"]) for one in held):
        return []
    return [DraftFile(one["name"], _content(one["stored"])) for one in held]


def forget(session: SessionBase, project: Project) -> None:
    held: dict[str, Any] = session.get(SESSION_KEY, {})
    if files := held.pop(str(project.pk), None):
        _delete(files)
        session[SESSION_KEY] = held


def sweep() -> None:
    """Remove what others left behind long ago."""
    private_storage().remove_older(FOLDER, KEPT)


def _content(stored: str) -> bytes:
    with private_storage().open(stored) as file:
        content: bytes = file.read()
    return content


def _stored(content: bytes) -> str:
    return private_storage().save(f"{FOLDER}/{secrets.token_hex(16)}.txt", ContentFile(content))


def _delete(files: list[dict[str, str]]) -> None:
    for one in files:
        private_storage().delete(one["stored"])
