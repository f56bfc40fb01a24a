"""A pytest plugin, loaded before Django's settings: every run has a data folder of its own.

NEIROHA_TEST_DATABASE_URL names a PostgreSQL server for the tests' database, in place of SQLite.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_DATA_DIR = Path(tempfile.mkdtemp(prefix="neiroha-tests-"))
atexit.register(shutil.rmtree, _DATA_DIR, ignore_errors=True)

_DATABASE = os.environ.get("NEIROHA_TEST_DATABASE_URL")
for _name in [name for name in os.environ if name.startswith("NEIROHA_")]:
    del os.environ[_name]
os.environ["NEIROHA_DATA_DIR"] = str(_DATA_DIR)
if _DATABASE:
    os.environ["NEIROHA_DATABASE_URL"] = _DATABASE
os.environ["HF_HUB_OFFLINE"] = "1"
