"""Where uploaded files live: in the data folder, outside every public address; views that check rights serve them."""

from __future__ import annotations

from django.conf import settings
from django.core.files.storage import FileSystemStorage


def private_storage() -> FileSystemStorage:
    return FileSystemStorage(location=settings.DATA_DIR / "files", base_url=None, file_permissions_mode=0o600)
