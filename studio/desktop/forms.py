"""The two steps of an import from the desktop application: its files, then what of it is wanted."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanWidget

from banks.uploads import FileUploadField
from providers.errors import SpeechError
from studio.desktop.job import Options
from studio.desktop.sounds import ZipSounds
from studio.files import has_room
from studio.projects import people

DATABASE_BYTES, AUDIO_BYTES = 200 * 1024**2, 500 * 1024**2


class FilesForm(forms.Form):
    database = FileUploadField(
        limit=DATABASE_BYTES,
        accept=".db,.sqlite,.sqlite3",
        label=gettext_lazy("Database"),
        help_text=gettext_lazy(
            "The file neiroha.db of the application's data folder, at most 200 MB. Close the application before."
        ),
    )
    audio = FileUploadField(
        limit=AUDIO_BYTES,
        accept=".zip",
        required=False,
        label=gettext_lazy("Audio folder, as a zip"),
        help_text=gettext_lazy(
            "The folder voice_asset, at most 500 MB. Without it no recordings come; they can come another time."
        ),
    )

    def clean_audio(self) -> Any:
        """Looked into at once, while the file can be chosen anew."""
        upload = self.cleaned_data["audio"]
        if upload is None:
            return None
        try:
            ZipSounds(upload)
        except SpeechError as error:
            raise ValidationError(error.message) from error
        upload.seek(0)
        return upload

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        size = sum(upload.size or 0 for upload in cleaned.values() if upload)
        if not has_room(size):
            raise ValidationError(_("The server's disk has no room for this: make room on it, then try again."))
        return cleaned


class OptionsForm(forms.Form):
    owner = forms.ModelChoiceField(
        queryset=User.objects.none(),
        label=gettext_lazy("Whose the projects are"),
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
    )
    with_keys = forms.BooleanField(
        label=gettext_lazy("Take the providers' keys too"), required=False, widget=UnfoldBooleanWidget
    )
    again = forms.BooleanField(
        label=gettext_lazy("Bring back what was deleted here"), required=False, widget=UnfoldBooleanWidget
    )

    def __init__(self, user: Any, data: QueryDict | None = None) -> None:
        super().__init__(data, initial={"owner": user})
        owner: Any = self.fields["owner"]
        owner.queryset = people()
        self._user = user

    def options(self) -> Options:
        cleaned = self.cleaned_data
        return Options(cleaned["owner"], self._user, with_keys=cleaned["with_keys"], again=cleaned["again"])

    def untouched(self) -> Options:
        """As it is before anybody chose."""
        return Options(self._user, self._user)
