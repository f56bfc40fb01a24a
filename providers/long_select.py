"""A choice among hundreds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.forms.utils import flatatt
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget


class LongSelect(UnfoldAdminSelectWidget):  # type: ignore[misc]  # untyped base
    """Writes its options itself: by a template for each of them, a thousand take a quarter of a second."""

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        """By the site's templates: the renderer of forms knows those of applications only."""
        attributes = flatatt(self.build_attrs(self.attrs, {"name": name, **(attrs or {})}))
        options = _joined(self.choices, set(self.format_value(value)))
        return render_to_string("admin/long_select.html", {"attributes": attributes, "options": options})


def _joined(choices: Iterable[tuple[Any, Any]], chosen: set[str]) -> SafeString:
    return SafeString("\n".join(_options(choices, chosen)))


def _options(choices: Iterable[tuple[Any, Any]], chosen: set[str]) -> Iterator[SafeString]:
    for value, label in choices:
        if isinstance(label, (list, tuple)):
            yield format_html('<optgroup label="{}">{}</optgroup>', value, _joined(label, chosen))
        else:
            text = "" if value is None else str(value)
            selected = SafeString(" selected" if text in chosen else "")
            yield format_html('<option value="{}"{}>{}</option>', text, selected, label)
