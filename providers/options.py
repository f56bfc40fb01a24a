"""Typed options that an adapter declares, checked against their declaration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from providers.speech import Option, OptionType, OptionValue


def clean_options(declared: Iterable[Option], given: Mapping[str, Any]) -> dict[str, OptionValue]:
    """The given values in their declared types; unset ones are left out. ValidationError keyed by option name."""
    known = {option.name: option for option in declared}
    cleaned: dict[str, OptionValue] = {}
    errors: dict[str, str] = {}
    for name, value in given.items():
        if name not in known:
            errors[name] = _("Unknown option.")
        elif value not in (None, ""):
            try:
                cleaned[name] = _clean(known[name], value)
            except ValueError as error:
                errors[name] = str(error)
    if errors:
        raise ValidationError(errors)
    return cleaned


def with_defaults(declared: Iterable[Option], stored: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    defaults = {option.name: option.default for option in declared if option.default is not None}
    return {**defaults, **stored}


def _clean(option: Option, value: Any) -> OptionValue:
    match option.type:
        case OptionType.BOOLEAN:
            if not isinstance(value, bool):
                raise ValueError(_("Must be true or false."))
            return value
        case OptionType.INTEGER | OptionType.NUMBER:
            return _number(option, value)
        case OptionType.CHOICE:
            if value not in option.choices:
                raise ValueError(_("Must be one of: %s.") % ", ".join(option.choices))
            return str(value)
        case OptionType.TEXT:
            if not isinstance(value, str) or len(value) > 2000:
                raise ValueError(_("Must be text of at most 2000 characters."))
            return value


def _number(option: Option, value: Any) -> int | float:
    whole = option.type is OptionType.INTEGER
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ValueError(_("Must be a whole number.") if whole else _("Must be a number."))
    if option.minimum is not None and not value >= option.minimum:
        raise ValueError(_("Must be at least %s.") % option.minimum)
    if option.maximum is not None and not value <= option.maximum:
        raise ValueError(_("Must be at most %s.") % option.maximum)
    return int(value) if whole else float(value)
