"""The forms of a project's lines: to write, to change, to find some, and to change several."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from banks.models import Character
from providers.long_select import LongSelect
from providers.speech import SPEED_MAX, SPEED_MIN
from providers.wording import duration
from studio import lines
from studio.cast import everybody
from studio.kinds import kind
from studio.lines import Draft
from studio.models import Line, Project, Take, TakeState
from studio.rows import STATES
from studio.timing import clock, read_clock, time_behind

MOST_TAKES = 12


class Voices:
    """The characters that can be chosen, those of the project's bank first."""

    def __init__(self, project: Project) -> None:
        parts = sorted(everybody(), key=lambda part: part.bank_id != project.bank_id)
        self.groups: dict[str, list[Character]] = {}
        self.by_pk: dict[int, Character] = {}
        for part in parts:
            if part.character.pk not in self.by_pk:
                self.by_pk[part.character.pk] = part.character
                self.groups.setdefault(part.bank or _("In no bank"), []).append(part.character)

    def choices(self, empty: str, also: Character | None = None) -> list[Any]:
        """`also` is one that is chosen already, whether or not it can speak now."""
        first: list[Any] = [("", empty)]
        if also is not None and also.pk not in self.by_pk:
            first.append((str(also.pk), _("%s (can't speak now)") % also.name))
        return first + [(bank, [(str(one.pk), one.name) for one in group]) for bank, group in self.groups.items()]


class CharacterField(forms.ChoiceField):
    """Its value is a character's primary key, or None for nobody."""

    def __init__(self, **kwargs: Any) -> None:
        attributes = kwargs.pop("attrs", {})
        messages = {"invalid_choice": gettext_lazy("This character can't speak any more: choose another.")}
        widget = LongSelect(attrs=attributes)
        super().__init__(required=False, widget=widget, error_messages=messages, **kwargs)

    def clean(self, value: Any) -> int | None:
        chosen = super().clean(value)
        return int(chosen) if chosen else None


class ClockField(forms.CharField):
    """Its value is milliseconds, None where it is left empty."""

    def __init__(self, **kwargs: Any) -> None:
        attributes = {"inputmode": "numeric", "placeholder": "0:00:00.000", "spellcheck": "false"}
        super().__init__(required=False, max_length=20, widget=UnfoldAdminTextInputWidget(attributes), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return clock(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> int | None:
        typed = super().clean(value)
        return read_clock(typed) if typed else None


def _speed(**kwargs: Any) -> forms.FloatField:
    attributes = kwargs.pop("attrs", {})
    return forms.FloatField(
        label=gettext_lazy("Speed"),
        min_value=SPEED_MIN,
        max_value=SPEED_MAX,
        step_size=0.05,
        widget=UnfoldAdminDecimalFieldWidget(attrs=attributes),
        **kwargs,
    )


class Composer(forms.Form):
    """Writes a line: at the end, or at a `place`, which is “before:” or “after:” and a line's key."""

    prefix = "new"
    character = CharacterField(label=gettext_lazy("Character"))
    text = forms.CharField(
        label=gettext_lazy("Text"),
        widget=UnfoldAdminTextareaWidget({"rows": 2, "dir": "auto", "data-nr-write": ""}),
        error_messages={"required": gettext_lazy("A line needs a text.")},
    )
    generate = forms.BooleanField(label=gettext_lazy("Generate at once"), required=False)
    place = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, project: Project, voices: Voices, place: str = "") -> None:
        # Somebody of the project's bank, if it has anybody.
        super().__init__(data, initial={"place": place, "character": next(iter(voices.by_pk), None)})
        self.project = project
        self.fields["character"].choices = voices.choices(_("No character"))  # type: ignore[attr-defined]
        self.neighbour, self.before = self._neighbour(data.get("new-place", "") if data else place)

    def _neighbour(self, place: str) -> tuple[Line | None, bool]:
        side, _colon, pk = place.partition(":")
        if side not in ("before", "after") or not is_key(pk):
            return None, False
        neighbour = self.project.lines.filter(pk=pk).first()
        return neighbour, side == "before" and neighbour is not None

    def write(self) -> Line | None:
        """None, and the field says why, where it is no line."""
        after = self._previous() if self.before else self.neighbour
        draft = Draft(self.cleaned_data["text"], character_id=self.cleaned_data["character"])
        if kind(self.project.kind).timed:
            start, end = time_behind(self.project, after, first=self.before)
            draft = replace(draft, start_ms=start, end_ms=end)
        try:
            (made,) = lines.add(self.project, [draft], after=after, first=self.before and after is None)
        except ValidationError as error:
            self.add_error("text", ValidationError(error.messages))
            return None
        return made

    def _previous(self) -> Line | None:
        assert self.neighbour is not None
        before = self.project.lines.filter(position__lt=self.neighbour.position)
        return before.order_by("-position", "-pk").first()


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a line's takes, by its number among them."""

    take: Take
    number: int
    current: bool
    length: str

    @property
    def key(self) -> str:
        return str(self.take.pk)


class LineForm(forms.Form):
    """Changes a line that is still at `revision`."""

    text = forms.CharField(
        label=gettext_lazy("Text"), strip=False, required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 3, "dir": "auto", "data-nr-write": ""}),
    )  # fmt: skip
    character = CharacterField(label=gettext_lazy("Character"))
    instruction = forms.CharField(
        label=gettext_lazy("Instruction"), required=False, max_length=2000, widget=UnfoldAdminTextInputWidget
    )
    speed = _speed()
    chapter = forms.CharField(
        label=gettext_lazy("Chapter that begins here"),
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
    )
    start_ms = ClockField(label=gettext_lazy("Start"))
    end_ms = ClockField(label=gettext_lazy("End"))
    revision = forms.IntegerField(widget=forms.HiddenInput)

    FIELDS = ("text", "character", "instruction", "speed", "chapter")
    TIMES = ("start_ms", "end_ms")

    def __init__(self, data: Any = None, *, line: Line, voices: Voices) -> None:
        self.line = line
        timed = kind(line.project.kind).timed
        self.names = self.FIELDS + (self.TIMES if timed else ())
        values = {name: getattr(line, name) for name in self.names} | {"character": line.character_id}
        super().__init__(data, prefix=f"line-{line.pk}", initial={**values, "revision": line.revision})
        for name in () if timed else self.TIMES:
            del self.fields[name]
        choices = voices.choices(_("No character"), also=line.character)
        self.fields["character"].choices = choices  # type: ignore[attr-defined]
        self.other: Line | None = None
        """How somebody else left the line meanwhile."""

    def clean_text(self) -> str:
        return str(self.cleaned_data["text"]).replace("\r\n", "\n").strip()

    def save(self) -> bool:
        """False, and the fields say why, where it can't be stored."""
        values = {("character_id" if name == "character" else name): self.cleaned_data[name] for name in self.names}
        changed = {name: value for name, value in values.items() if getattr(self.line, name) != value}
        try:
            if changed or self.cleaned_data["revision"] != self.line.revision:
                lines.edit(self.line, self.cleaned_data["revision"], **(changed or {"text": values["text"]}))
        except lines.EditConflict as error:
            self._meet(error)
        except ValidationError as error:
            self.add_error(None, error)
        return not self.errors

    def _meet(self, conflict: ValidationError) -> None:
        """What somebody typed stays; a second try is made knowing what the other wrote."""
        self.add_error(None, conflict)
        self.other = Line.objects.select_related("character").get(pk=self.line.pk)
        self.data = {name: self.data[name] for name in self.data}
        self.data[self.add_prefix("revision")] = str(self.other.revision)

    @property
    def key(self) -> str:
        return str(self.line.pk)

    @property
    def address(self) -> str:
        return f"nr-edit-{self.line.pk}"

    @cached_property
    def takes(self) -> list[Choice]:
        """The latest of the line's takes, to choose from."""
        fields = ("line", "duration", "state", "file")
        done = self.line.takes.filter(state=TakeState.DONE).only(*fields).order_by("pk")
        chosen = self.line.take_id
        listed = [
            Choice(take, number, take.pk == chosen, duration(take.duration or 0))
            for number, take in enumerate(done, start=1)
        ]
        return listed[-MOST_TAKES:]


class LineFilter(forms.Form):
    """Filters that stand in the address; one that holds nothing sensible filters nothing."""

    q = forms.CharField(
        label=gettext_lazy("Search"),
        required=False,
        widget=UnfoldAdminTextInputWidget({"type": "search", "placeholder": gettext_lazy("Text or name")}),
    )
    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        required=False,
        choices=[("", gettext_lazy("All")), *[(state.value, label) for state, (_tone, label) in STATES.items()]],
        widget=UnfoldAdminSelectWidget,
    )
    character = CharacterField(label=gettext_lazy("Character"))

    def __init__(self, data: Any, speakers: dict[int, str]) -> None:
        super().__init__(data)
        choices = [("", _("All")), *((str(pk), name) for pk, name in speakers.items())]
        self.fields["character"].choices = choices  # type: ignore[attr-defined]
        self.is_valid()

    def condition(self) -> Q:
        """Of lines that were read with their state; empty where nothing is filtered."""
        asked, condition = self.cleaned_data, Q()
        if words := asked.get("q"):
            condition &= Q(text__icontains=words) | Q(speaker__icontains=words)
        if state := asked.get("state"):
            condition &= Q(state=state)
        if character := asked.get("character"):
            condition &= Q(character=character)
        return condition


class SelectionForm(forms.Form):
    """What the ticked lines are given; its fields belong to the form of the buttons."""

    prefix = "ticked"
    character = CharacterField(label=gettext_lazy("Character"), attrs={"form": "nr-line-acts"})
    speed = _speed(required=False, attrs={"form": "nr-line-acts"})
    instruction = forms.CharField(
        label=gettext_lazy("Instruction"),
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextInputWidget({"form": "nr-line-acts"}),
    )

    def __init__(self, data: Any = None, *, voices: Voices) -> None:
        super().__init__(data)
        self.voices = voices
        self.fields["character"].choices = voices.choices(_("No character"))  # type: ignore[attr-defined]


def is_key(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 19
