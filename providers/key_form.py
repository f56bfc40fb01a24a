"""The fields of a key that is stored encrypted, never shown, and given to no other server than it was entered for."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanWidget


class StoredKeyForm(forms.Form):
    """Beside a form of a model with `api_key` and `base_url`. An empty key field keeps the key that is stored."""

    instance: Any
    key = forms.CharField(
        label=gettext_lazy("API key"),
        required=False,
        max_length=4000,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "new-password", "spellcheck": "false"}),
        help_text=gettext_lazy("Stored encrypted and never shown again. Leave empty to keep the key that is stored."),
    )
    remove_key = forms.BooleanField(
        label=gettext_lazy("Remove the stored key"), required=False, widget=UnfoldBooleanWidget
    )

    def _clean_key(self, cleaned: dict[str, Any], needed: bool) -> None:
        given, removed = cleaned.get("key"), cleaned.get("remove_key")
        if given and removed:
            self.add_error("remove_key", _("Give a new key or remove the stored one, not both."))
        elif needed and not given and (removed or not stored_key_length(self.instance)) and not self.has_error("key"):
            self.add_error("key", _("This kind of provider needs a key."))
        elif not given and not removed and stored_key_length(self.instance) and self._moves_away(cleaned):
            self.add_error("key", _("The address leads to another server: enter the key again, or remove it."))
        elif given:
            self.instance.api_key = given
        elif removed:
            self.instance.api_key = ""

    def _moves_away(self, cleaned: dict[str, Any]) -> bool:
        """Whether the stored key would go to a server that it was not given for."""
        before, after = self.initial.get("base_url", ""), cleaned.get("base_url", "")
        return "base_url" in self.fields and urlsplit(before)[:2] != urlsplit(after)[:2]


def stored_key_length(row: Any) -> int:
    """Of the ciphertext, as the admin's queryset annotates it: enough to know whether there is a key."""
    length: int = getattr(row, "key_length", 0)
    return length
