"""Who gets into the native API, by which door, with which right: everything tried with an outsider."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from api.models import Access, ApiKey, Scope, ServerSettings
from api.native.urls import STUDIO, VIEWSETS
from api.throttling import windows
from banks.models import Bank, Character, Membership, Pronunciation, ReferenceAudio
from neiroha_site.roles import Role, set_role
from providers.models import CatalogueModel, CatalogueVoice, Provider
from studio.export_options import ExportOptions, What
from studio.freshness import refresh
from studio.models import Export, Line, Project, Take
from tests.native_api import Caller, answer, code, keyed, make_user, param, session, without_limits
from tests.studio import queued

# Each resource with the model permission's stem, a body to make one and a change.
RESOURCES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "providers": ("providers.{}_provider", {"name": "New", "kind": "embedded"}, {"enabled": False}),
    "voices": ("providers.{}_provider", {"provider": 1, "external_id": "new"}, {"name": "x"}),
    "models": ("providers.{}_provider", {"provider": 1, "external_id": "new"}, {"name": "x"}),
    "banks": ("banks.{}_bank", {"name": "New"}, {"active": False}),
    "characters": ("banks.{}_character", {"name": "New", "provider": 1}, {"speed": 2}),
    "memberships": ("banks.{}_membership", {"bank": 1, "character": 2}, {"position": 2}),
    "pronunciations": ("banks.{}_pronunciation", {"written": "New", "spoken": "Knew"}, {"enabled": False}),
    "references": ("banks.{}_referenceaudio", {}, {"name": "x"}),
    "keys": ("api.{}_apikey", {"name": "New"}, {"name": "x"}),
}
CATALOGUE = ("voices", "models")
VERBS = ("view", "add", "change", "delete")


@pytest.fixture(autouse=True)
def unlimited(db: None) -> None:
    without_limits()


@pytest.fixture
def rows() -> dict[str, int]:
    """One row of each resource, and its number."""
    provider = Provider.objects.create(pk=1, name="Here", kind="embedded")
    heart = Character.objects.create(pk=1, name="Heart", provider=provider)
    Character.objects.create(pk=2, name="Soul", provider=provider)
    bank = Bank.objects.create(pk=1, name="Stories")
    made = {
        "providers": provider,
        "characters": heart,
        "banks": bank,
        "memberships": Membership.objects.create(bank=bank, character=heart),
        "voices": CatalogueVoice.objects.create(provider=provider, external_id="a", by_hand=True),
        "models": CatalogueModel.objects.create(provider=provider, external_id="a", by_hand=True),
        "pronunciations": Pronunciation.objects.create(written="Nguyen", spoken="win"),
        "references": ReferenceAudio.objects.create(name="Ann"),
        "keys": ApiKey.objects.issue(name="Key", owner_id=User.objects.create(username="other").pk)[0],
    }
    assert set(made) == set(VIEWSETS) == set(RESOURCES)
    project = Project.objects.create(pk=1, name="Play", kind="dialogue", owner=User.objects.get(username="other"))
    studio: dict[str, Any] = {
        "projects": project,
        "lines": Line.objects.create(project=project, position=1, text="One."),
        "exports": Export.objects.create(
            project=project, owner=project.owner, options_json=ExportOptions(What.AUDIO, "mp3").as_json()
        ),
        "takes": queued(project.owner, heart),
    }
    assert set(studio) == set(STUDIO)
    refresh(project)  # as every look at its lines does
    return {name: row.pk for name, row in (made | studio).items()}


def every_route(rows: dict[str, int]) -> list[tuple[str, str, Any]]:
    routes: list[tuple[str, str, Any]] = [
        ("GET", "kinds/", None),
        ("GET", "settings/", None),
        ("PATCH", "settings/", {"queue_limit": 7}),
        ("GET", "queue/", None),
        ("POST", "queue/cancel/", {"which": "mine"}),
        ("DELETE", "queue/1/", None),
    ]
    for name, (_right, body, change) in RESOURCES.items():
        row = f"{name}/{rows[name]}/"
        routes += [("GET", f"{name}/", None), ("POST", f"{name}/", body)]
        routes += [("GET", row, None), ("PATCH", row, change), ("DELETE", row, None)]
    routes += studio_routes(rows)
    for name, path in (("providers", "restore"), ("banks", "restore"), ("characters", "restore"), ("keys", "revoke")):
        routes.append(("POST", f"{name}/{rows[name]}/{path}/", None))
    provider = f"providers/{rows['providers']}/"
    routes += [("GET", provider + "health/", None), ("POST", provider + "health/", None)]
    routes += [("POST", provider + "fetch/", None), ("GET", f"references/{rows['references']}/audio/", None)]
    return routes


def studio_routes(rows: dict[str, int]) -> list[tuple[str, str, Any]]:
    project, line, export = (f"{name}/{rows[name]}/" for name in ("projects", "lines", "exports"))
    return [
        *(("GET", f"{name}/", None) for name in STUDIO),
        *(("GET", f"{name}/{rows[name]}/", None) for name in STUDIO),
        ("GET", f"{project}counts/", None),
        ("GET", f"{export}file/", None),
        ("GET", f"takes/{rows['takes']}/audio/", None),
        ("POST", "projects/", {"name": "New", "kind": "phase"}),
        ("PATCH", project, {"name": "x"}),
        ("POST", f"{project}duplicate/", None),
        ("POST", f"{project}generate/", {"want": "all"}),
        ("POST", f"{project}cancel/", {}),
        ("POST", f"{project}import/", {"text": "Anna: Hello."}),
        ("POST", "lines/", {"project": 1, "lines": [{"text": "Two."}]}),
        ("PATCH", line, {"text": "x"}),
        ("POST", "lines/move/", {"project": 1, "lines": [rows["lines"]]}),
        ("POST", "exports/", {"project": 1, "what": "files"}),
        ("POST", f"{export}cancel/", None),
        ("DELETE", export, None),
        ("DELETE", line, None),
        ("DELETE", project, None),
    ]


def snapshot() -> list[Any]:
    models: tuple[type[Model], ...] = (Provider, CatalogueVoice, CatalogueModel, Bank, Character, Membership)
    models += (Pronunciation, ReferenceAudio, ApiKey, Project, Line, Export, Take)
    kept = [list(model._default_manager.order_by("pk").values()) for model in models]
    return [*kept, ServerSettings.objects.values_list("queue_limit", flat=True).get()]


def all_rights() -> list[str]:
    rights = {right.format(verb) for right, _body, _change in RESOURCES.values() for verb in VERBS}
    rights |= {f"studio.{verb}_{model}" for verb in VERBS for model in ("project", "take")}
    return [*rights, "api.view_serversettings", "api.change_serversettings"]


# Doors.


def test_nobody_gets_in_even_where_speech_is_open(rows: dict[str, int]) -> None:
    ServerSettings.objects.update(access=Access.OPEN)
    before = snapshot()
    for method, path, body in every_route(rows):
        refused = Caller().ask(method, path, body)
        assert code(answer(refused, 401)) == "not_authenticated", (method, path)
        assert refused["WWW-Authenticate"].startswith("Bearer")
    assert snapshot() == before


def test_keys_without_the_scope_or_an_owner_get_nowhere(rows: dict[str, int]) -> None:
    owner = make_user(superuser=True)
    _ownerless, secret = ApiKey.objects.issue(name="Nobody's", scope=Scope.MANAGE)
    speech, ownerless = keyed(owner=owner, scope=Scope.SPEECH), Caller(secret=secret)
    before = snapshot()
    for caller in (speech, ownerless):
        for method, path, body in every_route(rows):
            assert code(answer(caller.ask(method, path, body), 403)) == "permission_denied", (method, path)
        caller.get("schema/", 403)
    assert snapshot() == before


def test_a_read_key_reads_and_changes_nothing(rows: dict[str, int]) -> None:
    reader = keyed(superuser=True, scope=Scope.READ)
    before = snapshot()
    for method, path, body in every_route(rows):
        status = reader.ask(method, path, body).status_code
        assert status in ((200, 404, 409) if method == "GET" else (403,)), (method, path, status)
    assert snapshot() == before


def test_somebody_without_rights_gets_nowhere(rows: dict[str, int]) -> None:
    guests = (session(*all_rights(), staff=False), keyed(*all_rights(), staff=False))
    callers = (session(), keyed(), *guests)
    before = snapshot()
    for caller in callers:
        for method, path, body in every_route(rows):
            assert code(answer(caller.ask(method, path, body), 403)) == "permission_denied", (method, path)
    assert snapshot() == before


@pytest.mark.parametrize("state", ["revoked", "expired", "inactive", "unknown", "garbled"])
def test_what_ended_opens_nothing(state: str) -> None:
    caller = keyed(superuser=True)
    assert caller.key and caller.user
    caller.get("banks/")
    match state:
        case "revoked":
            caller.key.revoke()
        case "expired":
            ApiKey.objects.update(expires_at=timezone.now())
        case "inactive":
            User.objects.update(is_active=False)
        case "unknown":
            caller.headers = {"Authorization": "Bearer nei-unknown"}
        case "garbled":
            caller.headers = {"Authorization": "Bearer \xff\xfe"}
    told = "invalid" if state in ("unknown", "garbled") else state
    assert code(caller.get("banks/", 401)) == f"{told}_api_key"


def test_a_key_is_taken_from_either_header_and_goes_before_a_session() -> None:
    admin, reader = session(superuser=True), keyed("banks.view_bank", scope=Scope.READ)
    assert reader.key
    admin.headers = {"X-API-Key": "nei-unknown"}
    assert code(admin.get("banks/", 401)) == "invalid_api_key"
    admin.headers = {"X-API-Key": reader.secret}
    admin.get("banks/")
    admin.post("banks/", {"name": "New"}, 403)
    admin.headers = {"Authorization": "Bearer "}
    admin.post("banks/", {"name": "New"})
    admin.headers = {"Authorization": "Basic eDp5"}
    admin.get("banks/")


def test_a_session_changes_nothing_without_its_token() -> None:
    user = make_user(superuser=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    kind = "application/json"
    assert answer(client.get("/api/banks/"), 200)
    for method, path in (("POST", "banks/"), ("PATCH", "settings/"), ("DELETE", "banks/1/"), ("POST", "queue/cancel/")):
        response = client.generic(method, f"/api/{path}", json.dumps({"name": "New", "which": "all"}), kind)
        assert "X-CSRFToken" in answer(response, 403)["error"]["message"]
    assert not Bank.objects.exists()
    client.get("/api/docs/")
    token = client.cookies["csrftoken"].value
    made = client.post("/api/banks/", {"name": "New"}, kind, headers={"X-CSRFToken": token})
    assert answer(made, 201)["name"] == "New"
    # A key is no cookie: nobody else's page can send it.
    secret = ApiKey.objects.issue(name="Robot", owner_id=user.pk, scope=Scope.MANAGE)[1]
    by_key = client.post("/api/banks/", {"name": "Newer"}, kind, headers={"Authorization": f"Bearer {secret}"})
    assert answer(by_key, 201)["name"] == "Newer"


# Rights.


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_each_verb_has_its_right(name: str, rows: dict[str, int]) -> None:
    right, body, change = RESOURCES[name]
    for verb in VERBS:
        user = make_user(right.format(verb), *(["banks.change_bank"] if name == "memberships" else []))
        own = ApiKey.objects.issue(name="Own", owner_id=user.pk)[0].pk
        row = f"{name}/{own if name == 'keys' else rows[name]}/"
        tries = {"add": ("POST", f"{name}/", body), "change": ("PATCH", row, change), "delete": ("DELETE", row, None)}
        for caller in (Caller(user), keyed(owner=user)):
            assert (status_of(caller, "GET", row, None) == 200) is (verb in ("view", "change"))
            for needed, asked in tries.items():
                allowed = verb == ("change" if name in CATALOGUE else needed)
                assert (status_of(caller, *asked) != 403) is allowed, (verb, needed)


def status_of(caller: Caller, method: str, path: str, body: Any) -> int:
    """Without a trace."""
    with transaction.atomic():
        status: int = caller.ask(method, path, body).status_code
        transaction.set_rollback(True)
    return status


def test_the_roles(rows: dict[str, int]) -> None:
    viewer, producer = make_user(), make_user()
    set_role(viewer, Role.VIEWER)
    set_role(producer, Role.PRODUCER)
    looks = {path: Caller(viewer).ask("GET", path).status_code for path in [*(f"{name}/" for name in RESOURCES)]}
    assert looks == {f"{name}/": 403 if name in ("references", "keys") else 200 for name in RESOURCES}
    for method, path, body in every_route(rows):
        if method != "GET" and path != "queue/cancel/" and not path.startswith("queue"):
            assert Caller(viewer).ask(method, path, body).status_code == 403, (method, path)
    by_hand = Caller(producer)
    by_hand.post("banks/", {"name": "Theirs"})
    by_hand.post("keys/", {"name": "Theirs"})
    by_hand.get("references/")
    for method, path, body in every_route(rows):
        if method != "GET" and path.split("/")[0] in ("providers", "voices", "models", "settings"):
            assert by_hand.ask(method, path, body).status_code == 403, (method, path)


def test_a_key_has_no_more_rights_than_its_owner_has_now() -> None:
    caller = keyed("banks.add_bank")
    caller.post("banks/", {"name": "New"})
    assert caller.user
    caller.user.user_permissions.clear()
    caller.post("banks/", {"name": "Newer"}, 403)
    caller.user.is_superuser = True
    caller.user.save()
    caller.post("banks/", {"name": "Newer"})
    caller.user.is_staff = False
    caller.user.save()
    caller.post("banks/", {"name": "Newest"}, 403)


# Switches and limits.


def test_switching_the_api_off_ends_keys_and_not_sessions() -> None:
    admin, robot = session(superuser=True), keyed(superuser=True)
    admin.patch("settings/", {"api_enabled": False})
    assert code(robot.get("settings/", 503)) == "api_off"
    assert code(robot.patch("settings/", {"api_enabled": True}, 503)) == "api_off"
    Caller().get("settings/", 401)
    assert admin.patch("settings/", {"api_enabled": True})["api_enabled"] is True
    robot.get("settings/")


def test_the_rate_limit_is_that_of_the_api() -> None:
    windows.clear()
    ServerSettings.objects.update(rate_limit_per_minute=2)
    admin = session(superuser=True)
    admin.get("banks/")
    for _ in range(3):
        Caller().get("banks/", 401)  # the refused do not count
    admin.get("kinds/")
    refused = admin.ask("GET", "banks/")
    assert code(answer(refused, 429)) == "rate_limit_exceeded" and 0 < int(refused["Retry-After"]) <= 60
    own = keyed(superuser=True)
    own.get("banks/", 429)
    ApiKey.objects.update(rate_limit_per_minute=1)
    own.get("banks/")
    own.get("banks/", 429)


# Shapes of requests.


@pytest.mark.parametrize(
    ("raw", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"not json", "application/json", 400),
        (b'{"name": NaN}', "application/json", 400),
        (b'{"name": 1e999}', "application/json", 400),
        (b'{"name": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b'{"name": "\\ud800"}', "application/json", 400),
        (b'{"\\udfff": 1}', "application/json", 400),
        (b'{"name": "\xff"}', "application/json", 400),
        (b"\xef\xbb\xbf{}", "application/json", 400),
        ('{"name": "x"}'.encode("utf-16"), "application/json", 400),
        (b"[" * 200_000, "application/json", 400),
        (b'{"a":' * 100_000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b'[{"name": "x"}]', "application/json", 400),
        (b"null", "application/json", 400),
        (b'"name"', "application/json", 400),
        (b"5", "application/json", 400),
        (b'{"name": "x"}', "text/plain", 415),
        (b'{"name": "x"}', "application/json; charset=latin-1", 201),
        (b"name=x", "application/x-www-form-urlencoded", 415),
        (b"{}", "nonsense", 415),
    ],
    ids=range(22),
)
def test_bodies(raw: bytes, content_type: str, status: int) -> None:
    admin = session(superuser=True)
    answer(admin.ask("POST", "banks/", raw=raw, content_type=content_type), status)
    assert Bank.objects.exists() is (status == 201)
    patched = admin.ask("PATCH", "settings/", raw=raw, content_type=content_type).status_code
    # A change of nothing is none.
    assert patched == (200 if raw == b"" else 400 if status == 201 else status)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=ten", "limit"),
        ("limit=1.5", "limit"),
        ("limit=9999999999999999999999", "limit"),
        ("offset=-1", "offset"),
        ("offset=99999999999999999999", "offset"),
        ("ordering=digest", "ordering"),
        ("ordering=owner__password", "ordering"),
        ("ordering=?", "ordering"),
        ("archived=maybe", "archived"),
        ("archived=", "archived"),
        ("active=1", "active"),
        ("character=0", "character"),
        ("character=9223372036854775808", "character"),
        ("character=x", "character"),
        ("search=" + "x" * 201, "search"),
        ("search=%00", "search"),
        ("teapot=1", "teapot"),
        ("name__startswith=S", "name__startswith"),
    ],
    ids=range(22),
)
def test_queries(query: str, field: str) -> None:
    assert param(session("banks.view_bank").get(f"banks/?{query}", 400)) == field


def test_pages_of_a_list() -> None:
    viewer = session("banks.view_bank")
    Bank.objects.bulk_create(Bank(name=f"Bank {number:03}", position=number) for number in range(205))
    first = viewer.get("banks/")
    assert (first["count"], len(first["results"]), first["previous"]) == (205, 50, None)
    largest = viewer.get("banks/?limit=200")
    assert len(largest["results"]) == 200
    last = viewer.get(largest["next"].partition("/api/")[2])
    assert [bank["position"] for bank in last["results"]] == list(range(200, 205)) and last["next"] is None
    assert viewer.get("banks/?offset=9999")["results"] == []


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_a_long_list_takes_few_queries(name: str, rows: dict[str, int], django_assert_max_num_queries: Any) -> None:
    provider, bank = Provider.objects.get(), Bank.objects.get()
    for number in range(10):
        row = Character.objects.create(name=f"Character {number}", provider=provider, reference_id=rows["references"])
        Membership.objects.create(bank=bank, character=row)
        Provider.objects.create(name=f"Provider {number}", kind="embedded")
        Bank.objects.create(name=f"Bank {number}", default_character=row)
        Pronunciation.objects.create(written=f"Word {number}", bank=bank)
        ReferenceAudio.objects.create(name=f"Recording {number}")
        ApiKey.objects.issue(name=f"Key {number}")[0].banks.add(bank)
        for kind in (CatalogueVoice, CatalogueModel):
            kind._default_manager.create(provider=provider, external_id=f"{number}")
    admin = session(superuser=True)
    with django_assert_max_num_queries(8):
        assert admin.get(f"{name}/?limit=200")["count"] > 10


def test_paths_and_methods() -> None:
    admin = session(superuser=True)
    for path in ("", "teapot/", "banks/x/", "banks/-1/", "banks/1.0/", "banks/12345678901234567890/", "admin/"):
        assert code(admin.get(path, 404)) == code(Caller().get(path, 404)) == "not_found"
    assert code(admin.get("banks/9223372036854775807/", 404)) == "not_found"
    assert code(admin.get("banks/9999999999999999999/", 404)) == "not_found"
    answer(admin.ask("GET", "banks"), 200)
    answer(admin.ask("POST", "banks", {"name": "New"}), 201)
    for method, path in (("PUT", "banks/1/"), ("DELETE", "banks/"), ("OPTIONS", "banks/"), ("TRACE", "settings/")):
        refused = admin.ask(method, path)
        assert code(answer(refused, 405)) == "method_not_allowed" and refused["Allow"]
    assert admin.ask("HEAD", "banks/").content == b""
