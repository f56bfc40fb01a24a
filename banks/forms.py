"""Forms of banks and characters."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminExpandableTextareaWidget, UnfoldBooleanWidget

from banks.models import Bank, Character, Membership, ReferenceAudio, unread_fields
from banks.uploads import AvatarField
from providers import adapters
from providers.forms import NamesField, refuse_taken_name
from providers.models import CatalogueVoice, Provider
from providers.option_fields import chosen_options, option_fields, stored_initial
from providers.speech import TaskMode

if TYPE_CHECKING:
    _BankModelForm = forms.ModelForm[Bank]
    _CharacterModelForm = forms.ModelForm[Character]
    _MembershipModelForm = forms.ModelForm[Membership]
    _MembershipModelFormSet = forms.BaseInlineFormSet[Membership, Bank, forms.ModelForm[Membership]]
else:
    _BankModelForm = _CharacterModelForm = _MembershipModelForm = forms.ModelForm
    _MembershipModelFormSet = forms.BaseInlineFormSet

# More would make browsers slow; the catalogue's page searches all of them.
MAX_SUGGESTIONS = 500


def selectable_providers(current: int | None) -> QuerySet[Provider]:
    """What a character may speak through: present and enabled, plus what it has already."""
    usable = Q(archived_at=None, enabled=True, kind__in=list(adapters.kinds()))
    return Provider.objects.defer("api_key").filter(usable | Q(pk=current))


def option_prefix(kind: str) -> str:
    return f"option_{kind}_"


class CharacterForm(_CharacterModelForm):
    """`for_kinds` makes the class: the options of every kind that can be chosen are there, the chosen kind's count."""

    aliases = NamesField(
        label=gettext_lazy("Aliases"),
        required=False,
        widget=UnfoldAdminExpandableTextareaWidget(),
        help_text=gettext_lazy("Other names that clients may send, such as alloy: one a line, or separated by commas."),
    )
    avatar_upload = AvatarField(required=False)
    remove_avatar = forms.BooleanField(
        label=gettext_lazy("Remove the avatar"), required=False, widget=UnfoldBooleanWidget
    )

    class Meta:
        model = Character
        exclude = ["avatar"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "provider" not in self.fields:
            return
        providers = selectable_providers(self.instance.provider_id)
        self.fields["provider"].queryset = providers  # type: ignore[attr-defined]
        self.fields["task_mode"].widget.attrs["data-nr-providers"] = json.dumps(provider_choices(providers))
        for name in ("voice", "model"):
            self.fields[name].widget.attrs |= {"list": f"nr-{name}-list", "autocomplete": "off"}
        self.fields["voice"].widget.attrs["data-nr-suggestions"] = reverse("admin:banks_character_suggestions")
        others = selectable_characters(self.instance.fallback_id).exclude(pk=self.instance.pk)
        self.fields["fallback"].queryset = others  # type: ignore[attr-defined]
        self.fields["reference"].widget.attrs |= {
            "data-nr-references": json.dumps(reference_choices()),
            "data-nr-listen": _("Listen to the recording"),
        }
        self.fields["reference"].help_text = format_html(
            '{} <a class="nr-link" href="{}">{}</a>',
            _("What it says and in which language is taken from the recording where the fields below are empty."),
            reverse("admin:banks_referenceaudio_changelist"),
            _("Reference audio"),
        )
        if self.instance.provider_id:
            kind = self.instance.provider.kind
            declared = adapters.adapter_class(kind).capabilities.character_options if kind in adapters.kinds() else ()
            self.initial.update(stored_initial(declared, self.instance.options, option_prefix(kind)))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        provider: Provider | None = cleaned.get("provider")
        if provider is not None:
            capabilities = provider.adapter_class.capabilities
            prefix = option_prefix(provider.kind)
            self.instance.options = chosen_options(capabilities.character_options, cleaned, prefix)
            self._empty_unread(cleaned)
        return cleaned

    def _empty_unread(self, cleaned: dict[str, Any]) -> None:
        for name in unread_fields(cleaned["provider"], cleaned.get("task_mode") or ""):
            if name in cleaned:
                cleaned[name] = None if name == "reference" else ""

    def save(self, commit: bool = True) -> Character:
        image = self.cleaned_data.get("avatar_upload")
        if image or self.cleaned_data.get("remove_avatar"):
            self.instance.show(image)
        return super().save(commit)


def for_kinds() -> type[CharacterForm]:
    fields: dict[str, forms.Field] = {}
    for kind in adapters.kinds():
        declared = adapters.adapter_class(kind).capabilities.character_options
        fields |= option_fields(declared, option_prefix(kind), {"data-nr-kind": kind})
    return type("KindsForm", (CharacterForm,), fields)


class BankForm(_BankModelForm):
    class Meta:
        model = Bank
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "default_character" in self.fields:
            self.fields["default_character"].queryset = selectable_characters(  # type: ignore[attr-defined]
                self.instance.default_character_id
            )

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        refuse_taken_name(Bank, name, self.instance.pk)
        return name


def selectable_characters(current: int | None = None) -> QuerySet[Character]:
    """With no more than their names: there may be thousands."""
    return Character.objects.filter(Q(archived_at=None, enabled=True) | Q(pk=current)).only("name")


class MembershipForm(_MembershipModelForm):
    """A place that exists keeps its character and bank; a new one is for those that are not archived."""

    class Meta:
        model = Membership
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices: dict[str, QuerySet[Any]] = {"character": selectable_characters(), "bank": Bank.objects.present()}
        for name, selectable in choices.items():
            field = self.fields.get(name)
            if isinstance(field, forms.ModelChoiceField):
                field.disabled = self.instance.pk is not None
                field.queryset = selectable
                if field.disabled:
                    self._keep(field, name)
        for field in self.fields.values():
            # A table's cells have no label of their own for a screen reader.
            field.widget.attrs["aria-label"] = str(field.label)

    def _keep(self, field: forms.ModelChoiceField[Any], name: str) -> None:
        """Its only choice is already at hand: a bank's page has many of these, which must not cost a query each."""
        kept = getattr(self.instance, name)
        field.queryset = type(kept)._default_manager.filter(pk=kept.pk)
        field.widget.choices = [(kept.pk, str(kept))]


class BankMembershipFormSet(_MembershipModelFormSet):
    def clean(self) -> None:
        super().clean()
        default = self.instance.default_character_id
        if default is None or any(self.errors):
            return
        kept = [form.cleaned_data for form in self.forms if not form.cleaned_data.get("DELETE")]
        if default not in {row["character"].pk for row in kept if row.get("character")}:
            raise ValidationError(_("The default character must be one of the bank's characters."))


def provider_choices(providers: Iterable[Provider]) -> dict[str, Any]:
    """For the page's script: what each provider's task modes read, by primary key."""
    return {
        str(provider.pk): {
            "kind": provider.kind,
            "modes": {
                mode.value: {"required": sorted(fields.required), "optional": sorted(fields.optional)}
                for mode, fields in provider.adapter_class.capabilities.task_modes.items()
            },
        }
        for provider in providers
        if provider.kind in adapters.kinds()
    }


def suggestions(provider: Provider, words: str = "", *, linked: bool) -> dict[str, Any]:
    """For the page's script: the voices and models that the provider lists, and what to do where that is not all.

    `words` narrow the voices down; `linked` is for people who may open the pages of providers.
    """
    listed = provider.catalogue_voices.filter(vanished_at=None)
    for word in words.split()[:5]:
        listed = listed.filter(Q(external_id__icontains=word) | Q(name__icontains=word) | Q(language__icontains=word))
    voices = list(listed[: MAX_SUGGESTIONS + 1])
    models = provider.catalogue_models.filter(vanished_at=None)[:MAX_SUGGESTIONS]
    text = action = url = ""
    if not voices and not words:
        text, action = _("No voices of this provider are known here yet."), _("Fetch all on its page")
        url = reverse("admin:providers_provider_change", args=[provider.pk])
    elif len(voices) > MAX_SUGGESTIONS:
        text, action = _("The first %d voices are suggested.") % MAX_SUGGESTIONS, _("Search all of them")
        url = f"{reverse('admin:providers_cataloguevoice_changelist')}?provider={provider.pk}"
    return {
        "voice": [_suggestion(voice) for voice in voices[:MAX_SUGGESTIONS]],
        "more": len(voices) > MAX_SUGGESTIONS,
        "model": [{"id": model.external_id, "label": model.name} for model in models],
        "note": {"text": text, "action": action if linked else "", "url": url if linked else ""},
    }


def _suggestion(voice: CatalogueVoice) -> dict[str, Any]:
    described = (voice.name, voice.language, voice.gender, voice.model, voice.task_mode)
    heard = voice.pk if voice.task_mode in ("", TaskMode.PRESET) else None
    return {"id": voice.external_id, "label": " · ".join(filter(None, described)), "listen": heard}


def reference_choices() -> dict[str, Any]:
    """For the page's script: where each recording can be heard, and what it says of itself, by primary key."""
    return {
        str(reference.pk): {
            "url": reference.url,
            "transcript": reference.transcript[:500],
            "language": reference.language,
        }
        for reference in ReferenceAudio.objects.only("file", "transcript", "language")
    }
