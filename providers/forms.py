"""Forms of providers (what they ask follows from what the adapter of the kind declares) and of what they offer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminExpandableTextareaWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from providers import adapters
from providers.archive import Archivable
from providers.key_form import StoredKeyForm
from providers.models import CatalogueVoice, Provider, validate_time_zone
from providers.option_fields import chosen_options, option_fields, stored_initial
from providers.speech import TaskMode
from providers.strict_json import StrictDecoder

if TYPE_CHECKING:
    _ProviderModelForm = forms.ModelForm[Provider]
    _VoiceModelForm = forms.ModelForm[CatalogueVoice]
else:
    _ProviderModelForm = _VoiceModelForm = forms.ModelForm

OPTION_PREFIX = "option_"


def refuse_taken_name(model: type[Archivable], name: str, own_pk: int | None) -> None:
    """Names differ in more than case among the rows that are not archived."""
    present: Any = model._default_manager.filter(archived_at=None)
    if present.filter(name__iexact=name).exclude(pk=own_pk).exists():
        raise ValidationError(_("There is one with this name already."))


class ProviderForm(_ProviderModelForm, StoredKeyForm):
    """`for_kind` makes the class for one kind. An empty key field keeps the key that is stored."""

    kind = ""

    class Meta:
        model = Provider
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance.pk:
            self.instance.kind = self.kind
            self._suggest()
        capabilities = self.instance.adapter_class.capabilities
        if "base_url" in self.fields:
            self.fields["base_url"].required = capabilities.needs_base_url
        declared = capabilities.provider_options
        self.initial.update(stored_initial(declared, self.instance.options, OPTION_PREFIX))

    def _suggest(self) -> None:
        self.initial.setdefault("max_concurrency", self.instance.adapter_class.capabilities.default_concurrency)
        self.initial.setdefault("name", self.instance.adapter_class.label)

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        refuse_taken_name(Provider, name, self.instance.pk)
        return name

    def clean_time_zone(self) -> str:
        """Here already: the page computes other fields by the row's, which must not become one that is none."""
        zone = str(self.cleaned_data["time_zone"])
        validate_time_zone(zone)
        return zone

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        capabilities = self.instance.adapter_class.capabilities
        self.instance.options = chosen_options(capabilities.provider_options, cleaned, OPTION_PREFIX)
        self._clean_key(cleaned, needed=capabilities.needs_key)
        return cleaned


def for_kind(kind: str) -> type[ProviderForm]:
    declared = adapters.adapter_class(kind).capabilities.provider_options
    return type("KindForm", (ProviderForm,), {"kind": kind, **option_fields(declared, OPTION_PREFIX, {})})


class NamesField(forms.CharField):
    """A list of names, typed one a line or separated by commas."""

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [part.strip() for part in re.split(r"[,\r\n]", super().to_python(value) or "") if part.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.to_python(data))


class CatalogueVoiceForm(_VoiceModelForm):
    styles = NamesField(
        label=gettext_lazy("Styles"),
        required=False,
        max_length=2000,
        widget=UnfoldAdminExpandableTextareaWidget,
        help_text=gettext_lazy("One a line."),
    )
    task_mode = forms.ChoiceField(
        label=gettext_lazy("Task mode"),
        required=False,
        choices=[("", gettext_lazy("Any")), *((mode.value, mode.value) for mode in TaskMode)],
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = CatalogueVoice
        fields = "__all__"


class RegisteredVoiceForm(forms.Form):
    """A voice for the backend's own registry; what is left empty is not sent."""

    voice_id = forms.CharField(label=gettext_lazy("Id"), max_length=100, widget=UnfoldAdminTextInputWidget)
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=200, required=False, widget=UnfoldAdminTextInputWidget
    )
    language = forms.CharField(
        label=gettext_lazy("Language"), max_length=100, required=False, widget=UnfoldAdminTextInputWidget
    )
    instruction = forms.CharField(
        label=gettext_lazy("Instruction"),
        max_length=2000,
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 2}),
        help_text=gettext_lazy("How the voice sounds, for backends that design voices from words."),
    )
    further = forms.JSONField(
        label=gettext_lazy("Further fields"),
        required=False,
        initial=dict,
        decoder=StrictDecoder,
        widget=UnfoldAdminTextareaWidget({"rows": 2, "spellcheck": "false"}),
        help_text=gettext_lazy('As the backend names them, in JSON, such as {"mode": "design"}.'),
    )

    def clean_further(self) -> dict[str, object]:
        further = self.cleaned_data["further"] or {}
        if not isinstance(further, dict):
            raise forms.ValidationError(_("Enter a JSON object, with a name for each value."))
        return further

    def profile(self) -> dict[str, object]:
        named = {name: self.cleaned_data[name] for name in ("name", "language", "instruction")}
        further: dict[str, object] = self.cleaned_data["further"]
        return {name: value for name, value in named.items() if value} | further
