"""The first step of an import: a text, files, or a folder of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextareaWidget

from banks.uploads import UploadWidget, too_large
from studio.books import MARKDOWN, MOST_EPUB_BYTES, MOST_TEXT_BYTES, read_book
from studio.decoding import TextFileError, UnknownEncoding, decode
from studio.epub import is_epub
from studio.import_drafts import DraftFile
from studio.natural_order import natural_key

MOST_FILES = 500
SUFFIXES = (".txt", ".text", *MARKDOWN, ".epub")
# Of the names of what a folder holds beside texts, so many are told.
SHOWN_NAMES = 5


class TextFilesWidget(UploadWidget):
    allow_multiple_selected = True

    def __init__(self, *, folder: bool = False) -> None:
        super().__init__(",".join([*SUFFIXES, "text/*", "application/epub+zip"]), MOST_EPUB_BYTES)
        self.attrs |= {"multiple": True, "data-nr-most-files": MOST_FILES}
        if folder:
            self.attrs |= {"webkitdirectory": True, "data-nr-suffixes": " ".join(SUFFIXES)}


class TextFilesField(forms.FileField):
    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[Any]]:
        files = [super(TextFilesField, self).clean(one, initial) for one in data or []]
        if len(files) > MOST_FILES:
            raise ValidationError(_("At most %d files at once.") % MOST_FILES)
        if sum(one.size or 0 for one in files) > MOST_EPUB_BYTES:
            raise ValidationError(_("Together the files are too large.") + " " + too_large(MOST_EPUB_BYTES))
        return files


class FolderField(TextFilesField):
    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[Any]]:
        # What of a folder is no text is left out, whatever is wrong with it.
        return super().clean([one for one in data or [] if is_wanted(one.name)], initial)


class TextForm(forms.Form):
    """`drafts`: what was chosen, in the order in which people number files. `skipped`: names of what a folder holds
    beside texts."""

    text = forms.CharField(
        label=gettext_lazy("Text"),
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget({"rows": 12, "dir": "auto"}),
    )
    uploads = TextFilesField(
        label=gettext_lazy("Or files"),
        required=False,
        widget=TextFilesWidget,
        help_text=gettext_lazy(
            "Plain text, Markdown or EPUB; texts up to 8 MB together. With several, each begins a chapter."
        ),
    )
    folder = FolderField(
        label=gettext_lazy("Or a folder"),
        required=False,
        widget=TextFilesWidget(folder=True),
        help_text=gettext_lazy("All texts in it, in the order of their numbers; whatever else is in it is left out."),
    )

    def __init__(self, data: QueryDict | None = None, files: MultiValueDict[str, UploadedFile[Any]] | None = None):
        super().__init__(data, files)
        self.skipped: list[str] = []

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        text = cleaned.get("text", "")
        files = [("uploads", str(file.name or ""), file) for file in cleaned.get("uploads", [])]
        files += [("folder", path, file) for path, file in self._in_folder(cleaned.get("folder", []))]
        if text.strip() and files:
            raise ValidationError(_("There is a text as well as a file: choose one of them."))
        if not text.strip() and not files and not self.errors:
            self.add_error("text", _("Paste a text, or choose a file."))
        if len(text.encode()) > MOST_TEXT_BYTES:
            self.add_error("text", _("The text is too long: at most 8 MB. Take it in parts."))
        files.sort(key=lambda one: natural_key(one[1]))
        pasted = [DraftFile("", text.encode())] if text.strip() else []
        cleaned["drafts"] = pasted or list(self._read(files))
        return cleaned

    def _in_folder(self, files: list[UploadedFile[Any]]) -> Iterable[tuple[str, UploadedFile[Any]]]:
        """With their paths, which the page's script sends: of what the browser sends itself only names come through."""
        sent = self.files.getlist("folder") if isinstance(self.files, MultiValueDict) else []
        paths = self.data.getlist("folder_path") if isinstance(self.data, QueryDict) else []
        names = [str(file.name or "") for file in sent]
        if [PurePosixPath(path).name for path in paths] != names:
            paths = names
        known = {id(file): path for file, path in zip(sent, paths, strict=True)}
        self.skipped = [path for path, name in zip(paths, names, strict=True) if not is_wanted(name)]
        if sent and not files and "folder" not in self.errors:
            self.add_error("folder", _("There is no text in this folder: plain text, Markdown or EPUB."))
        return [(known[id(file)], file) for file in files]

    def _read(self, files: Iterable[tuple[str, str, UploadedFile[Any]]]) -> Iterable[DraftFile]:
        left = MOST_TEXT_BYTES
        for field, name, file in files:
            name, content = name[-100:], file.read()
            try:
                _require_text(name, content)
            except TextFileError as error:
                self.add_error(field, f"{name}: {error.message}")
                continue
            if not is_epub(name, content):
                left -= len(content)
                if left < 0:
                    text = _("Together the files are too large.") + " " + too_large(MOST_TEXT_BYTES)
                    self.add_error(field, text)
                    return
            yield DraftFile(name, content)


def is_wanted(path: Any) -> bool:
    """Whether what a folder holds is a text, and not hidden."""
    name = PurePosixPath(str(path or "")).name
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _require_text(name: str, content: bytes) -> None:
    """TextFileError. An encoding that can't be found out can be chosen in the next step."""
    try:
        read_book(name, content)
    except UnknownEncoding:
        # In this one every byte means something, and control characters show what is no text.
        decode(content, "koi8_r", most_bytes=MOST_TEXT_BYTES)
