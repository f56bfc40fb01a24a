"""Form fields for the typed options that an adapter declares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.html import escape
from django.utils.translation import gettext as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from providers.speech import Option, OptionType, OptionValue


def option_fields(declared: Iterable[Option], prefix: str, attrs: Mapping[str, str]) -> dict[str, forms.Field]:
    """A form field for each option, named prefix + option name; its widget carries `attrs`."""
    return {prefix + option.name: _field(option, dict(attrs)) for option in declared}


def stored_initial(declared: Iterable[Option], stored: Mapping[str, OptionValue], prefix: str) -> dict[str, Any]:
    return {prefix + option.name: stored.get(option.name, _unset(option)) for option in declared}


def chosen_options(declared: Iterable[Option], cleaned: Mapping[str, Any], prefix: str) -> dict[str, OptionValue]:
    """The values to store; what was left empty follows the declared default."""
    values = {option.name: cleaned.get(prefix + option.name) for option in declared}
    return {name: value for name, value in values.items() if value not in (None, "")}


def _unset(option: Option) -> OptionValue | None:
    return bool(option.default) if option.type is OptionType.BOOLEAN else None


def _field(option: Option, attrs: dict[str, str]) -> forms.Field:
    common: dict[str, Any] = {"label": option.label, "required": False, "help_text": escape(option.help)}
    if option.default is not None and option.type not in (OptionType.BOOLEAN, OptionType.CHOICE):
        attrs["placeholder"] = str(option.default)
    match option.type:
        case OptionType.BOOLEAN:
            return forms.BooleanField(widget=UnfoldBooleanSwitchWidget(attrs), **common)
        case OptionType.CHOICE:
            return forms.ChoiceField(choices=_choices(option), widget=UnfoldAdminSelectWidget(attrs), **common)
        case OptionType.TEXT:
            return forms.CharField(max_length=2000, widget=UnfoldAdminTextInputWidget(attrs), **common)
        case OptionType.INTEGER:
            return forms.IntegerField(
                min_value=None if option.minimum is None else math.ceil(option.minimum),
                max_value=None if option.maximum is None else math.floor(option.maximum),
                widget=UnfoldAdminIntegerFieldWidget(attrs),
                **common,
            )
        case OptionType.NUMBER:
            return forms.FloatField(
                min_value=option.minimum,
                max_value=option.maximum,
                widget=UnfoldAdminIntegerFieldWidget({**attrs, "step": "any"}),
                **common,
            )


def _choices(option: Option) -> list[tuple[str, str]]:
    unset = _("Default") if option.default is None else _("Default (%s)") % option.default
    return [("", unset), *((choice, choice) for choice in option.choices)]
