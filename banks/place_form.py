"""Where chosen characters go."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminSelectWidget

from banks.models import Bank, Character

SHARE, COPY, MOVE = "share", "copy", "move"
WAYS = {
    SHARE: gettext_lazy("Also speak there: the same characters, in both banks"),
    COPY: gettext_lazy("Copies of their own: a later change of one leaves the other alone"),
    MOVE: gettext_lazy("Move: they leave another bank, or all of theirs"),
}


class PlaceForm(forms.Form):
    bank = forms.ModelChoiceField(
        label=gettext_lazy("Into the bank"),
        queryset=Bank.objects.none(),
        empty_label=gettext_lazy("Choose a bank"),
        widget=UnfoldAdminSelectWidget,
    )
    way = forms.ChoiceField(label=gettext_lazy("How"), widget=UnfoldAdminRadioSelectWidget)
    source = forms.ModelChoiceField(
        label=gettext_lazy("Out of the bank"),
        queryset=Bank.objects.none(),
        required=False,
        empty_label=gettext_lazy("All their banks"),
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, ways: list[str], characters: QuerySet[Character], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        theirs = Bank.objects.present().filter(memberships__character__in=characters.values("pk")).distinct()
        self.fields["bank"].queryset = Bank.objects.present()  # type: ignore[attr-defined]
        self.fields["way"].choices = [(way, WAYS[way]) for way in ways]  # type: ignore[attr-defined]
        self.fields["source"].queryset = theirs  # type: ignore[attr-defined]
        self.initial.setdefault("way", ways[0])
        if MOVE not in ways:
            del self.fields["source"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        bank = cleaned.get("bank")
        if cleaned.get("way") == MOVE and bank is not None and cleaned.get("source") == bank:
            self.add_error("source", _("They are to leave another bank than the one that they go to."))
        return cleaned
