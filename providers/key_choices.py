"""Choosing several rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.forms import ModelMultipleChoiceField

if TYPE_CHECKING:
    _Choices = ModelMultipleChoiceField[Any]
else:
    _Choices = ModelMultipleChoiceField


class KeyChoices(_Choices):
    """Refuses a number beyond what the database counts to like any key that no row has; Django's own passes it on."""

    def clean(self, value: Any) -> Any:
        try:
            return super().clean(value)
        except OverflowError as error:
            told = {"value": max(value, key=len)[:20]}
            raise ValidationError(self.error_messages["invalid_choice"], code="invalid_choice", params=told) from error
