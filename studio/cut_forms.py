"""The second step of an import: how waiting texts are cut, and who speaks them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from studio.books import MOST_TEXT_BYTES, read_book
from studio.chapters import Headings, Source, divided
from studio.decoding import ENCODINGS, TextFileError, decode
from studio.epub import Book, is_epub
from studio.import_drafts import DraftFile
from studio.kinds import kinds
from studio.models import LONGEST_LINE, Project
from studio.quotes import Marks, Rules
from studio.text import LONGEST_PATTERN, CutError, How, compiled
from studio.text_import import SHORTEST, Cutting, Plan, plan

HOW_LABELS = {
    How.PARAGRAPH: gettext_lazy("Paragraphs, which end at an empty line"),
    How.LINE: gettext_lazy("Lines of the text, one by one"),
    How.SENTENCE: gettext_lazy("Sentences"),
    How.CLAUSE: gettext_lazy("Parts of sentences, which end at commas too"),
    How.QUOTES: gettext_lazy("Quotes: what is said, and what is told between"),
    How.PATTERN: gettext_lazy("A pattern of your own"),
}
HEADING_LABELS = {
    Headings.KNOWN: gettext_lazy("Headings such as “Chapter 1”, “Prologue”, “第十二回”, “楔子”"),
    Headings.PATTERN: gettext_lazy("Lines that a pattern of your own matches"),
    Headings.NONE: gettext_lazy("No headings: files alone"),
}
MARK_LABELS = {
    Marks.DOUBLE: '“…” „…“ "…"',
    Marks.SINGLE: "‘…’ '…'",
    Marks.CORNER: "「…」 『…』",
    Marks.ANGLE: "«…» »…«",
    Marks.TITLE: "《…》 〈…〉",
}
USUAL_MARKS = (Marks.DOUBLE, Marks.CORNER)
APPEND, REPLACE = "append", "replace"
# Of more files than these, those that look alike are asked for together.
ASKED_ONE_BY_ONE = 8


def _pattern_field(label: Any, placeholder: str, help_text: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        strip=False,
        max_length=LONGEST_PATTERN,
        widget=UnfoldAdminTextInputWidget({"placeholder": placeholder, "spellcheck": "false", "dir": "ltr"}),
        help_text=help_text,
    )


class CutForm(forms.Form):
    """The second step, for texts that wait. `planned` says what they make, once the form is valid."""

    how = forms.ChoiceField(
        label=gettext_lazy("A line of the project is"),
        widget=UnfoldAdminRadioSelectWidget,
    )
    pattern = _pattern_field(
        gettext_lazy("Pattern"),
        r"\n\s*\*\*\*\s*\n",
        gettext_lazy("A regular expression: the text is cut wherever it matches, and what matches goes."),
    )
    longest = forms.IntegerField(
        label=gettext_lazy("Longest line, characters"),
        min_value=SHORTEST,
        max_value=LONGEST_LINE,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=gettext_lazy("What is longer is cut where a speaker would breathe."),
    )
    labels = forms.BooleanField(
        label=gettext_lazy("The text says who speaks, as in “Anna: Come here.”"),
        required=False,
        widget=UnfoldBooleanWidget,
    )
    headings = forms.ChoiceField(
        label=gettext_lazy("A chapter begins with"),
        choices=[(headings.value, label) for headings, label in HEADING_LABELS.items()],
        initial=Headings.KNOWN.value,
        required=False,
        widget=UnfoldAdminRadioSelectWidget,
    )
    heading_pattern = _pattern_field(
        gettext_lazy("Pattern of headings"),
        r"^Day \d+",
        gettext_lazy("A regular expression: each line that it matches in is the title of a chapter."),
    )
    voices = forms.BooleanField(
        label=gettext_lazy("Another voice for what is said than for what is told"),
        required=False,
        initial=True,
        widget=UnfoldBooleanWidget,
    )
    marks = forms.MultipleChoiceField(
        label=gettext_lazy("What is said stands in"),
        required=False,
        choices=[(marks.value, label) for marks, label in MARK_LABELS.items()],
        initial=[marks.value for marks in USUAL_MARKS],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    quote_pattern = _pattern_field(
        gettext_lazy("Or what a pattern matches"),
        r"^[-–—] .+",
        gettext_lazy("A regular expression, for each paragraph by itself. Leave it empty where marks are enough."),
    )
    narrator = forms.CharField(
        label=gettext_lazy("Name of who tells"), max_length=100, initial="Narrator", widget=UnfoldAdminTextInputWidget
    )
    dialogue = forms.CharField(
        label=gettext_lazy("Name of who speaks"), max_length=100, initial="Dialogue", widget=UnfoldAdminTextInputWidget
    )
    rename = forms.BooleanField(required=False, initial=False, widget=UnfoldBooleanWidget)
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
        self.project, self.drafts, self.kind = project, drafts, kinds()[project.kind]
        self.no_names = frozenset(data.getlist("no_name")) if data is not None else frozenset()
        self.left_out = frozenset(data.getlist("left_out")) if data is not None else frozenset()
        for name in self._unused():
            del self.fields[name]
        self.fields["longest"].initial = self.kind.longest
        if "how" in self.fields:
            self.fields["how"].choices = [(how.value, HOW_LABELS[how]) for how in self.kind.cuts]  # type: ignore[attr-defined]
            self.fields["how"].initial = self.kind.cuts[0].value
        self._groups = _groups(drafts)
        self.fields |= {name: _encoding_field([drafts[at] for at in group]) for name, group in self._groups.items()}
        self.plan: Plan | None = None
        # What the files say of themselves, the first that says it.
        self.book = Book()

    @property
    def encodings(self) -> list[forms.BoundField]:
        return [self[name] for name in self._groups]

    def _unused(self) -> Iterator[str]:
        if self.kind.turns:
            yield from ("how", "pattern")
        if self.kind.turns or self.kind.voices:
            yield "labels"
        if not self.kind.chapters:
            yield from ("headings", "heading_pattern")
        if not self.kind.voices:
            yield from ("voices", "marks", "quote_pattern", "narrator", "dialogue")
        if not any(is_epub(file.name, file.content) for file in self.drafts):
            yield "rename"

    def clean_quote_pattern(self) -> str:
        pattern = str(self.cleaned_data["quote_pattern"])
        if pattern.strip():
            try:
                compiled(pattern)
            except CutError as error:
                raise ValidationError(error.message) from error
        return pattern

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self._forgive(cleaned)
        if "import" in self.data and cleaned.get("where") == REPLACE and not cleaned.get("sure"):
            self.add_error("sure", _("Say that the lines that are there may go, or put the new ones behind them."))
        # As it was chosen: what is wrong with one file takes the choice out of the cleaned data.
        chosen = {name: str(cleaned.get(name, "")) for name in self._groups}
        sources = [source for at, file in enumerate(self.drafts) for source in self._sources(at, file, chosen)]
        fatal = set(self.errors) - {"sure"}
        if not fatal:
            self._plan(sources, cleaned)
        return cleaned

    def _forgive(self, cleaned: dict[str, Any]) -> None:
        """What is wrong in fields that don't count as the others are."""
        idle = ["pattern"] if cleaned.get("how") != How.PATTERN else []
        if cleaned.get("headings") != Headings.PATTERN:
            idle.append("heading_pattern")
        if not cleaned.get("voices"):
            idle += ["marks", "quote_pattern", "narrator", "dialogue"]
        for name in idle:
            self.errors.pop(name, None)

    def _sources(self, at: int, file: DraftFile, chosen: dict[str, str]) -> list[Source]:
        name = next((name for name, group in self._groups.items() if at in group), None)
        encoding = chosen[name] if name else "" if file.name else "utf-8"
        try:
            book = self._read(file, encoding)
        except TextFileError as error:
            # Of files that are asked for together, the first tells enough.
            if name not in self.errors:
                together = name and len(self._groups[name]) > 1
                self.add_error(name, f"{file.name}: {error.message}" if together else error.message)
            return []
        for field in ("title", "author", "language", "cover"):
            setattr(self.book, field, getattr(self.book, field) or getattr(book, field))
        self.book.warnings += book.warnings
        return book.chapters

    def _read(self, file: DraftFile, encoding: str) -> Book:
        """TextFileError."""
        return read_book(file.name, file.content, encoding, alone=len(self.drafts) == 1)

    def _plan(self, sources: list[Source], cleaned: dict[str, Any]) -> None:
        cutting = self._cutting(cleaned)
        # Where the pattern stands that is at work.
        field: str | None = "heading_pattern"
        try:
            if self.kind.chapters:
                headings = Headings(cleaned["headings"] or Headings.NONE)
                sources = divided(sources, headings, cleaned.get("heading_pattern", ""))
            field = "pattern" if cutting.how is How.PATTERN else "how" if cutting.how else None
            if cutting.quotes and cutting.quotes.pattern and cutting.how is not How.PATTERN:
                field = "quote_pattern"
            self.plan = plan(sources, cutting, self.project.language or self.book.language)
        except CutError as error:
            self.add_error(field, error.message)
        except ValidationError as error:
            self.add_error(None, error)

    def _cutting(self, cleaned: dict[str, Any]) -> Cutting:
        return Cutting(
            how=None if self.kind.turns else How(cleaned["how"]),
            turns=self.kind.turns or cleaned.get("labels", False),
            pattern=cleaned.get("pattern", ""),
            longest=cleaned["longest"],
            no_names=self.no_names,
            quotes=_rules(cleaned) if cleaned.get("voices") else None,
            narrator=cleaned.get("narrator", ""),
            dialogue=cleaned.get("dialogue", ""),
            left_out=self.left_out,
        )

    @property
    def replaces(self) -> bool:
        return bool(self.cleaned_data.get("where") == REPLACE)


def _rules(cleaned: dict[str, Any]) -> Rules:
    return Rules(frozenset(map(Marks, cleaned.get("marks", ()))), cleaned.get("quote_pattern", ""))


def _groups(drafts: Sequence[DraftFile]) -> dict[str, list[int]]:
    """Which files each field for an encoding is for, by its name."""
    asked = [at for at, file in enumerate(drafts) if file.name and not is_epub(file.name, file.content)]
    if len(asked) <= ASKED_ONE_BY_ONE:
        return {f"encoding_{at}": [at] for at in asked}
    alike: dict[str, list[int]] = {}
    for at in asked:
        alike.setdefault(_looks_like(drafts[at]), []).append(at)
    return {f"encoding_{group[0]}": group for group in alike.values()}


def _encoding_field(files: Sequence[DraftFile]) -> forms.ChoiceField:
    """Asks for what files are written in, and says what they look like."""
    label = _("Encoding of “%s”") % files[0].name
    if others := len(files) - 1:
        label += " " + ngettext("and %d other", "and %d others", others) % others
    return forms.ChoiceField(
        label=label,
        choices=[("", _looks_like(files[0])), *ENCODINGS.items()],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )


def _looks_like(file: DraftFile) -> str:
    try:
        found = decode(file.content, most_bytes=MOST_TEXT_BYTES)
    except TextFileError:
        return _("Unknown: choose it")
    name = ENCODINGS.get(found.encoding, found.encoding.upper())
    return _("%s, as it looks") % name if found.guessed else name
