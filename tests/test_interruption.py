"""Ending a task's work from outside: once, cleaned up, and told apart from the end of the task itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from api.interruption import Interruption


class Work:
    """A block that waits for good, in a task of its own, and notes how it came out."""

    def __init__(self, clean_up: Callable[[], object] = lambda: None) -> None:
        self.interruption: Interruption
        self.began = asyncio.Event()
        self.came_out = ""
        self._clean_up = clean_up
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> str:
        self.interruption = Interruption()
        with self.interruption:
            try:
                self.began.set()
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                self.came_out = "cleaned up"
                self._clean_up()
        await asyncio.sleep(0)
        return "left" if self.interruption.left else "stopped" if self.interruption.stopped else "neither"


@pytest.mark.parametrize("way", ["leave", "stop"])
async def test_the_work_ends_and_the_task_goes_on(way: str) -> None:
    work = Work()
    await work.began.wait()
    getattr(work.interruption, way)()
    assert await work.task == {"leave": "left", "stop": "stopped"}[way]
    assert work.came_out == "cleaned up" and not work.task.cancelling()


async def test_the_first_counts() -> None:
    work = Work()
    await work.began.wait()
    work.interruption.stop()
    work.interruption.leave()
    work.interruption.stop()
    assert await work.task == "stopped" and not work.interruption.left


async def test_the_end_of_the_task_is_no_interruption() -> None:
    work = Work()
    await work.began.wait()
    work.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work.task
    assert work.came_out == "cleaned up" and not work.interruption.left


async def test_both_at_once_end_the_task() -> None:
    work = Work()
    await work.began.wait()
    work.interruption.leave()
    work.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work.task


async def test_what_fails_on_the_way_out_is_the_interruptions_doing() -> None:
    def fail() -> None:
        raise ConnectionError

    work = Work(fail)
    await work.began.wait()
    work.interruption.leave()
    assert await work.task == "left"


async def test_a_failure_of_the_work_itself_comes_out() -> None:
    interruption = Interruption()
    with pytest.raises(ConnectionError), interruption:
        raise ConnectionError
    assert not interruption.left and not interruption.stopped


async def test_after_the_work_nothing_is_interrupted() -> None:
    interruption = Interruption()
    with interruption:
        pass
    interruption.leave()
    interruption.stop()
    await asyncio.sleep(0)
    assert not interruption.left and not interruption.stopped
