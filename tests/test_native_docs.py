"""docs/rest.md holds what is served: each route with its right, each filter, and commands that work."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from api.models import ApiKey, Scope
from api.native.docs import schema
from api.native.filters import Ordering
from api.native.urls import STUDIO, VIEWSETS
from banks.models import Bank, Character, ReferenceAudio
from neiroha_site.first_run import make_default_bank
from providers.models import Provider
from studio.models import Export, Project
from tests.admin_pages import recording
from tests.native_api import make_user
from tests.projects import voiced
from tests.studio import clear_files
from tests.test_docs import ADDRESS, ROOT, blocks, rows, run, shape, ticked

REST = ROOT / "docs" / "rest.md"
PAGING = {"limit", "offset", "ordering"}


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    clear_files()


def routes() -> list[Any]:
    introduction = REST.read_text().split("\n## ", 1)[0]
    return re.findall(r"^\| (\w+) \| `([^`]+)` \| (.*?) \|", introduction, re.MULTILINE)


def test_every_route_and_method() -> None:
    served = {(method.upper(), path) for path, methods in schema()["paths"].items() for method in methods}
    native = {(method, path) for method, path in served if path.startswith("/api/")}
    documented = [(method, path) for method, path, _right in routes()]
    assert len(documented) == len(set(documented))
    assert set(documented) == native | {("GET", "/api/schema/"), ("GET", "/api/docs/")}


def test_every_model_permission_is_one() -> None:
    for _method, _path, right in routes():
        for name in ticked(right):
            app, _, codename = name.partition(".")
            if codename:
                verb, _, model = codename.partition("_")
                assert verb in ("view", "add", "change", "delete") and apps.get_model(app, model), name


def test_every_filter_and_ordering() -> None:
    documented = {ticked(row[0])[0]: (set(ticked(row[1])), ticked(row[2])) for row in rows(REST, "Lists")}
    served = {}
    for name, viewset in (VIEWSETS | STUDIO).items():
        fields = viewset.query_class().fields
        ordering = fields["ordering"]
        assert isinstance(ordering, Ordering)
        orders = [order for order in ordering.choices if not order.startswith("-")]
        served[f"/api/{name}/"] = (set(fields) - PAGING, orders)
    assert documented == served


def test_every_scope() -> None:
    assert [ticked(row[0])[0] for row in rows(REST, "Keys and sessions")] == Scope.values


def filled(said: Any, shown: Any) -> Any:
    """Lists that are shown empty may hold what the server remembers."""
    if isinstance(said, dict):
        return {name: [] if shown.get(name) == [] else value for name, value in said.items()}
    return said


def commands() -> list[tuple[str, Any]]:
    """(command, the answer that stands below it, or None)."""
    found, listed = [], blocks(REST)
    for number, block in enumerate(listed):
        if block.language == "bash" and block.text.startswith("curl "):
            below = listed[number + 1] if number + 1 < len(listed) else block
            shown = json.loads(below.text) if below.language == "json" and below.section == block.section else None
            found.append((block.text, shown))
    return found


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_commands_do_what_they_are_there_for(server: str, tmp_path: Path) -> None:
    assert make_default_bank()
    owner = make_user(superuser=True)
    _key, secret = ApiKey.objects.issue(name="Robot", owner_id=owner.pk, scope=Scope.MANAGE)
    (tmp_path / "ann.wav").write_bytes(recording())
    assert len(commands()) >= 12
    for command, shown in commands():
        # The numbers of this database, which is not the first of its process.
        bank, provider = Bank.objects.order_by("pk").first(), Provider.objects.order_by("pk").first()
        newest = Character.objects.order_by("-pk").first()
        assert bank and provider and newest
        mine = command.replace(ADDRESS, server).replace("providers/1/", f"providers/{provider.pk}/")
        for word, row in (('"bank": ', bank), ('"provider": ', provider), ("provider=", provider)):
            mine = re.sub(rf"{word}\d+", f"{word}{row.pk}", mine)
        mine = re.sub(r'"banks": \[\d+\]', f'"banks": [{bank.pk}]', mine)
        mine = re.sub(r'"character": \d+', f'"character": {newest.pk}', mine)
        if project := Project.objects.order_by("-pk").first():
            mine = re.sub(r'(projects/|"project": |project=)\d+', rf"\g<1>{project.pk}", mine)
            mine = mine.replace('"Bob": 1', f'"Bob": {newest.pk}')
            if "/exports/" in mine:
                voiced(project, owner, newest, "Spoken before.")
        said = json.loads(run(["bash", "-c", mine], tmp_path, NEIROHA_KEY=secret))
        assert (set(said) == {"error"}) == (shown is not None and "error" in shown), (command, said)
        if shown is not None:
            assert shape(filled(said, shown)) == shape(shown)
            assert "error" not in shown or said == shown
    assert Provider.objects.get(name="House server").api_key == "sk-…"
    assert Character.objects.get(name="Narrator").memberships.count() == 1
    assert ReferenceAudio.objects.get().name == "Ann"
    assert ApiKey.objects.get(name="Kitchen").owner == owner
    assert Project.objects.get().lines.filter(speaker="Bob", instruction="softly").exists()
    assert Export.objects.get().options_json["format"] == "m4b"


@pytest.mark.django_db
def test_the_command_makes_a_key_with_a_scope() -> None:
    owner = make_user()
    call_command(
        "create_key", "Robot", "--owner", owner.username, "--scope", "manage", stdout=StringIO(), stderr=StringIO()
    )
    key = ApiKey.objects.get()
    assert (key.owner, key.scope) == (owner, Scope.MANAGE)
    with pytest.raises(CommandError, match="--owner"):
        call_command("create_key", "Robot", "--scope", "read")
