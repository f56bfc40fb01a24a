"""The two steps of an import of subtitles: the files, then who speaks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextareaWidget

from studio.books import MOST_TEXT_BYTES
from studio.chapters import Source
from studio.cut_forms import CutForm
from studio.decoding import TextFileError, UnknownEncoding, decode
from studio.epub import Book
from studio.import_drafts import DraftFile
from studio.import_forms import TextFilesField, TextFilesWidget, TextForm
from studio.subtitle_import import plan
from studio.subtitle_reading import SubtitleError, read


class SubtitleFilesWidget(TextFilesWidget):
    def __init__(self) -> None:
        super().__init__()
        self.attrs["accept"] = ".srt,.vtt,.ass,.ssa,.lrc,text/vtt"


class SubtitleForm(TextForm):
    """The first step."""

    text = forms.CharField(
        label=gettext_lazy("Subtitles"),
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget({"rows": 8, "dir": "auto", "spellcheck": "false"}),
        help_text=gettext_lazy("The content of a subtitle file, with its times."),
    )
    uploads = TextFilesField(
        label=gettext_lazy("Or subtitle files"),
        required=False,
        widget=SubtitleFilesWidget,
        help_text=gettext_lazy(
            "SRT, VTT, ASS, SSA or LRC, up to 8 MB together. Several are put together by their times."
        ),
    )
    folder = None  # type: ignore[assignment]  # the way to leave a field out

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("text", "").strip() and not self.errors:
            try:
                read(cleaned["text"].replace("\r\n", "\n"))
            except SubtitleError as error:
                self.add_error("text", _(error.message))
        return cleaned

    def _read(self, files: Iterable[tuple[str, str, UploadedFile[Any]]]) -> Iterable[DraftFile]:
        for draft in super()._read(files):
            try:
                read(decode(draft.content, most_bytes=MOST_TEXT_BYTES).text)
            except UnknownEncoding:
                # It can be chosen in the next step.
                pass
            except (TextFileError, SubtitleError) as error:
                self.add_error("uploads", f"{draft.name}: {_(error.message)}")
            yield draft


class CueForm(CutForm):
    """The second step: nothing is to be cut, since the cues are what they are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("how", "pattern", "longest"):
            self.fields.pop(name, None)
        self.fields["labels"].label = gettext_lazy("Names before a colon say who speaks, as in “Anna: Come here.”")
        self.fields["labels"].initial = True

    def _read(self, file: DraftFile, encoding: str) -> Book:
        text = decode(file.content, encoding, most_bytes=MOST_TEXT_BYTES).text
        return Book(chapters=[Source(text, PurePath(file.name).name if len(self.drafts) > 1 else "")])

    def _plan(self, sources: list[Source], cleaned: dict[str, Any]) -> None:
        try:
            self.plan = plan(sources, labels=cleaned["labels"], no_names=self.no_names)
        except ValidationError as error:
            self.add_error(None, error)
