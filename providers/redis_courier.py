"""Carries what one process asks of the queue in Redis, many calls in one write and in their order, and renews its
lease. Whatever breaks, it comes back by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from providers.clock import RemoteClock, Timer
from providers.errors import QueueUnreachable
from providers.redis_link import RENEWALS, Link, Reply, unreachable

logger = logging.getLogger(__name__)

# In one write.
MOST_CALLS = 500
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
# Renewals whose echo was not heard: then nobody would hear of his turn either.
MOST_UNHEARD = 3
GOODBYE_SECONDS = 2.0


def _nothing(answer: Reply) -> None:
    """Most answers say only that it is done."""


@dataclass(eq=False, slots=True)
class Call:
    """The operation and its arguments. `lasts`: it is carried even where Redis is away meanwhile; `failed` is told when
    it can't be, and what has neither is left out then: `Member.rejoin` asks for it anew."""

    words: Sequence[str]
    answered: Callable[[Reply], None] = _nothing
    failed: Callable[[QueueUnreachable], None] | None = None
    lasts: bool = False


class Member(Protocol):
    """What the courier works for."""

    def rejoin(self) -> tuple[list[int], list[Call]]:
        """The tickets that it still holds, and what has to be asked again for them."""
        ...

    def renewed(self) -> None: ...

    def hear(self, message: str) -> None: ...

    def broken(self) -> None: ...


class Courier:
    """Belongs to one event loop; begins with the first call."""

    def __init__(self, link: Link, clock: RemoteClock, lease_seconds: float, member: Member) -> None:
        self._link, self._clock, self._lease, self._member = link, clock, lease_seconds, member
        self._calls: list[Call] = []
        self._sent: list[Call] = []
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._lease_end = 0.0
        self._unheard = 0
        self._joins = self._joined = 0
        self.down = False
        """Whether the last try to reach Redis failed."""

    @property
    def overdue(self) -> bool:
        """Whether the others may take this process for gone."""
        return self._clock.monotonic() > self._lease_end

    def post(self, call: Call) -> None:
        self._calls.append(call)
        self._more.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """Deliver what is left, and give back at once what this process still holds."""
        if self._task is None:
            return
        if not self.down:
            gone = asyncio.get_running_loop().create_future()
            self.post(Call(["quit"], gone.set_result, gone.set_exception))
            await asyncio.wait({gone, self._task}, timeout=GOODBYE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not gone.cancelled():
                gone.exception()
        self._stop_timer()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._link.open()
                await self._join()
                if self.down:
                    logger.warning("The queue in Redis is there again.")
                self.down, pause = False, FIRST_PAUSE
                await self._until_broken()
            except Exception as error:
                self._break(error)
            finally:
                self._stop_timer()
                await self._link.close()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _break(self, error: Exception) -> None:
        if not isinstance(error, QueueUnreachable):
            logger.exception("The queue in Redis failed; it is tried again.", exc_info=error)
            # It may have been one of these.
            self._sent = [call for call in self._sent if not call.lasts]
        elif not self.down:
            logger.warning("The queue in Redis can't be reached; it is tried again and again.", exc_info=error)
        self.down = True
        undone, self._sent, self._calls = [*self._sent, *self._calls], [], []
        for call in undone:
            if call.lasts:
                self._calls.append(call)
            elif call.failed is not None:
                call.failed(unreachable())
        self._member.broken()

    async def _until_broken(self) -> None:
        tasks = [asyncio.get_running_loop().create_task(work()) for work in (self._talk, self._listen)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _listen(self) -> None:
        while True:
            message = await self._link.hear()
            word, _, number = message.partition(" ")
            if word == "heard":
                self._unheard = 0
            elif word == "joined":
                self._unheard, self._joined = 0, int(number)
            elif self._joined == self._joins:
                # What was told before is over, or was asked again when it joined.
                self._member.hear(message)

    async def _talk(self) -> None:
        while True:
            while self._calls:
                await self._exchange()
            self._more.clear()
            await self._more.wait()

    async def _exchange(self) -> None:
        self._sent, self._calls = self._calls[:MOST_CALLS], self._calls[MOST_CALLS:]
        answers = await self._ask(self._sent)
        sent, self._sent = self._sent, []
        forgotten = []
        for call, answer in zip(sent, answers, strict=True):
            if answer[0] == "unknown":
                forgotten.append(call)
            else:
                call.answered(answer)
        if forgotten:
            self._calls[:0] = [call for call in forgotten if call.lasts or call.failed is not None]
            await self._join()
        if self._unheard > MOST_UNHEARD:
            raise unreachable()

    async def _ask(self, calls: Sequence[Call]) -> list[Reply]:
        answers = await self._link.ask([call.words for call in calls], self._clock.stamp())
        if answers and answers[-1][1] is not None:
            self._clock.learn(int(answers[-1][1]))
        return answers

    async def _join(self) -> None:
        """Say that this process is there, and what it still holds."""
        self._joins += 1
        held, calls = self._member.rejoin()
        calls = [Call(["join", str(self._joins), *map(str, held)], self._leased), *calls]
        for first in range(0, len(calls), MOST_CALLS):
            some = calls[first : first + MOST_CALLS]
            for call, answer in zip(some, await self._ask(some), strict=True):
                if answer[0] == "unknown":
                    raise unreachable()
                call.answered(answer)

    def _leased(self, answer: Reply) -> None:
        # From when Redis said so: the answer may have waited for this process.
        self._lease_end = int(answer[1]) / 1000 + self._lease
        self._stop_timer()
        self._timer = self._clock.call_later(self._lease / RENEWALS, self._renew)

    def _renew(self) -> None:
        self._unheard += 1
        self.post(Call(["renew"], self._renewed))

    def _renewed(self, answer: Reply) -> None:
        self._leased(answer)
        self._member.renewed()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
