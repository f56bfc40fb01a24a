"""An installation in which every form is shown, that can be put back to what it was, and all of its forms."""

from __future__ import annotations

import io
import sqlite3
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.auth.tokens import default_token_generator
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db.models import F, FileField
from django.test import Client
from django.urls import Resolver404, resolve, reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from api.models import ApiKey, RequestLog
from banks.export_bank import export_bank
from banks.images import cover_image
from banks.models import Bank, Character, Pronunciation, ReferenceAudio
from neiroha_site.guessing import attempt, for_account
from neiroha_site.roles import Role
from providers.models import CatalogueModel, CatalogueVoice, Provider
from providers.versions import bump
from studio import lines, uploads
from studio.export_options import ExportOptions, What
from studio.models import Export, Line, Project, ProjectPronunciation, Scope, SuggestionRun, Take, TakeState, Upload
from tests.admin_pages import picture, recording
from tests.conftest import add_character
from tests.desktop import database
from tests.films import film
from tests.html_forms import Field, Form, Page, page_of
from tests.people import client_of, member
from tests.projects import voiced
from tests.studio import done, queued
from tests.suggestions import set_up

SETUP = "/setup?token="
DESKTOP = "/studio/desktop/"
# Which a person is led to by more than a link.
SEEDS = ("/admin/", "/studio/", "/studio/projects/", "/admin/password_change/", "/admin/preferences/")


@dataclass(slots=True)
class World:
    """`client` is an administrator's browser, `importer` another with files of the desktop application that wait,
    `stranger` one that nobody has signed in at."""

    client: Client
    importer: Client
    stranger: Client
    outsiders: dict[str, Client]
    seeds: list[str]
    strangers_seeds: list[str]
    forms: dict[str, list[tuple[Client, Form]]] = field(default_factory=dict)
    kept: Kept = field(init=False)


def built(upstream: str) -> World:
    admin = member(Role.ADMINISTRATOR, "ada")
    outsiders = {role.value: client_of(member(role)) for role in (Role.PRODUCER, Role.VIEWER)}
    Group.objects.create(name="Further")
    _paused(member(Role.PRODUCER, "paused"))
    voxcpm = Provider.objects.create(name="House", kind="voxcpm", base_url=upstream, position=0, timeout_seconds=5)
    inside = Provider.objects.create(name="Inside", kind="embedded", position=1)
    gone = Provider.objects.create(name="Gone", kind="embedded", position=2)
    CatalogueVoice.objects.create(provider=inside, external_id="heart", by_hand=True)
    CatalogueModel.objects.create(provider=voxcpm, external_id="sea", by_hand=True)
    bank, heart = _bank(inside)
    Pronunciation.objects.create(written="gif", spoken="jif")
    _archived(gone)
    ApiKey.objects.issue(name="Robot", owner_id=admin.pk)
    RequestLog.objects.create(at=timezone.now(), request_id="one", method="POST", path="/v1/audio/speech", status=200)
    _studio(admin, bank, heart)
    _dub(admin, bank, heart)
    _novel(admin, bank, heart, upstream)
    client, importer, stranger = client_of(admin), client_of(admin), Client()
    _half_imported(client, bank)
    _desktop(importer)
    person = User.objects.create(username="new")
    account = urlsafe_base64_encode(force_bytes(person.pk))
    link = reverse("admin:choose_password", args=[account, default_token_generator.make_token(person)])
    everybody = {**outsiders, "nobody": Client()}
    return World(client, importer, stranger, everybody, [*SEEDS, *_rare(), *_of_projects()], ["/admin/login/", link])


def _rare() -> list[str]:
    """Pages with buttons that most things of their kind do not have."""
    rare: list[Any] = [Provider.objects.get(name="Gone"), User.objects.get(username="paused")]
    rare += [Bank.objects.get(name="Old bank"), Character.objects.get(name="Old voice")]
    return [reverse(f"admin:{one._meta.app_label}_{one._meta.model_name}_change", args=[one.pk]) for one in rare]


def _of_projects() -> list[str]:
    """All their pages, since kinds differ; not every kind has each."""
    pages = ("project", "read", "suggestions", "footage", "import", "cast", "exports", "settings")
    return [reverse(f"studio:{page}", args=[project.pk]) for project in Project.objects.all() for page in pages]


def _paused(person: User) -> None:
    for _time in range(5):
        attempt([for_account(person.username)])


def _bank(provider: Provider) -> tuple[Bank, Character]:
    bank = Bank.objects.create(name="Stories", cache_speech=True, position=0)
    Bank.objects.create(name="Second", cache_speech=True, position=1)
    heart = add_character(bank, provider, "Heart", aliases=["narrator"], voice="heart")
    other = add_character(bank, provider, "Other", voice="heart")
    bank.default_character, heart.fallback = heart, other
    bank.save()
    heart.save()
    reference = ReferenceAudio(name="Ada", consent_note="Ada, in a letter", may_be_cloned=True)
    reference.keep(recording(2.0))
    reference.save()
    Pronunciation.objects.create(bank=bank, written="jpeg", spoken="jay peg")
    return bank, heart


def _archived(provider: Provider) -> None:
    bank = Bank.objects.create(name="Old bank", position=2)
    add_character(bank, provider, "Old voice", voice="heart")
    Character.objects.get(name="Old voice").remove()
    bank.remove()
    provider.remove()


def _studio(owner: User, bank: Bank, heart: Character) -> None:
    done(owner, heart)
    queued(owner, heart)
    failed = queued(owner, heart)
    Take.objects.filter(pk=failed.pk).update(state=TakeState.FAILED, error_code="busy", error="Busy.")
    for kind, name in (("dialogue", "Play"), ("phase", "Book")):
        project = Project.objects.create(name=name, kind=kind, owner=owner, bank=bank)
        voiced(project, owner, heart, "Come here.", "I come.", "We go.")
        project.lines.filter(text="I come.").update(speaker="Bob")
        ProjectPronunciation.objects.create(project=project, written="gif", spoken="jif")
        for state in (TakeState.QUEUED, TakeState.FAILED):
            options = ExportOptions(What.AUDIO, "wav").as_json()
            Export.objects.create(project=project, owner=owner, state=state, options_json=options)


def _dub(owner: User, bank: Bank, heart: Character) -> None:
    """With footage, and another recording of which a part is there."""
    project = Project.objects.create(name="Dub", kind="dub", owner=owner, bank=bank)
    spoken = voiced(project, owner, heart, "Come here.", "I come.", "We go.")
    lines.retime(project, {line.pk: (2000 * at, 2000 * at + 1500) for at, line in enumerate(spoken)})
    with TemporaryDirectory() as folder:
        content = film(Path(folder), 1.0).read_bytes()
    whole = uploads.begin(project, owner, "film.mp4", len(content))
    uploads.receive(whole, 0, io.BytesIO(content))
    uploads.finish(whole)
    uploads.receive(uploads.begin(project, owner, "other.mp4", 1000), 0, io.BytesIO(b"ten bytes."))


def _novel(owner: User, bank: Bank, heart: Character, upstream: str) -> None:
    """Read by a chat model to its middle; another is being read."""
    chat = set_up(f"{upstream}/v1", timeout_seconds=5)
    project = Project.objects.create(name="Novel", kind="novel", owner=owner, bank=bank)
    project.show(cover_image(picture((40, 40))))
    project.save()
    said = voiced(project, owner, heart, "“Come here.”", "“I come.”", "They went.")
    Line.objects.filter(pk=said[1].pk).update(revision=F("revision") + 1)
    asked = {"scope": Scope.ALL, "sent_to": chat.destination, "owner": owner, "lines": 3}
    run = SuggestionRun.objects.create(
        project=project,
        state=TakeState.FAILED,
        error_code="busy",
        error="Busy.",
        done=2,
        reached=said[1].position,
        **asked,
    )
    for line, speaker in zip(said[:2], ("Anna", "Bob"), strict=True):
        project.suggestions.create(run=run, line=line, speaker=speaker, confidence=0.9, revision=line.revision)
    SuggestionRun.objects.create(project=Project.objects.get(name="Book"), state=TakeState.QUEUED, **asked)


def _desktop(client: Client) -> None:
    with TemporaryDirectory() as folder:
        upload = SimpleUploadedFile("neiroha.db", database(Path(folder)).read_bytes())
    assert client.post(DESKTOP, {"begin": "", "database": upload}).status_code == 302


def _half_imported(client: Client, bank: Bank) -> None:
    """A bank and texts of which the second step of the import waits."""
    packed = export_bank(bank)
    provider = Provider.objects.get(name="Inside")
    Provider.objects.filter(pk=provider.pk).update(name="Elsewhere")
    sent = client.post(reverse("admin:banks_bank_import"), {"file": SimpleUploadedFile("bank.zip", _bytes(packed))})
    assert sent.status_code == 302, sent.content[:2000]
    Provider.objects.filter(pk=provider.pk).update(name="Inside")
    for project in Project.objects.all():
        upload = SimpleUploadedFile("one.txt", b"Anna: Come here.\n\nBob: I come.")
        if project.kind == "dub":
            upload = SimpleUploadedFile("one.srt", b"1\n00:00:01,000 --> 00:00:02,000\nAnna: Come here.\n")
        sent = client.post(reverse("studio:import", args=[project.pk]), {"text": "", "uploads": [upload], "begin": ""})
        assert sent.status_code == 302, sent.content[:2000]


def _bytes(packed: Any) -> bytes:
    return packed if isinstance(packed, bytes) else bytes(packed.read())


# What is kept of it.


class Kept:
    """The database and the stored files as they are now."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        connection.ensure_connection()
        connection.connection.backup(self.database)
        self.files = {path: path.read_bytes() for path in files()}
        self.rows, self.sizes = rows(), sizes()

    def close(self) -> None:
        self.database.close()

    def restore(self) -> None:
        connection.ensure_connection()
        self.database.backup(connection.connection)
        for path in files() - set(self.files):
            path.unlink()
        for path, content in self.files.items():
            if not path.exists() or path.stat().st_size != len(content):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        bump()


def files() -> set[Path]:
    folder = Path(settings.DATA_DIR) / "files"
    return {path for path in folder.rglob("*") if path.is_file()}


def sizes() -> dict[Path, int]:
    """Of the stored files."""
    return {path: path.stat().st_size for path in files()}


def lost() -> list[str]:
    """Files that something names and that are gone."""
    named = [upload.path for upload in Upload.objects.all()]
    for model in apps.get_models():
        for one in model._meta.concrete_fields:
            if isinstance(one, FileField):
                found = model._base_manager.exclude(**{one.name: ""}).values_list(one.name, flat=True)
                named += [Path(one.storage.path(name)) for name in found if name]
    return [str(path) for path in named if not path.is_file()]


# What tells of no thing that anybody made.
_ASIDE = ("django_session", "providers_configurationversion", "neiroha_site_failedsignins", "sqlite_sequence")


def rows() -> dict[str, list[Any]]:
    """Of each table."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table not in _ASIDE:
                found[table] = cursor.execute(f'SELECT * FROM "{table}"').fetchall()
    return found


# Its forms.


def name_of(address: str) -> str:
    """The name of the URL pattern; empty where nothing is."""
    try:
        found = resolve(urlsplit(address).path)
    except Resolver404:
        return ""
    return found.view_name or found.route


def discover(world: World) -> None:
    """Walks over all pages by their links and fills in the world's forms, one of each shape."""
    shapes: set[Any] = set()
    for client, page in _all_pages(world):
        forms = (*(one for each in page.forms for one in _by_target(each)), *_by_script(page), *_of_upload(page))
        for form in forms:
            name = name_of(form.action)
            like = (name, frozenset(map(shape, form.fields)), frozenset(button.name for button in form.buttons))
            if like not in shapes:
                shapes.add(like)
                world.forms.setdefault(name, []).append((client, form))


def _all_pages(world: World) -> Iterator[tuple[Client, Page]]:
    yield from ((world.client, page) for page in pages(world.client, world.seeds))
    yield from ((world.stranger, page) for page in pages(world.stranger, world.strangers_seeds))
    # What waits for `client`, and what does not, is the other way round here.
    for address in (DESKTOP, *(reverse("studio:import", args=[project.pk]) for project in Project.objects.all())):
        yield world.importer, page_of(world.importer.get(address), address)


def shape(name: str) -> str:
    return "".join("#" if character.isdigit() else character for character in name)


def _by_target(form: Form) -> Iterator[Form]:
    """A form whose buttons lead to several addresses is several."""
    targets = dict.fromkeys(button.action for button in form.buttons) or {form.action: None}
    main = form.action if form.action in targets else next(iter(targets))
    for target in targets:
        buttons = [button for button in form.buttons if button.action == target]
        yield Form(form.page, {**form.attrs, "action": target}, form.fields, buttons, target == main)


def _by_script(page: Page) -> Iterator[Form]:
    """What the page's scripts post."""
    for element in page.elements:
        form = next((one for one in page.forms if one.attrs == element.attrs), None)
        biggest = max(page.forms, key=lambda one: len(one.fields), default=None)
        for name, address in element.attrs.items():
            if name not in _POSTED or not address.startswith("/"):
                continue
            fields = {}
            if name == "data-nr-order-url":
                rows = [one.attrs["data-nr-order"] for one in page.elements if "data-nr-order" in one.attrs]
                fields = {"pk": Field("pk", "hidden", {}, rows)}
            elif name == "data-nr-preview" and form:
                fields = form.fields
            elif name == "data-nr-check" and biggest:
                fields = {key: field for key, field in biggest.fields.items() if field.kind != "file"}
            elif name in ("data-nr-make", "data-nr-place"):
                fields = {"line": Field("line", "text", {}, [element.attrs["data-nr-here"]])}
                if name == "data-nr-make":
                    fields["again"] = Field("again", "checkbox", {}, [], ["yes"])
                else:
                    fields["speed"] = Field("speed", "number", {}, ["1.5"])
            yield Form(page.address, {"method": "post", "action": address.replace("/0/", "/1/")}, fields)


_POSTED = frozenset(
    {
        *("data-nr-order-url", "data-nr-check", "data-nr-listen", "data-nr-address", "data-nr-transcribe"),
        *("data-nr-preview", "data-nr-make", "data-nr-place"),
    }
)


def _of_upload(page: Page) -> Iterator[Form]:
    """A big file that comes in pieces: it is begun, and ended at an address that only its answer tells."""
    for element in page.elements:
        if "data-nr-piece" in element.attrs:
            fields = {
                "name": Field("name", "text", {}, ["film.mkv"]),
                "size": Field("size", "number", {}, ["1000"]),
            }
            yield Form(page.address, {"method": "post", "action": element.attrs["action"]}, fields)
            for upload in Upload.objects.all():
                end = reverse("studio:upload_end", args=[upload.project_id, upload.pk])
                yield Form(page.address, {"method": "post", "action": end})


# Of the queries of links, those that lead to another form.
_LEADING = frozenset({"kind", "provider", "edit", "insert", "archived"})
_MOST_ALIKE = 2


def pages(client: Client, seeds: list[str]) -> Iterator[Page]:
    waiting, known, visits = deque(seeds), set(seeds), Counter[Any]()
    while waiting:
        address = waiting.popleft()
        response: Any = client.get(address, follow=True)
        if response.status_code != 200 or "text/html" not in response.get("Content-Type", ""):
            response.close()
            continue
        page = page_of(response, response.redirect_chain[-1][0] if response.redirect_chain else address)
        yield page
        for link in page.links:
            name, query = name_of(link), urlsplit(link).query
            kind = (name, query if name.endswith("_add") else query.partition("=")[0])
            wanted = link.startswith("/") and name and _LEADING.issuperset(parse_qs(query))
            if wanted and link not in known and visits[kind] < _MOST_ALIKE:
                known.add(link)
                visits[kind] += 1
                waiting.append(link)
