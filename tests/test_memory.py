"""Freed memory goes back to the system, as far as its C library can be told to."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.heaps import more_heaps
from tests.server_process import MANAGE, environment, running_server

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, which is what is set up")

# Blocks of a second of sound, between small ones that stay; a freed one of a megabyte comes first, after which glibc
# would take what is smaller from its heap.
HOLES = """
import json, sys
from pathlib import Path
from neiroha_site.memory import give_freed_memory_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if sys.argv[1] == "set up":
    give_freed_memory_back()
bytearray(1_000_000)
before = resident()
sounds, kept = [], []
for _ in range(100):
    sounds.append(bytearray(b"x" * 300_000))
    kept.append(bytearray(b"x" * 20_000))
held = resident() - before
sounds.clear()
print(json.dumps({"held": held, "left": resident() - before}))
"""


def left_by(folder: Path, way: str, variables: dict[str, str] | None = None) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", HOLES, way],
        cwd=MANAGE.parent,
        env=environment(folder, variables),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    known: dict[str, int] = json.loads(done.stdout)
    return known


def test_what_lay_between_blocks_that_stay_goes_back(tmp_path: Path) -> None:
    left = left_by(tmp_path, "set up")
    assert left["held"] > 25_000_000
    assert left["left"] < 5_000_000


@pytest.mark.parametrize(
    ("way", "variables"),
    [("as it is", {}), ("set up", {"MALLOC_MMAP_THRESHOLD_": "4000000", "MALLOC_TRIM_THRESHOLD_": "100000000"})],
    ids=["not set up", "set by the user"],
)
def test_it_would_stay_otherwise(tmp_path: Path, way: str, variables: dict[str, str]) -> None:
    assert left_by(tmp_path, way, variables)["left"] > 25_000_000


@pytest.mark.parametrize(("variables", "few"), [({}, True), ({"MALLOC_ARENA_MAX": "8"}, False)], ids=["ours", "theirs"])
def test_threads_of_a_server_share_two_heaps(tmp_path: Path, variables: dict[str, str], few: bool) -> None:
    with running_server(tmp_path, variables=variables) as server:
        pages = [f"{server.url}{path}" for path in ("/v1/models", "/v1/audio/voices", "/health", "/setup/")] * 10
        with ThreadPoolExecutor(8) as pool, httpx.Client(timeout=60, trust_env=False) as http:
            assert {answer.is_server_error for answer in pool.map(http.get, pages)} == {False}
        assert (more_heaps(server.process.pid) <= 1) is few
