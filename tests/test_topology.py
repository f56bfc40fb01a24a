"""Two webs behind nginx, two workers, PostgreSQL and Redis: whichever dies in the middle of two batches, no limit of a
provider is broken, nothing is lost, and nothing is finished twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import pytest

from tests.scale_process import running_scale
from tests.topology import FAULTS, WORKERS, Place, frozen, share_a_minute
from tests.workers import wait_until

LINES = 60

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with TemporaryDirectory(prefix="neiroha-tests-") as folder, running_scale(Path(folder)) as scale:
        yield Place(scale)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_breaks_no_limit_and_loses_nothing(place: Place, fault: str) -> None:
    with place.round(LINES, held=True) as made:
        made.go_on(0.3)
        made.note_done()
        broken, since = made.running(), monotonic()
        assert broken
        FAULTS[fault](place, random.Random(fault))
        made.let_go()
        made.wait_until_recovered(broken, since)
        made.finish()
        assert made.judge() == []


def test_one_that_was_frozen_wakes_too_late_and_changes_nothing(place: Place) -> None:
    with place.round(LINES, held=True) as made:
        made.go_on(0.3)
        with frozen(made, [child for worker in WORKERS for child in place.speaking(worker)]):
            broken, since = made.running(), monotonic()
            assert sum(part.extra for part in made.parts) > 0
            made.let_go()
            # All of it by the others, who have its places too.
            made.wait_until_recovered(broken, since)
            wait_until(made.is_done)
            made.note_done()
            before = place.files()
        made.finish()
        wait_until(lambda: not place.strays())
        assert place.files() == before
        assert made.judge() == []


def test_one_provider_is_shared_within_its_limits_and_in_order(place: Place) -> None:
    wrong, callers = share_a_minute(place, 60.0)
    assert wrong == []
    assert callers > 20
