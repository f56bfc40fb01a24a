"""Forms of the import of a bank."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanWidget

from banks.bundle import Bundle, ProviderEntry
from banks.bundle_zip import BUNDLE_BYTES
from banks.forms import selectable_providers
from banks.uploads import FileUploadField
from providers import adapters
from providers.models import Provider


class BundleForm(forms.Form):
    file = FileUploadField(
        limit=BUNDLE_BYTES,
        accept=".zip",
        label=gettext_lazy("Exported bank"),
        help_text=gettext_lazy("A zip file as “Export” makes it, at most 100 MB."),
    )
    active = forms.BooleanField(
        label=gettext_lazy("Switch the bank on"),
        required=False,
        widget=UnfoldBooleanWidget,
        help_text=gettext_lazy("Then it is a model of the API at once. It can be switched on at any time."),
    )


class ProvidersForm(forms.Form):
    """Which provider speaks in place of each one that is not here. Fields are named provider_0 and so on."""

    def __init__(self, bundle: Bundle, found: dict[ProviderEntry, Provider], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.found = found
        self.missing = {f"provider_{at}": one for at, one in enumerate(bundle.providers) if one not in found}
        usable = list(selectable_providers(None))
        for name, entry in self.missing.items():
            label = _("“%(name)s” (%(kind)s)") % {"name": entry.name, "kind": _kind(entry.kind)}
            self.fields[name] = forms.TypedChoiceField(
                label=label,
                choices=_choices(entry, usable),
                coerce=int,
                widget=UnfoldAdminSelectWidget,
                help_text=_characters(bundle, entry),
            )

    def chosen(self) -> dict[ProviderEntry, Provider]:
        picked = {entry: self.cleaned_data[name] for name, entry in self.missing.items()}
        providers = Provider.objects.defer("api_key").in_bulk(list(picked.values()))
        return self.found | {entry: providers[pk] for entry, pk in picked.items()}

    def refuse(self, reasons: list[str], entry: ProviderEntry | None) -> None:
        """At the field whose choice does not fit, where it is one of these."""
        name = next((name for name, one in self.missing.items() if one == entry), None)
        for reason in reasons:
            self.add_error(name, reason)


def _kind(kind: str) -> str:
    return adapters.adapter_class(kind).label if kind in adapters.kinds() else kind


def _choices(entry: ProviderEntry, usable: list[Provider]) -> list[Any]:
    """Those of the same kind first: others may lack options that the characters have."""
    same = [(one.pk, one.name) for one in usable if one.kind == entry.kind]
    other = [(one.pk, f"{one.name} ({_kind(one.kind)})") for one in usable if one.kind != entry.kind]
    groups = [(_("Of the same kind"), same), (_("Of another kind"), other)]
    return [("", _("Choose a provider")), *((title, choices) for title, choices in groups if choices)]


def _characters(bundle: Bundle, entry: ProviderEntry) -> str:
    names = [one.name for one in bundle.characters if bundle.providers[one.provider] == entry]
    shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    return _("Speaks for: %s") % shown
