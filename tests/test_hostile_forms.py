"""Every form of the site, and every address that takes a POST, against those who mean harm and those who err."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest
from django.contrib.messages import get_messages
from django.forms import BaseForm
from django.forms.formsets import BaseFormSet
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver

from studio import runner
from tests.hostile_values import BEYOND, INJECTED, MARKUP, NUL, ROUNDS, Sent, hostile
from tests.hostile_world import Kept, World, built, discover, rows, shape
from tests.html_forms import Field, Form, Page, page_of, squeezed
from tests.people import QUICK_HASHERS
from tests.upstreams.serving import serve
from tests.upstreams.voxcpm import VoxCPMUpstream

type Data = dict[str, list[Sent]]


def patterns(resolver: URLResolver, space: str = "", route: str = "") -> Iterator[str]:
    for one in resolver.url_patterns:
        if isinstance(one, URLPattern):
            yield f"{space}{one.name or route + str(one.pattern)}"
        elif str(one.pattern) != "api/":
            inner = f"{one.namespace}:" if one.namespace else space
            yield from patterns(one, inner, route + str(one.pattern))


WITHOUT_FORM: dict[str, str] = {}
PATTERNS = sorted(set(patterns(get_resolver())))


pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def installation(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """Built and walked through once."""
    with django_db_blocker.unblock(), serve(VoxCPMUpstream()) as upstream, quiet():
        empty = Kept()
        made = built(upstream)
        discover(made)
        made.kept = Kept()
        open("/tmp/found.txt", "w").write("\n".join(sorted(set(PATTERNS) - set(made.forms))))
        empty.restore()
        empty.close()
        yield made
        made.kept.close()


@pytest.fixture
def world(installation: World) -> Iterator[World]:
    """As it was built; whatever is posted in a test is undone. Nothing is spoken."""
    installation.kept.restore()
    with quiet():
        yield installation


@contextmanager
def quiet() -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=QUICK_HASHERS), pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_running", list)
        yield


# What is sent.


@pytest.mark.parametrize("name", [name for name in PATTERNS if name not in WITHOUT_FORM])
def test_a_form_withstands_whatever_is_sent(world: World, name: str) -> None:
    failures: list[Exception] = []
    known: set[str] = set()
    assert world.forms.get(name), "no page has a form for it"
    for client, form in world.forms[name]:
        for attempt in attempts(world, name, client, form, known):
            failures += attempt
        known |= set(map(shape, form.fields))
    if failures:
        raise ExceptionGroup(name, failures)


def attempts(world: World, name: str, client: Client, form: Form, known: set[str]) -> Iterator[list[Exception]]:
    """As it is, and with each button. Then, time and again: all fields bad; those bad that alone were not refused, and
    the others good; what people don't see bad."""
    good = filled(name, form)
    for button, value in presses(form):
        yield tried(world, client, form, f"{button}={value!r}", good | ({button: [value]} if button else {}))
    fields = [field for field in form.fields.values() if field.name != "csrfmiddlewaretoken"]
    if known.issuperset(shape(field.name) for field in fields):
        return
    seen = [field for field in fields if field.kind != "hidden"]
    hidden = [field for field in fields if field.kind == "hidden"]
    for turn in range(ROUNDS):
        refused: set[str] = set()
        for some in (seen, hidden):
            bad = {field.name: hostile(field, turn) for field in some}
            if bad:
                yield tried(world, client, form, f"round {turn}: {list(bad)}", good | bad, refused)
            passed = {field: sent for field, sent in bad.items() if field not in refused}
            if len(passed) < len(bad) and passed:
                yield tried(world, client, form, f"round {turn}, second: {list(passed)}", good | passed)


def presses(form: Form) -> Iterator[tuple[str, str]]:
    """Buttons, one of each sort; and such as the page does not have."""
    sorts = {(button.name, shape(button.value)): button.value for button in form.buttons}
    if not sorts:
        yield "", ""
    for (name, _sort), value in sorts.items():
        yield name, value
        if ":" in value:
            verb = value.partition(":")[0]
            yield from ((name, f"{verb}:{key}") for key in (BEYOND, "²:٣"))
    for name in {button.name for button in form.buttons} - {""}:
        yield from ((name, value) for value in (MARKUP, NUL))


def filled(name: str, form: Form) -> Data:
    data: Data = {field.name: [filling(field)] if empty(field) else list(field.values) for field in form.fields.values()}
    if form.buttons and form.buttons[0].name:
        data[form.buttons[0].name] = [form.buttons[0].value]
    return data


def empty(field: Field) -> bool:
    return field.required and not any(field.values)


def filling(field: Field) -> str:
    if field.options:
        return next(filter(None, field.options), "")
    return {"number": "1", "url": "http://127.0.0.1:9"}.get(field.kind, "Something 7 of its own")


def post(client: Client, form: Form, data: Data) -> Any:
    if form.multipart:
        return client.post(form.action, data, HTTP_REFERER=f"http://testserver{form.page}")
    pairs = [(key, value) for key, values in data.items() for value in values if isinstance(value, str | bytes)]
    body = urlencode(pairs, encoding="utf-8", errors="surrogatepass")
    kind = "application/x-www-form-urlencoded"
    return client.post(form.action, body, content_type=kind, HTTP_REFERER=f"http://testserver{form.page}")


# What comes of it.


def tried(
    world: World, client: Client, form: Form, what: str, data: Data, refused: set[str] | None = None
) -> list[Exception]:
    """`refused` gets the names of the fields at which errors stood."""
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    try:
        response = post(client, form, data)
        judge(world, client, form, data, response)
        if refused is not None:
            refused.update(one.add_prefix(name) for one in forms_of(response) for name in one.errors)
    except Exception as error:
        error.add_note(f"{form.action} from {form.page}: {what}")
        return [error]
    finally:
        client.cookies = SimpleCookie(cookies)
        world.kept.restore()
    return []


CALM = frozenset({200, 204, 302, 400, 403, 404, 405, 409, 410, 429})


def judge(world: World, client: Client, form: Form, data: Data, response: Any) -> None:
    assert response.status_code in CALM, f"{response.status_code}: {response.content[:500]!r}"
    now = rows()
    harmless(response)
    if response.status_code == 302:
        harmless(client.get(urljoin(form.action, response["Location"])))
        sane(now)
        return
    changed = [table for table, before in world.kept.rows.items() if now[table] != before]
    assert not changed, f"refused with {response.status_code}, and yet stored in {changed}"
    if response.status_code == 200:
        explained(form, data, response)


def harmless(response: Any) -> None:
    """Nothing that somebody typed became part of the page."""
    assert response.status_code < 500, response.status_code
    assert "X-Injected" not in response.headers
    if response.status_code == 200 and "text/html" in response.get("Content-Type", ""):
        for element in page_of(response).elements:
            assert INJECTED not in (element.tag, *element.attrs), element


def sane(tables: dict[str, list[Any]]) -> None:
    for table, found in tables.items():
        for value in (value for row in found for value in row):
            if isinstance(value, str):
                assert "\0" not in value and "\ufffd" not in value, f"{table}: {value[:100]!r}"
            elif isinstance(value, float):
                assert math.isfinite(value), f"{table}: {value}"


def explained(form: Form, data: Data, response: Any) -> None:
    """Each thing that is wrong stands at its field, and what was typed is still there."""
    page = page_of(response)
    told = [str(message) for message in get_messages(response.wsgi_request)]
    for sent in forms_of(response):
        for name, errors in sent.errors.items():
            told += errors
            where = sent.add_prefix(name) if name in sent.fields else ""
            shown = where and not sent.fields[name].widget.is_hidden
            for error in errors:
                assert page.stands_at(where, error) if shown else squeezed(error) in page.text, (where, error)
    assert told, "neither done nor explained"


def forms_of(response: Any) -> list[BaseForm]:
    """All bound forms with errors that a page was made of."""
    found: dict[int, BaseForm] = {}
    seen: set[int] = set()

    def look(value: Any) -> None:
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, BaseForm):
            if value.is_bound and value.errors:
                found[id(value)] = value
        elif isinstance(value, BaseFormSet):
            for one in value.forms:
                look(one)
        elif isinstance(value, list | tuple):
            for one in value:
                look(one)
        elif hasattr(value, "formset") or hasattr(value, "form"):
            look(getattr(value, "formset", None) or value.form)

    for context in response.context or ():
        for layer in context.dicts:
            for value in list(layer.values()):
                look(value)
    return list(found.values())
