"""Pages as a browser reads them: their forms and what these send, their links, and what stands at a field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urldefrag, urljoin

VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
BUTTONS = ("submit", "image")

Attrs = dict[str, str]


@dataclass(slots=True)
class Field:
    """All controls of one name. `values` is what an untouched form sends, `options` what can be chosen."""

    name: str
    kind: str
    """An input's type, or `select`, or `textarea`."""
    attrs: Attrs
    values: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)

    @property
    def typed(self) -> bool:
        return self.kind not in ("hidden", "select", "checkbox", "radio", "file")

    @property
    def required(self) -> bool:
        return "required" in self.attrs

    @property
    def longest(self) -> int | None:
        return int(self.attrs["maxlength"]) if "maxlength" in self.attrs else None


@dataclass(slots=True)
class Button:
    name: str
    value: str
    action: str


@dataclass(slots=True)
class Form:
    page: str
    attrs: Attrs
    fields: dict[str, Field] = field(default_factory=dict)
    buttons: list[Button] = field(default_factory=list)
    reads: bool = True
    """Whether this address is the one that the fields are for, where buttons lead to several."""

    @property
    def posts(self) -> bool:
        return self.attrs.get("method", "get").lower() == "post"

    @property
    def action(self) -> str:
        return self.address(self.attrs.get("action", ""))

    def address(self, action: str) -> str:
        return urldefrag(urljoin(self.page, action or self.page)).url

    @property
    def multipart(self) -> bool:
        return self.attrs.get("enctype", "") == "multipart/form-data"


@dataclass(slots=True)
class Element:
    tag: str
    attrs: Attrs


class Page(HTMLParser):
    """`flow` is the page in its order: names of controls that people see, and pieces of visible text."""

    def __init__(self, address: str, html: str) -> None:
        super().__init__()
        self.address = address
        self.elements: list[Element] = []
        self.flow: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self._forms: list[Form] = []
        self._by_id: dict[str, Form] = {}
        self._late: list[tuple[str, Element]] = []
        self._open: Form | None = None
        self._select: Field | None = None
        self._textarea: Field | None = None
        self._raw = ""
        self.feed(html)
        self.close()
        for owner, element in self._late:
            if form := self._by_id.get(owner):
                self._control(form, element)

    @property
    def forms(self) -> list[Form]:
        return [form for form in self._forms if form.posts]

    @property
    def text(self) -> str:
        return squeezed(" ".join(said for kind, said in self.flow if kind == "text"))

    @property
    def links(self) -> Iterator[str]:
        for element in self.elements:
            if element.tag == "a" and "href" in element.attrs:
                yield urldefrag(urljoin(self.address, element.attrs["href"])).url

    def stands_at(self, name: str, message: str) -> bool:
        """Whether the text is on the page with no other field between it and the field of this name."""
        owners, groups = [""], [""]
        for kind, said in self.flow:
            if kind == "text":
                groups[-1] += f" {said}"
            elif said != owners[-1]:
                owners.append(said)
                groups.append("")
        # Behind the field, or before it.
        return any(
            name in owners[at : at + 2] and squeezed(message) in squeezed(said) for at, said in enumerate(groups)
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag in ("script", "style"):
            self._raw = tag
        elif tag == "form":
            self._open = Form(self.address, element.attrs)
            self._forms.append(self._open)
            self._by_id[element.attrs.get("id", "")] = self._open
        elif element.attrs.get("id", "").endswith("_error"):
            # As described by it, wherever it stands.
            self.flow.append(("control", element.attrs["id"].removeprefix("id_").removesuffix("_error")))
        elif tag == "option" and self._select is not None:
            self._option(self._select, element.attrs)
        elif tag in ("input", "select", "textarea", "button"):
            self._meet(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._raw:
            self._raw = ""
        elif tag == "form":
            self._open = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._textarea = None

    def handle_data(self, data: str) -> None:
        if self._raw:
            self.scripts.append(data)
        elif self._textarea is not None:
            # The first line break of a textarea belongs to its markup.
            before = self._textarea.values[-1]
            self._textarea.values[-1] = before + (data if before else data.removeprefix("\r").removeprefix("\n"))
        elif data.strip() and self._select is None:
            self.flow.append(("text", data))

    def _meet(self, element: Element) -> None:
        attrs = element.attrs
        if attrs.get("name") and attrs.get("type") != "hidden" and element.tag != "button":
            self.flow.append(("control", attrs["name"]))
        owner = attrs.get("form")
        if owner is not None and owner in self._by_id:
            self._control(self._by_id[owner], element)
        elif owner is not None:
            self._late.append((owner, element))
        elif self._open is not None:
            self._control(self._open, element)
        elif element.tag == "select":
            self._select = Field("", "select", attrs)
        elif element.tag == "textarea":
            self._textarea = Field("", "textarea", attrs, [""])

    def _control(self, form: Form, element: Element) -> None:
        attrs, tag = element.attrs, element.tag
        kind = attrs.get("type", "submit" if tag == "button" else "text").lower() if tag in ("input", "button") else tag
        if tag == "button" or kind in (*BUTTONS, "button", "reset"):
            if kind in BUTTONS and "disabled" not in attrs:
                action = form.address(attrs.get("formaction", form.attrs.get("action", "")))
                form.buttons.append(Button(attrs.get("name", ""), attrs.get("value", ""), action))
            return
        found = Field(attrs.get("name", ""), kind, attrs)
        if found.name and "disabled" not in attrs:
            found = form.fields.setdefault(found.name, found)
        if kind in ("checkbox", "radio"):
            value = attrs.get("value", "on")
            found.options.append(value)
            found.values += [value] if "checked" in attrs else []
        elif kind == "select":
            self._select = found
        elif kind == "textarea":
            found.values.append("")
            self._textarea = found
        elif kind != "file":
            found.values.append(attrs.get("value", ""))

    def _option(self, select: Field, attrs: Attrs) -> None:
        value = attrs.get("value", "")
        if "disabled" in attrs:
            return
        select.options.append(value)
        first = len(select.options) == 1 and "multiple" not in select.attrs
        if "selected" in attrs:
            # In place of the first, which is chosen as long as no other is.
            select.values = [*select.values, value] if "multiple" in select.attrs else [value]
        elif first:
            select.values = [value]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def page_of(response: Any, address: str = "") -> Page:
    return Page(address or response.request["PATH_INFO"], response.content.decode())
