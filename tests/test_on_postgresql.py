"""Tests that speak with the database, once more over PostgreSQL."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Claims, conditional updates, unique names, JSON, searches, big batches, what two do at once.
FILES = (
    "test_asgi",
    "test_batches",
    "test_catalogue",
    "test_first_run",
    "test_jobs",
    "test_ledger",
    "test_lines",
    "test_native_pronunciations",
    "test_people_sign_in",
    "test_request_log",
    "test_takes",
    "test_versions",
    "test_webhooks",
)
SECONDS = 1800


@pytest.mark.timeout(SECONDS + 60)
def test_a_part_of_the_tests_over_postgresql(postgres_url: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NEIROHA_", "PYTEST_"))}
    files = [f"tests/{name}.py" for name in FILES]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short", *files],
        cwd=ROOT,
        env=kept | {"NEIROHA_TEST_DATABASE_URL": postgres_url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-10_000:] + ended.stderr[-2000:]
    found = re.search(r"(\d+) passed", ended.stdout)
    assert found and int(found[1]) > 250 and "skipped" not in ended.stdout
