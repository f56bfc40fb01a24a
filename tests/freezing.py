"""Databases and backups of earlier schemas, which every later version has to bring up to date.

`python -m tests.freezing NAME` adds today's to `tests/frozen/`: at each release, and before a change of the schema that
is hard to undo. What is there is never made anew.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.server_process import manage

FROZEN = Path(__file__).resolve().parent / "frozen"
# Of no use elsewhere.
FIELD_KEY = "sYkaZZ5vDRN0vtjMmCGxUXQvvsYjSh1d2qCO1TKTqNM="
VARIABLES = {"NEIROHA_FIELD_KEYS": FIELD_KEY, "NEIROHA_SECRET_KEY": "frozen"}
FILL = "from tests.rows import fill; fill()"


def freeze(name: str) -> None:
    dump, backup = FROZEN / f"{name}.sql", FROZEN / f"{name}.tar.gz"
    assert not dump.exists() and not backup.exists(), "what is frozen stays as it is"
    with TemporaryDirectory() as folder:
        data = Path(folder)
        _run(data, "migrate")
        _run(data, "shell", "--no-imports", "-c", FILL)
        take = data / "files" / "takes" / "spoken.wav"
        take.parent.mkdir(parents=True)
        take.write_bytes(b"RIFF, or so")
        _run(data, "backup", str(backup))
        with closing(sqlite3.connect(data / "neiroha.sqlite3")) as database:
            dump.write_text("\n".join(database.iterdump()) + "\n")


def _run(data: Path, *arguments: str) -> None:
    ended = manage(data, *arguments, variables=VARIABLES)
    assert ended.returncode == 0, ended.stderr


if __name__ == "__main__":
    freeze(sys.argv[1])
