"""The forms of the page of suggested speakers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from studio.models import Project, Scope, SuggestionRun
from studio.suggestions import Plan, start


def _told(plan: Plan) -> str:
    values = {"scope": plan.scope.label, "characters": f"{plan.characters:,}", "requests": plan.requests}
    lines = ngettext("%(count)s line", "%(count)s lines", plan.lines) % {"count": f"{plan.lines:,}"}
    text = ngettext(
        "%(scope)s: %(lines)s, about %(characters)s characters in %(requests)d request",
        "%(scope)s: %(lines)s, about %(characters)s characters in %(requests)d requests",
        plan.requests,
    )
    return text % {**values, "lines": lines}


class AskForm(forms.Form):
    """Asking the chat model; `sent_to`, which is no field, is where the page said that the text goes."""

    scope = forms.ChoiceField(label=gettext_lazy("Which lines"), widget=UnfoldAdminRadioSelectWidget)
    narrator = forms.CharField(
        label=gettext_lazy("Name for narration"),
        max_length=100,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("What nobody in the story says is suggested for this name. Empty: it gets none."),
    )

    def __init__(self, project: Project, owner: Any, plans: Sequence[Plan], narrator: str, data: Any = None) -> None:
        asked = [plan for plan in plans if plan.lines]
        super().__init__(data, initial={"scope": asked[0].scope if asked else "", "narrator": narrator})
        self.project, self.owner = project, owner
        scope: Any = self.fields["scope"]
        scope.choices = [(plan.scope.value, _told(plan)) for plan in asked]

    def start(self) -> SuggestionRun | None:
        """Queued; None where it could not be, which the form then says."""
        values = self.cleaned_data
        try:
            return start(
                self.project,
                self.owner,
                scope=Scope(values["scope"]),
                narrator=values["narrator"],
                sent_to=self.data.get("sent_to", ""),
            )
        except ValidationError as error:
            self.add_error(None, error)
            return None


class SureForm(forms.Form):
    """From which confidence on all suggestions are taken."""

    percent = forms.IntegerField(
        label=gettext_lazy("Confidence, %"),
        min_value=0,
        max_value=100,
        initial=80,
        widget=UnfoldAdminIntegerFieldWidget,
    )
