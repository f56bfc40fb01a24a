"""Every form of the site, and every address that takes a POST, against those who mean harm and those who err."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import quote, urlencode, urljoin

import pytest
from django.apps import apps
from django.contrib.admin.helpers import AdminForm, InlineAdminFormSet
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db.models import CharField, TextField, Value
from django.db.models.functions import Cast, Concat
from django.forms import BaseForm
from django.forms.formsets import BaseFormSet
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from neiroha_site.first_run import SetupToken
from studio import runner
from studio.models import Line, Upload
from studio.uploads import PIECE_BYTES
from tests.hostile_values import BEYOND, CONTROLS, HUGE, INJECTED, MARKUP, NUL, ROUNDS, Sent, hostile
from tests.hostile_world import Kept, World, built, discover, lost, name_of, pages, rows, shape, sizes
from tests.html_forms import Field, Form, Page, page_of, squeezed
from tests.people import QUICK_HASHERS
from tests.upstreams.serving import serve
from tests.upstreams.voxcpm import VoxCPMUpstream

type Data = dict[str, list[Sent]]


def found(resolver: URLResolver, space: str = "", route: str = "/") -> Iterator[tuple[str, str]]:
    """The names of all URL patterns for browsers, each with an address."""
    for one in resolver.url_patterns:
        path = route + re.sub(r"<[^>]+>|\(\?P.*\)", "1", str(one.pattern)).strip("^$")
        if isinstance(one, URLPattern):
            yield f"{space}{one.name or path}", path
        elif path != "/api/":
            yield from found(one, f"{one.namespace}:" if one.namespace else space, path)


# Addresses without a form, by the end of the pattern's name, and why they have none.
WITHOUT_FORM = {
    r"/|admin:/admin/.*": "leads on",
    r"admin:(index|app_list|search|jsi18n|autocomplete|view_on_site)|.*_history|.*_done": "Django's own pages",
    r"admin:(queue|troubleshooting|providers_provider_log)": "shows how things stand",
    r".*_export|.*_action|.*_(suggestions|try|try_it)": "is asked for by links and by forms that search",
    r"avatar|reference|studio:(audio|card|cover|export|export_file|footage_file|project|projects|read|suggestion_run"
    r"|takes)": "shows what there is",
    r"admin:api_requestlog_(add|delete)|admin:providers_auditentry_(add|change|delete)": "is kept by the server alone",
    r"admin:(api_serversettings|studio_studiosettings|providers_chatmodel)_(add|(live_)?check_add|delete|changelist)": (
        "is a single row"
    ),
    r"admin:banks_referenceaudio_transcribe": "has a button where a recogniser is installed, and reads no field",
    r"setup": "is there while there is no administrator: see below",
    r"studio:(cues|upload_part)": "takes what scripts send, which is no form: see below",
}
# What is done, and told on the page that answers.
TOLD_AT_ONCE = {
    "admin:api_apikey_add": "the key is shown once",
    "admin:auth_user_link": "so is the link",
    "admin:logout": "",
    "admin:providers_provider_check": "how it is",
    "studio:desktop": "what would come, or came",
    "studio:import_preview": "what would come",
    "studio:read_ahead": "how its lines are now",
    "studio:read_place": "",
    "studio:upload": "where it goes on",
}
# Who guesses a password leaves a trace.
RECORDED = {"admin:login", "admin:password_change"}


def has_form(name: str) -> bool:
    return not any(re.fullmatch(pattern, name) for pattern in WITHOUT_FORM)


PATTERNS = sorted(dict(found(get_resolver())))

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def installation(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """Built and walked through once."""
    with django_db_blocker.unblock(), serve(VoxCPMUpstream()) as upstream, quiet():
        empty = Kept()
        made = built(upstream)
        assert not lost()
        discover(made)
        made.kept = Kept()
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


@pytest.mark.parametrize("name", [name for name in PATTERNS if has_form(name)])
def test_a_form_withstands_whatever_is_sent(world: World, name: str) -> None:
    assert world.forms.get(name), "no page has a form for it"
    failures: list[Exception] = []
    known: set[str] = set()
    for client, form in world.forms[name]:
        for attempt in attempts(world, name, client, form, turns(name, form, known)):
            failures += attempt
        known |= set(map(shape, form.fields))
    if failures:
        raise ExceptionGroup(name, failures)


def turns(name: str, form: Form, known: set[str]) -> range:
    """Fields that an earlier form of the address had are done. What things are made and checked with is asked for once
    more where they are changed: here every second round will do."""
    if not form.reads or known.issuperset(map(shape, form.fields)):
        return range(0)
    return range(1, ROUNDS, 2) if re.search("_(add|check)$", name) else range(ROUNDS)


def attempts(world: World, name: str, client: Client, form: Form, rounds: range) -> Iterator[list[Exception]]:
    """As it is, and with each button. Then, time and again: all fields bad; those bad that were not refused, and the
    others good; what people don't see bad."""
    good = filled(name, form)
    buttons = {button.name for button in form.buttons}
    for button, value in presses(form):
        pressed = {key: sent for key, sent in good.items() if key not in buttons}
        yield tried(world, client, form, f"{button}={value!r}", pressed | ({button: [value]} if button else {}))
    fields = [field for field in form.fields.values() if field.name != "csrfmiddlewaretoken"]
    seen = [field for field in fields if field.kind != "hidden"]
    hidden = [field for field in fields if field.kind == "hidden"]
    for turn in rounds:
        refused: set[str] = set()
        bad = {field.name: hostile(field, turn) for field in seen}
        if bad:
            yield tried(world, client, form, f"round {turn}: {list(bad)}", good | bad, refused)
        passed = {field: sent for field, sent in bad.items() if field not in refused}
        if 0 < len(passed) < len(bad):
            yield tried(world, client, form, f"round {turn}, second: {list(passed)}", good | passed)
        if hidden and turn % 2:
            unseen = {field.name: hostile(field, turn) for field in hidden}
            yield tried(world, client, form, f"round {turn}, hidden: {list(unseen)}", good | unseen)


def presses(form: Form) -> Iterator[tuple[str, str]]:
    """Buttons, one of each sort; and such as the page does not have."""
    sorts = {(button.name, shape(button.value)): button.value for button in form.buttons}
    if not sorts:
        yield "", ""
    for (name, _sort), value in sorts.items():
        yield name, value
        if ":" in value:
            verb = value.partition(":")[0]
            yield name, f"{verb}:{BEYOND}"
    for name in {button.name for button in form.buttons} - {""}:
        yield from ((name, value) for value in (MARKUP, f"{NUL}:²"))


def filled(name: str, form: Form) -> Data:
    data: Data = {
        field.name: [filling(field)] if empty(field) else list(field.values) for field in form.fields.values()
    }
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


def test_what_has_no_form_changes_nothing(world: World) -> None:
    addresses = dict(found(get_resolver()))
    names = [name for name in PATTERNS if not has_form(name) and name != "setup"]
    assert not set(names) & set(world.forms), "these have a form after all"
    for name in names:
        response = world.client.post(addresses[name], {"name": MARKUP, "post": "yes", "_save": "1", "action": MARKUP})
        assert response.status_code in CALM, (name, response.status_code)
        assert rows() == world.kept.rows, name
        assert sizes() == world.kept.sizes, name


@pytest.mark.parametrize("who", ["producer", "viewer", "nobody"])
def test_outsiders_are_refused_and_change_nothing(world: World, who: str) -> None:
    failures: list[Exception] = []
    for name, forms in world.forms.items():
        if name in OPEN | OWN[who] or (who == "producer" and name.startswith(PRODUCERS)):
            continue
        for _client, form in forms:
            failures += refused(world, world.outsiders[who], name, form)
    if failures:
        raise ExceptionGroup(who, failures)


# For everybody without an account; everybody's own with one; and what producers are there for.
OPEN = {"admin:login", "admin:choose_password"}
OWN = {
    "nobody": {"admin:logout"},
    **{who: {"admin:logout", "admin:password_change", "admin:preferences"} for who in ("producer", "viewer")},
}
PRODUCERS = ("admin:banks_", "admin:api_apikey", "studio:new", "studio:quick", "listen")


def refused(world: World, client: Client, name: str, form: Form) -> list[Exception]:
    try:
        response = post(client, form, filled(name, form))
        away = response.status_code == 302 and response["Location"].startswith("/admin/login/")
        # Lists are there to be seen; and of takes, those of others are as if they were not there.
        shown = name in ("studio:act", "admin:queue_retry") or name.endswith("_changelist")
        assert away or response.status_code in (403, 404, 405) or shown, response.status_code
        assert rows() == world.kept.rows
        assert sizes() == world.kept.sizes
    except AssertionError as error:
        error.add_note(f"{form.action} from {form.page}")
        world.kept.restore()
        return [error]
    return []


def test_pages_show_hostile_names_as_they_are(world: World) -> None:
    """Whatever people, programs and providers wrote is markup now."""
    spoil()
    seen = list(pages(world.client, world.seeds))
    for page in seen:
        unharmed(page)
    assert len(seen) > 80
    assert sum(squeezed(MARKUP) in page.text for page in seen) > 40


def spoil() -> None:
    for model in apps.get_models():
        for one in model._meta.concrete_fields:
            if isinstance(one, CharField | TextField) and one.name in WRITTEN and not one.choices:
                model._base_manager.update(**{one.name: Concat(Value(MARKUP), Cast("pk", CharField()))})


WRITTEN = {
    *("name", "description", "written", "spoken", "text", "speaker", "chapter", "instruction", "transcript"),
    *("prompt_text", "prompt_language", "language", "gender", "voice", "consent_note", "external_id", "error"),
    *("error_code", "reason", "message", "change_message", "object_repr", "object_name", "user_name", "address"),
    *("username", "first_name", "last_name", "email", "path", "key_name", "bank", "character", "provider", "upstream"),
    *("audio_format", "model_preset", "spoken_by", "custom_id", "webhook_error", "narrator", "author"),
}


@pytest.fixture
def fresh(world: World) -> Iterator[World]:
    """Without an administrator, so that the set-up page is there."""
    User.objects.update(is_superuser=False)
    kept, world.kept = world.kept, Kept()
    yield world
    world.kept.close()
    world.kept = kept


def test_the_set_up_page_withstands_whatever_is_sent(fresh: World) -> None:
    address = f"/setup?token={SetupToken().offer()}"
    (form,) = page_of(fresh.stranger.get(address), address).forms
    failures = [error for some in attempts(fresh, "setup", fresh.stranger, form, range(ROUNDS)) for error in some]
    SetupToken().consume()
    if failures:
        raise ExceptionGroup("setup", failures)


# What scripts send that is no form.


def test_times_of_cues_withstand_whatever_is_sent(world: World) -> None:
    line = Line.objects.filter(project__kind="dub").order_by("position")[0]
    address = reverse("studio:cues", args=[line.project_id])
    good = {"line": line.pk, "was": [line.start_ms, line.end_ms], "now": [100, 900]}
    bad: list[Any] = [None, True, "", MARKUP, NUL, "1", -1, 0, 1.5, math.inf, math.nan, int(BEYOND), [], {}, [[]]]
    bad += [[1], [1, 2, 3], ["1", "2"], [1.0, 2.0], [True, True], [900, 100], [-5, 1], [0, int(BEYOND)], [None, None]]
    cues: list[Any] = [[{**good, name: value}] for name in ("line", "now") for value in bad]
    cues += [[{**good, "was": value}] for value in bad if value != good["was"]]
    cues += [[{key: value for key, value in good.items() if key != name}] for name in good]
    cues += [
        *filter(lambda one: one != [], bad),
        [good] * 501,
        [good, MARKUP],
        [good, {**good, "now": [900, 100]}],
        {"0": good},
    ]
    bodies = [json.dumps({"cues": one}).encode() for one in cues]
    bodies += [b"", b"null", b"[]", b'"cues"', b"{}", b"{" * 9, HUGE.encode(), b'{"cues": %s' % HUGE.encode(), CONTROLS]
    for body in bodies:
        response = world.client.post(address, body, content_type="application/json")
        assert response.status_code in (200, 400), body[:200]
        assert rows() == world.kept.rows, body[:200]
        told = response.json()
        # What is not as it was seen comes back as it is.
        assert told["met"] if response.status_code == 200 else told["error"], body[:200]
    assert world.client.post(address, {"cues": [good]}, content_type="application/json").json() == {"met": {}}
    assert rows() != world.kept.rows


def test_pieces_of_a_file_withstand_whatever_is_sent(world: World) -> None:
    upload = Upload.objects.get()
    place = reverse("studio:upload_part", args=[upload.project_id, upload.pk])
    piece, rest = b"a piece", b"no film" * 141 + b"end"
    wrong = [("", piece), *((f"?offset={quote(str(bad))}", piece) for bad in ("", MARKUP, NUL, BEYOND, "-1", "²", "9"))]
    wrong += [("?offset=10&offset=x", piece), ("?offset=10", b""), ("?offset=10", rest + b"more")]
    wrong += [("?offset=10", bytes(PIECE_BYTES + 1))]
    for query, body in wrong:
        response = world.client.put(place + query, body, content_type="application/octet-stream")
        assert response.status_code in (400, 409, 413), query
        told = response.json()
        assert told["error"]["message"] and told["received"] == 10, query
        assert (rows(), sizes()) == (world.kept.rows, world.kept.sizes), query
    for token in ("x", MARKUP, NUL, BEYOND, "../../db", upload.pk.upper() + "0"):
        there = place.replace(upload.pk, quote(token, safe=""))
        assert world.client.put(f"{there}?offset=10", piece).status_code == 404, token
        assert world.client.delete(there).status_code == 404, token
    for outsider in world.outsiders.values():
        for response in (outsider.put(f"{place}?offset=10", piece), outsider.delete(place)):
            assert response.status_code in (302, 403, 404)
    assert (rows(), sizes()) == (world.kept.rows, world.kept.sizes)


def test_a_whole_file_that_is_no_film_leaves_what_was(world: World) -> None:
    upload = Upload.objects.get()
    place = reverse("studio:upload_part", args=[upload.project_id, upload.pk])
    content = MARKUP.encode() * 100
    sent = world.client.put(f"{place}?offset=10", content[:990], content_type="application/octet-stream")
    assert sent.json()["received"] == upload.size
    response = world.client.post(f"{place}end/")
    assert response.status_code == 400 and response.json()["error"]["message"]
    changed = {table for table, before in world.kept.rows.items() if rows()[table] != before}
    gone = {str(path) for path in world.kept.sizes.keys() - sizes().keys()}
    assert (changed, gone) == ({"studio_upload"}, {str(upload.path)})
    assert not lost()


# What comes of it.


def tried(
    world: World, client: Client, form: Form, what: str, data: Data, refused: set[str] | None = None
) -> list[Exception]:
    """`refused` gets the names of the fields at which errors stood."""
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    try:
        response = post(client, form, data)
        wrong = complaints(response)
        judge(world, client, form, response, wrong)
        if refused is not None:
            refused.update(one.field for one in wrong)
    except Exception as error:
        error.add_note(f"{form.action} from {form.page}: {what}")
        return [error]
    finally:
        client.cookies = SimpleCookie(cookies)
        world.kept.restore()
    return []


CALM = frozenset({200, 201, 204, 302, 400, 403, 404, 405, 409, 410, 413, 429})


def judge(world: World, client: Client, form: Form, response: Any, wrong: list[Complaint]) -> None:
    assert response.status_code in CALM, f"{response.status_code}: {response.content[:500]!r}"
    harmless(response)
    name, now = name_of(form.action), rows()
    if response.status_code == 302:
        harmless(client.get(urljoin(form.action, response["Location"])))
        sane(now)
    elif name in TOLD_AT_ONCE and response.status_code < 300 and not wrong:
        sane(now)
    else:
        changed = {table for table, before in world.kept.rows.items() if now[table] != before}
        changed -= {"providers_auditentry"} if name in RECORDED else set()
        assert not changed, f"refused with {response.status_code}, and yet stored in {changed}"
        assert sizes() == world.kept.sizes, f"refused with {response.status_code}, and yet files were changed"
        whole = name != "studio:import_preview"  # the page that it is put into tells what is wrong with the form
        if whole and response.status_code == 200 and "text/html" in response["Content-Type"]:
            explained(response, wrong, quiet=name == "studio:import" or name.endswith("_changelist"))


def harmless(response: Any) -> None:
    """Nothing that somebody typed became part of the page."""
    assert response.status_code < 500, response.status_code
    assert "X-Injected" not in response.headers
    if response.status_code == 200 and "text/html" in response.get("Content-Type", ""):
        unharmed(page_of(response))


def unharmed(page: Page) -> None:
    for element in page.elements:
        assert INJECTED not in (element.tag, *element.attrs), (page.address, element)


def sane(tables: dict[str, list[Any]]) -> None:
    assert not lost()
    for table, found in tables.items():
        for value in (value for row in found for value in row):
            if isinstance(value, str):
                assert "\0" not in value, f"{table}: {value[:100]!r}"
            elif isinstance(value, float):
                assert math.isfinite(value), f"{table}: {value}"


@dataclass(frozen=True, slots=True)
class Complaint:
    """Of no field where `field` is empty."""

    field: str
    text: str


def explained(response: Any, wrong: list[Complaint], *, quiet: bool) -> None:
    """What people see has its text beside it. `quiet`: the page is a list, or a preview, that just shows itself."""
    page = page_of(response)
    controls = {said for kind, said in page.flow if kind == "control"}
    told = [str(message) for message in get_messages(response.wsgi_request)]
    assert told or wrong or quiet, "neither done nor explained"
    for one in wrong:
        names = controls & {one.field, f"{one.field}_0", f"{one.field}_1"}
        if names:
            assert any(page.stands_at(name, one.text) for name in names), one
        else:
            assert squeezed(one.text) in page.text or "Please correct the error" in page.text, one


def complaints(response: Any) -> list[Complaint]:
    """Of all the forms that the page was made of."""
    found: dict[int, list[Complaint]] = {}

    def look(value: Any) -> None:
        if isinstance(value, BaseForm) and value.is_bound:
            found[id(value)] = list(_of(value))
        elif isinstance(value, BaseFormSet) and value.is_bound:
            found[id(value)] = [Complaint("", str(text)) for text in value.non_form_errors()]
            look(value.forms)
        elif isinstance(value, list | tuple):
            for one in value:
                look(one)
        elif isinstance(value, AdminForm):
            look(value.form)
        elif isinstance(value, InlineAdminFormSet):
            look(value.formset)

    contexts = response.context if isinstance(response.context, list) else [response.context]
    for context in filter(None, contexts):
        for layer in getattr(context, "dicts", [context]):
            look(list(layer.values()))
    return [one for some in found.values() for one in some]


def _of(form: BaseForm) -> Iterator[Complaint]:
    for name, texts in form.errors.items():
        for text in texts:
            yield Complaint(form.add_prefix(name) if name in form.fields else "", str(text))
