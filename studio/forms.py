"""The form of Quick TTS, and the filters of the archive."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from banks.dictionary import rules_for
from banks.models import Character
from banks.pieces import speakable
from banks.pronunciation import PronunciationError
from providers.long_select import LongSelect
from providers.speech import SPEED_MAX, SPEED_MIN, AudioFormat
from studio.cast import Part, everybody, freeze
from studio.frozen import MadeWith
from studio.models import StudioSettings, Take, TakeQuerySet, TakeState
from studio.periods import beginning_of


class QuickForm(forms.Form):
    """Text for a character. `take` makes of it a queued take."""

    bank = forms.ChoiceField(label=gettext_lazy("Bank"), required=False, widget=UnfoldAdminSelectWidget)
    character = forms.ChoiceField(
        label=gettext_lazy("Character"),
        widget=LongSelect,
        error_messages={"invalid_choice": gettext_lazy("This character can't speak any more: choose another.")},
    )
    text = forms.CharField(label=gettext_lazy("Text"), widget=UnfoldAdminTextareaWidget({"rows": 6, "dir": "auto"}))
    instruction = forms.CharField(
        label=gettext_lazy("Instruction"),
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("How to speak, in words. Empty: the character's own."),
    )
    format = forms.ChoiceField(
        label=gettext_lazy("Format"),
        choices=[(each.value, each.value.upper()) for each in AudioFormat],
        initial=AudioFormat.MP3.value,
        widget=UnfoldAdminSelectWidget,
    )
    speed = forms.FloatField(
        label=gettext_lazy("Speed"),
        initial=1.0,
        min_value=SPEED_MIN,
        max_value=SPEED_MAX,
        step_size=0.05,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text=gettext_lazy("1 is the character's own."),
    )

    def __init__(self, data: Any = None, *, user: Any, character: str = "") -> None:
        super().__init__(data)
        self.user = user
        self.parts = {part.key: part for part in everybody()}
        self.longest = StudioSettings.load().max_text_characters
        self._offer("bank", self._banks())
        self._offer("character", self._choices())
        self.fields["text"].widget.attrs["data-nr-longest"] = self.longest
        self.initial["character"] = next((key for key in self.parts if key.endswith(f"-{character}")), None)

    def _choices(self) -> list[Any]:
        grouped = groupby(self.parts.values(), key=lambda part: (part.bank_id, part.bank))
        return [
            (bank or _("In no bank"), [(part.key, part.character.name) for part in parts])
            for (_bank_id, bank), parts in grouped
        ]

    def _banks(self) -> list[tuple[str, str]]:
        """For the page's script, which narrows the characters by it."""
        found = dict.fromkeys((str(part.bank_id), part.bank or _("In no bank")) for part in self.parts.values())
        return [("", _("All banks")), *found]

    def _offer(self, name: str, choices: list[Any]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    @property
    def instructed(self) -> str:
        """The keys of those who can follow instructions, for the page's script."""
        return " ".join(key for key, part in self.parts.items() if _follows(part))

    def clean_text(self) -> str:
        text = str(self.cleaned_data["text"]).replace("\r\n", "\n")
        if len(text) > self.longest:
            values = {"count": len(text), "limit": self.longest}
            raise ValidationError(_("The text has %(count)d characters; at most %(limit)d are spoken.") % values)
        if not speakable(text):
            raise ValidationError(_("There are no words in this text."))
        return text

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        part = self.parts.get(cleaned.get("character", ""))
        self._voice = freeze(part.character.pk, part.bank) if part else None
        if part and self._voice is None:
            self.add_error("character", self.fields["character"].error_messages["invalid_choice"])
        if part and cleaned.get("instruction") and not _follows(part):
            self.add_error("instruction", _("This character can't follow instructions: leave it empty."))
        self._pronounce(part, cleaned.get("text", ""))
        Take.objects.require_room(self.user)
        return cleaned

    def _pronounce(self, part: Part | None, text: str) -> None:
        if part is None or self._voice is None:
            return
        try:
            self._spoken = rules_for(part.bank_id).apply(text, self._voice.language)
        except PronunciationError as error:
            self.add_error("text", error.message)
            return
        if text and not speakable(self._spoken):
            self.add_error("text", _("The dictionary leaves no words to speak."))

    def take(self) -> Take:
        values = self.cleaned_data
        assert self._voice is not None
        made_with = MadeWith(self._voice, values["speed"], values["instruction"])
        part = self.parts[values["character"]]
        take = Take.ask(
            self.user, values["text"], made_with, values["format"], spoken=self._spoken, character=part.character
        )
        take.save()
        return take


# Takes that a server died with, so that another one began them anew.
BEGUN_AGAIN = "again"


class TakeFilter(forms.Form):
    """Filters that stand in the address; one that holds nothing sensible filters nothing."""

    q = forms.CharField(
        label=gettext_lazy("Search"),
        required=False,
        widget=UnfoldAdminTextInputWidget({"type": "search", "placeholder": gettext_lazy("Text or character")}),
    )
    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        required=False,
        choices=[("", gettext_lazy("All")), *TakeState.choices, (BEGUN_AGAIN, gettext_lazy("Begun again"))],
        widget=UnfoldAdminSelectWidget,
    )
    days = forms.ChoiceField(
        label=gettext_lazy("When"),
        required=False,
        choices=[("", gettext_lazy("At any time")), ("1", gettext_lazy("Today")), ("30", gettext_lazy("Last 30 days"))],
        widget=UnfoldAdminSelectWidget,
    )
    character = forms.ChoiceField(label=gettext_lazy("Character"), required=False, widget=LongSelect)
    kept = forms.ChoiceField(
        label=gettext_lazy("Kept"),
        required=False,
        choices=[("", gettext_lazy("All")), ("yes", gettext_lazy("Kept")), ("no", gettext_lazy("Not kept"))],
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, data: Any, visible: TakeQuerySet) -> None:
        super().__init__(data)
        self.visible = visible
        spoken = Character.objects.filter(pk__in=visible.order_by().values("character")).values_list("pk", "name")
        self.fields["character"].choices = [("", _("All")), *spoken]  # type: ignore[attr-defined]

    def found(self) -> TakeQuerySet:
        self.is_valid()
        asked, found = self.cleaned_data, self.visible
        if words := asked.get("q"):
            found = found.filter(Q(text__icontains=words) | Q(character__name__icontains=words))
        if state := asked.get("state"):
            found = found.filter(attempts__gt=1) if state == BEGUN_AGAIN else found.filter(state=state)
        if days := asked.get("days"):
            found = found.filter(created_at__gte=beginning_of(int(days)))
        if character := asked.get("character"):
            found = found.filter(character_id=character)
        if kept := asked.get("kept"):
            found = found.filter(kept=kept == "yes")
        return found


def _follows(part: Part) -> bool:
    return part.character.provider.adapter_class.capabilities.instructions
