"""`backup` and `restore`: from one kind of database to the other and back, whole or not at all."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management.base import CommandError
from django.db import connection

from neiroha_site.backup import tables
from neiroha_site.backup.archive import Writer, parts
from neiroha_site.backup.making import snapshot
from neiroha_site.backup.restoring import check
from neiroha_site.data_folder import DataFolderLock
from providers.models import Provider
from tests.rows import EACH, SECRET
from tests.server_process import manage
from tests.several_servers import new_database

FILES = {
    "takes/0123456789abcdef.wav": bytes(range(256)) * 20_000,
    "references/empty.flac": b"",
    "avatars/one two.webp": b"picture",
    "imports/deep/er/draft.json": b"{}",
}
FILL = "from tests.rows import fill; fill()"
COUNT = "from api.models import RequestLog; print(RequestLog.objects.count())"
SECRETS = """
from providers.models import Provider
print(*(provider.api_key for provider in Provider.objects.order_by("pk")))
"""
ADD = """
from django.contrib.auth.models import User
from studio.models import Project
user = User.objects.create_user("somebody new")
project = Project.objects.create(name="New", kind="novel", owner=user)
project.members.add(user)
print(user.pk, project.pk)
"""


class Place:
    """An installation in a folder of its own."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.folder = folder
        self.variables = {"NEIROHA_DATABASE_URL": database} if database else {}

    def manage(self, *arguments: str | Path) -> str:
        ended = manage(self.folder, *map(str, arguments), variables=self.variables)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def refused(self, *arguments: str | Path) -> str:
        """What a command says that ends without success: one line, and no traceback."""
        ended = manage(self.folder, *map(str, arguments), variables=self.variables)
        assert ended.returncode == 1 and len(ended.stderr.splitlines()) == 1, ended.stderr
        return ended.stderr

    def shell(self, script: str) -> list[str]:
        return self.manage("shell", "--no-imports", "-c", script).split()

    def filled(self) -> Place:
        self.manage("migrate")
        self.shell(FILL)
        for name, content in FILES.items():
            path = self.folder / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (self.folder / "files" / "takes" / "coming.wav.part").write_bytes(b"half")
        return self

    def files(self) -> dict[str, bytes]:
        folder = self.folder / "files"
        found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if not name.endswith(".part")}


def contents(archive: Path) -> dict[str, bytes]:
    with archive.open("rb") as file:
        return {part.name: part.content() for part in parts(file)}


def same(first: Path, second: Path) -> None:
    one, other = contents(first), contents(second)
    for name in one.keys() | other.keys():
        if name != "backup.json":
            assert one.get(name) == other.get(name), name
    manifests = [json.loads(each["backup.json"]) for each in (one, other)]
    for manifest in manifests:
        del manifest["made_at"]
    assert manifests[0] == manifests[1]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("original")).filled()


@pytest.fixture(scope="module")
def archive(original: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "neiroha.tar.gz"
    said = original.manage("backup", path)
    assert f"holds {sum(name.startswith('database') for name in contents(path))}" not in said
    return path


def test_there_and_back_again(archive: Path, original: Place, postgres_url: str, tmp_path: Path) -> None:
    there = Place(tmp_path / "there", new_database(postgres_url))
    back = Place(tmp_path / "back")
    there.manage("restore", archive)
    there.manage("backup", tmp_path / "there.tar.gz")
    back.manage("restore", tmp_path / "there.tar.gz")
    back.manage("backup", tmp_path / "back.tar.gz")
    same(archive, tmp_path / "there.tar.gz")
    same(archive, tmp_path / "back.tar.gz")
    assert there.files() == back.files() == FILES
    assert rows_of(back) == rows_of(original)
    for place in (there, back):
        assert place.shell(SECRETS) == [SECRET % number for number in range(EACH)], "the keys came along"
        user, project = place.shell(ADD)
        assert (int(user), int(project)) == (22, 22), "new rows get keys behind those that are there"


def rows_of(place: Place) -> dict[str, list[Any]]:
    """As SQLite itself has them."""
    import sqlite3

    with closing(sqlite3.connect(place.folder / "neiroha.sqlite3")) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for name in names:
            if name not in ("django_migrations", "sqlite_sequence"):
                found[name] = sorted(database.execute(f'SELECT * FROM "{name}"'), key=repr)
    return found


def test_a_backup_holds_every_table(archive: Path, original: Place) -> None:
    found = contents(archive)
    counts = {name: len(rows) for name, rows in rows_of(original).items()}
    assert min(counts.values()) > 0 and len(counts) > 40
    lines = sum(content.count(b"\n") for name, content in found.items() if name.startswith("database/"))
    assert lines == sum(counts.values())
    assert {name.removeprefix("files/") for name in found if name.startswith("files/")} == set(FILES)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    _, amount = check(archive)
    assert (amount.rows, amount.files) == (lines, len(FILES))


def test_an_existing_file_is_left_alone(original: Place, tmp_path: Path) -> None:
    there = tmp_path / "there.tar.gz"
    there.write_text("something else")
    assert "There is a file" in original.refused("backup", there)
    assert there.read_text() == "something else"
    assert "can't be written" in original.refused("backup", tmp_path / "nowhere" / "a.tar.gz")
    assert os.listdir(tmp_path) == ["there.tar.gz"]


def test_without_a_database_there_is_nothing_to_keep(tmp_path: Path) -> None:
    place = Place(tmp_path / "data")
    assert "nothing to keep" in place.refused("backup", tmp_path / "a.tar.gz")
    assert not (tmp_path / "a.tar.gz").exists()


def test_what_is_in_use_is_only_replaced_when_told(archive: Path, tmp_path: Path) -> None:
    place = Place(tmp_path / "data").filled()
    place.shell("from studio.models import Project; Project.objects.update(name='Mine')")
    (place.folder / "files" / "takes" / "own.wav").write_bytes(b"mine")
    before, files = rows_of(place), place.files()
    assert "in use" in place.refused("restore", archive)
    with DataFolderLock(place.folder):
        assert "Another Neiroha server" in place.refused("restore", archive, "--replace")
    assert (rows_of(place), place.files()) == (before, files)
    place.manage("restore", archive, "--replace")
    assert rows_of(place) != before
    assert place.files() == FILES, "what is no longer named is gone"
    place.manage("backup", tmp_path / "after.tar.gz")
    same(archive, tmp_path / "after.tar.gz")


def changed(archive: Path, path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """The same archive, sound in itself, with other parts in it."""
    with path.open("wb") as file, closing(Writer(file)) as writer:
        for name, content in contents(archive).items():
            if name == "end.json" or (new := change(name, content)) is None:
                continue
            if name.startswith("database/"):
                writer.add_rows(name, new.splitlines(keepends=True))
            elif name.startswith("files/"):
                writer.add_file(name, len(new), io.BytesIO(new))
            else:
                writer.add(name, new)
        writer.end()
    return path


def without_users(name: str, content: bytes) -> bytes | None:
    return None if name.startswith("database/auth.User/") else content


def a_bad_time(name: str, content: bytes) -> bytes:
    return content.replace(b"2100-01-01", b"2100-13-01") if name.startswith("database/studio.Take/") else content


def a_column_too_many(name: str, content: bytes) -> bytes:
    return content.replace(b'{"id"', b'{"evil":1,"id"') if name.startswith("database/studio.Take/") else content


def a_number_that_is_none(name: str, content: bytes) -> bytes:
    return content.replace(b'"size":0', b'"size":[]') if name.startswith("database/studio.Take/") else content


def twice_the_same(name: str, content: bytes) -> bytes:
    return content + content if name.startswith("database/studio.Take/") else content


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (without_users, "sqlite"),
        (without_users, "postgresql"),
        (a_bad_time, "sqlite"),
        (a_column_too_many, "sqlite"),
        (a_number_that_is_none, "sqlite"),
        (twice_the_same, "postgresql"),
    ],
)
def test_rows_that_cannot_be_stored_leave_all_as_it_was(
    archive: Path, tmp_path: Path, postgres_url: str, change: Callable[[str, bytes], bytes | None], kind: str
) -> None:
    place = Place(tmp_path / "data", new_database(postgres_url) if kind == "postgresql" else "")
    bad = changed(archive, tmp_path / "bad.tar.gz", change)
    place.refused("restore", bad)
    assert place.files() == {}
    if kind == "sqlite":
        assert rows_of(place) == {} and not list(place.folder.glob("*.restored*"))
    else:
        with psycopg.connect(place.variables["NEIROHA_DATABASE_URL"]) as database:
            assert database.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def manifest(**values: Any) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        return json.dumps(json.loads(content) | values).encode() if name == "backup.json" else content

    return change


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 2}, "take the newer one"),
        ({"migrations": ["studio.9999_future"]}, "newer version"),
        ({"migrations": ["no dot"]}, "newer version"),
        ({"tables": {}}, "not those of the version"),
    ],
)
@pytest.mark.django_db
def test_what_another_version_made(archive: Path, tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        check(changed(archive, tmp_path / "other.tar.gz", manifest(**values)))


def test_what_is_no_backup_changes_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path / "data")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff" * 1000)
    assert "not a backup" in place.refused("restore", tmp_path / "photo.jpg")
    assert "No such file" in place.refused("restore", tmp_path / "nothing")
    assert not (place.folder / "neiroha.sqlite3").exists()


def test_keys_of_the_environment_stay_and_it_is_told(archive: Path, tmp_path: Path) -> None:
    place = Place(tmp_path / "data")
    place.variables["NEIROHA_SECRET_KEY"] = "another one"
    said = place.manage("restore", archive)
    assert "NEIROHA_SECRET_KEY is set to something else" in said and "NEIROHA_FIELD_KEYS" not in said


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_does_not_see_what_comes_meanwhile() -> None:
    Provider.objects.create(name="Before", kind="embedded")
    with snapshot():
        assert Provider.objects.count() == 1
        in_another_thread(lambda: Provider.objects.create(name="Meanwhile", kind="embedded"))
        assert Provider.objects.count() == 1
    assert Provider.objects.count() == 2


@pytest.mark.django_db
def test_rows_are_taken_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PART_BYTES", 1000)
    for number in range(40):
        Provider.objects.create(name=f"Provider {number}", kind="embedded")
    found = list(tables.Tables(tables.applied_migrations()).dump("providers.Provider"))
    assert len(found) > 5 and sum(map(len, found)) == 40
    assert all(sum(map(len, rows[:-1])) < 1000 for rows in found), "no more than is needed"
    ordered = [json.loads(row)["id"] for rows in found for row in rows]
    assert ordered == sorted(ordered)


def in_another_thread(work: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(closing_connection, work).result(60)


def closing_connection(work: Callable[[], object]) -> None:
    try:
        work()
    finally:
        connection.close()
