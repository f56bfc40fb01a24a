"""The two steps of an import: a text or files, then how they are cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from banks.uploads import UploadWidget, too_large
from studio.decoding import ENCODINGS, TextFileError, UnknownEncoding, decode
from studio.import_drafts import DraftFile
from studio.kinds import kinds
from studio.markdown import sections
from studio.models import LONGEST_LINE, Project
from studio.text import LONGEST_PATTERN, CutError, How
from studio.text_import import LONGEST, SHORTEST, Cutting, Plan, Source, plan

MOST_FILES = 50
# Of all files together.
MOST_BYTES = 8 * 1024 * 1024
MARKDOWN = (".md", ".markdown")

HOW_LABELS = {
    How.PARAGRAPH: gettext_lazy("Paragraphs, which end at an empty line"),
    How.LINE: gettext_lazy("Lines of the text, one by one"),
    How.SENTENCE: gettext_lazy("Sentences"),
    How.QUOTES: gettext_lazy("Quotes: what is said, and what is told between"),
    How.PATTERN: gettext_lazy("A pattern of your own"),
}
APPEND, REPLACE = "append", "replace"


class TextFilesWidget(UploadWidget):
    allow_multiple_selected = True

    def __init__(self) -> None:
        super().__init__(".txt,.md,.markdown,.text,text/*", MOST_BYTES)
        self.attrs["multiple"] = True


class TextFilesField(forms.FileField):
    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[Any]]:
        files = [super(TextFilesField, self).clean(one, initial) for one in data or []]
        if len(files) > MOST_FILES:
            raise ValidationError(_("At most %d files at once.") % MOST_FILES)
        if sum(one.size or 0 for one in files) > MOST_BYTES:
            raise ValidationError(_("Together the files are too large.") + " " + too_large(MOST_BYTES))
        return files


class TextForm(forms.Form):
    """The first step."""

    text = forms.CharField(
        label=gettext_lazy("Text"),
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget({"rows": 12, "dir": "auto"}),
    )
    uploads = TextFilesField(
        label=gettext_lazy("Or text files"),
        required=False,
        widget=TextFilesWidget,
        help_text=gettext_lazy("Plain text or Markdown, up to 8 MB together. With several, each begins a chapter."),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        text, files = cleaned.get("text", ""), cleaned.get("uploads", [])
        if text.strip() and files:
            raise ValidationError(_("There is a text as well as a file: choose one of them."))
        if not text.strip() and not files and not self.errors:
            self.add_error("text", _("Paste a text, or choose a file."))
        if len(text.encode()) > MOST_BYTES:
            self.add_error("text", _("The text is too long: at most 8 MB. Take it in parts."))
        cleaned["drafts"] = [DraftFile("", text.encode())] if text.strip() else [self._read(file) for file in files]
        return cleaned

    def _read(self, file: UploadedFile[Any]) -> DraftFile:
        name, content = str(file.name or "")[-100:], file.read()
        try:
            _require_text(content)
        except TextFileError as error:
            self.add_error("uploads", f"{name}: {error.message}")
        return DraftFile(name, content)


def _require_text(content: bytes) -> None:
    """TextFileError. An encoding that can't be found out can be chosen in the next step."""
    try:
        decode(content, most_bytes=MOST_BYTES)
    except UnknownEncoding:
        # In this one every byte means something, and control characters show what is no text.
        decode(content, "koi8_r", most_bytes=MOST_BYTES)


class CutForm(forms.Form):
    """The second step, for texts that wait. `planned` says what they make, once the form is valid."""

    how = forms.ChoiceField(
        label=gettext_lazy("A line of the project is"),
        choices=[(how.value, label) for how, label in HOW_LABELS.items()],
        initial=How.PARAGRAPH.value,
        widget=UnfoldAdminRadioSelectWidget,
    )
    pattern = forms.CharField(
        label=gettext_lazy("Pattern"),
        required=False,
        strip=False,
        max_length=LONGEST_PATTERN,
        widget=UnfoldAdminTextInputWidget({"placeholder": r"\n\s*\*\*\*\s*\n", "spellcheck": "false", "dir": "ltr"}),
        help_text=gettext_lazy("A regular expression: the text is cut wherever it matches, and what matches goes."),
    )
    longest = forms.IntegerField(
        label=gettext_lazy("Longest line, characters"),
        min_value=SHORTEST,
        max_value=LONGEST_LINE,
        initial=LONGEST,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=gettext_lazy("What is longer is cut where a speaker would breathe."),
    )
    labels = forms.BooleanField(
        label=gettext_lazy("The text says who speaks, as in “Anna: Come here.”"),
        required=False,
        widget=UnfoldBooleanWidget,
    )
    where = forms.ChoiceField(
        label=gettext_lazy("Where to"),
        choices=[
            (APPEND, gettext_lazy("Behind the lines that are there")),
            (REPLACE, gettext_lazy("In place of all lines that are there")),
        ],
        initial=APPEND,
        widget=UnfoldAdminRadioSelectWidget,
    )
    sure = forms.BooleanField(
        label=gettext_lazy("Remove the lines that are there"),
        required=False,
        widget=UnfoldBooleanWidget,
        help_text=gettext_lazy("Their takes stay in the archive for as long as takes do."),
    )

    def __init__(self, project: Project, drafts: Sequence[DraftFile], data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.project, self.drafts = project, drafts
        self.turns = kinds()[project.kind].turns
        self.no_names = frozenset(data.getlist("no_name")) if data is not None else frozenset()
        if self.turns:
            for name in ("how", "pattern", "labels"):
                del self.fields[name]
        for at, file in enumerate(drafts):
            if file.name:
                self.fields[_encoding_of(at)] = _encoding_field(file)
        self.plan: Plan | None = None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("how") != How.PATTERN:
            self.errors.pop("pattern", None)
        if "import" in self.data and cleaned.get("where") == REPLACE and not cleaned.get("sure"):
            self.add_error("sure", _("Say that the lines that are there may go, or put the new ones behind them."))
        sources = [source for at, file in enumerate(self.drafts) for source in self._sources(at, file)]
        fatal = set(self.errors) - {"sure"}
        if not fatal:
            self._plan(sources, cleaned)
        return cleaned

    def _sources(self, at: int, file: DraftFile) -> list[Source]:
        name = _encoding_of(at)
        chosen = self.cleaned_data.get(name, "") if file.name else "utf-8"
        try:
            text = decode(file.content, chosen, most_bytes=MOST_BYTES).text
        except TextFileError as error:
            self.add_error(name if file.name else None, error.message)
            return []
        path = PurePath(file.name)
        if path.suffix.lower() in MARKDOWN:
            return [Source(body, heading[:200]) for heading, body in sections(text)]
        return [Source(text, path.stem[:200] if len(self.drafts) > 1 else "")]

    def _plan(self, sources: list[Source], cleaned: dict[str, Any]) -> None:
        how = None if self.turns else How(cleaned["how"])
        cutting = Cutting(
            how,
            self.turns or cleaned["labels"],
            cleaned.get("pattern", ""),
            cleaned["longest"],
            self.no_names,
        )
        try:
            self.plan = plan(sources, cutting, self.project.language)
        except CutError as error:
            self.add_error("pattern" if how is How.PATTERN else "how" if how else None, error.message)
        except ValidationError as error:
            self.add_error(None, error)

    @property
    def replaces(self) -> bool:
        return bool(self.cleaned_data["where"] == REPLACE)

    def encodings(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(_ENCODING)]


_ENCODING = "encoding_"


def _encoding_of(at: int) -> str:
    return f"{_ENCODING}{at}"


def _encoding_field(file: DraftFile) -> forms.ChoiceField:
    """Asks for what a file is written in, and says what it looks like."""
    return forms.ChoiceField(
        label=_("Encoding of “%s”") % file.name,
        choices=[("", _looks_like(file)), *ENCODINGS.items()],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )


def _looks_like(file: DraftFile) -> str:
    try:
        found = decode(file.content, most_bytes=MOST_BYTES)
    except TextFileError:
        return _("Unknown: choose it")
    name = ENCODINGS.get(found.encoding, found.encoding.upper())
    return _("%s, as it looks") % name if found.guessed else name
