"""A server that is killed in the middle of a batch: once here, many times in `make chaos`."""

from __future__ import annotations

import random
from pathlib import Path

from tests.chaos import AT_ONCE, play


def test_a_killed_server_loses_no_line_and_speaks_none_twice(tmp_path: Path) -> None:
    report = play(tmp_path, lines=80, kills=1, dice=random.Random(3))
    assert report.wrong == []
    assert 0 <= report.repeated <= 2 * AT_ONCE, "no more than what was on its way when the server died"
    assert report.kills == 1 and report.attempts >= report.calls
