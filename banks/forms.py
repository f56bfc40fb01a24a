"""Forms of banks, characters and reference audio."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminExpandableTextareaWidget, UnfoldAdminFileFieldWidget, UnfoldBooleanWidget

from banks.images import AVATAR_BYTES, avatar_image
from banks.models import Bank, Character, Membership, ReferenceAudio, discard
from providers import adapters
from providers.audio import to_reference_wav
from providers.errors import BadAudio
from providers.forms import NamesField, refuse_taken_name
from providers.models import CatalogueVoice, Provider
from providers.option_fields import chosen_options, option_fields, stored_initial

if TYPE_CHECKING:
    _BankModelForm = forms.ModelForm[Bank]
    _CharacterModelForm = forms.ModelForm[Character]
    _MembershipModelForm = forms.ModelForm[Membership]
    _MembershipModelFormSet = forms.BaseInlineFormSet[Membership, Bank, forms.ModelForm[Membership]]
    _ReferenceModelForm = forms.ModelForm[ReferenceAudio]
else:
    _BankModelForm = _CharacterModelForm = _MembershipModelForm = _ReferenceModelForm = forms.ModelForm
    _MembershipModelFormSet = forms.BaseInlineFormSet

MODE_FIELDS = frozenset({"model", "voice", "reference", "prompt_text", "prompt_language", "language", "instruction"})
REFERENCE_BYTES = 30 * 1024 * 1024
REFERENCE_SECONDS = 600
# More would make browsers slow; the catalogue's page searches all of them.
MAX_SUGGESTIONS = 500


class UploadWidget(UnfoldAdminFileFieldWidget):  # type: ignore[misc]
    """A plain file input: stored files have no address of their own to link to."""

    def is_initial(self, value: object) -> bool:
        return False

    def format_value(self, value: object) -> None:
        return None


class UploadField(forms.FileField):
    """A file of at most `limit` bytes; cleans to its content."""

    def __init__(self, *, limit: int, accept: str, **kwargs: Any) -> None:
        self.limit = limit
        super().__init__(widget=UploadWidget({"accept": accept}), **kwargs)

    def clean(self, data: Any, initial: Any = None) -> bytes | None:
        upload = super().clean(data, initial)
        if not isinstance(upload, UploadedFile):
            return None
        if (upload.size or 0) > self.limit:
            raise ValidationError(_("The file is larger than %d MB.") % (self.limit // 1024**2))
        content: bytes = upload.read()
        return content


class ReferenceAudioForm(_ReferenceModelForm):
    upload = UploadField(
        limit=REFERENCE_BYTES,
        accept="audio/*",
        label=gettext_lazy("Audio file"),
        help_text=gettext_lazy("A clean recording of one voice; 5 to 15 seconds suit most engines. At most 30 MB."),
    )

    class Meta:
        model = ReferenceAudio
        fields = ["name", "transcript", "language"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "upload" in self.fields:
            self.fields["upload"].required = False

    def clean_upload(self) -> bytes | None:
        """The recording as the WAV that is kept; its duration goes straight onto the row."""
        data: bytes | None = self.cleaned_data["upload"]
        if data is None:
            return None
        try:
            wav, self.instance.duration = to_reference_wav(data, max_seconds=REFERENCE_SECONDS)
        except BadAudio as error:
            raise ValidationError(error.message) from error
        return wav

    def save(self, commit: bool = True) -> ReferenceAudio:
        if wav := self.cleaned_data.get("upload"):
            discard(self.instance.file)
            self.instance.file = ContentFile(wav, name=f"{secrets.token_hex(16)}.wav")
        return super().save(commit)


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
    avatar_upload = UploadField(
        limit=AVATAR_BYTES,
        accept="image/png,image/jpeg,image/webp,image/gif",
        label=gettext_lazy("Avatar"),
        required=False,
        help_text=gettext_lazy("PNG, JPEG, WebP or GIF, at most 5 MB. It is scaled down to 512 pixels."),
    )
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
        self.fields["reference"].help_text = _("Recordings are added under “Reference audio”.")
        if self.instance.provider_id:
            kind = self.instance.provider.kind
            declared = adapters.adapter_class(kind).capabilities.character_options if kind in adapters.kinds() else ()
            self.initial.update(stored_initial(declared, self.instance.options, option_prefix(kind)))

    def clean_avatar_upload(self) -> ContentFile[bytes] | None:
        data: bytes | None = self.cleaned_data["avatar_upload"]
        return avatar_image(data) if data else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        provider: Provider | None = cleaned.get("provider")
        if provider is not None:
            capabilities = provider.adapter_class.capabilities
            prefix = option_prefix(provider.kind)
            self.instance.options = chosen_options(capabilities.character_options, cleaned, prefix)
            self._empty_unused(cleaned)
        return cleaned

    def _empty_unused(self, cleaned: dict[str, Any]) -> None:
        """What the task mode does not read is not kept: an adapter would refuse it later."""
        modes = cleaned["provider"].adapter_class.capabilities.task_modes
        fields = modes.get(cleaned.get("task_mode"))
        if fields is None:
            return
        for name in MODE_FIELDS - fields.required - fields.optional:
            if name in cleaned:
                cleaned[name] = None if name == "reference" else ""

    def save(self, commit: bool = True) -> Character:
        image = self.cleaned_data.get("avatar_upload")
        if image or self.cleaned_data.get("remove_avatar"):
            discard(self.instance.avatar)
            self.instance.avatar = image or ""
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
    return Character.objects.filter(Q(archived_at=None, enabled=True) | Q(pk=current))


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
                kept = selectable.model._default_manager.filter(pk=getattr(self.instance, f"{name}_id"))
                field.queryset = kept if field.disabled else selectable


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


def suggestions(provider: Provider, *, linked: bool) -> dict[str, Any]:
    """For the page's script: the voices and models that the provider lists, and what to do where that is not all.

    `linked` is for people who may open the pages of providers.
    """
    voices = list(provider.catalogue_voices.filter(vanished_at=None)[: MAX_SUGGESTIONS + 1])
    models = provider.catalogue_models.filter(vanished_at=None)[:MAX_SUGGESTIONS]
    text = action = url = ""
    if not voices:
        text, action = _("No voices of this provider are known here yet."), _("Fetch all on its page")
        url = reverse("admin:providers_provider_change", args=[provider.pk])
    elif len(voices) > MAX_SUGGESTIONS:
        text, action = _("The first %d voices are suggested.") % MAX_SUGGESTIONS, _("Search all of them")
        url = f"{reverse('admin:providers_cataloguevoice_changelist')}?provider={provider.pk}"
    return {
        "voice": [_suggestion(voice) for voice in voices[:MAX_SUGGESTIONS]],
        "model": [{"id": model.external_id, "label": model.name} for model in models],
        "note": {"text": text, "action": action if linked else "", "url": url if linked else ""},
    }


def _suggestion(voice: CatalogueVoice) -> dict[str, str]:
    described = (voice.name, voice.language, voice.gender, voice.model, voice.task_mode)
    return {"id": voice.external_id, "label": " · ".join(filter(None, described))}
