"""The way of one process to the queue in Redis: a connection on which it asks, in order, and one on which it hears.

The rules are a script that Redis runs, each call of it at once and alone: redis_lane.lua and redis_queue.lua.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import NoScriptError, RedisError, ResponseError

from providers.errors import QueueUnreachable
from providers.lane import BATCH_TURN, TYPICAL_SECONDS
from providers.limits import COOL_SECONDS, FAILURES_TO_COOL, MAX_COOL_SECONDS, MINUTE
from providers.tickets import RECENT_TICKETS

# Longer than a day's budget is kept in mind; whatever nobody touches for so long goes.
KEEP_SECONDS = 2 * 86_400
# A Redis that does not answer for so long is gone.
ANSWER_SECONDS = 5.0
CONNECT_SECONDS = 3.0
# In the time of a lease.
RENEWALS = 3

type Reply = list[Any]

# Its own type knows commands of one word only.
_packed: Callable[[Any], bytes] = pack_command


def unreachable() -> QueueUnreachable:
    return QueueUnreachable(
        "The queue can't be reached: Redis does not answer. Try again soon.", retry_after=ANSWER_SECONDS
    )


def script(lease_seconds: float, grace_seconds: float) -> str:
    """The rules, with their constants. `grace_seconds`: what still ran when Redis lost its memory has so long to say so
    before anything starts."""
    constants = {
        "LEASE": lease_seconds * 1000,
        "RENEWAL": lease_seconds * 1000 / RENEWALS,
        "GRACE": grace_seconds * 1000,
        "KEEP": KEEP_SECONDS,
        "MINUTE": MINUTE * 1000,
        "DAY": 86_400_000,
        "CLOCK_SLACK": 1000,
        "COOL": COOL_SECONDS * 1000,
        "MAX_COOL": MAX_COOL_SECONDS * 1000,
        "FAILURES_TO_COOL": FAILURES_TO_COOL,
        "BATCH_TURN": BATCH_TURN,
        "TYPICAL": TYPICAL_SECONDS,
        "RECENT_TICKETS": RECENT_TICKETS,
    }
    head = "".join(f"local {name} = {value:.15g}\n" for name, value in constants.items())
    folder = Path(__file__).parent
    return head + "".join((folder / name).read_text() for name in ("redis_lane.lua", "redis_queue.lua"))


class Link:
    """Open until something breaks, which is QueueUnreachable; it may be opened again."""

    def __init__(self, url: str, prefix: str, process: str, rules: str) -> None:
        self._rules, self._prefix, self._process = rules, prefix, process
        self._digest = hashlib.sha1(rules.encode(), usedforsecurity=False).hexdigest()
        pool = ConnectionPool.from_url(
            url,
            protocol=2,
            decode_responses=True,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=CONNECT_SECONDS,
        )
        self._asking = pool.connection_class(**pool.connection_kwargs)
        self._hearing = pool.connection_class(**pool.connection_kwargs)

    async def open(self) -> None:
        try:
            await self._asking.send_command("SCRIPT LOAD", self._rules)
            await self._asking.read_response()
            await self._hearing.send_command("SUBSCRIBE", f"{self._prefix}:to:{self._process}")
            await self._hearing.read_response()
        except (RedisError, OSError) as error:
            raise unreachable() from error

    async def ask(self, calls: Sequence[Sequence[str]], time: str) -> list[Reply]:
        """Run the rules for each of these calls, (operation, argument, ...), all in one write. `time`: see the script's
        ARGV[2]. What Redis forgot of us answers “unknown”."""
        commands = [
            ("EVALSHA", self._digest, "1", self._prefix, call[0], time, self._process, *call[1:]) for call in calls
        ]
        try:
            packed = b"".join(map(_packed, commands))
            await self._asking.send_packed_command(packed, check_health=False)
            # One limit for all of them; one for each costs more than the answer.
            async with asyncio.timeout(ANSWER_SECONDS):
                return [await self._answer() for _ in commands]
        except (RedisError, OSError) as error:
            if type(error) is ResponseError:
                raise  # The script itself is wrong; trying again helps nobody.
            raise unreachable() from error

    async def _answer(self) -> Reply:
        try:
            answer: Reply = await self._asking.read_response(timeout=math.inf)
        except NoScriptError:
            return ["unknown", None]
        return answer

    async def hear(self) -> str:
        """The next message to this process."""
        try:
            message: Reply = await self._hearing.read_response(timeout=math.inf)
        except (RedisError, OSError) as error:
            raise unreachable() from error
        return str(message[2])

    async def close(self) -> None:
        for connection in (self._asking, self._hearing):
            await connection.disconnect(nowait=True)
