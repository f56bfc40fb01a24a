"""What earlier versions stored is brought up to date, whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.freezing import FROZEN, VARIABLES
from tests.rows import EACH, SECRET
from tests.server_process import manage
from tests.several_servers import new_database

DUMPS, BACKUPS = sorted(FROZEN.glob("*.sql")), sorted(FROZEN.glob("*.tar.gz"))
# Each of them is read by this version's models, with its secrets and what JSON it holds.
READ = """
from django.apps import apps
from providers.models import Provider
for model in apps.get_models(include_auto_created=True):
    for row in model._base_manager.all():
        assert row.pk is not None
print("secrets", *(provider.api_key for provider in Provider.objects.order_by("pk")))
"""
SECRETS = " ".join(["secrets", *(SECRET % number for number in range(EACH))])


def run(folder: Path, *arguments: str, variables: dict[str, str] | None = None) -> str:
    ended = manage(folder, *arguments, variables=VARIABLES | (variables or {}))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def counts(database: Path) -> dict[str, int]:
    with closing(sqlite3.connect(database)) as opened:
        names = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: opened.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


def test_there_are_some() -> None:
    assert DUMPS and [path.stem for path in DUMPS] == [path.name.removesuffix(".tar.gz") for path in BACKUPS]


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_a_database_is_brought_up_to_date(dump: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with closing(sqlite3.connect(data / "neiroha.sqlite3")) as database:
        database.executescript(dump.read_text())
    before = counts(data / "neiroha.sqlite3")
    run(data, "migrate")
    after = counts(data / "neiroha.sqlite3")
    lost = {name for name, count in before.items() if after.get(name, 0) < count}
    assert not lost, "a migration that means to lose rows says so here"
    assert SECRETS in run(data, "shell", "--no-imports", "-c", READ)
    assert run(data, "makemigrations", "--check", "--dry-run").startswith("No changes")


@pytest.mark.parametrize("backup", BACKUPS, ids=lambda path: path.name)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_is_restored_and_brought_up_to_date(
    backup: Path, kind: str, tmp_path: Path, postgres_url: str
) -> None:
    variables = {"NEIROHA_DATABASE_URL": new_database(postgres_url)} if kind == "postgresql" else {}
    run(tmp_path, "restore", str(backup), variables=variables)
    assert SECRETS in run(tmp_path, "shell", "--no-imports", "-c", READ, variables=variables)
    assert run(tmp_path, "migrate", "--check", variables=variables) == ""
    assert (tmp_path / "files" / "takes" / "spoken.wav").read_bytes() == b"RIFF, or so"
