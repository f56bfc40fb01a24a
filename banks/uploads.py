"""File fields of forms: bounded in size, said before the upload begins and checked after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminFileFieldWidget

from banks.images import AVATAR_BYTES, COVER_BYTES, avatar_image, cover_image


class UploadWidget(UnfoldAdminFileFieldWidget):  # type: ignore[misc]
    """A plain file input: stored files have no address of their own to link to."""

    def __init__(self, accept: str, limit: int) -> None:
        self.limit = limit
        super().__init__({"accept": accept})

    def is_initial(self, value: object) -> bool:
        return False

    def format_value(self, value: object) -> None:
        return None

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """For the page's script: a server that is sent far too much hangs up before it can say so."""
        told = {"data-nr-max-bytes": self.limit, "data-nr-too-large": too_large(self.limit)}
        context: dict[str, Any] = super().get_context(name, value, {**(attrs or {}), **told})
        return context


class FileUploadField(forms.FileField):
    """A file of at most `limit` bytes."""

    def __init__(self, *, limit: int, accept: str, **kwargs: Any) -> None:
        self.limit = limit
        super().__init__(widget=UploadWidget(accept, limit), **kwargs)

    def clean(self, data: Any, initial: Any = None) -> Any:
        upload = super().clean(data, initial)
        if not isinstance(upload, UploadedFile):
            return None
        if (upload.size or 0) > self.limit:
            raise ValidationError(too_large(self.limit))
        return upload


class UploadField(FileUploadField):
    """The same, as its content."""

    def clean(self, data: Any, initial: Any = None) -> bytes | None:
        upload = super().clean(data, initial)
        content: bytes | None = upload.read() if upload else None
        return content


class PictureField(FileUploadField):
    """A picture, as the one that is kept of it."""

    def __init__(self, *, limit: int, read: Callable[[bytes], ContentFile[bytes]], **kwargs: Any) -> None:
        self._read = read
        super().__init__(limit=limit, accept="image/png,image/jpeg,image/webp,image/gif", **kwargs)

    def clean(self, data: Any, initial: Any = None) -> ContentFile[bytes] | None:
        upload = super().clean(data, initial)
        return self._read(upload.read()) if upload else None


class AvatarField(PictureField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            limit=AVATAR_BYTES,
            read=avatar_image,
            label=gettext_lazy("Avatar"),
            help_text=gettext_lazy("PNG, JPEG, WebP or GIF, at most 5 MB. It is scaled down to 512 pixels."),
            **kwargs,
        )


class CoverField(PictureField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            limit=COVER_BYTES,
            read=cover_image,
            label=gettext_lazy("Picture"),
            help_text=gettext_lazy("PNG, JPEG, WebP or GIF, at most 10 MB. It is scaled down to 1200 pixels."),
            **kwargs,
        )


def too_large(limit: int) -> str:
    return _("The file is larger than %d MB.") % (limit // 1024**2)
