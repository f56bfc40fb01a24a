"""A pytest plugin, loaded before Django's settings: every run has a data folder of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_DATA_DIR = Path(tempfile.mkdtemp(prefix="neiroha-tests-"))
atexit.register(shutil.rmtree, _DATA_DIR, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith("NEIROHA_")]:
    del os.environ[_name]
os.environ["NEIROHA_DATA_DIR"] = str(_DATA_DIR)
os.environ["HF_HUB_OFFLINE"] = "1"
