"""A server that is killed in the middle of a batch: once here, many times in `make chaos`."""

from __future__ import annotations

import random
from pathlib import Path

from tests.chaos import AT_ONCE, batch, play, wait_until
from tests.server_process import running_server
from tests.small_disk import small_disk

# So many that the disk is full before they are done.
FILLING_LINES = 400
# What the log says of a full disk, whoever meets it first.
NOTICED = ("could not be claimed", "could not be written", "Batches wait, as files can't be stored")


def test_a_killed_server_loses_no_line_and_speaks_none_twice(tmp_path: Path) -> None:
    report = play(tmp_path, lines=80, kills=1, dice=random.Random(3))
    assert report.wrong == []
    assert 0 <= report.repeated <= 2 * AT_ONCE, "no more than what was on its way when the server died"
    assert report.kills == 1 and report.attempts >= report.calls


def test_a_disk_that_fills_up_stops_a_batch_until_there_is_room(tmp_path: Path) -> None:
    """Database and files on one full disk: what is on its way may fail with the reason; nothing else is lost."""
    with small_disk(tmp_path / "disk", 160) as disk, batch(disk.folder, FILLING_LINES) as made:
        with running_server(disk.folder) as server:
            wait_until(lambda: made.states()["done"] >= 10)
            disk.fill()
            # Whether the database can still be written to depends on what its log has room for.
            wait_until(lambda: any(words in server.output for words in NOTICED))
            calls = len(made.upstream.requests)
            assert calls < FILLING_LINES, "it stopped asking for what has no place"
            disk.make_room()
            wait_until(lambda: not {"queued", "running"} & made.states().keys())
            server.end()
        states = made.states()
        assert states["done"] + states["failed"] == FILLING_LINES and states["failed"] <= 2 * AT_ONCE + 4
        assert made.failures() <= {"storage_full"}
        assert made.broken_files() == []
