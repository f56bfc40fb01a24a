"""A database, and its audio, that wait while somebody looks at what would come of them: files in the private storage,
which a session knows. Beside them lies what an import has made ready so far."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile

from banks.storage import private_storage
from studio.desktop.preparing import Ready
from studio.desktop.sounds import FolderSounds, Sounds, ZipSounds

FOLDER, SESSION_KEY = "desktop", "desktop_import"
KEPT = timedelta(days=1)
_DATABASE, _AUDIO, _READY = "db", "zip", "json"


@dataclass(frozen=True, slots=True)
class Waiting:
    """`name` is that of the file that was sent."""

    token: str
    name: str

    def database(self) -> AbstractContextManager[Path]:
        """Where it lies on this machine, for as long as the block lasts. OSError."""
        return private_storage().local_copy(self._stored(_DATABASE))

    def exists(self) -> bool:
        return private_storage().exists(self._stored(_DATABASE))

    @contextmanager
    def sounds(self) -> Iterator[Sounds]:
        """DesktopUnreadable."""
        if not private_storage().exists(self._stored(_AUDIO)):
            yield FolderSounds(None)
            return
        with private_storage().open(self._stored(_AUDIO)) as file:
            yield ZipSounds(file)

    def ready(self) -> Ready:
        if not private_storage().exists(self._stored(_READY)):
            return Ready()
        with private_storage().open(self._stored(_READY)) as file:
            return Ready.read(json.load(file))

    def keep_ready(self, ready: Ready) -> None:
        self.forget_ready()
        private_storage().save(self._stored(_READY), ContentFile(json.dumps(ready.as_json()).encode()))

    def forget_ready(self) -> None:
        private_storage().delete(self._stored(_READY))

    def delete(self) -> None:
        self.ready().discard()
        for ending in (_DATABASE, _AUDIO, _READY):
            private_storage().delete(self._stored(ending))

    def store(self, database: UploadedFile[Any], audio: UploadedFile[Any] | None) -> None:
        private_storage().save(self._stored(_DATABASE), database)
        if audio is not None:
            private_storage().save(self._stored(_AUDIO), audio)

    def _stored(self, ending: str) -> str:
        return f"{FOLDER}/{self.token}.{ending}"


def keep(session: SessionBase, database: UploadedFile[Any], audio: UploadedFile[Any] | None) -> None:
    """In place of what waited before."""
    forget(session)
    sweep()
    held = Waiting(secrets.token_hex(16), str(database.name or "")[-100:])
    held.store(database, audio)
    session[SESSION_KEY] = {"token": held.token, "name": held.name}


def waiting(session: SessionBase) -> Waiting | None:
    """None where nothing waits, or where it has waited for too long."""
    stored = session.get(SESSION_KEY)
    held = Waiting(stored["token"], stored["name"]) if stored else None
    return held if held is not None and held.exists() else None


def forget(session: SessionBase) -> None:
    stored = session.pop(SESSION_KEY, None)
    if stored:
        Waiting(stored["token"], stored["name"]).delete()


def sweep() -> None:
    """Remove what others left behind long ago; audio that they made ready is found as files that nothing names."""
    private_storage().remove_older(FOLDER, KEPT)
