"""How many heaps the threads of a server fill: each keeps what is freed in it."""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.heaps import more_heaps
from tests.server_process import running_server

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose heaps these are")
PAGES = ("/v1/models", "/v1/audio/voices", "/health", "/setup/")


@pytest.mark.parametrize(
    ("variables", "few"),
    [({}, True), ({"MALLOC_ARENA_MAX": "8"}, False), ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=8"}, False)],
    ids=["ours", "theirs", "theirs by a tunable"],
)
def test_threads_of_a_server_share_two_heaps(tmp_path: Path, variables: dict[str, str], few: bool) -> None:
    with running_server(tmp_path, variables=variables) as server:
        pages = [server.url + path for path in PAGES] * 10
        with ThreadPoolExecutor(8) as pool, httpx.Client(timeout=60, trust_env=False) as http:
            assert {answer.is_server_error for answer in pool.map(http.get, pages)} == {False}
        assert (more_heaps(server.process.pid) <= 1) is few
